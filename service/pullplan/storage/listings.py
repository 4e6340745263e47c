"""How is one page, or the whole, of what a plan or forecast contains read in a stable order?"""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
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


_ENDS: dict[type, tuple[Any, Any]] = {
    date: (date.min, date.max),
    float: (-math.inf, math.inf),
    int: (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True)
class SortedListing(Listing):
    """The same rows by one of their columns, those that are equal in it in the list's own order."""

    of: Listing

    def arguments(
        self, owner_id: UUID, after: tuple[Any, ...] | None, limit: int | None, filters: dict[str, str | None]
    ) -> list[Any]:
        """Lay out the statement's arguments.

        Raises: KeyError for a filter that this list does not have.
        """
        return [*self.of.arguments(owner_id, None, None, filters), *(after or self.start), limit]


def sorted_by(listing: Listing, column: str, kind: type, *, descending: bool) -> SortedListing:
    """Order a list by a column of its own that is a number or a day, and never null."""
    first = 1 + len(listing.key) + len(listing.filters) + 2
    value, *key = (f"${first + at}" for at in range(1 + len(listing.key)))
    own = ", ".join(f"listed.{name}" for name in listing.key)
    statement = f"""SELECT listed.* FROM ({listing.statement.rstrip(";")}) AS listed
WHERE listed.{column} {"<" if descending else ">"} {value} OR (listed.{column} = {value} AND ({own}) > ({", ".join(key)}))
ORDER BY listed.{column} {"DESC" if descending else "ASC"}, {own} LIMIT ${first + 1 + len(listing.key)}"""  # noqa: S608 - names of ours
    before_all, after_all = _ENDS[kind]
    return SortedListing(
        statement,
        key=(column, *listing.key),
        start=(after_all if descending else before_all, *listing.start),
        filters=listing.filters,
        of=listing,
    )


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
