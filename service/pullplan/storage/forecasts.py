"""How is a forecast stored, read back for planning, and read by callers?"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import (
    Accuracy,
    Bucket,
    Experience,
    Forecast,
    ForecastsInForce,
    Grounds,
    PanelKnowledge,
    SeriesForecast,
)
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("forecasts")

VALUES = Listing(
    SQL["list_values"],
    key=("product_code", "region_code", "bucket_date"),
    start=("", "", date.min),
    filters=("product_code", "region_code"),
)
SERIES = Listing(
    SQL["list_series"],
    key=("product_code", "region_code"),
    start=("", ""),
    filters=("product_code", "region_code", "demand_class"),
)
HISTORY = Listing(
    SQL["list_history"],
    key=("product_code", "region_code", "bucket_date"),
    start=("", "", date.min),
    filters=("product_code", "region_code"),
)
CANDIDATES = Listing(
    SQL["list_candidates"],
    key=("product_code", "region_code", "place"),
    start=("", "", 0),
    filters=("product_code", "region_code"),
)
BACKTEST = Listing(
    SQL["list_backtest"],
    key=("product_code", "region_code", "origin_date", "bucket_date"),
    start=("", "", date.min, date.min),
    filters=("product_code", "region_code"),
)

_IN_FORCE = ForecastsInForce.__struct_fields__
"""In the order of the statement's columns."""
_AFTER_ALL = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
_BEFORE_ALL = datetime(1, 1, 2, tzinfo=UTC)


class ForecastRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a forecast besides its values."""

    forecast_id: UUID
    run_id: UUID
    as_of: datetime
    horizon_buckets: int
    parameters: dict[str, Any]
    snapshot_at: datetime
    snapshot_hash: str
    wall_seconds: float
    code_version: str
    experience: Experience = Experience()
    base_forecast_id: UUID | None = None
    """The forecast whose series it has but for those that are stored with it; None: all are its own."""
    rolled_from_forecast_id: UUID | None = None
    """The forecast of earlier buckets whose models go on in this one."""
    seen: str | None = None
    """Which transactions the snapshot saw, as Postgres writes it."""
    rules_hash: str | None = None
    knowledge: PanelKnowledge | None = None
    """What all series told together, where others may be stored upon it."""


async def insert(
    connection: Connection,
    record: ForecastRecord,
    forecast: Forecast,
    grounds: Sequence[Grounds],
    bucket_dates: Sequence[date],
) -> None:
    """Store a forecast's series with every value and what each rests on, inside the caller's transaction.

    Shapes: grounds (n_series,), bucket_dates (n_steps,)
    """
    r = record
    n_refreshed = len(forecast.series) if r.base_forecast_id or r.rolled_from_forecast_id else None
    n_refitted = sum(g.refresh_reason == "drift" for g in grounds) if n_refreshed is not None else None
    await connection.execute(
        SQL["insert_forecast"],
        *(r.forecast_id, r.run_id, r.as_of, forecast.bucket, forecast.first_bucket_date, r.horizon_buckets),
        *(forecast.n_steps, r.parameters, r.snapshot_at, r.snapshot_hash),
        *(msgspec.to_builtins(forecast.measures), r.wall_seconds, r.code_version, r.experience),
        *(r.base_forecast_id, n_refreshed, r.seen, r.rules_hash),
        None if r.knowledge is None else msgspec.structs.replace(r.knowledge, products=()),
        *(r.rolled_from_forecast_id, n_refitted),
    )
    if r.knowledge is not None:
        await connection.execute(SQL["insert_products"], r.forecast_id, r.knowledge.products)
    await connection.copy_records_to_table(
        "forecast_series",
        records=(
            (
                *(r.forecast_id, s.product_code, s.region_code, s.demand_class, s.model, s.fallback_reason),
                *(s.history_buckets, s.accuracy, s.error_paths_units),
                *(g.history_first_date, g.history_units, g.candidates, g.backtest),
                *(g.history_used_units, g.history_marks, g.experience, g.refresh_reason),
            )
            for s, g in zip(forecast.series, grounds, strict=True)
        ),
    )
    await connection.copy_records_to_table(
        "forecast_values",
        records=(
            (r.forecast_id, s.product_code, s.region_code, bucket_date, *values)
            for s in forecast.series
            for bucket_date, *values in zip(
                *(bucket_dates, s.mean_units, s.p10_units, s.p50_units, s.p90_units, s.adjustment_units),
                strict=True,
            )
        ),
    )


async def list_in_force(
    connection: Connection,
    bucket: Bucket,
    first_date: date,
    end_date: date,
    as_of: datetime,
    *,
    bucket_days: int,
) -> ForecastsInForce:
    """Read what had been forecast of the buckets of [first_date, end_date) by whatever was in force there."""
    in_force = await connection.fetch(
        SQL["list_forecasts_in_force"], bucket, first_date, end_date, as_of, bucket_days
    )
    dates_of: dict[UUID, list[date]] = {}
    for bucket_date, forecast_id in in_force:
        dates_of.setdefault(forecast_id, []).append(bucket_date)
    rows: list[asyncpg.Record] = []
    for forecast_id, dates in dates_of.items():
        rows += await connection.fetch(SQL["list_values_in_force"], forecast_id, dates)
    columns = zip(*rows, strict=True) if rows else ()
    return ForecastsInForce(**dict(zip(_IN_FORCE, columns, strict=False)))


async def find(connection: Connection, forecast_id: UUID) -> asyncpg.Record | None:
    """Find a forecast without its values."""
    return await connection.fetchrow(SQL["find_forecast"], forecast_id)


async def list_all(
    connection: Connection,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    updated_since: datetime | None = None,
) -> list[asyncpg.Record]:
    """Read forecasts, newest first; the cursor's key is (created_at, forecast_id)."""
    return await connection.fetch(
        SQL["list_forecasts"], *(after or _AFTER_ALL), updated_since or _BEFORE_ALL, limit
    )


async def find_for_planning(connection: Connection, forecast_id: UUID) -> Forecast | None:
    """Read a stored forecast back as it was made."""
    head = await find(connection, forecast_id)
    if head is None:
        return None
    rows = await connection.fetch(SQL["list_series_for_planning"], forecast_id)
    return Forecast(
        first_bucket_date=head["first_bucket_date"],
        bucket=head["bucket"],
        n_steps=head["n_steps"],
        series=tuple(_series(row) for row in rows),
        measures=msgspec.convert(head["measures"], Accuracy),
    )


def _series(row: asyncpg.Record) -> SeriesForecast:
    return msgspec.convert(dict(row), SeriesForecast)
