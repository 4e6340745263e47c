import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from tests.faults.conftest import seed
from tests.faults.processes import (
    LEASE_SECONDS,
    PLAN,
    Queue,
    alive,
    computing_children,
    none_alive,
    tree,
    wait_until,
    worker,
)

from pullplan.postgres import EmbeddedServer
from pullplan.storage import queue, schema

SEED = 20261122
LONG_PLAN = PLAN | {"horizon_buckets": 104}
TAKEN_OVER_SECONDS = LEASE_SECONDS + 60.0  # the next worker's start and its computing, on a busy machine


@pytest.fixture
def working(database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give one worker over this test's database."""
    with worker(database_url, tmp_path) as process:
        yield process


def test_whatever_happens_to_a_run_the_worker_goes_on(runs: Queue, working: subprocess.Popen[bytes]):
    row = runs.wait_for(runs.enqueue(), "succeeded", "failed")
    assert (row["state"], row["plans"], row["attempt"], row["workers_lost"]) == ("succeeded", 1, 1, 0)
    assert row["result"] == f"/v1/plans/{row['run_id']}"

    row = runs.wait_for(runs.enqueue({"horizon_buckets": "eight"}), "succeeded", "failed")
    assert row["problem"]["code"] == "internal-error"

    run_id = runs.enqueue(LONG_PLAN)
    child = runs.child_of(working, run_id)
    child.suspend()  # it must not be done before it is cancelled
    assert runs.call(lambda connection: queue.request_cancel(connection, run_id)) == "running"
    row = runs.wait_for(run_id, "cancelled", "succeeded", "failed")
    assert (row["state"], row["plans"]) == ("cancelled", 0)
    wait_until(lambda: none_alive([child]), 2.0, "the cancelled child's end")

    assert runs.wait_for(runs.enqueue(), "succeeded", "failed")["state"] == "succeeded"


def test_a_child_that_stored_its_run_computes_the_next_one_unless_it_is_gone(
    runs: Queue, working: subprocess.Popen[bytes]
):
    def child_after(parameters: dict[str, Any], state: str) -> list[psutil.Process]:
        row = runs.wait_for(runs.enqueue(parameters), "succeeded", "failed")
        assert (row["state"], row["attempt"], row["workers_lost"]) == (state, 1, 0)
        return alive(computing_children(working.pid))

    first = child_after(PLAN, "succeeded")
    assert len(first) == 1
    assert child_after(PLAN | {"horizon_buckets": 3}, "succeeded") == first
    replan = {"parent_plan_id": str(runs.latest_plan()["plan_id"]), "horizon_buckets": 3, "verify": True}
    assert child_after(PLAN | replan, "succeeded") == first
    warm = runs.latest_plan()
    first[0].kill()
    wait_until(lambda: none_alive(first), 2.0, "the idle child's end")
    second = child_after(PLAN | replan, "succeeded")
    assert second != first
    cold = runs.latest_plan()
    assert (cold["plan_id"] != warm["plan_id"], cold["plan_hash"]) == (True, warm["plan_hash"])
    child_after({"horizon_buckets": "eight"}, "failed")
    wait_until(lambda: none_alive(second), 2.0, "the end of a child that met an error")


@pytest.mark.long
def test_a_run_whose_child_always_dies_fails_after_three_attempts_and_says_so(
    runs: Queue, working: subprocess.Popen[bytes]
):
    run_id = runs.enqueue(LONG_PLAN)
    for attempt in (1, 2, 3):
        runs.child_of(working, run_id, attempt).kill()
    row = runs.wait_for(run_id, "succeeded", "failed")
    assert (row["state"], row["attempt"], row["workers_lost"], row["plans"]) == ("failed", 3, 3, 0)
    assert row["problem"]["code"] == "worker-lost"
    assert "lost three workers" in row["problem"]["detail"]


def test_a_stopped_worker_gives_its_run_back_and_leaves_nothing(
    runs: Queue, working: subprocess.Popen[bytes]
):
    run_id = runs.enqueue(LONG_PLAN)
    runs.child_of(working, run_id).suspend()
    everything = tree(working.pid)
    working.terminate()
    assert working.wait(2.0) == 0
    wait_until(lambda: none_alive(everything), 2.0, "the end of all children")
    row = runs.row(run_id)
    assert (row["state"], row["workers_lost"], row["lease_until"]) == ("queued", 0, None)


def test_a_killed_worker_leaves_nothing_behind(runs: Queue, working: subprocess.Popen[bytes]):
    runs.child_of(working, runs.enqueue(LONG_PLAN)).suspend()  # it could notice nothing by itself
    everything = tree(working.pid)
    working.kill()
    wait_until(lambda: none_alive(everything), 2.0, "the end of all children")


def test_a_worker_killed_while_it_loads_leaves_nothing_behind(working: subprocess.Popen[bytes]):
    wait_until(lambda: len(tree(working.pid)) > 2, 10.0, "the fork server")
    everything = tree(working.pid)
    working.kill()
    wait_until(lambda: none_alive(everything), 2.0, "the end of all children")


@pytest.mark.long
@pytest.mark.parametrize(
    "also_the_child", [pytest.param(False, marks=pytest.mark.long), True], ids=["worker", "worker-and-child"]
)
def test_a_run_taken_over_from_a_stalled_worker_is_stored_once(
    runs: Queue, database_url: str, tmp_path: Path, *, also_the_child: bool
):
    """Stall the first beyond its lease, let a second take over, resume the first, kill the second."""
    run_id = runs.enqueue(LONG_PLAN)
    with worker(database_url, tmp_path) as first:
        child = runs.child_of(first, run_id)
        stalled = [child, psutil.Process(first.pid)]
        for process in stalled:
            process.suspend()
        with worker(database_url, tmp_path) as second:
            second_child = runs.child_of(second, run_id, attempt=2)
            second_child.suspend()
            for process in stalled if also_the_child else stalled[1:]:
                process.resume()
            second.kill()
        wait_until(lambda: none_alive([child]), 5.0, "the end of the child that was fenced out")
        row = runs.wait_for(run_id, "succeeded", "failed", seconds=TAKEN_OVER_SECONDS)
        assert first.poll() is None
    assert (row["state"], row["plans"], row["attempt"]) == ("succeeded", 1, 3)


@pytest.mark.long
def test_a_worker_survives_an_outage_of_its_database(tmp_path: Path):
    server = EmbeddedServer(tmp_path / "server")
    url = server.start()
    try:
        schema.migrate(url)
        asyncio.run(seed(url))
        runs = Queue(url)
        run_id = runs.enqueue(LONG_PLAN)
        with worker(url, tmp_path) as process:
            runs.child_of(process, run_id)
            os.kill(server.pid or 0, signal.SIGKILL)
            wait_until(lambda: not server.is_running(), 5.0, "the server's end")
            server.start()
            assert runs.wait_for(run_id, "succeeded", "failed")["plans"] == 1
            assert runs.wait_for(runs.enqueue(), "succeeded", "failed")["state"] == "succeeded"
            assert process.poll() is None
    finally:
        server.stop()


N_KILLED = 4


@pytest.mark.long
def test_every_run_survives_workers_killed_at_random_moments(runs: Queue, database_url: str, tmp_path: Path):
    """Kill each run's worker between its claim and its usual end; the next worker ends that run and gets the next one."""
    chance = random.Random(SEED)
    interrupted = 0
    with ExitStack() as workers:
        victim = workers.enter_context(worker(database_url, tmp_path))
        row = runs.wait_for(runs.enqueue(LONG_PLAN), "succeeded", "failed")
        usual_seconds = duration_seconds(row)
        for _ in range(N_KILLED):
            run_id = runs.enqueue(LONG_PLAN)
            runs.wait_for(run_id, "running", "succeeded")
            with suppress(subprocess.TimeoutExpired):
                victim.wait(chance.uniform(0.0, usual_seconds))
            victim.kill()
            victim.wait()
            row = runs.row(run_id)
            if row["state"] == "running":
                interrupted += 1
            else:
                usual_seconds = min(usual_seconds, duration_seconds(row))
            victim = workers.enter_context(worker(database_url, tmp_path))
            row = runs.wait_for(run_id, "succeeded", "failed", seconds=TAKEN_OVER_SECONDS)
            assert (row["state"], row["plans"]) == ("succeeded", 1)
            assert row["workers_lost"] == row["attempt"] - 1
    assert interrupted >= N_KILLED / 2


def duration_seconds(row: asyncpg.Record) -> float:
    seconds: float = (row["finished_at"] - row["started_at"]).total_seconds()
    return seconds
