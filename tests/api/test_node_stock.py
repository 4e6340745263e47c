"""Is what was counted at nodes stored, planned with, and told apart in lines and ledger?"""

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

PATH = "/v1/node-stock-counts"


def counted(number: int, units: float, **changes: Any) -> dict[str, Any]:
    count = {"source": "wms", "external_id": f"c-{number}", "node_code": "MILL", "product_code": "BREAD"}
    at = (AS_OF - timedelta(days=number)).isoformat()
    return count | {"counted_at": at, "on_hand_units": units} | changes


async def test_counts_are_taken_as_csv_corrected_under_their_id_and_listed_by_node(
    connection: Connection, client: httpx.AsyncClient
):
    await insert(connection, network())
    body = "source,external_id,node_code,product_code,counted_at,on_hand_units,blocked_units\n"
    body += "wms,c-1,MILL,BREAD,2024-06-01T06:00:00Z,7,2\nwms,c-2,YARD,CAKE,2024-06-01T06:00:00Z,-3,\n"
    for said in ("stored", "known"):
        answer = await client.post(PATH, content=body, headers={"Content-Type": "text/csv"})
        assert answer.json()[said] == 2
    assert (await client.post(PATH, json=[counted(1, 9.0)])).json()["stored"] == 1
    [listed] = (await client.get(PATH, params={"node_code": "MILL"})).json()["items"]
    assert (listed["external_id"], listed["on_hand_units"], listed["blocked_units"]) == ("c-1", 9.0, 0.0)
    answer = await client.post(PATH, json=[counted(3, 1.0, node_code="NOWHERE")])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/0/node_code")


async def test_what_lies_at_a_node_is_sent_before_it_makes_anything_and_replanned_when_counted_again(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    due = AS_OF.date() + timedelta(days=8)
    order = signal("o", "order", 50.0, due_date=due)
    await insert(connection, [*network(), ("policies", TO_ORDER | {"product_code": "*"}), order])
    # Of the last count 20 may be sent; what was counted after as_of is not known yet, and DEPOT is offline.
    counts = [
        counted(4, 99.0),
        counted(2, 30.0, reserved_units=6.0, blocked_units=4.0),
        counted(-1, 70.0),
        counted(3, 40.0, external_id="depot", node_code="DEPOT"),
    ]
    assert (await client.post(PATH, json=counts)).json()["stored"] == 4
    request = PlanRequest(as_of=AS_OF, horizon_buckets=3, verify=True)
    plan_id = await computed(connection, database_url, "plan", request)
    lines = await items(client, f"/v1/plans/{plan_id}/assignments")
    assert [(line["node_code"], line["kind"], line["units"]) for line in lines] == [
        ("(stock)MILL", "transfer", pytest.approx(20.0)),
        ("MILL", "production", pytest.approx(30.0)),
    ]
    reason = (await client.get(f"/v1/plans/{plan_id}/assignments/1/reason")).json()
    assert reason["sentence"].startswith("(stock)MILL sends 20 BREAD for NORTH")
    [line] = await items(client, f"/v1/plans/{plan_id}/ledger")
    assert (line["from_node_stock_units"], line["assigned_units"]) == (
        pytest.approx(20.0),
        pytest.approx(30.0),
    )
    [total] = (await client.get(f"/v1/plans/{plan_id}/ledger-totals?totalled_by=all")).json()["items"]
    assert total["from_node_stock_units"] == pytest.approx(20.0)
    assert total["unaccounted_units"] == pytest.approx(0.0, abs=1e-6)

    assert (await client.post(PATH, json=[counted(1, 5.0)])).json()["stored"] == 1
    again = PlanRequest(as_of=AS_OF, horizon_buckets=3, parent_plan_id=plan_id, verify=True)
    plan_id = await computed(connection, database_url, "plan", again)
    [line] = await items(client, f"/v1/plans/{plan_id}/ledger")
    assert (line["from_node_stock_units"], line["assigned_units"]) == (
        pytest.approx(5.0),
        pytest.approx(45.0),
    )
