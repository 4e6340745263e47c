"""Is a caller spared what it has already, and told which methods a path takes and which pages may call?"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.seeding import insert, network

from pullplan.api import conditional
from pullplan.api.app import create_app
from pullplan.settings import Settings
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

PATHS = ["/health/live", "/v1/nodes", "/v1/nodes/MILL", "/v1/nodes/MILL/state", "/v1/settings", "/v1/runs"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_has_not_changed_is_not_sent_again(
    path: str, connection: Connection, client: httpx.AsyncClient
):
    await insert(connection, network())
    first = await client.get(path)
    tag = first.headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    for sent in ('"other"', tag.strip('"'), ""):
        again = await client.get(path, headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (200, first.content)
    head = await client.head(path, headers={"If-None-Match": tag})
    assert (head.status_code, head.headers["etag"]) == (304, tag)
    assert (await client.head(path)).headers["etag"] == tag


async def test_what_has_changed_is_sent_under_another_tag(connection: Connection, client: httpx.AsyncClient):
    await insert(connection, network())
    tag = (await client.get("/v1/nodes/MILL/state")).headers["etag"]
    await client.put("/v1/nodes/MILL/state", json={"status": "offline"})
    again = await client.get("/v1/nodes/MILL/state", headers={"If-None-Match": tag})
    assert (again.status_code, again.json()["status"]) == (200, "offline")
    assert again.headers["etag"] != tag


async def test_streams_and_failures_have_no_tag(connection: Connection, client: httpx.AsyncClient):
    await insert(connection, network())
    missing = await client.get("/v1/nodes/NONE", headers={"If-None-Match": "*"})
    assert (missing.status_code, "etag" in missing.headers) == (404, False)


@pytest.mark.parametrize("given", ["", '"', "W/", ",,,", '"a" "b"', '"\x00"', "W/*"])
def test_a_field_that_names_nothing_finds_nothing(given: str):
    assert not conditional.is_known(given.encode(), b'"c"')


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/nodes", "GET, HEAD, OPTIONS, PUT"),
        ("/v1/nodes/MILL", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/v1/demand-signals/batch", "OPTIONS, POST"),
    ],
)
async def test_a_path_says_what_it_takes(path: str, methods: str, anonymous: httpx.AsyncClient):
    asked, refused = await anonymous.options(path), await anonymous.patch(path)
    assert (asked.status_code, asked.headers["allow"]) == (204, methods)
    assert (refused.status_code, refused.headers["allow"]) == (405, methods)


@pytest.fixture
async def shared(tmp_path: Path, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Call an application whose answers a shop's pages may read."""
    settings = Settings(data_folder=tmp_path, cors_origins="https://shop.example.com, http://localhost:3000")
    app = create_app(settings, database_url)
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pullplan") as http,
    ):
        yield http


async def test_pages_of_named_origins_may_call(shared: httpx.AsyncClient):
    preflight = {
        "Origin": "https://shop.example.com",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,if-match",
    }
    asked = await shared.options("/v1/nodes/MILL", headers=preflight)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert {"authorization", "if-match"} <= set(asked.headers["access-control-allow-headers"].split(", "))
    answer = await shared.get("/v1/me", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "etag" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://shop.example.com.evil.org", "null"])
async def test_pages_of_others_may_not(origin: str, shared: httpx.AsyncClient):
    answer = await shared.get("/health/live", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


async def test_unless_set_no_page_may_call(anonymous: httpx.AsyncClient):
    answer = await anonymous.get("/health/live", headers={"Origin": "https://shop.example.com"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
