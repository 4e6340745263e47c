"""How is what callers own by its code read, guarded by its revision, and retired?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from pullplan.engine.errors import ResourceUnknownError, RevisionStaleError
from pullplan.storage.batches import Target
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("owned")

type Expected = int | Literal["absent", "present"]
"""What a caller believes is stored: nothing, anything, or exactly this revision."""


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """One table of what callers own: its noun for people, its statements, and how batches reach it."""

    noun: str
    sql: Mapping[str, str]
    target: Target

    async def get(self, connection: Connection, *key: str) -> asyncpg.Record:
        """Read one row, retired or not.

        Raises: ResourceUnknownError.
        """
        row = await connection.fetchrow(self.sql["get"], *key)
        if row is None:
            raise ResourceUnknownError(self.noun, " ".join(key))
        return row

    async def list_page(
        self,
        connection: Connection,
        after: tuple[str, ...] | None,
        limit: int,
        updated_since: datetime | None,
        *filters: Any,
    ) -> list[asyncpg.Record]:
        """List rows in the order of their key, from behind `after`."""
        start = after or (None,) * self.sql["get"].count("$")
        return await connection.fetch(self.sql["list_page"], *start, limit, updated_since, *filters)

    async def expect(self, connection: Connection, expected: Expected, *key: str) -> bool:
        """Lock one row until the transaction's end and tell whether it is there; a retired one is not.

        Raises: RevisionStaleError when something else is stored than the caller believes.
        """
        await connection.execute(SQL["lock_name"], " ".join((self.noun, *key)))
        row = await connection.fetchrow(self.sql["lock"], *key)
        present = row is not None and row.get("retired_at") is None
        if expected == "absent" and present:
            raise RevisionStaleError(f"the {self.noun} {' '.join(key)} exists already")
        if expected != "absent" and not present:
            raise RevisionStaleError(f"there is no {self.noun} {' '.join(key)} to change")
        if isinstance(expected, int) and row is not None and row["revision"] != expected:
            raise RevisionStaleError(
                f"the {self.noun} {' '.join(key)} is at revision {row['revision']}, not {expected}; read it again"
            )
        return present

    async def retire(self, connection: Connection, expected: Expected, *key: str) -> None:
        """Retire one row: it stays readable and can't be used anew.

        Raises: ResourceUnknownError, RevisionStaleError.
        """
        await self.get(connection, *key)
        await self.expect(connection, expected, *key)
        await connection.execute(self.sql["retire"], *key)
