import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest
from tests.faults.processes import none_alive, tree, wait_until

from pullplan import postgres
from pullplan.postgres import EmbeddedServer

HOLDER = """
import sys, time
from pathlib import Path
from pullplan.postgres import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def ask(url: str, statement: str):
    async def asked():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(asked())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an initialised data folder; every test finds it stopped and leaves it so."""
    folder = tmp_path_factory.mktemp("postgres")
    server = EmbeddedServer(folder)
    ask(server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    return folder


@pytest.fixture
def server(folder: Path):
    server = EmbeddedServer(folder)
    server.start()
    yield server
    server.stop()


def test_what_was_stored_is_there_at_the_next_start(server: EmbeddedServer):
    assert ask(server.url(), "SELECT answer FROM kept") == 42


def test_the_server_listens_on_a_private_socket_only(server: EmbeddedServer):
    assert server.pid is not None
    connections = psutil.Process(server.pid).net_connections("inet")
    assert connections == []
    assert server._socket_folder is not None
    assert server._socket_folder.stat().st_mode & 0o077 == 0


def test_another_server_over_the_same_folder_is_refused(server: EmbeddedServer, folder: Path):
    with pytest.raises(postgres.ServerInUseError):
        EmbeddedServer(folder).start()
    assert server.is_running()


def test_a_command_reaches_the_server_that_already_runs(server: EmbeddedServer, folder: Path):
    with postgres.reached(folder) as url:
        assert url == server.url()
    assert server.is_running()


def test_a_command_starts_a_server_for_its_own_duration(folder: Path):
    with postgres.reached(folder) as url:
        assert ask(url, "SELECT answer FROM kept") == 42
    assert postgres.find_running(folder) is None


def test_a_killed_server_is_started_again_with_the_same_address(server: EmbeddedServer):
    url = server.url()
    ask(url, "SELECT 1")
    os.kill(server.pid or 0, signal.SIGKILL)
    wait_until(lambda: not server.is_running(), 5.0, "the server's end")
    assert server.start() == url
    assert ask(url, "SELECT answer FROM kept") == 42


def test_the_server_ends_with_its_owner_and_the_next_one_starts(folder: Path):
    owner = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        everything = tree(int(owner.stdout.readline()))
        owner.kill()
        owner.wait()
    with postgres.reached(folder) as url:
        assert none_alive(everything)
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_pid_file_whose_number_now_belongs_to_another_program_does_not_hinder(folder: Path):
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n0\n5432\n/nowhere\n\n")
    with postgres.reached(folder) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_server_that_cannot_start_says_why_and_gives_the_folder_back(folder: Path):
    broken = EmbeddedServer(folder, {"shared_buffers": "plenty"})
    with pytest.raises(postgres.ServerNotStartedError, match="shared_buffers"):
        broken.start()
    next_one = EmbeddedServer(folder)
    assert next_one.try_lock()
    next_one.stop()


def test_an_initialisation_that_was_interrupted_is_done_again(tmp_path: Path):
    half = tmp_path / "postgres.half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with postgres.reached(tmp_path) as url:
        assert ask(url, "SELECT 1") == 1
