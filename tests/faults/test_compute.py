"""Does a worker spread a large search as its settings say, and does the plan stay what it is?"""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.faults.processes import Queue, computing_children, worker

from pullplan.engine.plan import make_plan
from pullplan.storage import database, plans

MAKE_TO_ORDER = {"product_code": "*", "region_code": "*", "policy": "make_to_order"}
PLAN = {"as_of": "2024-06-05T09:00:00Z", "horizon_buckets": 1, "policy_overrides": [MAKE_TO_ORDER]}
MOST_RUNS = 5
"""The search of one may be over between two looks at the processes."""

WORLD = """
INSERT INTO products (product_code, weight_kg) SELECT 'P' || p, 1 FROM generate_series(1, 54) p;
INSERT INTO regions (region_code, latitude, longitude)
    SELECT 'R' || r, 48 + sin(r * r), 8 + cos(3 * r * r) FROM generate_series(1, 160) r;
INSERT INTO nodes (node_code, latitude, longitude)
    SELECT 'N' || n, 48 + sin(5 * n * n), 8 + cos(n * n) FROM generate_series(1, 36) n;
INSERT INTO resources (node_code, resource_code, capacity_per_day)
    SELECT 'N' || n, 'hours', 756 + 14 * n FROM generate_series(1, 36) n;
INSERT INTO capabilities (node_code, product_code, use_per_unit)
    SELECT 'N' || n, 'P' || p, jsonb_build_object('hours', 0.5 + (n * p % 7) / 10.0)
    FROM generate_series(1, 36) n, generate_series(1, 54) p;
INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at, due_date)
    SELECT 'erp', concat_ws('-', 'o', p, r), 'order', 'P' || p, 'R' || r, 10 + (p * r) % 30,
        '2024-06-04T12:00:00Z', '2024-06-07'
    FROM generate_series(1, 54) p, generate_series(1, 160) r;
"""


@pytest.fixture
def runs(database_url: str) -> Queue:
    """Give the queue of a database whose plans have 8,640 needs of 36 ways each: more than one shard."""

    async def fill() -> None:
        connection = await database.connect(database_url)
        await connection.execute(WORLD)
        await connection.close()

    asyncio.run(fill())
    return Queue(database_url)


def helpers_of(working: subprocess.Popen[bytes]) -> int:
    """Count the processes that help the worker's computing children."""
    try:
        return sum(len(child.children()) for child in computing_children(working.pid))
    except psutil.NoSuchProcess:
        return 0


def run_and_watch(runs: Queue, working: subprocess.Popen[bytes]) -> tuple[Any, int]:
    """Make a plan; answer its run and the most helpers that were seen, looking all the time."""
    run_id, most = runs.enqueue(PLAN), 0
    while runs.row(run_id)["state"] in ("queued", "running"):
        for _ in range(20):
            most = max(most, helpers_of(working))
            time.sleep(0.005)
    return runs.row(run_id), most


@pytest.mark.long
def test_a_worker_forks_a_helper_for_a_large_search_and_finds_the_plan_that_one_process_finds(
    runs: Queue, database_url: str, tmp_path: Path
):
    with worker(database_url, tmp_path, lease_seconds=15.0, compute="local:2") as working:
        for _ in range(MOST_RUNS):
            row, n_helpers = run_and_watch(runs, working)
            assert row["state"] == "succeeded", row["problem"]
            if n_helpers:
                break
        assert n_helpers == 1
        assert helpers_of(working) == 0
    facts = runs.call(lambda connection: plans.find_facts(connection, row["run_id"]))
    stored = runs.call(lambda connection: plans.find(connection, row["run_id"]))
    assert "prices" in stored["method"]
    assert stored["plan_hash"] == make_plan(facts).plan_hash


@pytest.mark.long
def test_a_run_whose_cluster_is_away_fails_and_names_it(runs: Queue, database_url: str, tmp_path: Path):
    with worker(database_url, tmp_path, lease_seconds=15.0, compute="dask://127.0.0.1:9"):
        row = runs.wait_for(runs.enqueue(PLAN), "succeeded", "failed", seconds=60.0)
    assert (row["state"], row["problem"]["code"], row["plans"]) == ("failed", "compute-away", 0)
    assert "dask://127.0.0.1:9 does not answer" in row["problem"]["detail"]
