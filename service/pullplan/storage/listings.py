"""How is one page, or the whole, of what a plan or forecast contains read in a stable order?"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from pullplan.storage.database import Connection

ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class Listing:
    """A list under one owner: its statement takes owner, key, filters and limit, in this order."""

    statement: str
    key: tuple[str, ...]
    """The columns that order it and that a cursor holds."""
    start: tuple[Any, ...]
    """A key before every row's."""
    filters: tuple[str, ...]

    def arguments(
        self, owner_id: UUID, after: tuple[Any, ...] | None, limit: int | None, filters: dict[str, str | None]
    ) -> list[Any]:
        """Lay out the statement's arguments.

        Raises: KeyError for a filter that this list does not have.
        """
        unknown = filters.keys() - set(self.filters)
        if unknown:
            raise KeyError(f"no such filter: {sorted(unknown)}")
        return [owner_id, *(after or self.start), *(filters.get(name) for name in self.filters), limit]


async def list_page(
    connection: Connection,
    listing: Listing,
    owner_id: UUID,
    *,
    after: tuple[Any, ...] | None,
    limit: int,
    **filters: str | None,
) -> list[asyncpg.Record]:
    """Read the rows that follow the key `after` (None: from the start)."""
    return await connection.fetch(listing.statement, *listing.arguments(owner_id, after, limit, filters))


async def stream(
    connection: Connection, listing: Listing, owner_id: UUID, **filters: str | None
) -> AsyncIterator[asyncpg.Record]:
    """Read the whole list through a server-side cursor, in a read-only transaction of its own."""
    async for rows in stream_many(connection, listing, owner_id, **filters):
        for row in rows:
            yield row


async def stream_many(
    connection: Connection, listing: Listing, owner_id: UUID, **filters: str | None
) -> AsyncIterator[list[asyncpg.Record]]:
    """Stream some thousand rows at a time: for whoever reads so many that waiting for each would tell."""
    arguments = listing.arguments(owner_id, None, None, filters)
    async with connection.transaction(readonly=True):
        cursor = await connection.cursor(listing.statement, *arguments)
        while rows := await cursor.fetch(ROWS_AT_ONCE):
            yield rows
            if len(rows) < ROWS_AT_ONCE:
                break
