"""Does a plan that may pool regions' stock send it, show it at both ends, and re-plan once it has been counted again?"""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.api.accounts import items
from tests.api.test_ledger import TO_ORDER
from tests.computing import computed
from tests.seeding import AS_OF, insert, network, signal

from pullplan.engine.model import PlanRequest
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


async def count(client: httpx.AsyncClient, hours_ago: int, units: float) -> None:
    row = {"source": "erp", "external_id": str(hours_ago), "product_code": "BREAD", "region_code": "SOUTH"}
    at = (AS_OF - timedelta(hours=hours_ago)).isoformat()
    answer = await client.post("/v1/stock-counts", json=[row | {"counted_at": at, "on_hand_units": units}])
    assert answer.status_code == 200, answer.text


async def test_spare_stock_of_a_region_is_sent_where_that_is_asked_for_and_replanned_when_counted_again(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    due = AS_OF.date() + timedelta(days=8)
    orders = [
        signal("north", "order", 50.0, due_date=due),
        signal("south", "order", 10.0, due_date=due + timedelta(days=7), region_code="SOUTH"),
    ]
    await insert(connection, [*network(), ("policies", TO_ORDER | {"product_code": "*"}), *orders])
    await connection.execute("UPDATE nodes SET status = 'offline' WHERE node_code = 'MILL'")
    await count(client, 9, 30.0)

    async def plan(**request: Any) -> str:
        asked = PlanRequest(as_of=AS_OF, horizon_buckets=4, verify=True, **request)
        return str(await computed(connection, database_url, "plan", asked))

    async def lines_of(plan_id: str) -> list[Any]:
        lines = await items(client, f"/v1/plans/{plan_id}/assignments")
        return [(line["node_code"], line["kind"], pytest.approx(line["units"])) for line in lines]

    assert await lines_of(await plan()) == [("YARD", "production", 50.0)]
    plan_id = await plan(pool_regions_within_km=700.0)
    made = ("YARD", "production", 30.0)
    assert sorted(await lines_of(plan_id)) == [("(region)SOUTH", "transfer", 20.0), made]
    sentences = [
        (await client.get(f"/v1/plans/{plan_id}/assignments/{n}/reason")).json()["sentence"] for n in (1, 2)
    ]
    assert any(said.startswith("(region)SOUTH sends 20 BREAD for NORTH") for said in sentences)
    ledger = await items(client, f"/v1/plans/{plan_id}/ledger")
    north, left, south = ledger
    assert (north["region_code"], north["from_region_stock_units"], north["assigned_units"]) == (
        *("NORTH", pytest.approx(20.0)),
        pytest.approx(30.0),
    )
    assert (left["region_code"], left["tier"], left["demanded_units"]) == ("SOUTH", "order", 0.0)
    assert left["sent_to_regions_units"] == pytest.approx(20.0)
    assert (south["from_stock_units"], south["sent_to_regions_units"]) == (10.0, 0.0)

    for hours_ago, units, sent in ((6, 15.0, [("(region)SOUTH", "transfer", 5.0)]), (3, 10.0, [])):
        await count(client, hours_ago, units)
        plan_id = await plan(pool_regions_within_km=700.0, parent_plan_id=plan_id)
        made = ("YARD", "production", 50.0 - sum(line[2] for line in sent))
        assert sorted(await lines_of(plan_id)) == [*sent, made]
