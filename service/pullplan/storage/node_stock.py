"""What was counted at which node, and when?"""

from datetime import datetime

import asyncpg

from pullplan.storage.batches import target
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("node_stock")
COLUMNS = (
    "source",
    "external_id",
    "node_code",
    "product_code",
    "counted_at",
    "on_hand_units",
    "reserved_units",
    "blocked_units",
)
TARGET = target(SQL, "staged_node_stock_counts", COLUMNS)


async def list_page(
    connection: Connection,
    after: tuple[str, str] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List counts by source and external id; `filters`: node_code, product_code, source."""
    start = after or (None, None)
    return await connection.fetch(SQL["list_page"], *start, limit, updated_since, *filters)
