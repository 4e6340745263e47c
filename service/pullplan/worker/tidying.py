"""What has been kept for long enough?"""

import asyncio

import asyncpg
import structlog

from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database, idempotency
from pullplan.storage.database import Pool

EVERY_SECONDS = 60.0
AT_ONCE = 500
"""Rows: few enough that nobody waits for them."""
_TROUBLE = (DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

log = structlog.get_logger()


async def keep_tidy(pool: Pool, idempotency_days: int) -> None:
    """Forget answers to idempotency keys once they are so old, now and every minute."""
    while True:
        try:
            forgotten = await forget_answers(pool, idempotency_days)
            if forgotten:
                log.info("answers forgotten", idempotency_keys=forgotten)
        except _TROUBLE as error:
            log.debug("not tidying", reason=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def forget_answers(pool: Pool, days: int) -> int:
    """Forget answers that were given more than so many days ago, some at a time; tell how many."""
    forgotten = 0
    while True:
        async with database.lent(pool) as connection:
            some = await idempotency.forget(connection, days, at_most=AT_ONCE)
        forgotten += some
        if some < AT_ONCE:
            return forgotten
