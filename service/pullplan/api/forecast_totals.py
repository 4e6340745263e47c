"""What do a forecast's series add up to, by product, by region and in all?"""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from pullplan.api import lists
from pullplan.api.access import require
from pullplan.api.dependencies import PoolOf
from pullplan.api.fields import CodeFilter
from pullplan.api.forecasts import get_stored
from pullplan.api.rows import Table
from pullplan.engine.model import Accuracy, CoherenceMethod, TotalledBy
from pullplan.storage import forecast_totals

TotalledByFilter = Annotated[
    TotalledBy | None, QueryParameter(description="Only totals of products, of regions, or of everything.")
]


class TotalRow(msgspec.Struct, kw_only=True):
    """A product over its regions, a region over its products, or everything: how it adds up, and how accurate it is."""

    totalled_by: TotalledBy
    code: str
    """Of the product or the region; empty for everything."""
    n_series: int
    method: CoherenceMethod
    """How the means of a product's regions were made to agree with a forecast of the product as a whole: by adding up, by
    sharing that out in their proportions, or by the covariance of all their errors (MinT, shrunk). Another method than adding
    up has to have been plainly better. Whichever it was, the total is the sum of its series."""
    method_scores: dict[CoherenceMethod, float]
    """Squared error along the backtest's origins, half of the product and half of its regions, ÷ that of adding up; less is
    better. Empty where nothing was compared: too few origins, one region, and all regions and everything, which add up."""
    method_failures: dict[CoherenceMethod, str]
    """Why a method that was tried has no score: it found no answer, or one beyond all reason."""
    model_failures: dict[str, str]
    """Why a model said nothing of a product as a whole; empty where products were not forecast apart, and for all others."""
    accuracy: Accuracy
    """By rolling-origin backtest of the total itself."""


class TotalValueRow(msgspec.Struct, kw_only=True):
    """One total in one bucket."""

    totalled_by: TotalledBy
    code: str
    """Of the product or the region; empty for everything."""
    bucket_date: date
    mean_units: float
    """The sum of the means of its series."""
    p10_units: float
    p50_units: float
    p90_units: float
    """From what the total itself missed in the past: quantiles of series do not add up."""


TOTALS = Table(forecast_totals.TOTALS, TotalRow, get_stored)
TOTAL_VALUES = Table(forecast_totals.TOTAL_VALUES, TotalValueRow, get_stored)


@get(
    "/v1/forecasts/{forecast_id:uuid}/totals",
    guards=[require("read")],
    operation_id="listForecastTotals",
    tags=["forecasts"],
    opt={"rows": TotalRow},
)
async def list_forecast_totals(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    totalled_by: TotalledByFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[TotalRow]] | Stream:
    """Read how each total adds up and how accurate it is; as CSV, NDJSON or XLSX the whole of it."""
    return await TOTALS.answer(request, pool, forecast_id, limit, cursor, totalled_by=totalled_by)


@get(
    "/v1/forecasts/{forecast_id:uuid}/total-values",
    guards=[require("read")],
    operation_id="listForecastTotalValues",
    tags=["forecasts"],
    opt={"rows": TotalValueRow},
)
async def list_forecast_total_values(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    totalled_by: TotalledByFilter = None,
    code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[TotalValueRow]] | Stream:
    """Read the totals' values by bucket; as CSV, NDJSON or XLSX the whole of them."""
    return await TOTAL_VALUES.answer(
        request, pool, forecast_id, limit, cursor, totalled_by=totalled_by, code=code
    )


ROUTES = [list_forecast_totals, list_forecast_total_values]
