"""What does a forecast rest on: which history, which models that competed, and what it would have said before?"""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from pullplan.api import lists
from pullplan.api.access import require
from pullplan.api.dependencies import PoolOf
from pullplan.api.fields import CodeFilter
from pullplan.api.forecasts import get_stored
from pullplan.api.rows import Table
from pullplan.engine.model import Mark
from pullplan.storage import forecasts


class HistoryRow(msgspec.Struct, kw_only=True):
    """What was demanded of one product × region in one complete bucket, as the forecast has seen it."""

    product_code: str
    region_code: str
    bucket_date: date
    units: float | None
    """What was demanded; null where the source was silent as a whole: missing, not zero."""
    used_units: float | None
    """What models were shown: without what promotions and single spikes added, and with what an empty shelf cut off."""
    mark: Mark | None
    """Why the two differ."""


class CandidateRow(msgspec.Struct, kw_only=True):
    """One model that competed for one product × region, and how it did."""

    product_code: str
    region_code: str
    place: int
    """1 is the model that was chosen for the mean."""
    model: str
    is_chosen: bool
    score: float | None
    """Mean squared error along the backtest's origins ÷ the mean of all candidates', mixed from this series and all of its
    kind; less is better. Null where it was not judged."""
    bias_share: float | None
    """Sum of its forecasts ÷ sum of actuals − 1; null where too little was demanded to tell."""
    is_biased: bool
    """Passed over as long as another is not."""
    failure: str | None
    """Why it said nothing of this series."""


class BacktestRow(msgspec.Struct, kw_only=True):
    """What would have been forecast from an origin in the past, and what came."""

    product_code: str
    region_code: str
    origin_date: date
    """Nothing from this day on was known."""
    bucket_date: date
    actual_units: float | None
    """Null where the source was silent."""
    mean_units: float
    p10_units: float | None
    p50_units: float | None
    p90_units: float | None
    """Null where no error had been seen by then."""


HISTORY = Table(forecasts.HISTORY, HistoryRow, get_stored)
CANDIDATES = Table(forecasts.CANDIDATES, CandidateRow, get_stored)
BACKTEST = Table(forecasts.BACKTEST, BacktestRow, get_stored)


@get(
    "/v1/forecasts/{forecast_id:uuid}/history",
    guards=[require("read")],
    operation_id="listForecastHistory",
    tags=["forecasts"],
    opt={"rows": HistoryRow},
)
async def list_forecast_history(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[HistoryRow]] | Stream:
    """Read the history that the forecast was made from, by product, region and bucket; as CSV, NDJSON or XLSX the whole of it."""
    return await HISTORY.answer(
        request, pool, forecast_id, limit, cursor, product_code=product_code, region_code=region_code
    )


@get(
    "/v1/forecasts/{forecast_id:uuid}/candidates",
    guards=[require("read")],
    operation_id="listForecastCandidates",
    tags=["forecasts"],
    opt={"rows": CandidateRow},
)
async def list_forecast_candidates(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[CandidateRow]] | Stream:
    """Read which models competed for each product × region, the best first; as CSV, NDJSON or XLSX the whole of it."""
    return await CANDIDATES.answer(
        request, pool, forecast_id, limit, cursor, product_code=product_code, region_code=region_code
    )


@get(
    "/v1/forecasts/{forecast_id:uuid}/backtest",
    guards=[require("read")],
    operation_id="listForecastBacktest",
    tags=["forecasts"],
    opt={"rows": BacktestRow},
)
async def list_forecast_backtest(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[BacktestRow]] | Stream:
    """Read what would have been forecast from some origins in the past; as CSV, NDJSON or XLSX the whole of it."""
    return await BACKTEST.answer(
        request, pool, forecast_id, limit, cursor, product_code=product_code, region_code=region_code
    )


ROUTES = [list_forecast_history, list_forecast_candidates, list_forecast_backtest]
