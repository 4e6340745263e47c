"""Which runs have changed a moment ago, in whatever process that was?"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import asyncpg

from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database

CHANNEL = "pullplan_run_changes"
_RETRY_SECONDS = 1.0
_TROUBLE = (DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class RunNews:
    """Wakes whoever waits for a run: the database tells of each change that is committed (a trigger of `runs`).

    Words are lost while there is no connection, or where a pooler stands between: who waits also looks by itself,
    now and then.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def follow(self) -> None:
        """Listen for as long as this runs, connecting again whenever the connection is lost."""
        while True:
            with suppress(*_TROUBLE):  # requests that need the database say that it is away
                await database.listen(self._database_url, CHANNEL, self._tell)
            await asyncio.sleep(_RETRY_SECONDS)

    @contextmanager
    def watching(self, run_id: UUID) -> Iterator[asyncio.Event]:
        """Give an event that is set at each change of the run; whoever waits clears it before looking."""
        changed = asyncio.Event()
        self._waiting[str(run_id)].add(changed)
        try:
            yield changed
        finally:
            self._waiting[str(run_id)].remove(changed)
            if not self._waiting[str(run_id)]:
                del self._waiting[str(run_id)]

    def _tell(self, run_id: str) -> None:
        for changed in self._waiting.get(run_id, ()):
            changed.set()
