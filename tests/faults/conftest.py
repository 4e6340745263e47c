"""What fault tests may ask for, and what every one of them must leave: nothing."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests import seeding
from tests.faults.processes import Queue, mentioning, none_alive, wait_until

from pullplan.storage import database


async def seed(database_url: str) -> None:
    """Store a small network and its demand."""
    connection = await database.connect(database_url)
    await seeding.insert(connection, [*seeding.network(), *seeding.demand(), *seeding.stock()])
    await connection.close()


@pytest.fixture(autouse=True)
def no_process_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = mentioning(tmp_path)
    try:
        wait_until(lambda: none_alive(left), 2.0, f"the end of {left}")
    finally:
        for process in left:
            if process.is_running():
                process.kill()


@pytest.fixture
def runs(database_url: str) -> Queue:
    """Give the queue of this test's database, which holds a small network and its demand."""
    asyncio.run(seed(database_url))
    return Queue(database_url)


@pytest.fixture
def empty_database_url(server_url: Callable[[str], str]) -> Iterator[str]:
    """Give a database without a schema."""
    name = f"empty_{uuid.uuid4().hex[:12]}"

    async def administer(statement: str) -> None:
        connection = await asyncpg.connect(server_url("postgres"))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(administer(f"CREATE DATABASE {name}"))
    yield server_url(name)
    asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)"))
