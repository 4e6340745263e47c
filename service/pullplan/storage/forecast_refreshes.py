"""Upon which forecast can a refresh be made, which pairs have news since, and what does it know of them?"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from pullplan.engine.model import (
    Accuracy,
    Experience,
    Forecast,
    ForecastBase,
    ForecastProfile,
    Grounds,
    Horizon,
    PanelKnowledge,
    ProductKnowledge,
    SeriesForecast,
)
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("forecast_refreshes")


class BaseHead(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast that others can be stored upon, without its series."""

    forecast_id: UUID
    as_of: datetime
    first_bucket_date: date
    seen: str
    """Which transactions its snapshot saw, as Postgres writes it."""
    measures: Accuracy
    experience: Experience
    knowledge: PanelKnowledge


@asynccontextmanager
async def few_rows_read(connection: Connection) -> AsyncIterator[None]:
    """Have a snapshot's transaction look rows up through indexes, until it reads whole tables again."""
    await connection.execute(SQL["read_few_rows"])
    yield
    await connection.execute(SQL["read_whole_tables"])


async def find_base(
    connection: Connection,
    horizon: Horizon,
    first_date: date,
    as_of: datetime,
    *,
    n_steps: int,
    profile: ForecastProfile,
    code_version: str,
    rules_hash: str,
    learned_from: date,
) -> BaseHead | None:
    """Find the latest forecast stored in full that answered the same question by the same rules.

    One of earlier buckets, where what all series told together was learned in `learned_from` or later.
    """
    row = await connection.fetchrow(
        SQL["find_base"],
        *(horizon.bucket, first_date, horizon.horizon_buckets, n_steps, profile, as_of),
        *(code_version, rules_hash, learned_from),
    )
    return None if row is None else msgspec.convert(dict(row), BaseHead)


async def list_pairs_with_news(
    connection: Connection, base: BaseHead, as_of: datetime, first_date: date, time_zone: str
) -> tuple[tuple[str, str], ...]:
    """List the pairs of which anything was recorded since the base that its forecast would have looked at."""
    rows = await connection.fetch(
        SQL["list_pairs_with_news"], base.seen, base.as_of, as_of, first_date, time_zone, base.forecast_id
    )
    return tuple((row["product_code"], row["region_code"]) for row in rows)


async def list_drifted_pairs(
    connection: Connection, base: BaseHead, limit: int
) -> tuple[tuple[str, str], ...]:
    """List the pairs that had drifted when the base was rolled forward, and kept their model; the farthest first."""
    rows = await connection.fetch(SQL["list_drifted_pairs"], base.forecast_id, limit)
    return tuple((row["product_code"], row["region_code"]) for row in rows)


async def read_base(
    connection: Connection,
    base: BaseHead,
    horizon: Horizon,
    pairs: Sequence[tuple[str, str]] | None,
    *,
    n_steps: int,
) -> ForecastBase:
    """Read what the base says of some pairs, and of others of a product where a pair is new; None: of all."""
    product_codes = None if pairs is None else [p for p, _ in pairs]
    region_codes = None if pairs is None else [r for _, r in pairs]
    rows = await connection.fetch(SQL["list_series"], base.forecast_id, product_codes, region_codes)
    products = await connection.fetch(SQL["list_products"], base.forecast_id, product_codes)
    known = tuple(msgspec.convert(dict(row), ProductKnowledge) for row in products)
    return ForecastBase(
        forecast=Forecast(
            first_bucket_date=base.first_bucket_date,
            bucket=horizon.bucket,
            n_steps=n_steps,
            series=tuple(_taken(row, SeriesForecast) for row in rows),
            measures=base.measures,
        ),
        grounds=tuple(_taken(row, Grounds) for row in rows),
        knowledge=msgspec.structs.replace(base.knowledge, products=known),
    )


def _taken[T: msgspec.Struct](row: Any, kind: type[T]) -> T:
    return msgspec.convert({n: row[n] for n in kind.__struct_fields__ if n in row}, kind)
