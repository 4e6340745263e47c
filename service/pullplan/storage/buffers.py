"""What did DDMRP buffers say, plan by plan?"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import BufferDerivation
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("buffers")

OF_PLAN = Listing(
    SQL["list_of_plan"],
    key=("product_code", "region_code"),
    start=("", ""),
    filters=("product_code", "region_code", "color", "on_hand_alert", "warning"),
)
_AFTER_ALL = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


async def insert(connection: Connection, plan_id: UUID, buffers: Sequence[BufferDerivation]) -> None:
    """Store what a plan's buffers said, inside the caller's transaction."""
    await connection.copy_records_to_table(
        "plan_buffers",
        columns=("plan_id", *BufferDerivation.__struct_fields__),
        records=((plan_id, *msgspec.structs.astuple(buffer)) for buffer in buffers),
    )


async def list_history(
    connection: Connection,
    product_code: str,
    region_code: str,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Read what one buffer said in every plan, the newest first; the cursor's key is (planned_at, plan_id)."""
    return await connection.fetch(
        SQL["list_history"], product_code, region_code, *(after or _AFTER_ALL), limit
    )
