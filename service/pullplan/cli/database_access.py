"""Which database does a command work on: the deployment's own, or the embedded one, running or not?"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pullplan import postgres
from pullplan.settings import Settings
from pullplan.storage import database, schema


@contextmanager
def reached_database(settings: Settings) -> Iterator[str]:
    """Lend the URL of the database; the embedded one is started if need be, and has its schema up to date.

    Raises: ServerInUseError, ServerNotStartedError, MigrationFailedError.
    """
    if settings.database_url:
        yield settings.database_url
        return
    with postgres.reached(settings.data_folder) as url:
        schema.migrate(url)
        yield url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[database.OwnConnection]:
    """Lend one connection.

    Raises: DatabaseAwayError.
    """
    connection = await database.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
