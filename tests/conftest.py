"""What every test may ask for: real demand, a real server, a migrated database of its own."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import settings

from pullplan.postgres import EmbeddedServer
from pullplan.storage import database, schema

REPOSITORY = Path(__file__).resolve().parent.parent
SERVER_PREFIX = "pullplan-tests-"
STARTED_WITHIN_SECONDS = 300
"""Until then a server's folder may be one that nobody has locked yet."""
SERVER_BYTES = 2 * 2**30
"""More than the tests' databases ever take; a container may have far less memory for files."""


# Shells have interrupts ignored in what they start in the background, and children inherit it: tests and services stop by them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A verdict on a change is the same wherever it is made; who looks for new counterexamples draws at random:
# PULLPLAN_TEST_DRAWS=random make test-long
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("PULLPLAN_TEST_DRAWS", "repeatable"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Find the published cases and the real demand."""
    folder = Path(os.environ.get("PULLPLAN_SHARED") or REPOSITORY.parent / "shared")
    if not (folder / "conformance").is_dir():
        pytest.skip("the published cases are not here; name their folder in PULLPLAN_SHARED")
    return folder


def _folder_in_memory() -> Path | None:
    """Find where a clone of a database costs an eighth of what it costs on disk; None for the usual place."""
    folder = Path("/dev/shm")
    if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= SERVER_BYTES:
        _remove_what_killed_tests_left(folder)
        return folder
    return None


def _remove_what_killed_tests_left(folder: Path) -> None:
    for left in folder.glob(f"{SERVER_PREFIX}*"):
        with suppress(FileNotFoundError):  # another worker looks at the same time
            server = EmbeddedServer(left)
            if time.time() - left.stat().st_mtime > STARTED_WITHIN_SECONDS and server.try_lock():
                shutil.rmtree(left, ignore_errors=True)
                server.stop()


@pytest.fixture(scope="session")
def server_url() -> Iterator[Callable[[str], str]]:
    """Start a server for the session (or take the one named in PULLPLAN_TEST_DATABASE_URL)."""
    given = os.environ.get("PULLPLAN_TEST_DATABASE_URL")
    if given:
        head, _, tail = given.partition("?")
        yield lambda name: f"{head.rpartition('/')[0]}/{name}" + (f"?{tail}" if tail else "")
        return
    unsafe = {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
    }
    with tempfile.TemporaryDirectory(prefix=SERVER_PREFIX, dir=_folder_in_memory()) as folder:
        server = EmbeddedServer(Path(folder), unsafe)
        server.start()
        yield server.url
        server.stop()


async def _administer(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template_database(server_url: Callable[[str], str]) -> Iterator[str]:
    """Migrate a database once; tests get clones of it."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    asyncio.run(_administer(server_url("postgres"), f"CREATE DATABASE {name}"))
    schema.migrate(server_url(name))
    yield name
    asyncio.run(_administer(server_url("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_url(server_url: Callable[[str], str], template_database: str) -> Iterator[str]:
    """Give this test a migrated database of its own; where nothing is synced, copying files is twice as quick."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(
        _administer(
            server_url("postgres"), f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY"
        )
    )
    yield server_url(name)
    asyncio.run(_administer(server_url("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def run_with_connection(database_url: str) -> Callable[[Callable[[Any], Awaitable[Any]]], Any]:
    """Run a coroutine function with one connection to this test's database."""

    def run(work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def connected() -> Any:
            connection = await database.connect(database_url)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    return run


@pytest.fixture
def anyio_backend() -> str:
    """Run coroutine tests (`pytest.mark.anyio`) on asyncio."""
    return "asyncio"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[database.Connection]:
    """Give a coroutine test one connection to its own database."""
    opened = await database.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[database.Pool]:
    """Give a coroutine test a pool on its own database."""
    async with database.opened_pool(database_url, max_connections=5) as opened:
        yield opened
