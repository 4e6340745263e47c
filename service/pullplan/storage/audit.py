"""Who wrote what, when? One entry for each write, in the write's own transaction."""

from typing import Any
from uuid import UUID

from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("audit")


async def insert(
    connection: Connection, key_id: UUID, *, action: str, subject: str, details: dict[str, Any] | None = None
) -> None:
    """Note a write, such as `products.upsert` of `products`."""
    await connection.execute(SQL["insert"], key_id, action, subject, details or {})
