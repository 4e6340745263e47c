"""What has been kept for long enough?"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database, idempotency, imports
from pullplan.storage.database import Connection, Pool

EVERY_SECONDS = 60.0
AT_ONCE = 500
"""Rows: few enough that nobody waits for them."""
PIECES_AT_ONCE = 50
"""As much, of a megabyte each."""
_TROUBLE = (DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

log = structlog.get_logger()


async def keep_tidy(pool: Pool, idempotency_days: int) -> None:
    """Forget answers to idempotency keys once they are so old, and files once their runs have ended, now and every minute."""
    while True:
        try:
            forgotten = await forget_answers(pool, idempotency_days)
            if forgotten:
                log.info("answers forgotten", idempotency_keys=forgotten)
            forgotten = await forget_files(pool)
            if forgotten:
                log.info("files forgotten", pieces=forgotten)
        except _TROUBLE as error:
            log.debug("not tidying", reason=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def forget_answers(pool: Pool, days: int) -> int:
    """Forget answers that were given more than so many days ago, some at a time; tell how many."""
    return await _in_parts(
        pool, lambda connection: idempotency.forget(connection, days, at_most=AT_ONCE), AT_ONCE
    )


async def forget_files(pool: Pool) -> int:
    """Forget the files whose runs have ended, some pieces at a time; tell how many pieces."""
    return await _in_parts(
        pool, lambda connection: imports.forget_pieces(connection, at_most=PIECES_AT_ONCE), PIECES_AT_ONCE
    )


async def _in_parts(pool: Pool, forget: Callable[[Connection], Awaitable[int]], at_most: int) -> int:
    forgotten = 0
    while True:
        async with database.lent(pool) as connection:
            some = await forget(connection)
        forgotten += some
        if some < at_most:
            return forgotten
