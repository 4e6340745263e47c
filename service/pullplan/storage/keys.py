"""Which API keys are there, whose are they, and what may they do?"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

import msgspec

from pullplan.engine.errors import PullplanError, ResourceUnknownError
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("keys")

CHANGES = "pullplan_key_changes"
"""The channel on which every process hears that a key's rights have changed (a trigger of `api_keys`)."""
_SECRET_BYTES = 32


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
    requests_per_minute: int | None
    issuer: str | None = None
    subject: str | None = None
    """Of tokens that an identity provider issues, whose text is never stored; None: a key of ours."""


class KeyOfTokensError(PullplanError):
    """Whom tokens speak for has no key that could be rotated."""

    code = "key-of-tokens"


class KeyRetiredError(PullplanError):
    """The key is retired or has expired: there is nothing to rotate."""

    code = "key-retired"


async def issue(
    connection: Connection,
    name: str,
    scopes: Sequence[str],
    *,
    node_code: str | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> tuple[StoredKey, str]:
    """Make a key and answer its text, which is stored nowhere: only the SHA-256 of it is."""
    text = f"pp_{secrets.token_urlsafe(_SECRET_BYTES)}"
    digest = hashlib.sha256(text.encode()).digest()
    return await insert(
        connection,
        key_id=uuid4(),
        name=name,
        key_sha256=digest,
        scopes=scopes,
        node_code=node_code,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
    ), text


async def rotate(
    connection: Connection, key_id: UUID, *, now: datetime, old_ends_at: datetime
) -> tuple[StoredKey, str]:
    """Make a key that may do what another one may, which ends by then at the latest.

    Raises: ResourceUnknownError, KeyRetiredError, KeyOfTokensError.
    """
    row = await connection.fetchrow(SQL["find_for_update"], key_id)
    if row is None:
        raise ResourceUnknownError("key", key_id)
    old = msgspec.convert(dict(row), StoredKey)
    if old.issuer is not None:
        raise KeyOfTokensError(f"{old.name} sends tokens of {old.issuer}: they are renewed there")
    if old.retired_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise KeyRetiredError(f"the key {old.name} is retired or has expired; create a new one")
    await connection.execute(SQL["end_by"], key_id, old_ends_at)
    return await issue(
        *(connection, old.name, old.scopes),
        node_code=old.node_code,
        expires_at=old.expires_at,
        requests_per_minute=old.requests_per_minute,
    )


async def insert(
    connection: Connection,
    *,
    key_id: UUID,
    name: str,
    key_sha256: bytes,
    scopes: Sequence[str],
    node_code: str | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> StoredKey:
    """Store a new key by the SHA-256 of its text."""
    row = await connection.fetchrow(
        SQL["insert"], key_id, name, key_sha256, scopes, node_code, expires_at, requests_per_minute
    )
    return msgspec.convert(dict(row or {}), StoredKey)


async def find_by_digest(connection: Connection, key_sha256: bytes) -> StoredKey | None:
    """Find a key, retired or not, by the SHA-256 of its text."""
    row = await connection.fetchrow(SQL["find_by_digest"], key_sha256)
    return msgspec.convert(dict(row), StoredKey) if row else None


async def meet_subject(
    connection: Connection, *, key_id: UUID, name: str, issuer: str, subject: str
) -> StoredKey:
    """Find whom a token speaks for, stored at the first one."""
    # A digest of no text: nobody can send it.
    digest = secrets.token_bytes(_SECRET_BYTES)
    row = await connection.fetchrow(SQL["meet_subject"], key_id, name, digest, issuer, subject)
    if row is None:  # another process has just stored it, not yet seen by this statement
        row = await connection.fetchrow(SQL["meet_subject"], key_id, name, digest, issuer, subject)
    return msgspec.convert(dict(row or {}), StoredKey)


async def note_use(connection: Connection, key_id: UUID, used_at: datetime) -> None:
    """Remember when a key was last used."""
    await connection.execute(SQL["note_use"], key_id, used_at)


async def list_page(
    connection: Connection, *, after: tuple[datetime, UUID] | None, limit: int, retired: bool
) -> list[StoredKey]:
    """Read keys, the newest first; the cursor's key is (created_at, key_id)."""
    rows = await connection.fetch(SQL["list_page"], *(after or (None, None)), retired, limit)
    return [msgspec.convert(dict(row), StoredKey) for row in rows]


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
