import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_a_region_is_created_shown_and_retired(client: httpx.AsyncClient):
    body = {"name": "Ames area", "latitude": 41.79846, "longitude": -93.71459}
    created = await client.put("/v1/regions/IA-500", json=body, headers={"If-None-Match": "*"})
    assert created.status_code == 201
    shown = await client.get("/v1/regions/IA-500")
    assert {name: shown.json()[name] for name in body} == body
    assert (await client.delete("/v1/regions/IA-500", headers={"If-Match": '"9"'})).status_code == 412
    retired = await client.delete("/v1/regions/IA-500", headers={"If-Match": shown.headers["etag"]})
    assert retired.status_code == 204
    assert (await client.get("/v1/regions")).json()["items"] == []


async def test_retiring_what_is_not_there_is_not_found(client: httpx.AsyncClient):
    assert (await client.delete("/v1/regions/IA-500", headers={"If-Match": "*"})).status_code == 404


async def test_head_answers_as_get_does(client: httpx.AsyncClient):
    await client.put("/v1/regions", json=[{"region_code": "IA-500"}])
    head = await client.head("/v1/regions/IA-500")
    assert (head.status_code, head.headers["etag"], head.content) == (200, '"1"', b"")
