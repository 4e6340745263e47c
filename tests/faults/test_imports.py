"""Is a file that a run stores there whole or not at all, whoever is killed meanwhile and whenever it is cancelled?"""

import asyncio
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import psutil
import pytest
from tests.faults.processes import Queue, api_process, computing_children, part, wait_until, worker

from pullplan.api.signals import INTAKE
from pullplan.cli.client import Client, ServiceProblemError
from pullplan.cli.service import running_service
from pullplan.storage import database, imports, queue

pytestmark = pytest.mark.long

N_LINES = 100_000
ROOM_MEGABYTES = 5.0
"""Of a file of 9 MB: a few pieces, and what Python keeps for itself."""
FREED_WITHIN_SECONDS = 5.0
"""Twice what it takes; a statement that nobody stops would wait for its lock for ten."""


def line(number: int, name: str) -> bytes:
    return (
        f'{{"source":"{name}","external_id":"{number}","kind":"consumption","product_code":"BREAD","region_code":"NORTH",'
        '"units":1.0,"occurred_at":"2024-05-01T12:00:00Z"}\n'
    ).encode()


def enqueue(runs: Queue, name: str) -> Any:
    """Queue a file of signals of this source, as the API does once it has checked it; answer the run's id."""
    asked = {"subject": "demand-signals", "partial": False, "mode": "merge", "lines": N_LINES}
    rows = [INTAKE.rows.decoder.decode(line(number, name)) for number in range(N_LINES)]

    async def keep(connection: database.Connection) -> Any:
        with INTAKE.spooled(*rows, places="lines") as spool:
            async with connection.transaction():
                run = await queue.enqueue(connection, "import", asked, uuid4())
                await imports.keep(connection, run["run_id"], spool)
        return run["run_id"]

    return runs.call(keep)


def n_signals(runs: Queue, name: str) -> int:
    found: int = runs.call(
        lambda connection: connection.fetchval("SELECT count(*) FROM demand_signals WHERE source = $1", name)
    )
    return found


def wait_for_lines(runs: Queue, run_id: Any) -> None:
    """Wait until a run has copied some lines, and not yet all."""

    def copied() -> bool:
        row = runs.row(run_id)
        assert row["state"] in ("queued", "running"), dict(row)
        return bool(row["progress"].get("lines_done", 0))

    wait_until(copied, 60.0, "lines")


def n_writing(runs: Queue) -> int:
    """Count the server's processes that are writing signals."""
    found: int = runs.call(
        lambda connection: connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%demand_signals%'"
        )
    )
    return found


def test_a_file_is_there_whole_or_not_at_all_whoever_is_killed_and_when_it_is_cancelled(
    runs: Queue, database_url: str, tmp_path: Path
):
    run_id = enqueue(runs, "killed")
    with worker(database_url, tmp_path) as process:
        wait_for_lines(runs, run_id)
        process.kill()
        process.wait()
    assert n_signals(runs, "killed") == 0
    with worker(database_url, tmp_path) as process:
        row = runs.wait_for(run_id, "succeeded", "failed", seconds=60.0)
        assert (row["state"], row["attempt"], row["workers_lost"]) == ("succeeded", 2, 1)
        assert n_signals(runs, "killed") == N_LINES

        run_id = enqueue(runs, "cancelled")
        wait_for_lines(runs, run_id)
        assert runs.call(lambda connection: queue.request_cancel(connection, run_id)) is not None
        assert runs.wait_for(run_id, "cancelled", "succeeded")["state"] == "cancelled"
        assert n_signals(runs, "cancelled") == 0

        asyncio.run(_cancel_while_it_waits(runs, database_url, "held-up"))
        assert n_signals(runs, "held-up") == 0
    reports = runs.call(lambda connection: connection.fetchval("SELECT count(*) FROM imports"))
    assert reports == 1


async def _cancel_while_it_waits(runs: Queue, database_url: str, name: str) -> None:
    """Cancel a run whose statement waits for a lock: it ends although the lock is still held."""
    holding = await database.connect(database_url)
    try:
        async with holding.transaction():
            await holding.execute("LOCK TABLE demand_signals IN SHARE MODE")
            run_id = await asyncio.to_thread(enqueue, runs, name)
            await asyncio.to_thread(wait_until, lambda: n_writing(runs), 30.0, "a waiting statement")
            await asyncio.to_thread(runs.call, lambda connection: queue.request_cancel(connection, run_id))
            await asyncio.to_thread(runs.wait_for, run_id, "cancelled")
            await asyncio.to_thread(
                wait_until, lambda: not n_writing(runs), FREED_WITHIN_SECONDS, "the statement's end"
            )
    finally:
        await holding.close()


class Peak(threading.Thread):
    """Watches how much memory processes of a service hold for themselves."""

    def __init__(self, *processes: psutil.Process) -> None:
        super().__init__()
        self.megabytes = dict.fromkeys(processes, 0.0)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            for process in self.megabytes:
                held = process.memory_full_info().uss / 1e6
                self.megabytes[process] = max(held, self.megabytes[process])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def test_a_very_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path):
    """Of the API, which checks it, and of the child that stores it."""
    given = {"DATABASE_URL": "", "PULLPLAN_IMPORT_RUN_BYTES": "100000"}
    with running_service(tmp_path, environment=given) as service, Client(service.url, service.key) as client:
        client.request("PUT", "/v1/products", json=[{"product_code": "BREAD"}])
        client.request("PUT", "/v1/regions", json=[{"region_code": "NORTH"}])

        def send(name: str, n_lines: int, *more: bytes) -> Any:
            body: Iterator[bytes] = chain((line(number, name) for number in range(n_lines)), more)
            path, media_type = "/v1/demand-signals/batch", "application/x-ndjson"
            return client.send("POST", path, media_type, body, lambda number: f"day.json line {number}")

        assert send("warm", 5_000)["stored"] == 5_000
        [child] = computing_children(part(service, "pullplan work").pid)
        with Peak(api_process(service), child) as small:
            send("small", 5_000)
        with Peak(api_process(service), child) as large:
            assert send("large", 60_000)["stored"] == 60_000
        for process, megabytes in large.megabytes.items():
            assert megabytes < small.megabytes[process] + ROOM_MEGABYTES, megabytes
        with pytest.raises(ServiceProblemError) as refused:
            send("refused", 10_000, line(10_000, "refused").replace(b"BREAD", b"CAKE"))
    assert "day.json line 10001, product_code: there is no product 'CAKE'" in refused.value.format_message()
