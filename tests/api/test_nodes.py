import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_a_nightly_load_does_not_bring_back_a_node_that_reported_itself_offline(
    client: httpx.AsyncClient,
):
    nightly = [{"node_code": "N1", "name": "Mill", "latitude": 41.5, "longitude": -90.3}]
    await client.put("/v1/nodes", json=nightly)
    assert (await client.get("/v1/nodes/N1/state")).json()["status"] == "online"
    reported = await client.put("/v1/nodes/N1/state", json={"status": "degraded", "capacity_share": 0.4})
    assert (reported.json()["status"], reported.json()["capacity_share"]) == ("degraded", 0.4)
    assert (await client.put("/v1/nodes", json=nightly)).json()["known"] == 1
    await client.put("/v1/nodes/N1/state", json={"status": "offline"})
    await client.put("/v1/nodes", json=[nightly[0] | {"name": "The mill"}])
    node = (await client.get("/v1/nodes/N1")).json()
    assert (node["name"], node["status"], node["capacity_share"]) == ("The mill", "offline", 0.4)


async def test_a_load_may_say_a_node_is_online_again(client: httpx.AsyncClient):
    await client.put("/v1/nodes", json=[{"node_code": "N1", "status": "offline"}])
    await client.put("/v1/nodes", json=[{"node_code": "N1", "status": "online"}])
    assert (await client.get("/v1/nodes/N1/state")).json()["status"] == "online"


async def test_a_report_changes_the_revision_that_a_change_must_name(client: httpx.AsyncClient):
    created = await client.put("/v1/nodes/N1", json={}, headers={"If-None-Match": "*"})
    await client.put("/v1/nodes/N1/state", json={"status": "offline"})
    stale = await client.put("/v1/nodes/N1", json={}, headers={"If-Match": created.headers["etag"]})
    assert stale.status_code == 412


IMPOSSIBLE = [{"status": "asleep"}, {"status": "online", "capacity_share": 1.5}, {}]


async def test_a_state_that_no_node_has_is_refused(client: httpx.AsyncClient):
    for state in IMPOSSIBLE:
        await client.put("/v1/nodes", json=[{"node_code": "N1"}])
        assert (await client.put("/v1/nodes/N1/state", json=state)).status_code == 422


async def test_an_unknown_or_retired_node_reports_nothing(client: httpx.AsyncClient):
    assert (await client.put("/v1/nodes/N1/state", json={"status": "online"})).status_code == 404
    await client.put("/v1/nodes", json=[{"node_code": "N1"}])
    await client.delete("/v1/nodes/N1", headers={"If-Match": "*"})
    assert (await client.put("/v1/nodes/N1/state", json={"status": "online"})).status_code == 404


@pytest.mark.parametrize("collection", ["nodes", "regions"])
async def test_a_latitude_without_a_longitude_is_refused(client: httpx.AsyncClient, collection: str):
    code = {"nodes": "node_code", "regions": "region_code"}[collection]
    lone = await client.put(f"/v1/{collection}", json=[{code: "A", "latitude": 41.5}])
    assert lone.json()["errors"][0]["field"] == "longitude"
    beyond = await client.put(f"/v1/{collection}", json=[{code: "A", "latitude": 91, "longitude": 0}])
    assert beyond.json()["errors"][0]["pointer"] == "/0/latitude"
    both = await client.put(f"/v1/{collection}", json=[{code: "A", "latitude": 41.5, "longitude": -90.0}])
    assert both.json()["stored"] == 1
