"""How is it stored what making a line of a plan at another node costs?"""

from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import ConfirmedStage
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("confirmations")


class ConfirmationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was forced, what was stated of it, and what was found."""

    confirmation_id: UUID
    plan_id: UUID
    assignment_id: int
    node_code: str
    units: float
    missed_units: float
    stated_measure: str
    stated_cost: float
    stages: tuple[ConfirmedStage, ...]
    wall_seconds: float
    code_version: str


async def insert(connection: Connection, record: ConfirmationRecord) -> None:
    """Store a confirmation, inside the caller's transaction."""
    values = (getattr(record, name) for name in ConfirmationRecord.__struct_fields__)
    await connection.execute(SQL["insert"], *values)


async def find(connection: Connection, plan_id: UUID, confirmation_id: UUID) -> asyncpg.Record | None:
    """Find a plan's confirmation."""
    return await connection.fetchrow(SQL["find"], plan_id, confirmation_id)
