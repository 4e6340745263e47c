"""How does a command, a bench or a test get a whole service of its own, and end it?"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

from pullplan import postgres
from pullplan.cli.database_access import connected
from pullplan.cli.keys import create_key
from pullplan.engine.errors import PullplanError
from pullplan.lifeline import bound_to_parent

_POLL_SECONDS = 0.05
_STOP_SECONDS = 40.0
_SHOWN_CHARACTERS = 2000


class ServiceNotStartedError(PullplanError):
    """The service that a command started for itself did not become ready."""

    code = "service-not-started"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A running `pullplan serve`, and an admin key to it."""

    url: str
    key: str
    database_url: str
    log_file: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the service ends."""
        self.process.wait()

    def stop(self) -> int:
        """End the service gracefully and answer its exit code."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)


@contextmanager
def running_service(
    data_folder: Path | None = None,
    port: int = 0,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    timeout_seconds: float = 60.0,
) -> Iterator[Service]:
    """Lend a service, ready to be called; without a folder its data goes with it, port 0 is a free one.

    Raises: ServiceNotStartedError with the end of its log.
    """
    with ExitStack() as stack:
        folder = data_folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="pullplan-", ignore_cleanup_errors=True))
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        chosen = port or _free_port()
        log_file = folder / "serve.log"
        given = {**os.environ, **(environment or {}), "PULLPLAN_DATA": str(folder)}
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [
                    *bound_to_parent("TERM"),
                    *(sys.executable, "-m", "pullplan", "serve", "--port", str(chosen), *arguments),
                ],
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        stack.callback(_end, process)
        url = f"http://127.0.0.1:{chosen}"
        _wait_until_ready(process, url, log_file, timeout_seconds)
        database_url = given.get("DATABASE_URL") or postgres.find_running(folder)
        if database_url is None:
            raise ServiceNotStartedError(f"the service in {folder} is ready, but its PostgreSQL is not")
        key = asyncio.run(_admin_key(database_url))
        yield Service(url=url, key=key, database_url=database_url, log_file=log_file, process=process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_ready(
    process: subprocess.Popen[bytes], url: str, log_file: Path, timeout_seconds: float
) -> None:
    deadline = time.monotonic() + timeout_seconds
    with httpx.Client(base_url=url, trust_env=False, timeout=2.0) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if client.get("/health/ready").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_SECONDS)
    tail = log_file.read_text(errors="replace")[-_SHOWN_CHARACTERS:]
    raise ServiceNotStartedError(f"the service did not become ready:\n{tail}")


async def _admin_key(database_url: str) -> str:
    async with connected(database_url) as connection:
        return await create_key(connection, "command line", ("admin",), days=1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
