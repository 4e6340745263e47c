import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_a_product_is_created_once_and_changed_only_as_it_was_read(client: httpx.AsyncClient):
    created = await client.put("/v1/products/GIN", json={"name": "Gin"}, headers={"If-None-Match": "*"})
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    again = await client.put("/v1/products/GIN", json={"name": "Gin"}, headers={"If-None-Match": "*"})
    assert (again.status_code, again.json()["code"]) == (412, "revision-stale")
    changed = await client.put("/v1/products/GIN", json={"name": "Dry gin"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    stale = await client.put("/v1/products/GIN", json={"name": "Sloe"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    shown = (await client.get("/v1/products/GIN")).json()
    assert (shown["name"], shown["unit"], shown["weight_kg"], shown["revision"]) == (
        "Dry gin",
        "unit",
        1.0,
        2,
    )


async def test_a_change_without_a_precondition_is_refused(client: httpx.AsyncClient):
    put = await client.put("/v1/products/GIN", json={})
    delete = await client.delete("/v1/products/GIN")
    assert (put.status_code, delete.status_code) == (428, 428)


async def test_a_retired_product_stays_readable_and_leaves_the_list(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": "GIN"}, {"product_code": "RUM"}])
    retired = await client.delete("/v1/products/GIN", headers={"If-Match": '"1"'})
    assert (retired.status_code, retired.content) == (204, b"")
    assert (await client.get("/v1/products/GIN")).json()["retired_at"] is not None
    listed = (await client.get("/v1/products")).json()["items"]
    everything = (await client.get("/v1/products?retired=true")).json()["items"]
    assert [item["product_code"] for item in listed] == ["RUM"]
    assert [item["product_code"] for item in everything] == ["GIN", "RUM"]


async def test_loading_a_retired_product_again_brings_it_back(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    await client.delete("/v1/products/GIN", headers={"If-Match": "*"})
    report = (await client.put("/v1/products", json=[{"product_code": "GIN"}])).json()
    assert (report["stored"], (await client.get("/v1/products/GIN")).json()["retired_at"]) == (1, None)


async def test_what_is_identical_there_already_is_known_and_keeps_its_revision(client: httpx.AsyncClient):
    rows = [{"product_code": "GIN", "value_per_unit": 12.5}, {"product_code": "RUM"}]
    first = (await client.put("/v1/products", json=rows)).json()
    second = (await client.put("/v1/products", json=[rows[0], {"product_code": "RUM", "name": "Rum"}])).json()
    assert (first["stored"], first["known"]) == (2, 0)
    assert (second["stored"], second["known"]) == (1, 1)
    assert (await client.get("/v1/products/GIN")).headers["etag"] == '"1"'


async def test_replacing_retires_what_is_not_named_and_says_how_many_first(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "RUM", "RYE")])
    body = [{"product_code": "RUM"}]
    tried = (await client.put("/v1/products?mode=replace&dry_run=true", json=body)).json()
    assert (tried["retired"], tried["known"], tried["dry_run"]) == (2, 1, True)
    assert len((await client.get("/v1/products")).json()["items"]) == 3
    done = (await client.put("/v1/products?mode=replace", json=body)).json()
    assert (done["retired"], done["known"], done["dry_run"]) == (2, 1, False)
    assert [item["product_code"] for item in (await client.get("/v1/products")).json()["items"]] == ["RUM"]


async def test_an_older_source_revision_never_overwrites_a_later_one(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": "GIN", "name": "new", "source_revision": 7}])
    late = await client.put(
        "/v1/products", json=[{"product_code": "GIN", "name": "old", "source_revision": 6}]
    )
    assert (late.status_code, late.json()["code"]) == (409, "source-revision-stale")
    assert late.json()["errors"][0] == {
        "code": "source-revision-stale",
        "detail": "source_revision 6 is not above 7, which is stored",
        "pointer": "/0/source_revision",
        "field": "source_revision",
    }
    assert (await client.get("/v1/products/GIN")).json()["name"] == "new"


async def test_a_list_read_page_by_page_is_the_whole_list_once(client: httpx.AsyncClient):
    codes = [f"P{number:03}" for number in range(25)]
    await client.put("/v1/products", json=[{"product_code": code} for code in reversed(codes)])
    seen, cursor = [], None
    while True:
        query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/products", params=query)).json()
        seen += [item["product_code"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == codes


async def test_a_list_since_an_instant_has_only_what_changed_since(client: httpx.AsyncClient):
    await client.put("/v1/products", json=[{"product_code": "GIN"}, {"product_code": "RUM"}])
    before = (await client.get("/v1/products/RUM")).json()["updated_at"]
    await client.put("/v1/products", json=[{"product_code": "RUM", "name": "Rum"}])
    changed_at = (await client.get("/v1/products/RUM")).json()["updated_at"]
    both = (await client.get("/v1/products", params={"updated_since": before})).json()["items"]
    changed = (await client.get("/v1/products", params={"updated_since": changed_at})).json()["items"]
    assert [item["product_code"] for item in both] == ["GIN", "RUM"]
    assert [item["product_code"] for item in changed] == ["RUM"]


async def test_what_nobody_loaded_is_not_found(client: httpx.AsyncClient):
    answer = await client.get("/v1/products/GIN")
    assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")


async def test_writing_the_network_needs_its_scope(anonymous: httpx.AsyncClient, key_with):
    reader = {"Authorization": f"Bearer {await key_with('read', 'demand:write')}"}
    writer = {"Authorization": f"Bearer {await key_with('network:write')}"}
    body = [{"product_code": "GIN"}]
    assert (await anonymous.put("/v1/products", json=body, headers=reader)).status_code == 403
    assert (await anonymous.put("/v1/products", json=body)).status_code == 401
    assert (await anonymous.put("/v1/products", json=body, headers=writer)).status_code == 200
