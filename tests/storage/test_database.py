import asyncio
import threading

import asyncpg
import pytest

from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database

pytestmark = pytest.mark.anyio


def end_unseen(database_url: str, pid: int) -> None:
    """End one server process, as a server that dies ends all of them, before the test's own loop can see it."""

    async def end() -> None:
        administrator = await asyncpg.connect(database_url)
        try:
            await administrator.execute("SELECT pg_terminate_backend($1)", pid)
            async with asyncio.timeout(10):
                while await administrator.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1", pid):
                    pass
        finally:
            await administrator.close()

    thread = threading.Thread(target=asyncio.run, args=(end(),))
    thread.start()
    thread.join()


async def test_work_that_is_done_stays_done_when_the_connection_dies_on_its_way_back(
    pool: database.Pool, database_url: str
):
    async with database.lent(pool) as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        end_unseen(database_url, pid)
    async with database.lent(pool) as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != pid


async def test_a_transaction_whose_connection_dies_before_its_end_is_an_outage(
    pool: database.Pool, database_url: str
):
    with pytest.raises(DatabaseAwayError):
        async with database.transaction(pool) as connection:
            end_unseen(database_url, await connection.fetchval("SELECT pg_backend_pid()"))


async def test_a_line_stays_open_from_use_to_use_and_is_opened_anew_where_it_was_lost(database_url: str):
    line = database.Line(database_url)
    pids = []
    try:
        for end in (False, True, False):
            async with line.lent() as connection:
                pids.append(await connection.fetchval("SELECT pg_backend_pid()"))
            if end:
                end_unseen(database_url, pids[-1])
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with line.lent() as connection:
                await connection.execute("SELECT 1 / 0")
        async with line.lent() as connection:
            pids.append(await connection.fetchval("SELECT pg_backend_pid()"))
    finally:
        await line.close()
    assert pids[0] == pids[1]
    assert len(set(pids)) == 3
