import asyncio
import json
from typing import Any

import asyncpg
import pytest

from pullplan.engine.errors import LinesRefusedError
from pullplan.storage import database, demand
from pullplan.storage.spool import Spool

pytestmark = pytest.mark.anyio


def spooled(*numbers: int, units: float = 1.0, product_code: str = "GIN") -> Spool:
    values: dict[str, Any] = dict.fromkeys(demand.COLUMNS) | {
        "source": "shop",
        "kind": "consumption",
        "product_code": product_code,
        "region_code": "EAST",
        "units": units,
        "occurred_at": "2026-03-01T12:00:00Z",
        "cancelled": False,
        "priority": 0,
    }
    spool = Spool("lines", demand.COLUMNS, demand.TARGET.gathered)
    records = [tuple((values | {"external_id": f"s-{number}"}).values()) for number in numbers]
    spool.add(range(1, len(numbers) + 1), records)
    return spool


@pytest.fixture
async def ledger(pool: database.Pool) -> database.Pool:
    async with database.transaction(pool) as connection:
        await connection.execute("INSERT INTO products (product_code) VALUES ('GIN')")
        await connection.execute("INSERT INTO regions (region_code) VALUES ('EAST')")
    return pool


async def add(pool: database.Pool, spool: Spool, *, partial: bool = False) -> tuple[int, int, int]:
    with spool:
        async with database.transaction(pool) as connection:
            outcome = await demand.add(connection, spool, partial=partial)
    return outcome.stored, outcome.known, outcome.refused


def scanned(explained: str) -> tuple[list[str | None], int]:
    """Tell of an analyzed plan which index each of its scans went by, None for a whole table, and how many rows all of them read."""
    waiting, indexes, n_rows = [json.loads(explained)[0]["Plan"]], [], 0
    while waiting:
        node = waiting.pop(0)
        if "Plans" in node:
            waiting += node["Plans"]
            continue
        indexes.append(node.get("Index Name"))
        n_rows += node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return indexes, n_rows


async def revisions(pool: database.Pool) -> list[tuple[str, int, bool]]:
    rows = await pool.fetch(
        "SELECT external_id, revision, superseded_at IS NULL AS current FROM demand_signals ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]


async def test_a_batch_that_overlaps_a_known_one_adds_only_what_is_new(ledger: database.Pool):
    assert await add(ledger, spooled(1, 2)) == (2, 0, 0)
    assert await add(ledger, spooled(2, 3)) == (1, 1, 0)
    assert await revisions(ledger) == [("s-1", 1, True), ("s-2", 1, True), ("s-3", 1, True)]


async def test_one_current_revision_is_left_whatever_is_told_again(ledger: database.Pool):
    for units in (1.0, 2.0, 1.0):
        assert await add(ledger, spooled(1, units=units)) == (1, 0, 0)
    assert await revisions(ledger) == [("s-1", 1, False), ("s-1", 2, False), ("s-1", 3, True)]


async def test_a_refused_batch_leaves_nothing_and_a_partial_one_its_good_lines(ledger: database.Pool):
    with pytest.raises(LinesRefusedError) as refusal:
        await add(ledger, spooled(1, 2, product_code="RUM"))
    assert [(p.line, p.field) for p in refusal.value.problems] == [(1, "product_code"), (2, "product_code")]
    with pytest.raises(LinesRefusedError):
        await add(ledger, spooled(1, 2, 1))
    assert await revisions(ledger) == []
    assert await add(ledger, spooled(1, 2, 1), partial=True) == (2, 0, 1)


async def test_batches_that_cross_each_other_store_every_signal_once(ledger: database.Pool):
    forwards, backwards = range(400), range(399, -1, -1)
    outcomes = await asyncio.gather(
        *(add(ledger, spooled(*order)) for order in (forwards, backwards, forwards, backwards))
    )
    assert sum(stored for stored, _, _ in outcomes) == 400
    assert await revisions(ledger) == sorted((f"s-{number}", 1, True) for number in forwards)


async def test_a_first_large_load_is_known_to_the_planner_at_once(ledger: database.Pool):
    looked_at = "SELECT reltuples FROM pg_class WHERE relname = 'demand_signals'"
    await add(ledger, spooled(*range(10)))
    assert await ledger.fetchval(looked_at) == -1
    await add(ledger, spooled(*range(12_000)))
    assert await ledger.fetchval(looked_at) == 12_000


async def test_the_ledger_itself_refuses_a_second_current_revision(ledger: database.Pool):
    await add(ledger, spooled(1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await ledger.execute(
            "INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, occurred_at)"
            " VALUES ('shop', 's-1', 'consumption', 'GIN', 'EAST', now())"
        )


async def test_what_was_told_since_an_instant_is_read_without_the_rest(ledger: database.Pool):
    async with database.transaction(ledger) as connection:
        await connection.execute(
            "INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at, received_at) "
            "SELECT 'shop', i::text, 'consumption', 'GIN', 'EAST', 1, now(), now() - interval '1 day' "
            "FROM generate_series(1, 60000) AS i"
        )
    began = await ledger.fetchval("SELECT clock_timestamp()")
    await add(ledger, spooled(*range(1000)))
    await add(ledger, spooled(*range(500), units=2.0))
    # Without statistics, as just after a load, and once more with them.
    for statement in ("SELECT 1", "ANALYZE demand_signals"):
        await ledger.execute(statement)
        async with database.transaction(ledger) as connection:
            found: list[asyncpg.Record] = []
            after = None
            while rows := await demand.list_page(connection, after, 400, began, *[None] * 4):
                found += rows
                after = (rows[-1]["received_at"], rows[-1]["signal_id"])
            explained = await connection.fetchval(
                "EXPLAIN (ANALYZE, FORMAT JSON) " + demand.SQL["list_changed"], began, 0, 1001, *[None] * 4
            )
        assert sorted(row["external_id"] for row in found) == sorted(f"s-{n}" for n in range(1000))
        assert sum(row["units"] == 2.0 for row in found) == 500
        [index], read = scanned(explained)
        assert index == "demand_signals_told", explained
        assert 1000 <= read <= 1500, explained  # a bitmap counts what was superseded since as well


async def test_a_page_of_a_pairs_signals_is_read_without_those_of_others(ledger: database.Pool):
    async with database.transaction(ledger) as connection:
        await connection.execute(
            "INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at) "
            "SELECT 'shop', i::text, CASE i % 2 WHEN 0 THEN 'consumption' ELSE 'order' END, 'GIN',"
            " CASE i % 100 WHEN 0 THEN 'WEST' ELSE 'EAST' END, 1, now() "
            "FROM generate_series(1, 60000) AS i"
        )
    # Without statistics, as just after a load, and once more with them.
    for statement in ("SELECT 1", "ANALYZE demand_signals"):
        await ledger.execute(statement)
        async with database.transaction(ledger) as connection:
            first = await demand.list_page(connection, None, 100, None, "GIN", "WEST", None, None)
            after = (first[-1]["received_at"], first[-1]["signal_id"])
            second = await demand.list_page(connection, after, 1000, None, "GIN", "WEST", None, None)
            explained = await connection.fetchval(
                "EXPLAIN (ANALYZE, FORMAT JSON) " + demand.SQL["list_current_of_pair"],
                after[1], 1000, "GIN", "WEST", None, None,
            )  # fmt: skip
        assert [row["external_id"] for row in [*first, *second]] == [str(n) for n in range(100, 60001, 100)]
        assert scanned(explained) == (["demand_signals_of_pair"], 500), explained


async def test_the_history_of_a_signal_is_read_without_other_signals(ledger: database.Pool):
    async with database.transaction(ledger) as connection:
        await connection.execute(
            "INSERT INTO demand_signals (source, external_id, revision, kind, product_code, region_code, units,"
            " occurred_at, superseded_at) "
            "SELECT 'shop', i::text, r, 'consumption', 'GIN', 'EAST', r, now(), CASE r WHEN 3 THEN NULL ELSE now() END "
            "FROM generate_series(1, 20000) AS i, generate_series(1, 3) AS r"
        )
    await ledger.execute("ANALYZE demand_signals")
    async with database.transaction(ledger) as connection:
        found = await demand.list_history(connection, "shop", "777")
        explained = await connection.fetchval(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + demand.SQL["list_history"], "shop", "777"
        )
    assert [(row["external_id"], row["units"]) for row in found] == [("777", 1.0), ("777", 2.0), ("777", 3.0)]
    assert scanned(explained) == (["demand_signals_one_current", "demand_signals_superseded"], 3), explained
