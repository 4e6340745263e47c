"""Who computes which run now? The `runs` table is the queue: leases, and attempts that fence each other.

Every function that ends or renews an attempt names it, and answers that nothing was changed when the attempt is no longer the
run's own: a worker that stalled beyond its lease and woke up again cannot touch what its successor does.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from pullplan.storage import database
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("queue")

WORKERS_LOST_MAX = 3
_CHANNEL = "pullplan_runs"
_WORKER_LOST = {
    "code": "worker-lost",
    "detail": f"the run lost three workers: each of {WORKERS_LOST_MAX} attempts ended without a word",
}


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is this worker's own, as long as it renews the attempt."""

    run_id: UUID
    kind: str
    attempt: int
    parameters: dict[str, Any]


async def enqueue(
    connection: Connection, kind: str, parameters: dict[str, Any], key_id: UUID | None
) -> asyncpg.Record:
    """Store a queued run, wake a worker at commit, and answer the run's row."""
    row = await connection.fetchrow(SQL["enqueue"], uuid4(), kind, parameters, key_id)
    assert row is not None  # noqa: S101 - the statement answers the row that it inserts
    return row


async def claim(connection: Connection, lease_seconds: float) -> Claimed | None:
    """Take the oldest run that is queued, or whose worker was silent beyond its lease; None when there is none."""
    row = await connection.fetchrow(SQL["claim"], timedelta(seconds=lease_seconds), WORKERS_LOST_MAX)
    return None if row is None else Claimed(**row)


async def end_abandoned(connection: Connection) -> list[UUID]:
    """End the runs that lost their last worker (failed), or any worker after a wish to cancel (cancelled)."""
    return [
        row["run_id"] for row in await connection.fetch(SQL["end_abandoned"], WORKERS_LOST_MAX, _WORKER_LOST)
    ]


async def renew(
    connection: Connection,
    run_id: UUID,
    attempt: int,
    lease_seconds: float,
    progress: dict[str, Any] | None = None,
) -> bool | None:
    """Prolong the lease and note the progress; answer whether to cancel, or None when the attempt is fenced out."""
    wish: bool | None = await connection.fetchval(
        SQL["renew"], run_id, attempt, timedelta(seconds=lease_seconds), progress
    )
    return wish


async def succeed(connection: Connection, run_id: UUID, attempt: int, result: str) -> bool:
    """End the run with the path of its result, in the transaction that stores the result; False: roll back."""
    return await connection.fetchval(SQL["succeed"], run_id, attempt, result) is not None


async def fail(connection: Connection, run_id: UUID, attempt: int, problem: dict[str, Any]) -> bool:
    """End the run with a problem (`code`, `detail`)."""
    return await connection.fetchval(SQL["fail"], run_id, attempt, problem) is not None


async def end_cancelled(connection: Connection, run_id: UUID, attempt: int) -> bool:
    """End a run that was to be cancelled, once its computing has stopped."""
    return await connection.fetchval(SQL["end_cancelled"], run_id, attempt) is not None


async def give_back(connection: Connection, run_id: UUID, attempt: int) -> bool:
    """Queue the run again because its worker is stopped on purpose; this is not a worker lost."""
    return await connection.fetchval(SQL["give_back"], run_id, attempt) is not None


async def give_up(connection: Connection, run_id: UUID, attempt: int) -> bool:
    """End the lease of an attempt that died: the run may be taken over at once, with one worker more lost."""
    return await connection.fetchval(SQL["give_up"], run_id, attempt) is not None


async def request_cancel(connection: Connection, run_id: UUID) -> str | None:
    """Cancel a queued run at once and a running one at its next renewal; answer its state, None when it has ended."""
    row = await connection.fetchrow(SQL["request_cancel"], run_id)
    return None if row is None else row["state"]


async def listen(url: str, on_enqueued: Callable[[], None]) -> None:
    """Call back at each run enqueued, until the connection is lost.

    Raises: DatabaseAwayError when there is none to begin with.
    """
    await database.listen(url, {_CHANNEL: lambda _: on_enqueued()})
