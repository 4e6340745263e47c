"""Does a plan read only what had happened by its as_of, whatever was sent since?"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pullplan.cli.dataset import Dataset
from pullplan.cli.folder import read_folder
from pullplan.engine.model import PlanRequest
from pullplan.engine.plan import snapshot_hash
from pullplan.storage import database
from pullplan.workflows.known_plans import KnownPlans
from pullplan.workflows.run_plan import _read

pytestmark = pytest.mark.anyio

JUNE = datetime(2021, 6, 28, tzinfo=UTC)
JANUARY = datetime(2022, 1, 3, tzinfo=UTC)
PAIR = {"product_code": "VODKA", "region_code": "IA-503"}
LATER = "2021-07-05T09:00:00+00:00"
SAID_LATER: list[dict[str, Any]] = [
    {"kind": "order", "units": 500, "due_date": "2021-07-12"},
    {"kind": "lead", "units": 900, "probability": 0.9, "due_date": "2021-07-12"},
    {"kind": "adjustment", "multiplier": 3.0, "from_date": "2021-07-05", "until_date": "2021-08-02"},
]


async def _send(client: httpx.AsyncClient, verb: str, path: str, rows: list[dict[str, Any]]) -> None:
    answer = await client.request(
        verb,
        path,
        content=msgspec.json.Encoder().encode_lines(rows),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 200, answer.text


def _rows(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    (table,) = (table for table in dataset.tables if table.collection.name == name)
    numbers = {"latitude", "longitude", "units", "capacity_per_day"}
    rows = [dict(zip(table.fields, row, strict=True)) for _, row in table.rows()]
    return [
        {name: float(cell) if name in numbers else cell for name, cell in row.items() if cell is not None}
        for row in rows
    ]


async def _facts_hashes(database_url: str, as_of: datetime) -> tuple[str, str]:
    connection = await database.connect(database_url)
    try:
        read = await _read(connection, PlanRequest(as_of=as_of), "UTC", KnownPlans())
    finally:
        await connection.close()
    assert read.forecasting is not None
    return snapshot_hash(read.planning), snapshot_hash(read.forecasting.known)


async def test_a_plan_as_of_june_reads_nothing_that_happened_in_july(
    client: httpx.AsyncClient, database_url: str, shared: Path
):
    dataset = read_folder(shared / "data" / "iowa_spirits", "iowa")
    for name in ("products", "regions", "nodes", "capacity"):
        await _send(client, "PUT", f"/v1/{name}", _rows(dataset, name))
    signals = _rows(dataset, "demand_signals")
    known_then = [row for row in signals if row["occurred_at"] < JUNE.isoformat()]
    batch = "/v1/demand-signals/batch"
    await _send(client, "POST", batch, known_then)
    june, january = await _facts_hashes(database_url, JUNE), await _facts_hashes(database_url, JANUARY)

    await _send(client, "POST", batch, [row for row in signals if row["occurred_at"] >= JUNE.isoformat()])
    said = [
        row | PAIR | {"source": "sales", "external_id": row["kind"], "occurred_at": LATER}
        for row in SAID_LATER
    ]
    await _send(client, "POST", batch, said)
    count = PAIR | {"source": "erp", "external_id": "c", "counted_at": LATER, "on_hand_units": 7}
    await _send(client, "POST", "/v1/stock-counts", [count])

    assert len(known_then) < len(signals) == 39_835
    assert await _facts_hashes(database_url, JUNE) == june
    planning, forecasting = await _facts_hashes(database_url, JANUARY)
    assert planning != january[0]
    assert forecasting != january[1]
