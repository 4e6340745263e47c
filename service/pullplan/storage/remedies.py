"""How is it stored what would serve a need that a plan leaves short?"""

from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import Remedy
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("remedies")


class RemedyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which shortfall was looked at, and what was found to end it."""

    remedy_id: UUID
    plan_id: UUID
    shortfall_id: int
    units: float
    remedies: tuple[Remedy, ...]
    wall_seconds: float
    code_version: str


async def insert(connection: Connection, record: RemedyRecord) -> None:
    """Store what was found, inside the caller's transaction."""
    values = (getattr(record, name) for name in RemedyRecord.__struct_fields__)
    await connection.execute(SQL["insert"], *values)


async def find(connection: Connection, plan_id: UUID, remedy_id: UUID) -> asyncpg.Record | None:
    """Find what would end one of a plan's shortfalls."""
    return await connection.fetchrow(SQL["find"], plan_id, remedy_id)
