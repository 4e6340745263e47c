"""What does whoever means harm get? An answer of the contract, and nothing else happens."""

import json
import re
from typing import Any

import asyncpg
import httpx
import pytest

from pullplan.api import openapi
from pullplan.api.fields import CODE_PATTERN

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
SQL = (
    "'; DROP TABLE demand_signals; --",
    "1' OR '1'='1",
    "x') UNION SELECT key_sha256 FROM api_keys --",
    "$1; SELECT pg_sleep(9)",
    '"; DELETE FROM products; --',
    "\\'; TRUNCATE runs CASCADE; --",
)


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    tables = [
        row["tablename"]
        for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    return {table: int(await connection.fetchval(f'SELECT count(*) FROM "{table}"')) for table in tables}


@pytest.mark.parametrize("text", SQL)
async def test_sql_is_stored_as_the_words_that_it_is(
    client: httpx.AsyncClient, connection: asyncpg.Connection, text: str
):
    await client.put("/v1/products", json=[{"product_code": "GIN", "name": text}])
    await client.put("/v1/regions", json=[{"region_code": "EAST", "name": text}])
    signal = {
        "source": "shop", "external_id": text, "kind": "consumption", "product_code": "GIN", "region_code": "EAST",
        "units": 1.0, "occurred_at": "2026-03-01T12:00:00Z", "reason": text,
    }  # fmt: skip
    assert (await client.post("/v1/demand-signals", json=signal)).status_code == 201
    (stored,) = (await client.get("/v1/demand-signals")).json()["items"]
    assert (stored["external_id"], stored["reason"]) == (text, text)
    assert (await client.get("/v1/products/GIN")).json()["name"] == text
    assert (await connection.fetchval("SELECT count(*) FROM demand_signals")) == 1


def _parameters() -> list[tuple[str, str]]:
    """List every parameter of a query that is a text, with its path."""
    return sorted(
        (path, parameter["name"])
        for path, operations in openapi.document()["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", ())
        if parameter["in"] == "query" and "{" not in path
    )


async def test_sql_in_any_parameter_changes_and_tells_nothing(
    client: httpx.AsyncClient, connection: asyncpg.Connection
):
    await client.get("/v1/me")
    before = await counts(connection)
    asked = _parameters()
    assert len(asked) > 50
    for path, name in asked:
        for text in SQL[:3]:
            answer = await client.get(path, params={name: text})
            assert answer.status_code in (200, 422), f"{path}?{name}: {answer.text}"
            if answer.status_code == 200:
                assert answer.json()["items"] == []
    assert await counts(connection) == before


@pytest.mark.parametrize("path", ["/v1/demand-signals", "/v1/demand-signals/batch", "/v1/plans"])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_nesting_without_end_is_malformed(client: httpx.AsyncClient, path: str, opening: bytes):
    answer = await client.post(path, content=opening * 200_000, headers=JSON)
    assert answer.status_code in (400, 422), answer.text
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "number", ["9" * 5000, "1e400", "-1e400", "1e-400", "0." + "1" * 100_000, "NaN", "Infinity"]
)
async def test_a_number_without_end_is_a_number_or_refused(client: httpx.AsyncClient, number: str):
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    body = '[{"product_code": "GIN", "weight_kg": ' + number + "}]"
    answer = await client.put("/v1/products", content=body.encode(), headers=JSON)
    assert answer.status_code in (200, 400, 413, 422), answer.text
    weight = (await client.get("/v1/products/GIN")).json()["weight_kg"]
    assert 0 <= weight < 1e12


@pytest.mark.parametrize(
    "text", ["a\x00b", "a\x07b", "a\x1b[31mb", "a\x7fb", "a\x85b", "a\r\nSet-Cookie: x=y"]
)
async def test_a_control_character_is_refused_wherever_a_text_is_kept(client: httpx.AsyncClient, text: str):
    for row in ({"product_code": text}, {"product_code": "GIN", "name": text}):
        answer = await client.put("/v1/products", content=json.dumps([row]).encode(), headers=JSON)
        assert answer.status_code == 422, answer.text
    assert (await client.get("/v1/products")).json()["items"] == []


@pytest.mark.parametrize(
    "header", ["x-request-id", "idempotency-key", "prefer", "if-match", "last-event-id", "origin"]
)
async def test_no_header_of_a_request_splits_that_of_its_answer(client: httpx.AsyncClient, header: str):
    value = b"a\r\nSet-Cookie: stolen=1\r\n\r\n<html>"
    request = client.build_request("POST", "/v1/plans", json={})
    request.headers.raw.append((header.encode(), value))
    answer = await client.send(request)
    assert "stolen" not in str(answer.headers)
    assert not [one for one in answer.headers.values() if "\r" in one or "\n" in one]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/products/" + "A" * 5000, None),
        ("GET", "/v1/products?" + "&".join(f"p{n}=1" for n in range(5000)), None),
        ("GET", "/v1/runs?cursor=" + "A" * 10_000, None),
        ("POST", "/v1/keys", {"name": "x" * 100_000, "scopes": ["read"]}),
        ("POST", "/v1/keys", {"name": "x", "scopes": ["read"] * 10_000}),
        ("PUT", "/v1/products", [{"product_code": "A"}] * 10_001),
        ("POST", "/v1/plans", {"pins": [{}] * 100_000}),
        ("POST", "/v1/plans", {f"field_{n}": 1 for n in range(50_000)}),
    ],
    ids=["path", "query", "cursor", "text", "list", "batch", "pins", "fields"],
)
async def test_what_is_too_large_is_refused_in_few_words(
    client: httpx.AsyncClient, method: str, path: str, body: Any
):
    answer = await client.request(method, path, json=body)
    assert answer.status_code in (404, 413, 422), answer.text[:300]
    assert len(answer.content) < 40_000


async def test_a_method_cannot_be_smuggled_in(client: httpx.AsyncClient, connection: asyncpg.Connection):
    await client.put("/v1/products", json=[{"product_code": "GIN"}])
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert (
            await client.get("/v1/products/GIN", headers={header: "DELETE", "If-Match": "*"})
        ).status_code == 200
    assert (await client.get("/v1/products/GIN?_method=DELETE")).status_code == 422
    assert await connection.fetchval("SELECT count(*) FROM products WHERE retired_at IS NULL") == 1


def test_no_code_can_begin_a_formula_that_does_anything():
    """Codes are all that callers write in exported tables: no call, no link to another program or sheet fits into one."""
    code = re.compile(CODE_PATTERN)
    for sign in "=+@()!|\t\r,;'\" ":
        assert not code.fullmatch(sign)
        assert not code.fullmatch(f"-{sign}")


async def test_keys_are_in_no_log_line(client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]):
    key = (await client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})).json()
    own = {"Authorization": f"Bearer {key['key']}"}
    await client.get("/v1/me", headers=own)
    await client.get(f"/v1/runs?cursor={key['key']}", headers=own)
    await client.get("/v1/me", headers={"Authorization": "Bearer pp_guessed-by-somebody"})
    rotated = (await client.post(f"/v1/keys/{key['key_id']}/rotate", json={})).json()
    secret = (
        await client.post("/v1/webhooks", json={"url": "https://example.com/", "events": ["plan.failed"]})
    ).json()["secret"]
    said = "".join(capfd.readouterr())
    assert "/v1/webhooks" in said
    for word in (key["key"], rotated["key"], secret, "pp_guessed-by-somebody"):
        assert word not in said
