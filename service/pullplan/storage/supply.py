"""What is already coming to a region, by its caller's word?"""

from datetime import datetime

import asyncpg

from pullplan.engine.errors import ResourceUnknownError
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
    "source_revision",
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


async def list_history(connection: Connection, source: str, external_id: str) -> list[asyncpg.Record]:
    """List every revision of a line, the first one first.

    Raises: ResourceUnknownError.
    """
    rows = await connection.fetch(SQL["list_history"], source, external_id)
    if not rows:
        raise ResourceUnknownError("line of open supply", f"{source} {external_id}")
    return rows
