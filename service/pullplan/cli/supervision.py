"""How does `serve` keep PostgreSQL, the API and a worker running, and end them in the right order?

All are children of one process and are started from its main thread: the parent-death signal follows the thread. The
API is a child as well, so that this thread is free to watch.
"""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import structlog

from pullplan.engine.errors import PullplanError
from pullplan.lifeline import bound_to_parent
from pullplan.postgres import EmbeddedServer

_MINUTE_SECONDS = 60.0
_DATABASE_RESTARTS_A_MINUTE = 3
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_SETTLED_SECONDS = 30.0

log = structlog.get_logger()


class DatabaseKeepsDyingError(PullplanError):
    """The embedded PostgreSQL ended more often than restarting can help."""

    code = "database-keeps-dying"


class ApiNotStartedError(PullplanError):
    """The API process ended before it ever answered."""

    code = "api-not-started"


class KeptProcess:
    """One child process, started again when it ends; sooner at first, later when it keeps ending."""

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], *, death_signal: str
    ) -> None:
        self.name = name
        self._command = [*bound_to_parent(death_signal), sys.executable, *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._next_start_at = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    @property
    def is_running(self) -> bool:
        """Tell whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, in a session of its own: a Ctrl-C reaches `serve` alone, which ends the others in order."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._started_at = time.monotonic()
        self._next_start_at = 0.0

    def keep(self) -> None:
        """Start it again when it has ended and its pause is over."""
        if self.is_running:
            return
        now = time.monotonic()
        if self._next_start_at == 0.0:
            if now - self._started_at > _SETTLED_SECONDS:
                self._pause_seconds = _FIRST_PAUSE_SECONDS
            self._next_start_at = now + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            log.warning(
                "process ended, starting it again", process=self.name, pid=self._process and self._process.pid
            )
        elif now >= self._next_start_at:
            self.start()

    def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, and end it when it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            log.warning("process did not end when asked", process=self.name, pid=self._process.pid)
            self._process.kill()
            self._process.wait()


class KeptDatabase:
    """The embedded server, started again with the same socket folder when it dies; three times a minute at most."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder)
        self._restarts: deque[float] = deque(maxlen=_DATABASE_RESTARTS_A_MINUTE)

    def keep(self) -> None:
        """Start it again when it has died.

        Raises: DatabaseKeepsDyingError, ServerNotStartedError.
        """
        if self.server.is_running():
            return
        now = time.monotonic()
        if len(self._restarts) == _DATABASE_RESTARTS_A_MINUTE and now - self._restarts[0] < _MINUTE_SECONDS:
            raise DatabaseKeepsDyingError(
                f"PostgreSQL ended {_DATABASE_RESTARTS_A_MINUTE + 1} times within a minute;"
                f" see {self.server.log_file}"
            )
        self._restarts.append(now)
        log.warning("PostgreSQL ended, starting it again", log_file=str(self.server.log_file))
        self.server.start()
