"""How do the results of a run become visible: all of them, once, together with the run's success?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from pullplan.engine.errors import PullplanError
from pullplan.storage import database, queue
from pullplan.storage.database import Connection


class RunLostError(PullplanError):
    """Another attempt owns this run by now; nothing of this one was stored."""

    code = "run-lost"


@asynccontextmanager
async def storing_results(
    database_url: str, run_id: UUID, attempt: int, result: str
) -> AsyncIterator[Connection]:
    """Lend one transaction for storing a run's results; at its end the run succeeds, or all is rolled back.

    Raises: RunLostError when the attempt is no longer the run's own; DatabaseAwayError.
    """
    connection = await database.connect(database_url)
    try:
        async with connection.transaction():
            yield connection
            if not await queue.succeed(connection, run_id, attempt, result):
                raise RunLostError(f"attempt {attempt} of run {run_id} was taken over; nothing was stored")
    finally:
        await connection.close()
