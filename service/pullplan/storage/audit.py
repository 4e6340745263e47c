"""Who wrote what, when? One entry for each write, in the write's own transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("audit")


async def insert(
    connection: Connection, key_id: UUID, *, action: str, subject: str, details: dict[str, Any] | None = None
) -> None:
    """Note a write, such as `products.upsert` of `products`."""
    await connection.execute(SQL["insert"], key_id, action, subject, details or {})


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One write: nothing changes or removes it."""

    audit_id: int
    at: datetime
    key_id: UUID
    action: str
    subject: str
    details: dict[str, Any]


async def list_page(
    connection: Connection,
    *,
    before: int | None,
    limit: int,
    key_id: UUID | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
) -> list[AuditEntry]:
    """Read entries, the newest first, from those before an `audit_id` on."""
    rows = await connection.fetch(SQL["list_page"], before, key_id, action, subject, since, limit)
    return [AuditEntry(**row) for row in rows]
