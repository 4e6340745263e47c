"""How do fault tests see, wait for and end real processes?"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from pullplan.cli.service import Service
from pullplan.storage import database, queue

LEASE_SECONDS = 2.0
PLAN = {"as_of": "2024-06-05T09:00:00Z", "horizon_buckets": 8}


def wait_until[T](condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """Poll until the condition holds; answer what it answered."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def tree(pid: int) -> list[psutil.Process]:
    """List a process and everything below it."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """List those that still run; an orphan's zombie waits for init, not for us."""
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def none_alive(processes: list[psutil.Process]) -> bool:
    try:
        return not alive(processes)
    except psutil.NoSuchProcess:
        return False


def mentioning(folder: Path) -> list[psutil.Process]:
    """List the processes that were started on behalf of a test, wherever they hang now."""
    found = []
    for process in psutil.process_iter():
        try:
            said = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in said):
            found.append(process)
    return found


def computing_children(worker_pid: int) -> list[psutil.Process]:
    """List the processes that compute a worker's runs: the fork server's children."""
    return [grandchild for child in psutil.Process(worker_pid).children() for grandchild in child.children()]


@contextmanager
def calling(service: Service) -> Iterator[httpx.Client]:
    """Call a service with its key."""
    with httpx.Client(
        base_url=service.url,
        headers={"Authorization": f"Bearer {service.key}"},
        timeout=40.0,
        trust_env=False,
    ) as client:
        yield client


def part(service: Service, words: str, *, number: int = 0) -> psutil.Process:
    """Find a process of the service by its command line."""
    return wait_until(
        lambda: [p for p in tree(service.process.pid) if words in _command_line(p)], 10.0, words
    )[number]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended a moment ago
        return ""


def api_process(service: Service) -> psutil.Process:
    """Find the process that answers requests: granian's spawned child."""
    return next(
        p
        for p in part(service, "pullplan.cli.http_server").children()
        if "spawn_main" in " ".join(p.cmdline())
    )


@contextmanager
def worker(
    database_url: str, folder: Path, *, lease_seconds: float = LEASE_SECONDS, compute: str = "local:1"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `pullplan work` as a process until the end of the block, at least."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "PULLPLAN_DATA": str(folder),
        "PULLPLAN_LEASE_SECONDS": str(lease_seconds),
        "PULLPLAN_COMPUTE": compute,
    }
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pullplan", "work"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Queue:
    """The queue of one database, asked from outside of any event loop."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def enqueue(self, parameters: dict[str, Any] | None = None, kind: str = "plan") -> Any:
        """Enqueue a run and answer its id."""
        given = PLAN if parameters is None else parameters
        return self.call(lambda connection: queue.enqueue(connection, kind, given, None))["run_id"]

    def child_of(self, process: subprocess.Popen[bytes], run_id: Any, attempt: int = 1) -> psutil.Process:
        """Wait for the process in which this worker computes the run's attempt."""
        wait_until(lambda: self.row(run_id)["attempt"] == attempt, 30.0, f"attempt {attempt}")
        return wait_until(lambda: computing_children(process.pid), 5.0, "a computing child")[0]

    def call(self, step: Callable[[database.Connection], Any]) -> Any:
        async def connected() -> Any:
            connection = await database.connect(self._url)
            try:
                return await step(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def row(self, run_id: Any) -> Any:
        return self.call(
            lambda connection: connection.fetchrow(
                "SELECT *, (SELECT count(*) FROM plans WHERE plans.run_id = runs.run_id) AS plans"
                " FROM runs WHERE run_id = $1",
                run_id,
            )
        )

    def wait_for(self, run_id: Any, *states: str, seconds: float = 30.0) -> Any:
        """Wait until the run is in one of the states, and answer its row with its number of plans."""

        def reached() -> Any:
            row = self.row(run_id)
            return row if row["state"] in states else None

        return wait_until(reached, seconds, f"run {run_id} {' or '.join(states)}")

    def latest_plan(self) -> Any:
        return self.call(
            lambda connection: connection.fetchrow(
                "SELECT plan_id, plan_hash FROM plans ORDER BY created_at DESC LIMIT 1"
            )
        )
