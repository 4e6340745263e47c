"""Who is told when something has happened, and what is still to be told? An outbox: rows that the cause's own transaction stores.

A delivery is claimed with its attempt's number, which every later statement names: who was silent for too long can't
record what its successor does.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import msgspec

from pullplan.engine.errors import PullplanError, ResourceUnknownError, RevisionStaleError
from pullplan.storage import database
from pullplan.storage.database import Connection
from pullplan.storage.owned import Expected
from pullplan.storage.queries import load_queries

SQL = load_queries("webhooks")

DeliveryState = Literal["waiting", "delivered", "dead"]

SECRET_BYTES = 32
PING = "ping"
_CHANNEL = "pullplan_deliveries"


class DeliveryWaitsError(PullplanError):
    """The delivery is still being tried: there is nothing to send again."""

    code = "delivery-waits"


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is this process's to deliver, until the time it asked for is over."""

    delivery_id: int
    webhook_id: UUID
    message_id: str
    payload: str
    attempts: int
    url: str
    secret: bytes
    previous_secret: bytes | None


async def insert(
    connection: Connection, url: str, events: Sequence[str], description: str, *, is_enabled: bool
) -> tuple[asyncpg.Record, bytes]:
    """Store a new webhook with a secret of its own, which only this answer tells."""
    secret = secrets.token_bytes(SECRET_BYTES)
    row = await connection.fetchrow(SQL["insert"], uuid4(), url, events, description, is_enabled, secret)
    assert row is not None  # noqa: S101 - the statement answers the row that it inserts
    return row, secret


async def get(connection: Connection, webhook_id: UUID) -> asyncpg.Record:
    """Read one webhook, retired or not.

    Raises: ResourceUnknownError.
    """
    row = await connection.fetchrow(SQL["get"], webhook_id)
    if row is None:
        raise ResourceUnknownError("webhook", webhook_id)
    return row


async def list_page(
    connection: Connection, *, after: tuple[datetime, UUID] | None, limit: int, retired: bool
) -> list[asyncpg.Record]:
    """Read webhooks, the newest first; the cursor's key is (created_at, webhook_id)."""
    return await connection.fetch(SQL["list_page"], *(after or (None, None)), retired, limit)


async def expect(connection: Connection, webhook_id: UUID, expected: Expected) -> None:
    """Lock a webhook that is not retired until the transaction's end.

    Raises: ResourceUnknownError, RevisionStaleError where it is not as the caller believes.
    """
    row = await connection.fetchrow(SQL["lock"], webhook_id)
    if row is None:
        raise ResourceUnknownError("webhook", webhook_id)
    if row["retired_at"] is not None:
        raise RevisionStaleError(f"the webhook {webhook_id} is retired")
    if expected == "absent" or (isinstance(expected, int) and row["revision"] != expected):
        raise RevisionStaleError(f"the webhook {webhook_id} is at revision {row['revision']}; read it again")


async def replace(
    connection: Connection,
    webhook_id: UUID,
    url: str,
    events: Sequence[str],
    description: str,
    *,
    is_enabled: bool,
) -> asyncpg.Record:
    """Change a webhook that was locked."""
    row = await connection.fetchrow(SQL["replace"], webhook_id, url, events, description, is_enabled)
    assert row is not None  # noqa: S101 - it was locked
    return row


async def rotate(
    connection: Connection, webhook_id: UUID, old_ends_at: datetime
) -> tuple[asyncpg.Record, bytes]:
    """Give a webhook that was locked another secret; until the old one ends, both sign."""
    secret = secrets.token_bytes(SECRET_BYTES)
    row = await connection.fetchrow(SQL["rotate"], webhook_id, secret, old_ends_at)
    assert row is not None  # noqa: S101 - it was locked
    return row, secret


async def retire(connection: Connection, webhook_id: UUID) -> None:
    """Retire a webhook that was locked: what waits for it is dead."""
    await connection.execute(SQL["retire"], webhook_id)


async def disable(connection: Connection, webhook_id: UUID) -> None:
    """Send nothing to a webhook any more until somebody enables it; what waits goes on waiting."""
    await connection.execute(SQL["disable"], webhook_id)


async def enqueue(
    connection: Connection, webhook_id: UUID, event: str, subject: str, payload: str
) -> asyncpg.Record:
    """Store one message for one webhook, and wake whoever delivers."""
    row = await connection.fetchrow(SQL["enqueue"], webhook_id, f"msg_{uuid4().hex}", event, subject, payload)
    assert row is not None  # noqa: S101 - the statement answers the row that it inserts
    return row


async def list_deliveries(
    connection: Connection, webhook_id: UUID, *, before: int | None, state: str | None, limit: int
) -> list[asyncpg.Record]:
    """Read the deliveries of a webhook, the newest first."""
    return await connection.fetch(SQL["list_deliveries"], webhook_id, before, state, limit)


async def redeliver(connection: Connection, webhook_id: UUID, delivery_id: int) -> asyncpg.Record:
    """Let an ended delivery begin anew: the same message, all its attempts.

    Raises: ResourceUnknownError, DeliveryWaitsError.
    """
    row = await connection.fetchrow(SQL["redeliver"], webhook_id, delivery_id)
    if row is not None:
        return row
    if await connection.fetchrow(SQL["find_delivery"], webhook_id, delivery_id) is None:
        raise ResourceUnknownError("delivery", delivery_id)
    raise DeliveryWaitsError(f"the delivery {delivery_id} is still being tried")


async def claim(connection: Connection, lease_seconds: float) -> Claimed | None:
    """Take the message that is due the longest, of each subject the oldest first; None when none is due."""
    row = await connection.fetchrow(SQL["claim"], timedelta(seconds=lease_seconds))
    return None if row is None else Claimed(**row)


async def note_delivered(connection: Connection, claimed: Claimed, status: int) -> None:
    """End a delivery that was taken."""
    await connection.execute(SQL["note_delivered"], claimed.delivery_id, claimed.attempts, status)


async def note_failed(
    connection: Connection,
    claimed: Claimed,
    problem: str,
    *,
    status: int | None,
    wait_seconds: float | None,
) -> None:
    """Put an attempt that failed off, or give the message up: it is dead, and can be read and sent again."""
    wait = None if wait_seconds is None else timedelta(seconds=wait_seconds)
    await connection.execute(SQL["note_failed"], claimed.delivery_id, claimed.attempts, wait, status, problem)


async def listen(url: str, on_waiting: Callable[[], None]) -> None:
    """Call back whenever a message waits, until the connection is lost.

    Raises: DatabaseAwayError when there is none to begin with.
    """
    await database.listen(url, {_CHANNEL: lambda _: on_waiting()})
