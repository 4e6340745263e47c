"""How is a forecast asked for, and what does it say?"""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from pullplan.api import lists, runs
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, Clock, PoolOf, RunNewsOf, Transaction
from pullplan.api.fields import CodeFilter
from pullplan.api.horizon import fill_as_of
from pullplan.api.idempotency import IdempotencyKey, answer_once
from pullplan.api.rows import Table
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import (
    Accuracy,
    Bucket,
    DemandClass,
    Experience,
    ForecastRequest,
    Instant,
    RefreshReason,
)
from pullplan.storage import database, forecasts
from pullplan.storage.runs import Run

ClassFilter = Annotated[DemandClass | None, QueryParameter(description="Only series of this class.")]


class StoredForecast(msgspec.Struct, kw_only=True):
    """A forecast of every product × region with demand, and how good it would have been."""

    forecast_id: UUID
    run_id: UUID
    as_of: Instant
    bucket: Bucket
    first_bucket_date: date
    horizon_buckets: int
    n_steps: int
    """Buckets forecast: the horizon and the longest protection interval."""
    parameters: dict[str, Any]
    snapshot_at: Instant
    """The moment whose facts it was made from."""
    snapshot_hash: str
    measures: Accuracy
    """Over the whole panel, by rolling-origin backtest, beside seasonal naive."""
    experience: Experience
    """How forecasts before this one fared in the latest 13 weeks, or 28 days."""
    wall_seconds: float
    code_version: str
    created_at: Instant
    base_forecast_id: UUID | None
    """The forecast that this one refreshes: series without news are its, with their measures. Null: all were made anew."""
    n_refreshed_series: int | None
    """How many series were made again: those with news, or all where buckets have ended. Null: all were made anew."""
    rolled_from_forecast_id: UUID | None
    """The forecast of earlier buckets whose models go on in this one, moved by what has come since: its measures, and the
    accuracies of its series, are those of that one. Null: candidates competed for all series."""
    n_refitted_series: int | None
    """For how many drifted series candidates competed again; `refresh_reason` of a series tells which. Null: for all."""


class ValueRow(msgspec.Struct, kw_only=True):
    """One product × region in one bucket."""

    product_code: str
    region_code: str
    bucket_date: date
    mean_units: float
    """What is planned with."""
    p10_units: float
    p50_units: float
    p90_units: float
    adjustment_units: float
    """What adjustments changed of mean_units."""


class SeriesRow(msgspec.Struct, kw_only=True):
    """One product × region: which class and model, and how accurate."""

    product_code: str
    region_code: str
    demand_class: DemandClass
    model: str
    fallback_reason: str | None
    """Why a simpler model had to do."""
    history_buckets: int
    accuracy: Accuracy
    experience: Experience
    """How forecasts before this one fared in the latest 13 weeks, or 28 days."""
    refresh_reason: RefreshReason | None
    """Why a refresh has made it again: `news` that came since; a `bucket` that has ended, and moved its model on; `drift`: its
    forecasts had lost it, and candidates competed again. Null: it was made together with all others."""


async def get_stored(connection: database.Connection, forecast_id: UUID) -> StoredForecast:
    """Find a forecast.

    Raises: ResourceUnknownError.
    """
    row = await forecasts.find(connection, forecast_id)
    if row is None:
        raise ResourceUnknownError("forecast", forecast_id)
    return msgspec.convert(dict(row), StoredForecast)


VALUES = Table(forecasts.VALUES, ValueRow, get_stored)
SERIES = Table(forecasts.SERIES, SeriesRow, get_stored)


@post(
    "/v1/forecasts",
    guards=[require("plans:run")],
    operation_id="startForecast",
    tags=["forecasts"],
    status_code=202,
    opt={"problems": (409,), "result": "getForecast"},
)
async def start_forecast(
    request: Request[Any, Any, Any],
    data: JSONBody[ForecastRequest],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    clock: Clock,
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that forecasts every product × region with demand as it was known at `as_of`."""
    parameters = msgspec.to_builtins(fill_as_of(data, clock()))
    async with database.transaction(pool) as connection:
        answer = await answer_once(
            connection, caller, idempotency_key, request,
            lambda: runs.start(connection, caller, "forecast", parameters),
        )  # fmt: skip
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get("/v1/forecasts", guards=[require("read")], operation_id="listForecasts", tags=["forecasts"])
async def list_forecasts(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
) -> lists.Page[StoredForecast]:
    """List forecasts, the newest first."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await forecasts.list_all(transaction, after=after, limit=limit + 1, updated_since=updated_since)
    items = [msgspec.convert(dict(row), StoredForecast) for row in rows]
    return lists.page(items, limit, key=lambda item: (item.created_at, item.forecast_id))


@get(
    "/v1/forecasts/{forecast_id:uuid}",
    guards=[require("read")],
    operation_id="getForecast",
    tags=["forecasts"],
)
async def get_forecast(transaction: Transaction, forecast_id: FromPath[UUID]) -> StoredForecast:
    """Show a forecast: what it was made from and how accurate it would have been."""
    return await get_stored(transaction, forecast_id)


@get(
    "/v1/forecasts/{forecast_id:uuid}/values",
    guards=[require("read")],
    operation_id="listForecastValues",
    tags=["forecasts"],
    opt={"rows": ValueRow},
)
async def list_forecast_values(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[ValueRow]] | Stream:
    """Read the forecast's values by product, region and bucket; as CSV, NDJSON or XLSX the whole of them."""
    return await VALUES.answer(
        request, pool, forecast_id, limit, cursor, product_code=product_code, region_code=region_code
    )


@get(
    "/v1/forecasts/{forecast_id:uuid}/series",
    guards=[require("read")],
    operation_id="listForecastSeries",
    tags=["forecasts"],
    opt={"rows": SeriesRow},
)
async def list_forecast_series(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    forecast_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    demand_class: ClassFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[SeriesRow]] | Stream:
    """Read each series' demand class, model and accuracy; as CSV, NDJSON or XLSX the whole of them."""
    return await SERIES.answer(
        request, pool, forecast_id, limit, cursor,
        product_code=product_code, region_code=region_code, demand_class=demand_class,
    )  # fmt: skip


ROUTES = [start_forecast, list_forecasts, get_forecast, list_forecast_values, list_forecast_series]
