"""Plans: what may be asked for, and what is read of a stored one, as pages and as streams."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from python_calamine import CalamineWorkbook

from pullplan.api.worksheets import XLSX
from pullplan.engine.model import (
    Accuracy,
    Assignment,
    CapacityPrice,
    Figures,
    Forecast,
    Horizon,
    Need,
    PassedOver,
    Plan,
    PlanningFacts,
    PlanParameters,
    PlanRequest,
    ProductionOrder,
    ResourceLoad,
    Shortfall,
    Stage,
)
from pullplan.storage import forecasts, plans
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MONDAY = date(2024, 1, 1)
DATES = [MONDAY + timedelta(weeks=week) for week in range(2)]
N_NEEDS = 1203  # more than two chunks of a stream
NEAR = PassedOver(
    node_code="NEAR",
    cause="at_capacity",
    capacity_price=3.5,
    forcing_measure="cost:nearest",
    forcing_cost_per_unit=2.0,
    forcing_cost=3.0,
)
PLAN = Plan(
    method="by hand",
    reproducible=True,
    snapshot_hash="1" * 64,
    plan_hash="2" * 64,
    needs=tuple(
        Need(
            need_id=i, product_code="BREAD", region_code=f"R{i % 7}", bucket=1, tier="order", units=2.0,
            latest_bucket=1,
        )
        for i in range(1, N_NEEDS + 1)
    ),
    assignments=tuple(
        Assignment(
            assignment_id=i, need_id=i, node_code="MILL" if i % 2 else "YARD", start_bucket=0, arrival_bucket=1,
            units=1.5,
            started_units=1.5, distance_km=12.5, cost_per_unit=12.5, distance_rank=2,
            passed_over=(NEAR,),
        )
        for i in range(1, N_NEEDS + 1)
    ),
    shortfalls=(Shortfall(shortfall_id=1, need_id=2, units=0.5, reason="at_capacity", detail='full, "really"'),),
    stages=(Stage(stage=1, measure="cost:nearest", value=9.0, lower_bound=9.0, gap=0.0, gap_absolute=0.0),),
    prices=tuple(
        CapacityPrice(stage=1, node_code=node, resource_code="hours", bucket=b, price=1.0 + b)
        for node in ("MILL", "YARD")
        for b in (0, 1)
    )
    + tuple(
        CapacityPrice(stage=1, node_code="MILL", product_code=product, bucket=0, price=4.0)
        for product in ("BREAD", "CAKE")
    ),
    loads=(
        ResourceLoad(node_code="MILL", resource_code="hours", bucket=0, capacity=10.0, used=2.5),
        ResourceLoad(node_code="YARD", resource_code="hours", bucket=0, capacity=10.0, used=7.5),
    ),
    figures=Figures(needs_units=2406.0, assigned_units=1804.5, shortfall_units=0.5),
    tie_break="by code",
    production_orders=(
        ProductionOrder(
            production_order_id=1, product_code="BREAD", node_code="MILL", start_bucket=0, units=350.0,
            n_lots=2, lot_units=120.0, n_smaller_lots=1, smaller_lot_units=110.0, surplus_units=3.5,
            surplus_region_code="R1",
        ),
    ),
)  # fmt: skip
LINES = {
    "needs": N_NEEDS, "assignments": N_NEEDS, "shortfalls": 1, "prices": 6, "loads": 2, "production-orders": 1,
}  # fmt: skip


async def _store(connection: Connection) -> UUID:
    plan_id = uuid4()
    record = plans.PlanRecord(
        plan_id=plan_id,
        run_id=plan_id,
        forecast_id=None,
        as_of=datetime(2024, 1, 3, tzinfo=UTC),
        parameters=msgspec.to_builtins(PlanRequest()),
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        wall_seconds=1.5,
        code_version="0.1.0",
    )
    facts = PlanningFacts(horizon=Horizon(as_of_date=MONDAY, horizon_buckets=2), parameters=PlanParameters())
    async with connection.transaction():
        await plans.insert(connection, record, PLAN, facts, DATES)
    return plan_id


async def _store_forecast(connection: Connection) -> UUID:
    forecast_id = uuid4()
    record = forecasts.ForecastRecord(
        forecast_id=forecast_id,
        run_id=forecast_id,
        as_of=datetime(2024, 1, 3, tzinfo=UTC),
        horizon_buckets=8,
        parameters={},
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        snapshot_hash="0" * 64,
        wall_seconds=1.5,
        code_version="0.1.0",
    )
    empty = Forecast(first_bucket_date=MONDAY, bucket="week", n_steps=8, series=(), measures=Accuracy())
    async with connection.transaction():
        await forecasts.insert(connection, record, empty, [], [])
    return forecast_id


@pytest.mark.parametrize(
    ("asked", "status", "pointers"),
    [
        ({"lanes": "within_km"}, 422, ["/lanes_within_km"]),
        ({"as_of": "1850-01-01T00:00:00Z"}, 422, ["/as_of"]),
        ({"earliest_start_date": "9999-12-31"}, 422, ["/earliest_start_date"]),
        ({"forecast_id": "00000000-0000-0000-0000-000000000001"}, 422, ["/forecast_id"]),
        ({"policy_overrides": [{"product_code": "A"}, {"product_code": "B"}, {"product_code": "A"}]}, 422,
         ["/policy_overrides/2"]),
        ({"lanes": "within_km", "lanes_within_km": 300, "policy_overrides": [{}], "objective": "landed_cost"}, 202, None),
    ],
)  # fmt: skip
async def test_what_a_plan_may_not_be_asked_for_is_said_at_once(client, connection, asked, status, pointers):
    answer = await client.post("/v1/plans", json=asked)
    assert answer.status_code == status, answer.text
    if pointers is not None:
        assert [problem["pointer"] for problem in answer.json()["errors"]] == pointers
    assert len(await connection.fetch("SELECT FROM runs")) == (status == 202)


async def test_policies_for_what_is_not_there_are_refused_by_name(client):
    asked = {"policy_overrides": [{"product_code": "GHOST", "region_code": "NOWHERE"}]}
    answer = await client.post("/v1/plans", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "reference-unknown")
    assert [(e["field"], e["detail"]) for e in answer.json()["errors"]] == [
        ("product_code", "there is no product GHOST"),
        ("region_code", "there is no region NOWHERE"),
    ]


async def test_a_plan_may_name_a_forecast_by_the_same_bucket_only(client, connection):
    forecast_id = str(await _store_forecast(connection))
    assert (await client.post("/v1/plans", json={"forecast_id": forecast_id})).status_code == 202
    answer = await client.post("/v1/plans", json={"forecast_id": forecast_id, "bucket": "day"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "forecast_id")


async def test_a_stored_plan_is_shown_with_its_proof_and_figures(client, connection):
    plan_id = await _store(connection)
    plan = (await client.get(f"/v1/plans/{plan_id}")).json()
    assert plan["stages"] == json.loads(msgspec.json.encode(PLAN.stages))
    assert plan["figures"] == msgspec.to_builtins(PLAN.figures)
    assert (plan["plan_hash"], plan["tie_break"], plan["bucket"]) == ("2" * 64, "by code", "week")
    listed = (await client.get("/v1/plans")).json()
    assert listed == {"items": [plan], "next_cursor": None}


async def test_the_figures_come_with_the_busiest_node_first(client, connection):
    figures = (await client.get(f"/v1/plans/{await _store(connection)}/figures")).json()
    assert (figures["needs_units"], figures["shortfall_units"]) == (2406.0, 0.5)
    assert [(node["node_code"], node["use_share"]) for node in figures["nodes"]] == [
        ("YARD", 0.75),
        ("MILL", 0.25),
    ]


async def test_a_plan_that_is_not_there_is_a_404_in_every_form(client):
    for path in ("", "/figures", *(f"/{table}" for table in LINES)):
        for form in ("application/json", "text/csv", "application/x-ndjson", XLSX):
            answer = await client.get(f"/v1/plans/{uuid4()}{path}", headers={"Accept": form})
            assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")


async def _read_pages(client, path: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(path, params=params)).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize("table", LINES)
async def test_pages_lines_and_cells_say_the_same(client, connection, table):
    path = f"/v1/plans/{await _store(connection)}/{table}"
    pages = await _read_pages(client, path, limit=1000 if LINES[table] > 100 else 1)
    assert len(pages) == LINES[table]
    lines = await client.get(path, headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in lines.text.splitlines()] == pages
    cells = await client.get(path, headers={"Accept": "text/csv"})
    assert cells.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(cells.text)))
    assert read == [
        {name: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else "" if value is None else str(value)
         for name, value in item.items()}
        for item in pages
    ]  # fmt: skip
    workbook = await client.get(path, headers={"Accept": XLSX})
    assert workbook.headers["content-type"] == XLSX
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(workbook.content)).get_sheet_by_index(0)
    header, *rows = sheet.to_python()
    assert [dict(zip(header, row, strict=True)) for row in rows] == [
        {name: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else "" if value is None
         else date.fromisoformat(value) if name.endswith("_date") else value
         for name, value in item.items()}
        for item in pages
    ]  # fmt: skip


async def test_an_assignment_says_why_nearer_nodes_were_passed_over(client, connection):
    first = (await client.get(f"/v1/plans/{await _store(connection)}/assignments?limit=1")).json()["items"][0]
    assert first["passed_over"] == [
        {
            "node_code": "NEAR",
            "cause": "at_capacity",
            "distance_km": None,
            "capacity_price": 3.5,
            "forcing_measure": "cost:nearest",
            "forcing_cost_per_unit": 2.0,
            "forcing_cost": 3.0,
        }
    ]
    assert (first["need_bucket_date"], first["start_bucket_date"]) == ("2024-01-08", "2024-01-01")


async def test_lines_are_filtered_in_every_form(client, connection):
    path = f"/v1/plans/{await _store(connection)}/assignments"
    params = {"node_code": "YARD", "region_code": "R3", "product_code": "BREAD", "tier": "order"}
    expected = [i for i in range(1, N_NEEDS + 1) if i % 2 == 0 and i % 7 == 3]
    page = (await client.get(path, params=params | {"limit": 1000})).json()["items"]
    lines = (await client.get(path, params=params, headers={"Accept": "application/x-ndjson"})).text
    assert [item["assignment_id"] for item in page] == expected
    assert [json.loads(line)["assignment_id"] for line in lines.splitlines()] == expected
    assert (await client.get(path, params={"tier": "wish"})).status_code == 422


async def test_a_cursor_beyond_what_a_column_holds_is_refused(client, connection):
    path = f"/v1/plans/{await _store(connection)}/needs"
    beyond = "Wzk5OTk5OTk5OTk5OTk5XQ"  # [99999999999999]
    assert (await client.get(path, params={"cursor": beyond})).status_code == 422


@pytest.mark.parametrize("seconds", [0, -1, 86_401, "ten"])
async def test_a_time_for_solving_that_is_none_is_refused_by_its_name(client, seconds):
    answer = await client.post("/v1/plans", json={"solve_seconds_max": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/solve_seconds_max"
