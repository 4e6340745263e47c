"""How long does it take to store a plan of a million needs, and how long to COPY its rows as they are?

    python -m bench.storing PRODUCTS

measures one plan in a process of its own, so that its memory is its own.
"""

import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from bench.apart import measured_apart
from bench.facts import DAY, facts_of
from bench.figure import figure, peak_megabytes
from bench.instances import reference_instance

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.plan import make_plan
from pullplan.postgres import EmbeddedServer
from pullplan.storage import database, plans, schema
from pullplan.storage.database import Connection

LARGE = 3_334
"""Products: 1,000,200 needs."""
TABLES = ("plan_needs", "plan_assignments")
MOST_SECONDS = 30


def storing() -> list[dict[str, Any]]:
    """Make a plan of a million needs, store it, and COPY what was stored into tables without keys."""
    measured = measure(LARGE)
    return [
        figure(
            "storing a plan of 1,000,000 needs",
            measured["seconds"],
            "s",
            reference=measured["copy_seconds"],
            must=f"<= {MOST_SECONDS}",
            reached=measured["seconds"] <= MOST_SECONDS,
        ),
        figure(
            "  making it, from facts to reasons",
            measured["making_seconds"],
            "s",
            reference=measured["copy_seconds"],
            must="-",
            reached=None,
        ),
        figure(
            "  peak resident, facts and plan included",
            measured["megabytes"],
            "MB",
            reference=measured["facts_megabytes"],
            must="-",
            reached=None,
        ),
    ]


def measure(n_products: int) -> dict[str, float]:
    return measured_apart("bench.storing", n_products)


async def store(connection: Connection, plan: Plan, facts: PlanningFacts) -> UUID:
    now, plan_id = datetime.now(UTC), uuid4()
    record = plans.PlanRecord(
        plan_id=plan_id,
        run_id=plan_id,
        forecast_id=None,
        as_of=now,
        parameters={},
        snapshot_at=now,
        wall_seconds=0.0,
        code_version="bench",
    )
    async with connection.transaction():
        await plans.insert(connection, record, plan, facts, [DAY])
    return plan_id


async def copy_seconds(connection: Connection, folder: Path) -> float:
    """COPY the stored rows, as the server writes them, into tables that have no key and refer to nothing."""
    total = 0.0
    for table in TABLES:
        file = folder / table
        await connection.copy_from_table(table, output=file, format="binary")
        await connection.execute(f"CREATE TABLE bare_{table} (LIKE {table})")
        started = time.perf_counter()
        await connection.copy_to_table(f"bare_{table}", source=file, format="binary")
        total += time.perf_counter() - started
        file.unlink()
    return total


async def _measure(url: str, folder: Path, plan: Plan, facts: PlanningFacts) -> dict[str, float]:
    connection = await database.connect(url)
    try:
        started = time.perf_counter()
        await store(connection, plan, facts)
        seconds = time.perf_counter() - started
        megabytes = peak_megabytes()
        return {
            "seconds": seconds,
            "megabytes": megabytes,
            "copy_seconds": await copy_seconds(connection, folder),
        }
    finally:
        await connection.close()


def main() -> None:
    facts = facts_of(reference_instance(int(sys.argv[1]), capacity_factor=1.25))
    before = peak_megabytes()
    started = time.perf_counter()
    plan = make_plan(facts)
    measured = {"making_seconds": time.perf_counter() - started, "facts_megabytes": before}
    with tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder:
        server = EmbeddedServer(Path(folder) / "server")
        url = server.start()
        try:
            schema.migrate(url)
            measured |= asyncio.run(_measure(url, Path(folder), plan, facts))
        finally:
            server.stop()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
