"""Which API keys are there, whose are they, and what may they do?"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from pullplan.engine.errors import ResourceUnknownError
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("keys")


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored: without its text, which nobody can read again."""

    key_id: UUID
    name: str
    scopes: list[str]
    node_code: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    retired_at: datetime | None


async def insert(
    connection: Connection,
    *,
    key_id: UUID,
    name: str,
    key_sha256: bytes,
    scopes: Sequence[str],
    node_code: str | None = None,
    expires_at: datetime | None = None,
) -> StoredKey:
    """Store a new key by the SHA-256 of its text."""
    row = await connection.fetchrow(SQL["insert"], key_id, name, key_sha256, scopes, node_code, expires_at)
    return msgspec.convert(dict(row or {}), StoredKey)


async def find_by_digest(connection: Connection, key_sha256: bytes) -> StoredKey | None:
    """Find a key, retired or not, by the SHA-256 of its text."""
    row = await connection.fetchrow(SQL["find_by_digest"], key_sha256)
    return msgspec.convert(dict(row), StoredKey) if row else None


async def note_use(connection: Connection, key_id: UUID, used_at: datetime) -> None:
    """Remember when a key was last used."""
    await connection.execute(SQL["note_use"], key_id, used_at)


async def list_all(connection: Connection) -> list[StoredKey]:
    """List every key, oldest first."""
    return [msgspec.convert(dict(row), StoredKey) for row in await connection.fetch(SQL["list_all"])]


async def retire(connection: Connection, key_id: UUID, at: datetime) -> StoredKey:
    """Retire a key; a retired one stays as it is.

    Raises: ResourceUnknownError.
    """
    row = await connection.fetchrow(SQL["retire"], key_id, at)
    if row is None:
        raise ResourceUnknownError("key", key_id)
    return msgspec.convert(dict(row), StoredKey)
