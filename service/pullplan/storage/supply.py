"""What is already coming to a region, by its caller's word?"""

from datetime import datetime

import asyncpg

from pullplan.storage.batches import target
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("supply")
COLUMNS = (
    "source",
    "external_id",
    "product_code",
    "region_code",
    "units",
    "due_date",
    "work_order_id",
    "received_units",
    "receipt_at",
    "closed",
)
TARGET = target(SQL, "staged_open_supply", COLUMNS)


async def list_page(
    connection: Connection,
    after: tuple[str, str] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List lines of open supply by source and external id; `filters`: product_code, region_code, source."""
    start = after or (None, None)
    return await connection.fetch(SQL["list_page"], *start, limit, updated_since, *filters)
