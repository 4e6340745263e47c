from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    await client.put("/v1/regions", json=[{"region_code": "EAST"}])
    return client


async def test_policies_stand_for_a_pair_a_product_a_region_or_everything(network: httpx.AsyncClient):
    body = (
        b"product_code,region_code,policy,service_level_share,review_period_days\n"
        b"*,*,base_stock,,\nGIN,*,make_to_order,0.9,7\n*,EAST,base_stock,,\nGIN,EAST,base_stock,0.99,\n"
    )
    answer = await network.put("/v1/policies", content=body, headers={"Content-Type": "text/csv"})
    assert answer.json()["stored"] == 4
    listed = (await network.get("/v1/policies")).json()["items"]
    assert [(p["product_code"], p["region_code"]) for p in listed] == [
        ("*", "*"),
        ("*", "EAST"),
        ("GIN", "*"),
        ("GIN", "EAST"),
    ]
    assert [p["service_level_share"] for p in listed] == [0.95, 0.95, 0.9, 0.99]
    general = (await network.get("/v1/policies", params={"product_code": "*"})).json()["items"]
    assert len(general) == 2


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"product_code": "RUM"}, "product_code"),
    ({"region_code": "NORTH"}, "region_code"),
    ({"policy": "push"}, "policy"),
    ({"service_level_share": 1.5}, "service_level_share"),
    ({"review_period_days": 0}, "review_period_days"),
    ({"product_code": "**"}, "product_code"),
    ({"minimum_order_units": 5, "order_multiple_units": 4, "maximum_order_units": 7}, "maximum_order_units"),
    ({"policy": "minimum_maximum"}, "maximum_stock_units"),
    ({"minimum_stock_units": 2, "maximum_stock_units": 1}, "maximum_stock_units"),
    ({"effective_from": "2024-02-01", "effective_until": "2024-02-01"}, "effective_until"),
]


async def test_a_policy_that_cannot_be_is_refused(network: httpx.AsyncClient):
    for changes, field in IMPOSSIBLE:
        answer = await network.put("/v1/policies", json=[{"policy": "base_stock"} | changes])
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/0/{field}")


async def test_replacing_removes_the_policies_that_are_not_named(network: httpx.AsyncClient):
    await network.put(
        "/v1/policies", json=[{"policy": "base_stock"}, {"policy": "base_stock", "product_code": "GIN"}]
    )
    report = (await network.put("/v1/policies?mode=replace", json=[{"policy": "make_to_order"}])).json()
    assert (report["stored"], report["retired"]) == (1, 1)
    listed = (await network.get("/v1/policies")).json()["items"]
    assert [(p["product_code"], p["policy"]) for p in listed] == [("*", "make_to_order")]


async def test_policies_of_the_same_codes_follow_one_another(network: httpx.AsyncClient):
    held = {"policy": "minimum_maximum", "minimum_stock_units": 5, "maximum_stock_units": 20}
    rows = [
        {"policy": "base_stock"},
        held | {"effective_from": "2024-03-01", "effective_until": "2024-06-01"},
        {"policy": "do_not_produce", "effective_from": "2024-06-01"},
    ]
    assert (await network.put("/v1/policies", json=rows)).json()["stored"] == 3
    assert (await network.put("/v1/policies", json=rows)).json()["known"] == 3
    first = (await network.get("/v1/policies?limit=2")).json()
    rest = (await network.get("/v1/policies", params={"cursor": first["next_cursor"]})).json()
    listed = [*first["items"], *rest["items"]]
    assert [p["policy"] for p in listed] == ["base_stock", "minimum_maximum", "do_not_produce"]
    in_force = (await network.get("/v1/policies?in_force_on=2024-06-01")).json()["items"]
    assert [p["policy"] for p in in_force] == ["base_stock", "do_not_produce"]
    twice = await network.put("/v1/policies", json=[rows[2], rows[2]])
    assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "duplicate-line")
    report = (await network.put("/v1/policies?mode=replace", json=rows[2:])).json()
    assert (report["known"], report["retired"]) == (1, 2)
