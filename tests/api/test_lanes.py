import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/nodes", json=[{"node_code": code} for code in ("N1", "N2")])
    await client.put("/v1/regions", json=[{"region_code": code} for code in ("EAST", "WEST")])
    return client


async def test_a_lane_is_given_changed_and_forbidden(network: httpx.AsyncClient):
    given = await network.put(
        "/v1/lanes/N1/EAST", json={"distance_km": 120.5}, headers={"If-None-Match": "*"}
    )
    assert (given.status_code, given.headers["etag"]) == (201, '"1"')
    changed = await network.put("/v1/lanes/N1/EAST", json={"distance_km": 99}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["distance_km"], changed.json()["transit_days"]) == (
        200,
        99.0,
        None,
    )
    forbidden = await network.delete("/v1/lanes/N1/EAST", headers={"If-Match": '"2"'})
    assert forbidden.status_code == 204
    assert [lane["forbidden"] for lane in (await network.get("/v1/lanes")).json()["items"]] == [True]


async def test_a_lane_between_what_nobody_loaded_is_refused_by_name(network: httpx.AsyncClient):
    body = b"node_code,region_code,forbidden\nN1,EAST,true\nN1,NORTH,\nN9,WEST,\n"
    answer = await network.put("/v1/lanes", content=body, headers={"Content-Type": "text/csv"})
    problems = [(p["line"], p["field"], p["code"], p["detail"]) for p in answer.json()["errors"]]
    assert problems == [
        (3, "region_code", "unknown-code", "there is no region 'NORTH', or it is retired"),
        (4, "node_code", "unknown-code", "there is no node 'N9', or it is retired"),
    ]
    assert (await network.get("/v1/lanes")).json()["items"] == []
    single = await network.put("/v1/lanes/N9/WEST", json={}, headers={"If-None-Match": "*"})
    assert (single.status_code, single.json()["errors"][0]["field"]) == (422, "node_code")


async def test_a_retired_region_gets_no_new_lane(network: httpx.AsyncClient):
    await network.delete("/v1/regions/WEST", headers={"If-Match": "*"})
    answer = await network.put("/v1/lanes", json=[{"node_code": "N1", "region_code": "WEST"}])
    assert answer.json()["errors"][0]["pointer"] == "/0/region_code"


async def test_lanes_left_out_of_a_replacement_are_computed_again(network: httpx.AsyncClient):
    pairs = [("N1", "EAST"), ("N1", "WEST"), ("N2", "EAST")]
    await network.put(
        "/v1/lanes", json=[{"node_code": n, "region_code": r, "distance_km": 5} for n, r in pairs]
    )
    body = [{"node_code": "N1", "region_code": "WEST", "distance_km": 5}]
    report = (await network.put("/v1/lanes?mode=replace", json=body)).json()
    assert (report["known"], report["retired"]) == (1, 2)
    assert [lane["region_code"] for lane in (await network.get("/v1/lanes")).json()["items"]] == ["WEST"]


async def test_lanes_are_listed_by_node_and_region_page_by_page(network: httpx.AsyncClient):
    pairs = [("N1", "EAST"), ("N1", "WEST"), ("N2", "EAST"), ("N2", "WEST")]
    await network.put("/v1/lanes", json=[{"node_code": n, "region_code": r} for n, r in reversed(pairs)])
    first = (await network.get("/v1/lanes?limit=3")).json()
    second = (await network.get("/v1/lanes", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    listed = [(lane["node_code"], lane["region_code"]) for lane in first["items"] + second["items"]]
    assert listed == pairs
    east = (await network.get("/v1/lanes?region_code=EAST")).json()["items"]
    assert [lane["node_code"] for lane in east] == ["N1", "N2"]
