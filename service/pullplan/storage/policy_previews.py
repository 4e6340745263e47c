"""How is it stored what policies would change?"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import PolicyEffect
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("policy_previews")

EFFECTS = Listing(
    SQL["list_effects"],
    key=("product_code", "region_code"),
    start=("", ""),
    filters=("product_code", "region_code"),
)


class PreviewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which policies were looked at, and what they change in all."""

    preview_id: UUID
    parameters: dict[str, Any]
    """A PolicyPreviewRequest."""
    as_of: datetime
    first_bucket_date: date
    n_effects: int
    needed_units_before: float
    """Of the product × regions that pull otherwise."""
    needed_units_after: float
    wall_seconds: float
    code_version: str


async def insert(connection: Connection, record: PreviewRecord, effects: Sequence[PolicyEffect]) -> None:
    """Store what policies would change, inside the caller's transaction."""
    await connection.execute(SQL["insert"], *msgspec.structs.astuple(record))
    await connection.copy_records_to_table(
        "policy_effects",
        columns=("preview_id", *PolicyEffect.__struct_fields__),
        records=((record.preview_id, *msgspec.structs.astuple(effect)) for effect in effects),
    )


async def find(connection: Connection, preview_id: UUID) -> asyncpg.Record | None:
    """Find what policies would change in all."""
    return await connection.fetchrow(SQL["find"], preview_id)
