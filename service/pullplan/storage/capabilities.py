"""Which node can make which product, and what does a unit take there?"""

from datetime import datetime

import asyncpg

from pullplan.storage import batches
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries
from pullplan.storage.spool import Spool

SQL = load_queries("capabilities")
COLUMNS = (
    "node_code",
    "product_code",
    "unit_cost",
    "make_lead_time_days",
    "use_per_unit",
    "yield_share",
    "qualified",
    "effective_from",
    "effective_until",
    "minimum_lot_units",
    "lot_multiple_units",
    "maximum_lot_units",
    "setup_use_per_order",
)
TARGET = batches.target(SQL, "staged_capabilities", COLUMNS)


async def list_page(
    connection: Connection,
    after: tuple[str, str] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List capabilities by node and product; `filters`: node_code, product_code."""
    start = after or (None, None)
    return await connection.fetch(SQL["list_page"], *start, limit, updated_since, *filters)


async def list_for_node(connection: Connection, node_code: str) -> list[asyncpg.Record]:
    """List what one node can make, by product."""
    return await connection.fetch(SQL["list_for_node"], node_code)


async def replace_for_node(connection: Connection, node_code: str, spool: Spool) -> None:
    """Make these the whole of a node's capabilities.

    Raises: LinesRefusedError.
    """
    await batches.merge(connection, spool, TARGET)
    await connection.execute(SQL["retire_absent_of_node"], node_code)
