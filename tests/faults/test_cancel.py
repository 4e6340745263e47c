"""Is a run that computes for long cancelled at once, whatever it is at, and does nothing of it stay?"""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.processes import Queue, computing_children, none_alive, wait_until, worker

from pullplan.storage import database, queue

N_PRODUCTS, N_REGIONS, N_NODES, N_WEEKS = 20, 20, 12, 26
MAKE_TO_ORDER = {"product_code": "*", "region_code": "*", "policy": "make_to_order"}
PLAN = {"as_of": "2024-06-05T09:00:00Z", "horizon_buckets": N_WEEKS}
SEEN_WITHIN_SECONDS = 5.0
"""A second on a quiet machine; uncancelled, each of these runs would take longer."""

WORLD = f"""
INSERT INTO products (product_code, weight_kg, value_per_unit) SELECT 'P' || p, 1, 1 + p FROM generate_series(1, {N_PRODUCTS}) p;
INSERT INTO regions (region_code, latitude, longitude)
    SELECT 'R' || r, 48 + r % 6, 8 + r / 6 FROM generate_series(1, {N_REGIONS}) r;
INSERT INTO nodes (node_code, latitude, longitude)
    SELECT 'N' || n, 48.5 + n % 4, 8.5 + n / 4 FROM generate_series(1, {N_NODES}) n;
INSERT INTO resources (node_code, resource_code, capacity_per_day)
    SELECT 'N' || n, 'hours', 80 + 4 * n FROM generate_series(1, {N_NODES}) n;
INSERT INTO capabilities (node_code, product_code, use_per_unit)
    SELECT 'N' || n, 'P' || p, jsonb_build_object('hours', 0.5 + (n * p % 7) / 10.0)
    FROM generate_series(1, {N_NODES}) n, generate_series(1, {N_PRODUCTS}) p WHERE (n * 7 + p * 3) % 5 > 1;
INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at)
    SELECT 'shop', concat_ws('-', 'c', p, r, w), 'consumption', 'P' || p, 'R' || r, 5 + (p * r + w * 3) % 17,
        '2024-06-03T12:00:00Z'::timestamptz - w * interval '7 days'
    FROM generate_series(1, {N_PRODUCTS}) p, generate_series(1, {N_REGIONS}) r, generate_series(1, 104) w;
INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at, due_date)
    SELECT 'erp', concat_ws('-', 'o', p, r, w), 'order', 'P' || p, 'R' || r, 10 + (p + r * w) % 30,
        '2024-06-04T12:00:00Z', '2024-06-05'::date + 7 * w
    FROM generate_series(1, {N_PRODUCTS}) p, generate_series(1, {N_REGIONS}) r, generate_series(0, {N_WEEKS - 1}) w;
ANALYZE;
"""


@pytest.fixture
def runs(database_url: str) -> Queue:
    """Give the queue of a database whose plans take many seconds."""

    async def fill() -> None:
        connection = await database.connect(database_url)
        await connection.execute(WORLD)
        await connection.close()

    asyncio.run(fill())
    return Queue(database_url)


@pytest.fixture
def working(database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with worker(database_url, tmp_path, lease_seconds=15.0) as process:
        yield process


def cancel(runs: Queue, run_id: Any) -> Any:
    """Cancel a run; answer its row at its end, with the seconds that this took by the database's clock."""
    asked_at = runs.call(lambda connection: connection.fetchval("SELECT now()"))
    assert runs.call(lambda connection: queue.request_cancel(connection, run_id)) is not None
    row = runs.wait_for(run_id, "cancelled", "succeeded", "failed")
    return row, (row["finished_at"] - asked_at).total_seconds()


def wait_for_step(runs: Queue, run_id: Any, step: str) -> Any:
    """Wait until a run says that it is at a step, and answer its progress."""

    def reached() -> Any:
        row = runs.row(run_id)
        assert row["state"] in ("queued", "running"), dict(row)
        progress = row["progress"]
        return progress if str(progress.get("step", "")).startswith(step) else None

    return wait_until(reached, 60.0, step)


def left_of(runs: Queue, run_id: Any) -> int:
    """Count the plans and forecasts that a run has left; their lines hang on them."""
    found: int = runs.call(
        lambda connection: connection.fetchval(
            "SELECT (SELECT count(*) FROM plans WHERE plan_id = $1)"
            " + (SELECT count(*) FROM forecasts WHERE forecast_id = $1)"
            " + (SELECT count(*) FROM plan_assignments WHERE plan_id = $1)",
            run_id,
        )
    )
    return found


@pytest.mark.long
def test_a_long_run_is_cancelled_at_once_whatever_it_is_at(
    runs: Queue, working: subprocess.Popen[bytes], database_url: str
):
    first = runs.enqueue(PLAN)
    queued = runs.enqueue(PLAN)
    row, seconds = cancel(runs, queued)
    assert (row["state"], row["attempt"]) == ("cancelled", 0)

    wait_for_step(runs, first, "forecasting")
    row, seconds = cancel(runs, first)
    assert (row["state"], left_of(runs, first)) == ("cancelled", 0)
    assert seconds < SEEN_WITHIN_SECONDS

    to_order = PLAN | {"policy_overrides": [MAKE_TO_ORDER]}
    assigning = runs.enqueue(to_order)
    progress = wait_for_step(runs, assigning, "assigning: ")
    assert progress["stage"] is not None
    assert progress["round"] is not None
    children = computing_children(working.pid)
    row, seconds = cancel(runs, assigning)
    assert (row["state"], left_of(runs, assigning)) == ("cancelled", 0)
    assert seconds < SEEN_WITHIN_SECONDS
    wait_until(lambda: none_alive(children), 2.0, "the end of what computed")

    storing = runs.enqueue(to_order | {"horizon_buckets": 1})
    seconds = asyncio.run(_cancel_while_it_stores(runs, database_url, storing))
    assert left_of(runs, storing) == 0
    assert seconds < SEEN_WITHIN_SECONDS


async def _cancel_while_it_stores(runs: Queue, database_url: str, run_id: Any) -> float:
    """Hold the run up in the midst of its transaction, and cancel it there."""
    holding = await database.connect(database_url)
    try:
        async with holding.transaction():
            await holding.execute("LOCK TABLE plan_assignments IN SHARE MODE")
            await asyncio.to_thread(wait_for_step, runs, run_id, "storing")
            row, seconds = await asyncio.to_thread(cancel, runs, run_id)
            assert row["state"] == "cancelled"
    finally:
        await holding.close()
    result: float = seconds
    return result
