"""A shortfall's remedy over the API: asked for, found by a run, read in amounts and in words, and true when done."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.api import test_limits
from tests.api.test_limits import lines, run

pytestmark = pytest.mark.anyio

type Json = dict[str, Any]

ASKED: Json = test_limits.ASKED | {"late_buckets": 0}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """NEAR (10 km, 70 hours a week) and FAR (50 km, 35, down) make BREAD for TOWN, which orders 100."""
    for path, rows in {
        "products": [{"product_code": "BREAD"}],
        "regions": [{"region_code": "TOWN"}],
        "nodes": [{"node_code": "FAR", "status": "offline"}, {"node_code": "NEAR"}],
        "capacity": [
            {"node_code": code, "resource_code": "hours", "capacity_per_day": per_day}
            for code, per_day in (("FAR", 5), ("NEAR", 10))
        ],
        "capabilities": [
            {"node_code": code, "product_code": "BREAD", "use_per_unit": {"hours": 2}}
            for code in ("FAR", "NEAR")
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
        "units": 100,
        "occurred_at": "2026-04-13T08:00:00Z",
        "due_date": "2026-04-17",
    }
    assert (await client.post("/v1/demand-signals", json=order)).status_code == 201
    return client


async def test_a_remedy_says_how_much_more_of_what_would_serve_a_shortfall(
    network: httpx.AsyncClient, database_url: str
) -> None:
    plan = await run(network, database_url, "/v1/plans", ASKED)
    (short,) = await lines(network, plan, "shortfalls")
    assert (short["reason"], short["units"]) == ("at_capacity", 65.0)
    path = f"/v1/plans/{plan['plan_id']}/shortfalls/{short['shortfall_id']}/remedy"
    found = await run(network, database_url, path, {})
    assert {name: found[name] for name in ("product_code", "region_code", "units")} == {
        "product_code": "BREAD",
        "region_code": "TOWN",
        "units": 65.0,
    }
    near, far = found["remedies"]
    (hours,) = near["extra_capacity"]
    assert (near["node_code"], near["brings_online"], hours) == (
        "NEAR",
        False,
        {
            "resource_code": "hours",
            "product_code": None,
            "bucket_date": "2026-04-13",
            "amount": pytest.approx(130.0),
        },
    )
    assert near["sentence"] == (
        "NEAR, with 130 more hours in the week of 2026-04-13, would serve all 65 BREAD that TOWN is short of; "
        "the plan would cost 650 unit-km more"
    )
    # Of 130 hours FAR has 35 in the week, once it is back.
    assert (far["node_code"], far["brings_online"]) == ("FAR", True)
    assert [extra["amount"] for extra in far["extra_capacity"]] == [pytest.approx(95.0)]
    assert far["sentence"].startswith(
        "FAR, back online and with 95 more hours in the week of 2026-04-13, would serve"
    )

    more = {
        "node_code": "NEAR",
        "resource_code": "hours",
        "from_date": "2026-04-13",
        "until_date": "2026-04-20",
        "capacity_per_day": (70 + hours["amount"]) / 7,
    }
    answer = await network.put("/v1/capacity-exceptions", json=[more])
    assert answer.status_code == 200, answer.text
    again = await run(network, database_url, "/v1/plans", ASKED)
    assert await lines(network, again, "shortfalls") == []


async def test_what_is_not_short_has_no_remedy(network: httpx.AsyncClient, database_url: str) -> None:
    plan = await run(network, database_url, "/v1/plans", ASKED)
    for path in (
        f"/v1/plans/{plan['plan_id']}/shortfalls/2/remedy",
        f"/v1/plans/{UUID(int=1)}/shortfalls/1/remedy",
    ):
        answer = await network.post(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")
    answer = await network.get(f"/v1/plans/{plan['plan_id']}/remedies/{UUID(int=1)}")
    assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no remedy {UUID(int=1)}")


async def test_asking_for_a_remedy_needs_the_scope_to_run_plans(
    network: httpx.AsyncClient, database_url: str, key_with: Any
) -> None:
    plan = await run(network, database_url, "/v1/plans", ASKED)
    answer = await network.post(
        f"/v1/plans/{plan['plan_id']}/shortfalls/1/remedy",
        headers={"Authorization": f"Bearer {await key_with('read')}"},
    )
    assert answer.status_code == 403
