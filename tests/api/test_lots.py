"""Do lots go in by JSON and CSV, and do production orders come out of a plan, stored and verified?"""

from uuid import UUID

import httpx
import pytest
from tests.computing import compute_next

from pullplan.storage import database

pytestmark = pytest.mark.anyio


async def _load(client: httpx.AsyncClient) -> None:
    products = "product_code,minimum_lot_units,lot_multiple_units\nRYE,,100\n"
    capabilities = (
        "node_code,product_code,use_per_unit,lot_multiple_units,setup_use_per_order\n"
        "A,RYE,hours=1,60,hours=5\n"
        "B,RYE,hours=1,,\n"
    )
    for path, body in (("products", products), ("capabilities", capabilities)):
        if path == "capabilities":
            await client.put("/v1/regions", json=[{"region_code": "ULM"}])
            await client.put("/v1/nodes", json=[{"node_code": "A"}, {"node_code": "B"}])
            await client.put(
                "/v1/capacity",
                json=[
                    {"node_code": node, "resource_code": "hours", "capacity_per_day": 100} for node in "AB"
                ],
            )
            await client.put(
                "/v1/lanes",
                json=[
                    {"node_code": node, "region_code": "ULM", "distance_km": km, "transit_days": 0}
                    for node, km in (("A", 5), ("B", 80))
                ],
            )
        answer = await client.put(f"/v1/{path}", content=body, headers={"Content-Type": "text/csv"})
        assert answer.status_code == 200, answer.text
    await client.put("/v1/policies", json=[{"policy": "make_to_order"}])
    orders = [
        {"source": "erp", "external_id": f"{day}", "kind": "order", "product_code": "RYE", "region_code": "ULM",
         "units": 25, "occurred_at": "2026-04-13T00:00:00Z", "due_date": f"2026-04-{day}"}
        for day in (13, 14, 15, 16)
    ]  # fmt: skip
    answer = await client.post("/v1/demand-signals/batch", json=orders)
    assert answer.status_code == 200, answer.text


async def _run(client: httpx.AsyncClient, url: str, path: str, **asked: object) -> dict[str, object]:
    started = await client.post(path, json=asked or None)
    assert started.status_code == 202, started.text
    await compute_next(url)
    run = (await client.get(started.headers["Location"])).json()
    assert run["state"] == "succeeded", run
    found: dict[str, object] = (await client.get(run["result"])).json()
    return found


async def test_orders_of_whole_lots_are_planned_stored_listed_and_verified(
    client: httpx.AsyncClient, database_url: str
):
    await _load(client)
    shown = {c["node_code"]: c for c in (await client.get("/v1/capabilities")).json()["items"]}
    assert (shown["A"]["lot_multiple_units"], shown["A"]["setup_use_per_order"]) == (60.0, {"hours": 5.0})
    assert shown["B"]["lot_multiple_units"] is None
    plan = await _run(
        client, database_url, "/v1/plans", as_of="2026-04-13T00:00:00Z", bucket="day", horizon_buckets=4,
        late_buckets=0, make_minimum=False,
    )  # fmt: skip
    # 100 wanted over four days: A makes 60 on the first and 60 later, two of its multiples, 20 of them surplus.
    path = f"/v1/plans/{plan['plan_id']}/production-orders"
    orders = (await client.get(path)).json()["items"]
    assert [(o["node_code"], o["units"], o["n_lots"]) for o in orders] == [("A", 60.0, 1), ("A", 60.0, 1)]
    assert sum(o["surplus_units"] for o in orders) == pytest.approx(20)
    assert {o["surplus_region_code"] for o in orders} <= {"ULM", None}
    figures = (await client.get(f"/v1/plans/{plan['plan_id']}/figures")).json()
    assert (figures["lots"]["n_lots"], figures["lots"]["surplus_units"]) == (2, pytest.approx(20))
    cost = next(stage for stage in plan["stages"] if stage["measure"] == "cost:nearest")  # type: ignore[attr-defined]
    assert (cost["relaxation_value"], cost["value"]) == (pytest.approx(500), pytest.approx(600))
    loads = (await client.get(f"/v1/plans/{plan['plan_id']}/loads")).json()["items"]
    assert sum(load["used"] for load in loads) == pytest.approx(2 * 60 + 2 * 5)
    first = await client.get(path, params={"limit": 1})
    second = await client.get(path, params={"cursor": first.json()["next_cursor"]})
    assert first.json()["items"] + second.json()["items"] == orders
    assert (await client.get(path, params={"node_code": "B"})).json()["items"] == []
    table = await client.get(path, headers={"Accept": "text/csv"})
    assert table.text.splitlines()[1].startswith("1,RYE,A,2026-04-13,60")
    verification = await _run(client, database_url, f"/v1/plans/{plan['plan_id']}/verify")
    assert (verification["valid"], verification["findings"]) == (True, [])


async def test_a_replan_holds_lots_within_its_budget_and_is_stored_compared_and_verified(
    client: httpx.AsyncClient, database_url: str
):
    await _load(client)
    first = await _run(
        client, database_url, "/v1/plans", as_of="2026-04-13T00:00:00Z", bucket="day", horizon_buckets=4,
        late_buckets=0,
    )  # fmt: skip
    more = {
        "source": "erp", "external_id": "more", "kind": "order", "product_code": "RYE", "region_code": "ULM",
        "units": 30, "occurred_at": "2026-04-13T00:00:00Z", "due_date": "2026-04-16",
    }  # fmt: skip
    answer = await client.post("/v1/demand-signals/batch", json=[more])
    assert answer.status_code == 200, answer.text
    plan = await _run(
        client, database_url, "/v1/plans", as_of="2026-04-13T00:00:00Z", parent_plan_id=first["plan_id"],
        churn_budget_units=0,
    )  # fmt: skip
    stability: dict[str, object] = plan["stability"]  # type: ignore[assignment]
    assert (stability["held_units"], stability["moved_units"], stability["relaxation_moved_units"]) == (
        100,
        0,
        0,
    )
    was, now = [
        (await client.get(f"/v1/plans/{p['plan_id']}/production-orders")).json()["items"]
        for p in (first, plan)
    ]
    # 130 wanted: the surplus of 20 serves most of the new order, one more multiple of 60 the rest, or B.
    assert [o["production_order_id"] for o in now][: len(was)] == [o["production_order_id"] for o in was]
    assert sum(o["units"] - o["surplus_units"] for o in now) == pytest.approx(130)
    assert all(o["units"] % 60 == 0 for o in now if o["node_code"] == "A")
    path = f"/v1/plans/{first['plan_id']}/diff/{plan['plan_id']}"
    items = (await client.get(path)).json()["items"]
    assert {item["change"] for item in items} == {"added"}
    verification = await _run(client, database_url, f"/v1/plans/{plan['plan_id']}/verify")
    assert (verification["valid"], verification["findings"]) == (True, [])


async def test_a_changed_order_is_found_by_verification(client: httpx.AsyncClient, database_url: str):
    await _load(client)
    plan = await _run(
        client, database_url, "/v1/plans", as_of="2026-04-13T00:00:00Z", bucket="day", horizon_buckets=4,
        late_buckets=0,
    )  # fmt: skip
    connection = await database.connect(database_url)
    try:
        await connection.execute(
            "UPDATE plan_production_orders SET units = 50, lot_units = 50 WHERE plan_id = $1",
            UUID(str(plan["plan_id"])),
        )
    finally:
        await connection.close()
    verification = await _run(client, database_url, f"/v1/plans/{plan['plan_id']}/verify")
    assert verification["valid"] is False
    codes = {finding["code"] for finding in verification["findings"]}  # type: ignore[attr-defined]
    assert {"lot_wrong", "order_wrong", "plan_hash_wrong"} <= codes


async def test_lots_that_contradict_themselves_are_refused_by_field(client: httpx.AsyncClient):
    row = {"product_code": "RYE", "minimum_lot_units": 95, "lot_multiple_units": 10, "maximum_lot_units": 99}
    answer = await client.put("/v1/products", json=[row])
    (problem,) = answer.json()["errors"]
    assert (answer.status_code, problem["pointer"]) == (422, "/0/maximum_lot_units")
    assert "at least 100 units" in problem["detail"]


async def test_a_setup_of_a_resource_that_the_node_does_not_have_is_refused(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": "RYE"}])
    await client.put("/v1/nodes", json=[{"node_code": "A"}])
    row = {"node_code": "A", "product_code": "RYE", "setup_use_per_order": {"kiln": 1}}
    answer = await client.put("/v1/capabilities", json=[row])
    (problem,) = answer.json()["errors"]
    assert (answer.status_code, problem["pointer"]) == (422, "/0/setup_use_per_order")
    assert "no resource 'kiln'" in problem["detail"]
