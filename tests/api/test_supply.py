import httpx
import pytest

pytestmark = pytest.mark.anyio

LINE = {
    "source": "erp",
    "external_id": "po-1",
    "product_code": "GIN",
    "region_code": "EAST",
    "units": 50,
    "due_date": "2026-03-09",
}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    await client.put("/v1/regions", json=[{"region_code": "EAST"}])
    return client


async def test_a_line_of_open_supply_lives_from_promise_to_closing(network: httpx.AsyncClient):
    received = LINE | {"received_units": 20, "receipt_at": "2026-03-08T09:00:00Z"}
    for line in (LINE, received, received | {"closed": True}):
        assert (await network.post("/v1/open-supply", json=[line])).json()["stored"] == 1
    assert (await network.post("/v1/open-supply", json=[received | {"closed": True}])).json()["known"] == 1
    told = (await network.get("/v1/open-supply/erp/po-1/history")).json()["items"]
    assert [(said["revision"], said["received_units"], said["closed"]) for said in told] == [
        (1, 0.0, False),
        (2, 20.0, False),
        (3, 20.0, True),
    ]
    assert (await network.get("/v1/open-supply/erp/po-2/history")).status_code == 404
    (stored,) = (await network.get("/v1/open-supply?source=erp")).json()["items"]
    assert stored == told[-1]
    assert (stored["received_units"], stored["closed"], stored["work_order_id"]) == (20.0, True, None)


async def test_a_line_that_its_source_counts_is_changed_only_by_a_higher_count(network: httpx.AsyncClient):
    for units, count, status in ((50, 2, 200), (50, None, 200), (40, 3, 200), (30, 3, 409), (30, None, 409)):
        answer = await network.post(
            "/v1/open-supply", json=[LINE | {"units": units, "source_revision": count}]
        )
        assert answer.status_code == status
    assert "null is not above 3, which is stored" in answer.json()["errors"][0]["detail"]
    told = (await network.get("/v1/open-supply/erp/po-1/history")).json()["items"]
    assert [(said["units"], said["source_revision"]) for said in told] == [(50, 2), (40, 3)]


async def test_what_was_received_must_say_when(network: httpx.AsyncClient):
    answer = await network.post("/v1/open-supply", json=[LINE | {"received_units": 5}])
    assert answer.json()["errors"][0]["pointer"] == "/0/receipt_at"
    assert (await network.post("/v1/open-supply", json=[LINE | {"units": -5}])).status_code == 422
    assert (await network.post("/v1/open-supply", json=[LINE | {"product_code": "RUM"}])).status_code == 422
    assert (await network.get("/v1/open-supply")).json()["items"] == []
