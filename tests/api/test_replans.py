"""Re-plans asked for over HTTP, and two plans compared."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.computing import compute_next
from tests.seeding import AS_OF, insert, network, signal

from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MAKE_TO_ORDER = ("policies", {"product_code": "*", "region_code": "*", "policy": "make_to_order"})
ASKED = {"as_of": AS_OF.isoformat(), "bucket": "day", "horizon_buckets": 14, "objective": "landed_cost"}


def order(number: int, units: float, region_code: str, days: int) -> Any:
    due = (AS_OF + timedelta(days=days)).date()
    return signal(f"SO-{number}", "order", units, due_date=due, region_code=region_code)


class Planner:
    """Asks for plans, and computes them as a worker would."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self._url = url

    async def plan(self, **asked: Any) -> str:
        answer = await self.client.post("/v1/plans", json=asked)
        assert answer.status_code == 202, answer.text
        return await self.work()

    async def work(self) -> str:
        return str(await compute_next(self._url))

    async def read(self, path: str) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def diff(self, one: str, other: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.read(f"/v1/plans/{one}/diff/{other}"))["items"]
        return found


@pytest.fixture
async def planner(client: httpx.AsyncClient, connection: Connection, database_url: str) -> Planner:
    orders = [order(1, 30, "NORTH", 5), order(2, 40, "SOUTH", 5), order(3, 20, "WEST", 6)]
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders])
    return Planner(client, database_url)


async def test_a_replan_is_asked_for_as_its_parent_was(planner: Planner):
    parent_id = await planner.plan(**ASKED)
    child_id = await planner.plan(as_of=AS_OF.isoformat(), parent_plan_id=parent_id, churn_budget_units=10)
    child = await planner.read(f"/v1/plans/{child_id}")
    assert child["parent_plan_id"] == parent_id
    assert (child["objective"], child["bucket"], child["horizon_buckets"]) == ("landed_cost", "day", 14)
    assert (child["stability"]["churn_budget_units"], child["stability"]["moved_units"]) == (10.0, 0.0)
    parent = await planner.read(f"/v1/plans/{parent_id}")
    assert (parent["parent_plan_id"], parent["stability"]) == (None, None)
    assert child["figures"] == parent["figures"]


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"parent_plan_id": "00000000-0000-0000-0000-000000000001"}, "/parent_plan_id"),
        ({"churn_budget_units": 5}, "/churn_budget_units"),
        ({"least_saving_per_unit": 5}, "/least_saving_per_unit"),
        ({"churn_budget_units": -1}, "/churn_budget_units"),
    ],
)
async def test_what_a_replan_may_not_be_asked_for_is_said_at_once(client, asked, pointer):
    answer = await client.post("/v1/plans", json=asked)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_replan_is_not_stopped_early(planner: Planner):
    parent_id = await planner.plan(**ASKED)
    answer = await planner.client.post(
        "/v1/plans", json={"parent_plan_id": parent_id, "solve_seconds_max": 1}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/solve_seconds_max")


async def test_a_replan_by_other_buckets_is_refused(planner: Planner):
    parent_id = await planner.plan(**ASKED)
    answer = await planner.client.post("/v1/plans", json={"parent_plan_id": parent_id, "bucket": "week"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/bucket")


async def test_a_replan_reads_like_any_other_plan(planner: Planner, connection: Connection):
    parent_id = await planner.plan(**ASKED)
    await insert(connection, [order(4, 12, "NORTH", 7)])
    child_id = await planner.plan(as_of=AS_OF.isoformat(), parent_plan_id=parent_id)
    lines = (await planner.read(f"/v1/plans/{child_id}/assignments"))["items"]
    assert [line["units"] for line in lines] == [30, 40, 20, 12]
    needs = (await planner.read(f"/v1/plans/{child_id}/needs?region_code=NORTH"))["items"]
    assert [(n["units"], n["assigned_units"]) for n in needs] == [(30, 30), (12, 12)]
    whole = await planner.client.get(f"/v1/plans/{child_id}/assignments", headers={"Accept": "text/csv"})
    assert [row["units"] for row in csv.DictReader(io.StringIO(whole.text))] == [
        "30.0",
        "40.0",
        "20.0",
        "12.0",
    ]
    told = [
        (await planner.read(f"/v1/plans/{child_id}/assignments/{n}/reason"))["told_in_plan_id"]
        for n in (1, 4)
    ]
    assert told == [parent_id, child_id]
    await planner.client.post(f"/v1/plans/{child_id}/verify")
    verification_id = await planner.work()
    assert (await planner.read(f"/v1/plans/{child_id}/verifications/{verification_id}"))["valid"]


async def test_a_line_of_a_replan_within_a_budget_is_not_confirmed(planner: Planner):
    parent_id = await planner.plan(**ASKED)
    child_id = await planner.plan(as_of=AS_OF.isoformat(), parent_plan_id=parent_id, churn_budget_units=5)
    answer = await planner.client.post(
        f"/v1/plans/{child_id}/assignments/1/confirm", json={"node_code": "YARD"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "replan-not-confirmed")


async def test_a_new_order_is_told_as_such(planner: Planner, connection: Connection):
    parent_id = await planner.plan(**ASKED)
    await insert(connection, [order(4, 12, "NORTH", 7)])
    child_id = await planner.plan(as_of=AS_OF.isoformat(), parent_plan_id=parent_id)
    [added] = await planner.diff(parent_id, child_id)
    assert (added["change"], added["units"], added["to_node_code"]) == ("added", 12, "MILL")
    assert (added["cause"], added["detail"]) == ("new_demand", "order SO-4 of 12 units is new")
    [removed] = await planner.diff(child_id, parent_id)
    assert (removed["change"], removed["cause"], removed["from_node_code"]) == (
        "removed",
        "demand_gone",
        "MILL",
    )
    assert removed["cost_saved"] == -added["cost_saved"] > 0


async def test_a_node_that_goes_offline_moves_its_lines(planner: Planner, connection: Connection):
    parent_id = await planner.plan(**ASKED)
    await connection.execute("UPDATE nodes SET status = 'offline' WHERE node_code = 'MILL'")
    child_id = await planner.plan(as_of=AS_OF.isoformat(), parent_plan_id=parent_id, churn_budget_units=0)
    found = await planner.diff(parent_id, child_id)
    assert {(d["from_node_code"], d["to_node_code"], d["cause"]) for d in found} == {
        ("MILL", "YARD", "node_offline")
    }
    parent_lines = (await planner.read(f"/v1/plans/{parent_id}/assignments?node_code=MILL"))["items"]
    assert sum(d["units"] for d in found) == sum(line["units"] for line in parent_lines)
    assert all(d["cost_saved"] < 0 for d in found)


async def test_pages_put_together_are_the_whole_difference(planner: Planner, connection: Connection):
    parent_id = await planner.plan(**ASKED)
    await insert(connection, [order(n, 5 + n, "WEST", n) for n in range(4, 11)])
    await connection.execute("UPDATE nodes SET status = 'offline' WHERE node_code = 'YARD'")
    other_id = await planner.plan(**ASKED)
    path = f"/v1/plans/{parent_id}/diff/{other_id}"
    whole = await planner.diff(parent_id, other_id)
    paged, cursor = [], ""
    while True:
        page = await planner.read(f"{path}?limit=2{cursor}")
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == whole
    assert len(whole) > 7
    lines = (await planner.client.get(path, headers={"Accept": "application/x-ndjson"})).text.splitlines()
    assert [json.loads(line) for line in lines] == whole
    table = (await planner.client.get(path, headers={"Accept": "text/csv"})).text
    assert len(list(csv.DictReader(io.StringIO(table)))) == len(whole)
    west = await planner.read(f"{path}?region_code=WEST")
    assert west["items"] == [d for d in whole if d["region_code"] == "WEST"]


async def test_a_plan_does_not_differ_from_itself(planner: Planner):
    plan_id = await planner.plan(**ASKED)
    assert await planner.diff(plan_id, plan_id) == []


async def test_plans_without_a_bucket_in_common_are_not_compared(planner: Planner):
    plan_id = await planner.plan(**ASKED)
    weekly = await planner.plan(as_of=AS_OF.isoformat(), bucket="week")
    later = await planner.plan(**{**ASKED, "as_of": (AS_OF + timedelta(days=14)).isoformat()})
    for other in (weekly, later):
        answer = await planner.client.get(f"/v1/plans/{plan_id}/diff/{other}")
        assert (answer.status_code, answer.json()["code"]) == (409, "plans-not-comparable")
    for form in ("application/json", "text/csv"):
        answer = await planner.client.get(f"/v1/plans/{plan_id}/diff/{uuid4()}", headers={"Accept": form})
        assert answer.status_code == 404
