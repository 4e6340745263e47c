"""Was this very request answered before, and how?"""

from uuid import UUID

import msgspec

from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("idempotency")


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was given, with the fingerprint of the request that it answers."""

    request_sha256: bytes
    status_code: int
    headers: dict[str, str]
    body: bytes


async def try_lock(connection: Connection, key_id: UUID, idempotency_key: str) -> bool:
    """Take this caller's idempotency key for the transaction; False when another request holds it."""
    taken: bool = await connection.fetchval(SQL["try_lock"], key_id, idempotency_key)
    return taken


async def find(connection: Connection, key_id: UUID, idempotency_key: str) -> StoredAnswer | None:
    """Find the answer that this caller's idempotency key was given."""
    row = await connection.fetchrow(SQL["find"], key_id, idempotency_key)
    return StoredAnswer(**row) if row else None


async def insert(connection: Connection, key_id: UUID, idempotency_key: str, answer: StoredAnswer) -> None:
    """Store an answer in the transaction of its effect."""
    await connection.execute(
        SQL["insert"],
        *(key_id, idempotency_key, answer.request_sha256, answer.status_code, answer.headers, answer.body),
    )


async def forget(connection: Connection, days: int, *, at_most: int) -> int:
    """Forget the oldest answers that were given more than so many days ago; tell how many."""
    forgotten: int = await connection.fetchval(SQL["forget"], days, at_most)
    return forgotten
