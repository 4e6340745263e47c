"""Does a DDMRP buffer order what its signals say, through plan, storage and API?"""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from tests.computing import computed
from tests.seeding import AS_OF, Rows, insert, network, signal

from pullplan.engine.model import BufferChange, BufferSizing, PlanRequest, PullPolicy
from pullplan.storage.database import Connection
from pullplan.workflows.propose_buffers import propose_buffers

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
    largest = {"maximum_order_units": 30.0}
    wanted = signal("today", "order", 50.0, due_date=AS_OF.date())
    await insert(connection, [*network(), ("policies", BUFFER | largest), *used(), counted(10.0), wanted])
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
    assert (shown["on_hand_units"], shown["net_flow_units"], net_flow) == (10.0, net_flow, -40.0)
    top = shown["red_units"] + shown["yellow_units"] + shown["green_units"]
    ordered = top - net_flow if net_flow < shown["red_units"] + shown["yellow_units"] else 0.0
    assert shown["order_units"] == ordered
    assert (shown["n_orders"], shown["largest_order_units"], ordered) == (3, 30.0, 75.0)
    needs = (await client.get(f"/v1/plans/{plan_id}/needs?product_code=BREAD&region_code=NORTH")).json()[
        "items"
    ]
    assert sum(need["units"] for need in needs) == pytest.approx(sum(shown["projected_order_units"]))
    assert {need["tier"] for need in needs} == {"buffer", "order"}
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
    assert [one["usage_units_per_day"] for one in shown] == [5.0, 5.0]
    assert [(one["proposed"] or one)["usage_units_per_day"] for one in shown] == [10.0, 5.0]
    assert (await client.get("/v1/buffers/BREAD/SOUTH")).status_code == 404


def consumed(external_id: str, units: float) -> tuple[str, dict[str, Any]]:
    return signal(external_id, "consumption", units, source="till")


async def proposals(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/buffer-proposals", params={"product_code": "BREAD"} | filters)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_other_zones_wait_for_a_planner_and_are_in_force_once_accepted(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    first = await plan(connection, database_url)
    [accepted] = await proposals(client)
    assert (accepted["status"], accepted["reasons"], accepted["before"]) == ("accepted", ["first"], None)
    assert (accepted["plan_id"], accepted["decided_by_key_id"]) == (str(first), None)
    before = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert before["proposed"] is None

    await insert(connection, [consumed("twice", 100.0)])
    second = await plan(connection, database_url)
    waiting = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    for name in ("top_of_red_units", "top_of_yellow_units", "top_of_green_units", "lead_days"):
        assert waiting[name] == before[name]
    assert waiting["warnings"] == ["no_lead_time", "zones_await_acceptance"][::-1]
    [warned] = (await client.get(f"/v1/plans/{second}/buffers?warning=zones_await_acceptance")).json()[
        "items"
    ]
    assert warned["proposed"]["green_units"] == 2 * before["green_units"]
    [proposed] = await proposals(client, status="open")
    assert proposed["reasons"] == ["usage"]
    assert (proposed["changed_share"], proposed["tolerance_share"]) == (0.5, 0.1)
    assert proposed["before"] == accepted["after"]
    assert proposed["after"] == warned["proposed"]
    await plan(connection, database_url)
    assert await proposals(client, status="open") == [proposed]  # said again, it is the same

    path = f"/v1/buffer-proposals/{proposed['proposal_id']}"
    assert (await client.post(f"{path}/accept")).status_code == 428
    assert (await client.post(f"{path}/accept", headers={"If-Match": '"7"'})).status_code == 412
    tag = {"If-Match": (await client.get(path)).headers["etag"]}
    decided = await client.post(f"{path}/accept", headers=tag)
    assert (decided.status_code, decided.json()["status"]) == (200, "accepted")
    assert decided.json()["decided_by_name"] == "test"
    assert (await client.post(f"{path}/accept", headers=tag)).json() == decided.json()
    refused = await client.post(f"{path}/discard", headers={"If-Match": "*"})
    assert (refused.status_code, refused.json()["code"]) == (409, "proposal-decided")
    [entry] = (await client.get("/v1/audit", params={"subject": path.removeprefix("/v1/")})).json()["items"]
    assert entry["action"] == "accept"

    # A plan that was being made meanwhile had read what was in force before.
    late = BufferChange(
        before=msgspec.convert(proposed["before"], BufferSizing),
        after=msgspec.convert(proposed["after"], BufferSizing),
        reasons=("usage",),
        changed_share=0.5,
        tolerance_share=0.1,
        is_tolerated=False,
    )
    await propose_buffers(connection, uuid4(), AS_OF, [late])
    assert await proposals(client, status="open") == []

    await plan(connection, database_url)
    now = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert (now["green_units"], now["proposed"]) == (2 * before["green_units"], None)
    history = await proposals(client, status="accepted", limit=1)
    assert history == [decided.json()]
    assert (await client.get(path.replace(proposed["proposal_id"], str(second)))).status_code == 404


async def test_what_is_discarded_is_not_proposed_again_and_what_is_tolerated_needs_nobody(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    await plan(connection, database_url)
    await insert(connection, [consumed("a little", 5.0)])
    await plan(connection, database_url)
    small, _ = await proposals(client)
    assert (small["status"], small["decided_by_key_id"], small["reasons"]) == ("accepted", None, ["usage"])
    await insert(connection, [consumed("much", 100.0)])
    await plan(connection, database_url)
    [large] = await proposals(client, status="open")
    path = f"/v1/buffer-proposals/{large['proposal_id']}"
    discarded = await client.post(f"{path}/discard", headers={"If-Match": "*"})
    assert discarded.json()["status"] == "discarded"
    await insert(connection, [consumed("as before", 4.0)])
    await plan(connection, database_url)
    assert await proposals(client, status="open") == []
    shown = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert (shown["usage_units_per_day"], shown["proposed"]["usage_units_per_day"]) == (5.25, 10.45)
    await insert(connection, [consumed("more", 100.0)])
    await plan(connection, database_url)
    [more] = await proposals(client, status="open")
    # Another plan finds what has been in force all along: nothing is to be decided any longer.
    await insert(connection, [consumed("taken back", -204.0)])
    await plan(connection, database_url)
    assert await proposals(client, status="open") == []
    assert (await client.get(f"/v1/buffer-proposals/{more['proposal_id']}")).json()["status"] == "superseded"
    late = await client.post(f"/v1/buffer-proposals/{more['proposal_id']}/accept", headers={"If-Match": "*"})
    assert late.status_code == 409


async def test_many_proposals_are_decided_at_once_or_none_of_them(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER)])
    for told in range(2):  # then twice as much
        for region in ("NORTH", "SOUTH", "WEST"):
            more = [signal(f"{region}{told}", "consumption", 100.0, source="till", region_code=region)]
            await insert(connection, more)
        await plan(connection, database_url)
    waiting = await proposals(client, status="open")
    assert len(waiting) == 3
    first, second, third = (
        {"proposal_id": one["proposal_id"], "decision": decision, "revision": one["revision"]}
        for one, decision in zip(waiting, ("accepted", "discarded", "accepted"), strict=True)
    )
    path = "/v1/buffer-proposals/decisions"
    unknown = first | {"proposal_id": str(uuid4())}
    refused = await client.post(
        path, json=[first, unknown, second | {"revision": 7}, first | {"decision": "discarded"}]
    )
    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [
        ("/1", "resource-unknown"),
        ("/2", "revision-stale"),
        ("/3", "proposal-decided"),
    ]
    assert await proposals(client, status="open") == waiting
    assert (await client.post(path, json=[first, second])).json() == {"decided": 2, "known": 0}
    assert (await client.post(path, json=[second, first, third])).json() == {"decided": 1, "known": 2}
    assert await proposals(client, status="open") == []
    decided = {one["proposal_id"]: one["status"] for one in await proposals(client)}
    for one in (first, second, third):
        assert decided[one["proposal_id"]] == one["decision"]
        subject = f"buffer-proposals/{one['proposal_id']}"
        assert len((await client.get("/v1/audit", params={"subject": subject})).json()["items"]) == 1


async def test_a_plan_of_other_policies_sizes_by_them_and_proposes_nothing(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    await plan(connection, database_url)
    [accepted] = await proposals(client)
    cycle = PullPolicy(policy="ddmrp_buffer", usage_past_days=20, order_cycle_days=28)
    request = PlanRequest(as_of=AS_OF, horizon_buckets=4, policy_overrides=(cycle,))
    await computed(connection, database_url, "plan", request)
    shown = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert (shown["green_units"], shown["proposed"]) == (4 * accepted["after"]["green_units"], None)
    assert await proposals(client) == [accepted]


async def test_days_that_a_planner_excludes_and_promotions_do_not_count_into_usage(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    day = AS_OF.date() - timedelta(days=10)
    promoted = {"from_date": day, "until_date": day + timedelta(days=2), "multiplier": 3.0}
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    sale = signal(
        "sale", "adjustment", None, **promoted, reason="promotion", occurred_at=AS_OF - timedelta(days=20)
    )
    await insert(connection, [sale, consumed("fair", 300.0)])
    fair = {
        "from_date": str(AS_OF.date() - timedelta(days=1)),
        "until_date": str(AS_OF.date()),
        "reason": "town fair",
    }
    assert (await client.put("/v1/usage-exclusions", json=[fair])).json()["stored"] == 1
    assert (await client.put("/v1/usage-exclusions", json=[fair])).json()["known"] == 1
    [listed] = (await client.get("/v1/usage-exclusions", params={"product_code": "*"})).json()["items"]
    assert listed["reason"] == "town fair"
    await plan(connection, database_url)
    shown = (await client.get("/v1/buffers/BREAD/NORTH")).json()
    assert [(e["units"], e["reason"]) for e in shown["excluded_usage"]] == [
        (10.0, "promotion sale"),
        (305.0, "town fair"),
    ]
    assert (shown["excluded_usage_days"], shown["past_usage_units"]) == (3, 85.0)
    assert shown["usage_units_per_day"] == 85.0 / 17
    for changes, field in (
        ({"until_date": fair["from_date"]}, "until_date"),
        ({"product_code": "RUM"}, "product_code"),
        ({"reason": ""}, "reason"),
    ):
        refused = await client.put("/v1/usage-exclusions", json=[fair | changes])
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/0/{field}")
    report = (await client.put("/v1/usage-exclusions?mode=replace", json=[])).json()
    assert report["retired"] == 1


async def test_a_policy_of_an_unknown_kind_reaches_no_table(connection: Connection):
    with pytest.raises(asyncpg.CheckViolationError):
        await insert(connection, [("policies", BUFFER | {"usage_basis": "guessed"})])
