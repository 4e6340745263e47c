"""How does `pullplan serve` start the whole service, say where it is, and end it?"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import httpx

from pullplan import __version__, telemetry
from pullplan.cli.database_access import connected
from pullplan.cli.keys import create_key
from pullplan.cli.supervision import ApiNotStartedError, KeptDatabase, KeptProcess
from pullplan.settings import Settings, read_settings
from pullplan.storage import keys, schema

_TICK_SECONDS = 0.1
_READY_TIMEOUT = httpx.Timeout(1.0)
_API_STOP_SECONDS = 25.0
_WORKER_STOP_SECONDS = 10.0
_DEVELOPMENT_KEY = "development"


@click.command()
@click.option("--host", help="The address to listen on.  [default: PULLPLAN_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0: a free one.  [default: PULLPLAN_PORT, 8000]")
@click.option("--no-worker", is_flag=True, help="Compute no runs here; start `pullplan work` elsewhere.")
def serve(host: str | None, port: int | None, no_worker: bool) -> None:
    """Start the service and keep it running until Ctrl-C or SIGTERM.

    Without DATABASE_URL it brings its own PostgreSQL and keeps the schema up to date; on a database of yours, run
    `pullplan migrate` first. What ends by accident is started again.
    """
    settings = read_settings()
    telemetry.configure_logs(settings.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # A list, because a handler that took a lock could wait for the very code that it interrupted.
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.append(received))
    address = host or settings.host
    free_port = _free_port(address, settings.port if port is None else port)
    with _database(settings) as (database, url):
        _announce(settings, url, f"http://{address}:{free_port}")
        _supervise(database, url, (address, free_port), worker=not no_worker, signals=signals)


def _free_port(host: str, port: int) -> int:
    """Check that nobody listens there, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ApiNotStartedError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
            ) from None
        chosen: int = probe.getsockname()[1]
    return chosen


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[KeptDatabase | None, str]]:
    """Lend the database; ours is started before everything else, migrated, and ended last."""
    if settings.database_url:
        yield None, settings.database_url
        return
    database = KeptDatabase(settings.data_folder)
    try:
        url = database.server.start()
        schema.migrate(url)
        yield database, url
    finally:
        database.server.stop()


def _announce(settings: Settings, url: str, address: str) -> None:
    click.echo(f"pullplan {__version__} at {address}  (documentation: {address}/docs)")
    if settings.database_url:
        click.echo("Database: DATABASE_URL")
    else:
        click.echo(f"Database: its own PostgreSQL in {settings.data_folder}")
    click.echo(
        f"Time zone {settings.time_zone}, currency {settings.currency}, lease {settings.lease_seconds:g} s,"
        f" {settings.pool_connections} connections"
    )
    if not settings.database_url:
        key = asyncio.run(_first_key(url))
        if key is not None:
            click.echo(f"Development key, shown once, may do everything: {key}")
        click.echo("Another key: pullplan keys create --name shop --scope read --scope demand:write")


async def _first_key(url: str) -> str | None:
    """Create the key of a fresh installation; None when there are keys already."""
    async with connected(url) as connection:
        if await keys.list_all(connection):
            return None
        return await create_key(connection, _DEVELOPMENT_KEY, ("admin",))


def _supervise(
    database: KeptDatabase | None, url: str, address: tuple[str, int], *, worker: bool, signals: list[int]
) -> None:
    """Start the API, then the worker, and keep both; end the API first, so that no request meets half a service."""
    environment = {**os.environ, "DATABASE_URL": url}
    host, port = address
    api = KeptProcess(
        "api", ["-m", "pullplan.cli.http_server", host, str(port)], environment, death_signal="KILL"
    )
    computing = KeptProcess("worker", ["-m", "pullplan", "work"], environment, death_signal="TERM")
    ready = _Readiness(f"http://{_own_address(host)}:{port}")
    try:
        api.start()
        if worker:
            computing.start()
        while not signals:
            if database is not None:
                database.keep()
            if not ready.told and not api.is_running:
                raise ApiNotStartedError("the API ended before it answered; its messages are above")
            api.keep()
            if worker:
                computing.keep()
            ready.tell()
            time.sleep(_TICK_SECONDS)
    finally:
        click.echo("Stopping.")
        api.stop(_API_STOP_SECONDS)
        computing.stop(_WORKER_STOP_SECONDS)


def _own_address(host: str) -> str:
    """Name the way from here to an address that may stand for every interface."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{shown}]" if ":" in shown else shown


class _Readiness:
    """Says once that the service answers, and once what it waits for."""

    def __init__(self, address: str) -> None:
        self.told = False
        self._waiting_for = ""
        self._address = address
        self._client = httpx.Client(trust_env=False, timeout=_READY_TIMEOUT)

    def tell(self) -> None:
        if self.told:
            return
        try:
            answer = self._client.get(f"{self._address}/health/ready")
        except httpx.TransportError:
            return
        if answer.is_success:
            self.told = True
            self._client.close()
            click.echo(f"Ready: {self._address}")
        elif self._waiting_for != (detail := answer.json().get("detail", "")):
            self._waiting_for = detail
            click.echo(f"Not ready yet: {detail}")
