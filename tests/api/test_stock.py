from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    await client.put("/v1/regions", json=[{"region_code": "EAST"}])
    return client


def counted(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "source": "wms",
        "external_id": f"c-{number}",
        "product_code": "GIN",
        "region_code": "EAST",
        "counted_at": "2026-03-01T06:00:00+01:00",
        "on_hand_units": 10,
    } | changes


async def test_a_count_is_stored_once_and_corrected_under_its_id(network: httpx.AsyncClient):
    first = (await network.post("/v1/stock-counts", json=[counted(0), counted(1, on_hand_units=-2)])).json()
    second = (await network.post("/v1/stock-counts", json=[counted(0), counted(1, on_hand_units=3)])).json()
    assert (first["stored"], second["stored"], second["known"]) == (2, 1, 1)
    listed = (await network.get("/v1/stock-counts")).json()["items"]
    assert [(item["external_id"], item["on_hand_units"]) for item in listed] == [("c-0", 10.0), ("c-1", 3.0)]
    assert listed[0]["counted_at"] == "2026-03-01T05:00:00Z"


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"counted_at": "2026-03-01T06:00:00"}, "counted_at"),
    ({"reserved_units": -1}, "reserved_units"),
    ({"product_code": "RUM"}, "product_code"),
    ({"region_code": "NORTH"}, "region_code"),
    ({"external_id": ""}, "external_id"),
]


async def test_a_count_that_cannot_be_is_refused(network: httpx.AsyncClient):
    for changes, field in IMPOSSIBLE:
        answer = await network.post("/v1/stock-counts", json=[counted(0), counted(1, **changes)])
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/1/{field}")
        assert (await network.get("/v1/stock-counts")).json()["items"] == []


async def test_a_replay_is_known_also_after_its_product_was_retired(network: httpx.AsyncClient):
    await network.post("/v1/stock-counts", json=[counted(0)])
    await network.delete("/v1/products/GIN", headers={"If-Match": "*"})
    assert (await network.post("/v1/stock-counts", json=[counted(0)])).json()["known"] == 1
    assert (await network.post("/v1/stock-counts", json=[counted(1)])).status_code == 422
