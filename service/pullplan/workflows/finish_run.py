"""How do the results of a run become visible: all of them, once, together with the run's success?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pullplan.engine.errors import PullplanError
from pullplan.storage import queue
from pullplan.storage.database import Connection
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk


class RunLostError(PullplanError):
    """Another attempt owns this run by now; nothing of this one was stored."""

    code = "run-lost"


@asynccontextmanager
async def storing_results(desk: Desk, run: Claimed, result: str) -> AsyncIterator[Connection]:
    """Lend one transaction for storing a run's results; at its end the run succeeds, or all is rolled back.

    Raises: RunLostError when the attempt is no longer the run's own; DatabaseAwayError.
    """
    async with desk.line.lent() as connection, connection.transaction():
        yield connection
        if not await queue.succeed(connection, run.run_id, run.attempt, result):
            raise RunLostError(
                f"attempt {run.attempt} of run {run.run_id} was taken over; nothing was stored"
            )
