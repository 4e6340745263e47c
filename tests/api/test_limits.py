"""Shares, pins, yields, dates and shelf lives: stored, read back, planned with, verified and explained over the API."""

from typing import Any

import httpx
import pytest
from tests.computing import compute_next

from pullplan.engine.errors import PinInfeasibleError

pytestmark = pytest.mark.anyio

type Json = dict[str, Any]

CSV = {"Content-Type": "text/csv"}
ASKED: Json = {"as_of": "2026-04-13T09:00:00Z", "bucket": "week", "horizon_buckets": 4}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """NEAR (10 km, half of what it starts is good) and FAR (50 km) make BREAD for TOWN, each 70 hours a week."""
    bread = {
        "product_code": "BREAD",
        "largest_share": 0.6,
        "shelf_life_days": 7,
        "effective_until": "2027-01-01",
    }
    nodes = ("FAR", "NEAR")
    for path, rows in {
        "products": [bread],
        "regions": [{"region_code": "TOWN"}],
        "nodes": [{"node_code": code} for code in nodes],
        "capacity": [{"node_code": code, "resource_code": "hours", "capacity_per_day": 10} for code in nodes],
        "capabilities": [
            {"node_code": code, "product_code": "BREAD", "use_per_unit": {"hours": 1}, "yield_share": share}
            for code, share in (("FAR", 1), ("NEAR", 0.5))
        ],
        "lanes": [
            {"node_code": code, "region_code": "TOWN", "distance_km": km, "transit_days": 0}
            for code, km in (("FAR", 50), ("NEAR", 10))
        ],
        "policies": [{"product_code": "*", "region_code": "*", "policy": "make_to_order"}],
    }.items():
        answer = await client.put(f"/v1/{path}", json=rows)
        assert answer.status_code == 200, answer.text
    order = {
        "source": "erp",
        "external_id": "SO-1",
        "kind": "order",
        "product_code": "BREAD",
        "region_code": "TOWN",
        "units": 50,
        "occurred_at": "2026-04-13T08:00:00Z",
        "due_date": "2026-04-17",
    }
    assert (await client.post("/v1/demand-signals", json=order)).status_code == 201
    return client


async def run(client: httpx.AsyncClient, database_url: str, path: str, asked: Json) -> Json:
    """Start a run over the API, do its work here as a worker would, and read its result over the API."""
    started = await client.post(path, json=asked)
    assert started.status_code == 202, started.text
    await compute_next(database_url)
    ended = (await client.get(started.headers["Location"])).json()
    assert ended["state"] == "succeeded", ended
    result: Json = (await client.get(ended["result"])).json()
    return result


async def lines(client: httpx.AsyncClient, plan: Json, table: str) -> list[Json]:
    items: list[Json] = (await client.get(f"/v1/plans/{plan['plan_id']}/{table}")).json()["items"]
    return items


async def test_a_plan_inside_its_limits_is_stored_priced_verified_and_explained(
    network: httpx.AsyncClient, database_url: str
) -> None:
    plan = await run(network, database_url, "/v1/plans", ASKED)
    # 60 % of 50 ÷ 0.5 units may be started at one node: 60 at NEAR are 30 good ones.
    made = await lines(network, plan, "assignments")
    assert [(a["node_code"], a["units"], a["started_units"]) for a in made] == [
        ("FAR", 20.0, 20.0),
        ("NEAR", 30.0, 60.0),
    ]
    cost_stage = next(stage["stage"] for stage in plan["stages"] if stage["measure"] == "cost:nearest")
    prices = [price for price in await lines(network, plan, "prices") if price["stage"] == cost_stage]
    # One more started unit is half a good one from 10 km instead of 50.
    assert prices == [
        {
            "stage": cost_stage,
            "node_code": "NEAR",
            "resource_code": None,
            "product_code": "BREAD",
            "bucket_date": "2026-04-13",
            "price": 20.0,
        }
    ]
    path = f"/v1/plans/{plan['plan_id']}/assignments/{made[0]['assignment_id']}"
    (passed,) = (await network.get(f"{path}/reason")).json()["passed_over"]
    assert (passed["cause"], passed["capacity_price"]) == ("share_limit", 40.0)
    assert "may start no more of it (one more unit there would save 40 km" in passed["sentence"]
    verification = await run(network, database_url, f"/v1/plans/{plan['plan_id']}/verify", {})
    assert (verification["valid"], verification["findings"]) == (True, [])
    # Forced to NEAR as well, the line finds no share left there: it stays short.
    confirmation = await run(network, database_url, f"{path}/confirm", {"node_code": "NEAR"})
    assert (confirmation["missed_units"], confirmation["confirmed_measure"]) == (20.0, None)


async def test_pins_hold_and_are_read_back(network: httpx.AsyncClient, database_url: str) -> None:
    pin = {
        "product_code": "BREAD",
        "region_code": "TOWN",
        "due_date": "2026-04-17",
        "node_code": "FAR",
        "units": 35,
        "start_date": "2026-04-14",
    }
    plan = await run(network, database_url, "/v1/plans", ASKED | {"pins": [pin]})
    assert plan["parameters"]["pins"] == [pin | {"units": 35.0}]
    needs = await lines(network, plan, "needs")
    assert [(n["tier"], n["units"], n["pinned_node_code"], n["pinned_start_bucket_date"]) for n in needs] == [
        ("pinned", 35.0, "FAR", "2026-04-13"),
        ("order", 15.0, None, None),
    ]
    made = await lines(network, plan, "assignments")
    assert [(a["tier"], a["node_code"], a["units"]) for a in made] == [
        ("pinned", "FAR", 35.0),
        ("order", "NEAR", 15.0),
    ]
    verification = await run(network, database_url, f"/v1/plans/{plan['plan_id']}/verify", {})
    assert (verification["valid"], verification["findings"]) == (True, [])


async def test_a_pin_that_has_no_room_fails_the_run_and_is_named(
    network: httpx.AsyncClient, database_url: str
) -> None:
    pin = {
        "product_code": "BREAD",
        "region_code": "TOWN",
        "due_date": "2026-04-17",
        "node_code": "NEAR",
        "units": 40,
    }
    with pytest.raises(
        PinInfeasibleError, match=r"pin 0 \(40 BREAD .* at NEAR\): 10 units can't be made there"
    ):
        await run(network, database_url, "/v1/plans", ASKED | {"pins": [pin]})


async def test_pins_that_cannot_be_meant_are_refused_before_the_run(network: httpx.AsyncClient) -> None:
    right = {
        "product_code": "BREAD",
        "region_code": "TOWN",
        "due_date": "2026-04-17",
        "node_code": "FAR",
        "units": 5,
    }
    await network.put("/v1/nodes", json=[{"node_code": "IDLE"}])
    for wrong, pointer, said in (
        ([right, right], "/pins/1", "given twice"),
        ([right | {"due_date": "2026-05-11"}], "/pins/0/due_date", "beyond the horizon"),
        ([right | {"due_date": "9999-05-11"}], "/pins/0/due_date", "give a year"),
        ([right | {"start_date": "2026-04-12"}], "/pins/0/start_date", "before the horizon"),
        ([right, right | {"product_code": "CAKE"}], "/pins/1/product_code", "there is no product CAKE"),
        ([right | {"region_code": "CITY"}], "/pins/0/region_code", "there is no region CITY"),
        ([right | {"node_code": "GONE"}], "/pins/0/node_code", "there is no node GONE"),
        ([right | {"node_code": "IDLE"}], "/pins/0/node_code", "IDLE can't make BREAD"),
        ([right | {"units": 0}], "/pins/0/units", ""),
        ([right | {"node": "FAR"}], "/pins/0/node", "unknown field"),
    ):
        answer = await network.post("/v1/plans", json=ASKED | {"pins": wrong})
        assert answer.status_code == 422, (wrong, answer.text)
        (problem,) = answer.json()["errors"]
        assert problem["pointer"] == pointer, problem
        assert said in problem["detail"], problem


@pytest.mark.parametrize("share", [0, 1.5, -0.1])
async def test_a_share_that_is_none_is_refused(network: httpx.AsyncClient, share: float) -> None:
    plan = await network.post("/v1/plans", json=ASKED | {"largest_share": share})
    product = await network.put("/v1/products", json=[{"product_code": "BREAD", "largest_share": share}])
    capability = await network.put(
        "/v1/capabilities", json=[{"node_code": "FAR", "product_code": "BREAD", "yield_share": share}]
    )
    assert [answer.status_code for answer in (plan, product, capability)] == [422] * 3


async def test_dates_and_shares_come_back_from_csv_and_json_as_they_were_given(
    network: httpx.AsyncClient,
) -> None:
    dates = {"effective_from": "2026-01-05", "effective_until": None}
    for path, header, row, told in (
        (
            "/v1/products",
            "product_code,largest_share,shelf_life_days,effective_from,effective_until",
            "BREAD,0.25,3,2026-01-05,",
            {"product_code": "BREAD", "largest_share": 0.25, "shelf_life_days": 3, **dates},
        ),
        (
            "/v1/capabilities?node_code=FAR",
            "node_code,product_code,yield_share,effective_from",
            "FAR,BREAD,0.9,2026-01-05",
            {"node_code": "FAR", "yield_share": 0.9, **dates},
        ),
        (
            "/v1/lanes?node_code=FAR",
            "node_code,region_code,effective_from",
            "FAR,TOWN,2026-01-05",
            {"node_code": "FAR", "region_code": "TOWN", **dates},
        ),
    ):
        table = path.partition("?")[0]
        body = f"{header}\n{row}\n".encode()
        assert (await network.put(table, content=body, headers=CSV)).json()["stored"] == 1
        assert (await network.put(table, content=body, headers=CSV)).json()["known"] == 1
        (item,) = (await network.get(path)).json()["items"]
        assert item.items() >= told.items()
        backwards = body.replace(b"effective_from", b"effective_until,effective_from", 1).replace(
            b"2026-01-05", b"2026-01-05,2026-01-05", 1
        )
        if table != "/v1/products":
            (problem,) = (await network.put(table, content=backwards, headers=CSV)).json()["errors"]
            assert (problem["line"], problem["field"]) == (2, "effective_until")
