"""What did checks of a stored plan find?"""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import Verification
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("verifications")


class VerificationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a verification besides its outcome."""

    verification_id: UUID
    run_id: UUID
    plan_id: UUID
    wall_seconds: float
    code_version: str


async def allow_long_checks(connection: Connection) -> None:
    """Let the caller's transaction be idle while a plan is checked in its midst."""
    await connection.execute(SQL["allow_long_checks"])


async def insert(connection: Connection, record: VerificationRecord, outcome: Verification) -> None:
    """Store what a check found, inside the caller's transaction."""
    r, v = record, outcome
    await connection.execute(
        SQL["insert"],
        *(r.verification_id, r.run_id, r.plan_id, v.valid, v.n_findings, v.findings, v.stages, v.checked),
        *(r.wall_seconds, r.code_version),
    )


async def find(connection: Connection, plan_id: UUID, verification_id: UUID) -> asyncpg.Record | None:
    """Find one verification of a plan with its findings."""
    return await connection.fetchrow(SQL["find"], plan_id, verification_id)


async def list_of_plan(
    connection: Connection, plan_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """Read a plan's verifications without their findings, newest first; the cursor's key is (created_at, verification_id)."""
    return await connection.fetch(SQL["list_of_plan"], plan_id, *(after or (None, None)), limit)
