"""How does the API run as a process: granian over the application's factory? Started by `pullplan serve` alone."""

import multiprocessing
import sys

from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels


def serve_http(host: str, port: int, target: str = "pullplan.api.app:create") -> None:
    """Serve until SIGTERM, finishing the requests in flight; a worker that is killed is started again."""
    # Spawned: a forked worker would inherit this process's locks and modules.
    multiprocessing.set_start_method("spawn")
    Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        factory=True,
        websockets=False,
        backlog=4096,
        backpressure=12000,
        http1_settings=HTTP1Settings(header_read_timeout=15_000),
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=20,
    ).serve()


if __name__ == "__main__":
    serve_http(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
