"""Does a DDMRP buffer order what its signals say, through plan, storage and API?"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from tests.computing import computed
from tests.seeding import AS_OF, Rows, insert, network, signal

from pullplan.engine.model import PlanRequest
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

BUFFER = {"product_code": "*", "region_code": "*", "policy": "ddmrp_buffer", "usage_past_days": 20}


def used() -> Rows:
    """Five a day in the last twenty days, and a hundred before them that no longer count."""
    days = [
        signal(f"u{d}", "consumption", 5.0, occurred_at=AS_OF - timedelta(days=d), source="till")
        for d in range(1, 21)
    ]
    return [*days, signal("old", "consumption", 100.0, occurred_at=AS_OF - timedelta(days=25), source="till")]


def counted(units: float) -> tuple[str, dict[str, Any]]:
    return "stock_counts", {
        "source": "shop",
        "external_id": "c1",
        "product_code": "BREAD",
        "region_code": "NORTH",
        "counted_at": AS_OF - timedelta(minutes=1),
        "on_hand_units": units,
    }


async def plan(connection: Connection, url: str) -> UUID:
    request = PlanRequest(as_of=AS_OF, horizon_buckets=4, bucket="week", verify=True)
    return await computed(connection, url, "plan", request)


async def test_a_buffers_order_is_the_plans_need_and_can_be_recomputed_by_hand(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    plan_id = await plan(connection, database_url)
    shown = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert shown["plan_id"] == str(plan_id)
    # What a planner does with a pencil:
    usage = shown["past_usage_units"] / 20
    assert usage == shown["usage_units_per_day"] == 5.0
    lead_days = shown["lead_days"]
    by_lead_time = usage * lead_days * 0.5
    assert shown["yellow_units"] == usage * lead_days
    assert shown["red_units"] == by_lead_time + by_lead_time * 0.5
    assert shown["green_units"] == max(by_lead_time, usage * 7)
    net_flow = shown["on_hand_units"] + shown["open_supply_units"] - shown["qualified_demand_units"]
    assert (shown["on_hand_units"], shown["net_flow_units"]) == (10.0, net_flow)
    top = shown["red_units"] + shown["yellow_units"] + shown["green_units"]
    ordered = top - net_flow if net_flow < shown["red_units"] + shown["yellow_units"] else 0.0
    assert shown["order_units"] == ordered
    needs = (await client.get(f"/v1/plans/{plan_id}/needs?product_code=BREAD&region_code=NORTH")).json()[
        "items"
    ]
    assert sum(need["units"] for need in needs) == pytest.approx(sum(shown["projected_order_units"]))
    assert {need["tier"] for need in needs} == {"buffer"}
    listed = (await client.get(f"/v1/plans/{plan_id}/buffers?color={shown['color']}")).json()["items"]
    assert [(b["product_code"], b["region_code"]) for b in listed] == [("BREAD", "NORTH")]
    for alert in ("none", "yellow", "red"):
        alerted = (await client.get(f"/v1/plans/{plan_id}/buffers?on_hand_alert={alert}")).json()["items"]
        assert len(alerted) == (alert == shown["on_hand_alert"])
    lines = await client.get(f"/v1/plans/{plan_id}/buffers", headers={"Accept": "text/csv"})
    assert lines.text.count("\n") == 2


async def test_the_history_of_a_buffer_shows_how_its_zones_changed(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    first = await plan(connection, database_url)
    await insert(connection, [signal("more", "consumption", 100.0, source="till")])
    second = await plan(connection, database_url)
    history = "/v1/buffers/BREAD/NORTH/history"
    newest = (await client.get(history, params={"limit": 1})).json()
    older = (await client.get(history, params={"limit": 1, "cursor": newest["next_cursor"]})).json()
    shown = [*newest["items"], *older["items"]]
    assert [one["plan_id"] for one in shown] == [str(second), str(first)]
    assert [one["usage_units_per_day"] for one in shown] == [10.0, 5.0]
    assert (await client.get("/v1/buffers/BREAD/SOUTH")).status_code == 404


async def test_a_policy_of_an_unknown_kind_reaches_no_table(connection: Connection):
    with pytest.raises(asyncpg.CheckViolationError):
        await insert(connection, [("policies", BUFFER | {"usage_basis": "guessed"})])
