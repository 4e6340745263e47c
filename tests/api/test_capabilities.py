import httpx
import pytest

pytestmark = pytest.mark.anyio

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "RUM")])
    await client.put("/v1/nodes", json=[{"node_code": code} for code in ("N1", "N2")])
    rows = [
        {"node_code": "N1", "resource_code": resource, "capacity_per_day": 8}
        for resource in ("hours", "kiln")
    ]
    await client.put("/v1/capacity", json=rows)
    return client


async def test_capabilities_are_loaded_from_a_csv_with_what_a_unit_takes(network: httpx.AsyncClient):
    body = b"node_code,product_code,unit_cost,use_per_unit,qualified\nN1,GIN,2.5,hours=0.5;kiln=0.2,\nN2,RUM,,,false\n"
    assert (await network.put("/v1/capabilities", content=body, headers=CSV)).json()["stored"] == 2
    gin, rum = (await network.get("/v1/capabilities")).json()["items"]
    assert (gin["use_per_unit"], gin["unit_cost"], gin["qualified"]) == (
        {"hours": 0.5, "kiln": 0.2},
        2.5,
        True,
    )
    assert (rum["use_per_unit"], rum["qualified"]) == ({}, False)
    again = await network.put("/v1/capabilities", content=body, headers=CSV)
    assert again.json()["known"] == 2


async def test_a_use_of_what_the_node_lacks_is_refused_by_name(network: httpx.AsyncClient):
    rows = [
        {"node_code": "N1", "product_code": "GIN", "use_per_unit": {"hours": 1}},
        {"node_code": "N2", "product_code": "GIN", "use_per_unit": {"hours": 1}},
    ]
    problems = (await network.put("/v1/capabilities", json=rows)).json()["errors"]
    assert [(p["pointer"], p["code"]) for p in problems] == [("/1/use_per_unit", "unknown-code")]
    assert problems[0]["detail"] == "the node has no resource 'hours'"


async def test_amounts_that_cannot_be_read_are_refused_by_line(network: httpx.AsyncClient):
    cells = ("hours", "hours=1;hours=2", "hours=-1", "hours=much")
    body = "node_code,product_code,use_per_unit\n" + "".join(f"N1,GIN,{cell}\n" for cell in cells)
    answer = await network.put("/v1/capabilities", content=body.encode(), headers=CSV)
    problems = answer.json()["errors"]
    assert [(p["line"], p["field"]) for p in problems] == [(line, "use_per_unit") for line in (2, 3, 4, 5)]


async def test_what_a_node_can_make_is_replaced_whole(network: httpx.AsyncClient):
    both = [{"product_code": "GIN", "use_per_unit": {"hours": 1}}, {"product_code": "RUM"}]
    assert len((await network.put("/v1/nodes/N1/capabilities", json=both)).json()["items"]) == 2
    one = (await network.put("/v1/nodes/N1/capabilities", json=[both[1]])).json()["items"]
    assert [item["product_code"] for item in one] == ["RUM"]
    twice = await network.put("/v1/nodes/N1/capabilities", json=[both[1], both[1]])
    assert twice.json()["errors"][0]["detail"] == "repeats 'N1 RUM' of item 0"
    assert (await network.get("/v1/nodes/N1/capabilities")).json()["items"] == one
    assert (await network.put("/v1/nodes/N9/capabilities", json=both)).status_code == 404
