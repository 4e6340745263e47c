"""What was each product × region's demand netted against, plan by plan?"""

from uuid import UUID

import asyncpg

from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("pull_terms")


async def find(
    connection: Connection, plan_id: UUID, product_code: str, region_code: str
) -> asyncpg.Record | None:
    """Find what one product × region's demand was netted against; arrays are (horizon_buckets,)."""
    return await connection.fetchrow(SQL["find_terms"], plan_id, product_code, region_code)
