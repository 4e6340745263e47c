"""Which runs have changed a moment ago, in whatever process that was?"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

CHANGES = "pullplan_run_changes"
"""The channel on which the database names each run as its change is committed (a trigger of `runs`)."""


class RunNews:
    """Wakes whoever waits for a run, at each of its changes.

    Words are lost while there is no connection, or where a pooler stands between: who waits also looks by itself,
    now and then.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

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

    def tell(self, run_id: str) -> None:
        """Wake whoever waits for this run."""
        for changed in self._waiting.get(run_id, ()):
            changed.set()
