from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

CSV = {"Content-Type": "text/csv"}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    await client.put("/v1/nodes", json=[{"node_code": code} for code in ("N1", "N2")])
    return client


async def test_capacity_is_loaded_from_a_csv_with_its_weekdays(network: httpx.AsyncClient):
    body = b"node_code,resource_code,capacity_per_day,working_weekdays\nN1,still,8,5;1;2;3;4\nN2,still,6.5,\n"
    assert (await network.put("/v1/capacity", content=body, headers=CSV)).json()["stored"] == 2
    listed = (await network.get("/v1/capacity")).json()["items"]
    assert [item["working_weekdays"] for item in listed] == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7]]
    assert [(item["kind"], item["on_hand"]) for item in listed] == [("renewed", 0.0)] * 2


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"working_weekdays": [1, 8]}, "working_weekdays"),
    ({"working_weekdays": [1, 1]}, "working_weekdays"),
    ({"capacity_per_day": -1}, "capacity_per_day"),
    ({"kind": "borrowed"}, "kind"),
    ({"node_code": "N9"}, "node_code"),
]


async def test_capacity_that_cannot_be_is_refused(network: httpx.AsyncClient):
    for changes, field in IMPOSSIBLE:
        row = {"node_code": "N1", "resource_code": "still", "capacity_per_day": 8} | changes
        answer = await network.put("/v1/capacity", json=[row])
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


async def test_an_exception_needs_its_resource_and_ends_after_it_begins(network: httpx.AsyncClient):
    await network.put(
        "/v1/capacity", json=[{"node_code": "N1", "resource_code": "still", "capacity_per_day": 8}]
    )
    header = b"node_code,resource_code,from_date,until_date,capacity_per_day\n"
    good = header + b"N1,still,2026-08-01,2026-08-15,0\n"
    assert (await network.put("/v1/capacity-exceptions", content=good, headers=CSV)).json()["stored"] == 1
    bad = header + b"N1,still,2026-08-01,2026-08-01,0\nN1,kiln,2026-08-01,2026-08-02,0\n"
    problems = (await network.put("/v1/capacity-exceptions", content=bad, headers=CSV)).json()["errors"]
    assert [(p["line"], p["field"]) for p in problems] == [(2, "until_date"), (3, "resource_code")]
    listed = (await network.get("/v1/capacity-exceptions?node_code=N1")).json()["items"]
    assert [(item["from_date"], item["capacity_per_day"]) for item in listed] == [("2026-08-01", 0.0)]


async def test_exceptions_are_listed_page_by_page(network: httpx.AsyncClient):
    await network.put(
        "/v1/capacity", json=[{"node_code": "N1", "resource_code": "still", "capacity_per_day": 8}]
    )
    days = [f"2026-08-{day:02}" for day in range(1, 6)]
    rows = [
        {
            "node_code": "N1",
            "resource_code": "still",
            "from_date": day,
            "until_date": "2026-09-01",
            "capacity_per_day": 1,
        }
        for day in days
    ]
    await network.put("/v1/capacity-exceptions", json=rows)
    first = (await network.get("/v1/capacity-exceptions?limit=3")).json()
    second = (await network.get("/v1/capacity-exceptions", params={"cursor": first["next_cursor"]})).json()
    assert [item["from_date"] for item in first["items"] + second["items"]] == days


async def test_a_nodes_calendar_is_replaced_whole(network: httpx.AsyncClient):
    two = {
        "resources": [
            {"resource_code": "still", "capacity_per_day": 8},
            {"resource_code": "kiln", "capacity_per_day": 2},
        ],
        "exceptions": [
            {
                "resource_code": "kiln",
                "from_date": "2026-08-01",
                "until_date": "2026-08-02",
                "capacity_per_day": 0,
            }
        ],
    }
    stored = await network.put("/v1/nodes/N1/capacity", json=two)
    assert stored.status_code == 200
    assert [item["resource_code"] for item in stored.json()["resources"]] == ["kiln", "still"]
    await network.put("/v1/nodes/N2/capacity", json=two)
    one = {"resources": [{"resource_code": "still", "capacity_per_day": 9}]}
    replaced = (await network.put("/v1/nodes/N1/capacity", json=one)).json()
    assert [(item["resource_code"], item["capacity_per_day"]) for item in replaced["resources"]] == [
        ("still", 9.0)
    ]
    assert replaced["exceptions"] == []
    assert len((await network.get("/v1/nodes/N2/capacity")).json()["resources"]) == 2
    assert (await network.get("/v1/nodes/N9/capacity")).status_code == 404
    wrong = one | {"exceptions": [two["exceptions"][0]]}
    problem = (await network.put("/v1/nodes/N1/capacity", json=wrong)).json()["errors"][0]
    assert problem["pointer"] == "/exceptions/0/resource_code"


async def test_a_resource_that_a_capability_uses_cannot_be_left_out(network: httpx.AsyncClient):
    row = {"node_code": "N1", "resource_code": "still", "capacity_per_day": 8}
    await network.put("/v1/capacity", json=[row])
    uses = [{"node_code": "N1", "product_code": "GIN", "use_per_unit": {"still": 0.5}}]
    assert (await network.put("/v1/capabilities", json=uses)).json()["stored"] == 1
    for answer in (
        await network.put("/v1/nodes/N1/capacity", json={"resources": []}),
        await network.put("/v1/capacity?mode=replace", json=[]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "resource-in-use")
    assert len((await network.get("/v1/capacity")).json()["items"]) == 1
