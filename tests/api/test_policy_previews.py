"""Does a preview tell what policies would change, as the plans before and after say it, and store nothing of them?"""

from typing import Any

import httpx
import pytest
from tests.api.test_buffers import counted, used
from tests.computing import compute_next, computed
from tests.seeding import AS_OF, insert, network, signal

from pullplan.engine.model import PlanRequest, PullPolicy
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

PREVIEWS = "/v1/policies/previews"
EVERY = {"product_code": "*", "region_code": "*"}
PAIR = {"product_code": "BREAD", "region_code": "NORTH"}


async def seeded(connection: Connection) -> None:
    await insert(connection, [*network(), *used(), counted(10.0)])
    await insert(connection, [("policies", EVERY | {"policy": "make_to_order"})])
    due = {"due_date": AS_OF.date()}
    await insert(connection, [signal("o1", "order", 25.0, **due)])
    await insert(connection, [signal("o2", "order", 7.0, product_code="CAKE", **due)])


async def preview(client: httpx.AsyncClient, url: str, overrides: list[dict[str, Any]]) -> tuple[Any, Any]:
    body = {"policy_overrides": overrides, "as_of": AS_OF.isoformat(), "horizon_buckets": 4}
    queued = await client.post(PREVIEWS, json=body)
    assert queued.status_code == 202, queued.text
    assert queued.json()["kind"] == "policy_preview"
    preview_id = await compute_next(url)
    shown = (await client.get(f"{PREVIEWS}/{preview_id}")).json()
    effects = (await client.get(f"{PREVIEWS}/{preview_id}/effects")).json()["items"]
    return shown, effects


async def needed(connection: Connection, client: httpx.AsyncClient, url: str, *policies: PullPolicy) -> float:
    request = PlanRequest(as_of=AS_OF, horizon_buckets=4, policy_overrides=policies)
    plan_id = await computed(connection, url, "plan", request)
    needs = (await client.get(f"/v1/plans/{plan_id}/needs", params=PAIR)).json()["items"]
    return float(sum(need["units"] for need in needs))


async def test_a_preview_says_what_the_plans_before_and_after_would_need(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await seeded(connection)
    buffered: dict[str, Any] = PAIR | {"policy": "ddmrp_buffer", "usage_past_days": 20}
    shown, effects = await preview(client, database_url, [buffered])
    [effect] = effects  # CAKE pulls as before
    assert {name: effect[name] for name in PAIR} == PAIR
    before, after = effect["before"], effect["after"]
    assert (before["policy"], before["needed_units"], before["top_of_red_units"]) == (
        "make_to_order",
        [15.0, 0.0, 0.0, 0.0],
        None,
    )
    assert after["policy"] == "ddmrp_buffer"
    assert after["top_of_green_units"] == 35.0  # five a day, seven days between orders, no lead time
    was = await needed(connection, client, database_url)
    now = await needed(connection, client, database_url, PullPolicy(**buffered))
    assert (effect["needed_units_before"], effect["needed_units_after"]) == (was, pytest.approx(now))
    assert now > was
    assert (shown["n_effects"], shown["needed_units_after"]) == (1, pytest.approx(now))
    stored = (await client.get("/v1/policies")).json()["items"]
    assert [p["policy"] for p in stored] == ["make_to_order"]
    lines = await client.get(f"{PREVIEWS}/{shown['preview_id']}/effects", headers={"Accept": "text/csv"})
    assert lines.text.count("\n") == 2


async def test_bounds_of_stock_show_as_targets_and_what_changes_nothing_shows_nothing(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await seeded(connection)
    held = {"policy": "minimum_maximum", "minimum_stock_units": 5, "maximum_stock_units": 40}
    _, effects = await preview(client, database_url, [PAIR | held])
    [effect] = effects
    assert effect["after"]["target_units"] == [5.0] * 4
    assert effect["after"]["needed_units"][0] >= 40.0 + 15.0
    shown, effects = await preview(client, database_url, [{"policy": "make_to_order"}])
    assert (shown["n_effects"], effects) == (0, [])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"policy_overrides": []}, "/policy_overrides"),
    ({"policy_overrides": [{"policy": "minimum_maximum"}]}, "maximum_stock_units"),
    ({"policy_overrides": [{"policy": "base_stock"}] * 2}, "/policy_overrides/1"),
    ({"policy_overrides": [{}, {"product_code": "RUM"}]}, "/policy_overrides/1/product_code"),
]


async def test_a_preview_of_what_can_not_be_names_the_line_and_the_reason(client: httpx.AsyncClient):
    for body, said in WRONG:
        answer = await client.post(PREVIEWS, json=body)
        assert answer.status_code == 422
        assert said in answer.text
    unknown = await client.get(f"{PREVIEWS}/00000000-0000-0000-0000-000000000000")
    assert unknown.status_code == 404
