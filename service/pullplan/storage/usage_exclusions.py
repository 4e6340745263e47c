"""Which days do not count into the past usage of buffers?"""

from datetime import date, datetime

import asyncpg

from pullplan.storage.batches import target
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("usage_exclusions")
COLUMNS = ("product_code", "region_code", "from_date", "until_date", "reason")
TARGET = target(SQL, "staged_usage_exclusions", COLUMNS)


async def list_page(
    connection: Connection,
    after: tuple[str, str, date] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List exclusions by product, region and first day; `filters`: product_code, region_code."""
    start = after or ("", "", None)
    return await connection.fetch(SQL["list_page"], *start, limit, updated_since, *filters)
