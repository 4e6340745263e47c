"""Who may do what: keys, scopes, expiry, retirement."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from pullplan.api import access
from pullplan.api.access import CACHE_SECONDS, Keyring
from pullplan.api.app import ROUTES
from pullplan.api.errors import KeyRefusedError
from pullplan.api.rate_limits import RateLimiter
from pullplan.storage import database, keys

pytestmark = pytest.mark.anyio

OPEN = {"/", "/docs", "/docs/{asset:str}", "/openapi.yaml", "/health/live", "/health/ready", "/metrics"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_but_the_open_ones_needs_a_key():
    assert {path for route in ROUTES if not route.guards for path in route.paths} == OPEN


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}])
async def test_without_a_key_nobody_gets_in(anonymous, header):
    answer = await anonymous.get("/v1/me", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "key-missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="pullplan"'


async def test_an_unknown_key_is_refused(anonymous):
    answer = await anonymous.get("/v1/me", headers=bearer("pp_guessed"))
    assert (answer.status_code, answer.json()["code"]) == (401, "key-refused")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_an_expired_key_is_refused(anonymous, key_with):
    key = await key_with("read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = await anonymous.get("/v1/me", headers=bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (401, "key-refused")


async def test_a_key_reads_its_scopes_and_node(anonymous, key_with):
    key = await key_with("read", "node", node_code="N1")
    me = (await anonymous.get("/v1/me", headers=bearer(key))).json()
    assert (me["scopes"], me["node_code"]) == (["node", "read"], "N1")


async def test_a_key_without_the_scope_is_told_which_it_lacks_before_its_body_is_read(anonymous, key_with):
    key = await key_with("read", "demand:write")
    answer = await anonymous.post("/v1/plans", content=b"{", headers=bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
    assert "plans:run" in answer.json()["detail"]


async def test_a_key_that_only_writes_does_not_read(anonymous, key_with):
    assert (await anonymous.get("/v1/runs", headers=bearer(await key_with("plans:run")))).status_code == 403


async def test_admin_has_every_scope(client):
    assert (await client.get("/v1/runs")).status_code == 200
    assert (await client.post("/v1/forecasts", json={})).status_code == 202


async def test_the_last_use_of_a_key_is_noted(anonymous, key_with, connection: database.Connection):
    key = await key_with("read")
    await anonymous.get("/v1/me", headers=bearer(key))
    stored = await keys.find_by_digest(connection, hashlib.sha256(key.encode()).digest())
    assert stored is not None
    assert stored.last_used_at is not None


class _Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_a_retired_key_is_refused_once_the_process_has_forgotten_it(pool, key_with):
    clock = _Clock()
    keyring = Keyring(pool, clock, RateLimiter(0))
    text = await key_with("read")
    caller = await keyring.identify(f"Bearer {text}", "203.0.113.7")
    async with database.lent(pool) as connection:
        await keys.retire(connection, caller.key_id, clock.now)
    assert await keyring.identify(f"bearer {text}", "203.0.113.7") == caller
    clock.now += timedelta(seconds=CACHE_SECONDS)
    with pytest.raises(KeyRefusedError):
        await keyring.identify(f"Bearer {text}", "203.0.113.7")


async def test_a_remembered_key_still_expires_to_the_second(pool, key_with):
    clock = _Clock()
    keyring = Keyring(pool, clock, RateLimiter(0))
    text = await key_with("read", expires_at=clock.now + timedelta(seconds=1))
    await keyring.identify(f"Bearer {text}", "203.0.113.7")
    clock.now += timedelta(seconds=1)
    with pytest.raises(KeyRefusedError):
        await keyring.identify(f"Bearer {text}", "203.0.113.7")


async def test_a_write_is_audited_with_its_key(client, connection: database.Connection):
    me = (await client.get("/v1/me")).json()
    run = (await client.post("/v1/plans", json={})).json()
    row = await connection.fetchrow("SELECT key_id, action, subject FROM audit_entries")
    assert row is not None
    assert (str(row["key_id"]), row["action"], row["subject"]) == (
        me["key_id"], "plans.start", f"/v1/runs/{run['run_id']}",
    )  # fmt: skip


async def test_a_key_is_made_shown_once_and_does_what_its_scopes_say(client, anonymous):
    answer = await client.post("/v1/keys", json={"name": "shop", "scopes": ["read", "read"]})
    made = answer.json()
    assert (answer.status_code, made["scopes"]) == (201, ["read"])
    assert answer.headers["cache-control"] == "no-store"
    assert (await anonymous.get("/v1/runs", headers=bearer(made["key"]))).status_code == 200
    assert (await anonymous.get("/v1/keys", headers=bearer(made["key"]))).status_code == 403
    listed = await client.get("/v1/keys", params={"limit": 1})
    assert listed.json()["items"][0]["key_id"] == made["key_id"]  # the newest first
    assert made["key"] not in listed.text


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"scopes": []}, "content-invalid", "scopes"),
        ({"scopes": ["root"]}, "content-invalid", "scopes"),
        ({"scopes": ["node"]}, "content-invalid", "node_code"),
        ({"scopes": ["read"], "node_code": "N1"}, "content-invalid", "node_code"),
        ({"scopes": ["node"], "node_code": "NOWHERE"}, "reference-unknown", "node_code"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "content-invalid", "expires_at"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_with_its_field(client, wrong, code, field):
    answer = await client.post("/v1/keys", json={"name": "x"} | wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert field in answer.text


async def test_a_rotated_key_is_accepted_beside_its_successor_for_a_while(client, anonymous, connection):
    old = (await client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})).json()
    new = (await client.post(f"/v1/keys/{old['key_id']}/rotate", json={"overlap_seconds": 300})).json()
    assert (new["name"], new["scopes"]) == ("shop", ["read"])
    assert new["expires_at"] is None  # as the old one was to live
    for key in (old["key"], new["key"]):
        assert (await anonymous.get("/v1/me", headers=bearer(key))).status_code == 200
    ends_at = await connection.fetchval("SELECT expires_at FROM api_keys WHERE key_id = $1", old["key_id"])
    assert timedelta(seconds=240) < ends_at - datetime.now(UTC) < timedelta(seconds=360)
    assert (await client.delete(f"/v1/keys/{old['key_id']}")).status_code == 204
    again = await client.post(f"/v1/keys/{old['key_id']}/rotate", json={})
    assert (again.status_code, again.json()["code"]) == (409, "key-retired")


async def test_a_key_that_is_retired_elsewhere_is_refused_before_it_would_be_forgotten(
    client, anonymous, connection, monkeypatch
):
    monkeypatch.setattr(access, "CACHE_SECONDS", 3600.0)
    made = (await client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})).json()
    assert (await anonymous.get("/v1/me", headers=bearer(made["key"]))).status_code == 200
    await keys.retire(connection, made["key_id"], datetime.now(UTC))
    for _ in range(500):  # ten seconds at most
        if (await anonymous.get("/v1/me", headers=bearer(made["key"]))).status_code == 401:
            return
        await asyncio.sleep(0.02)
    pytest.fail("a retired key is still accepted")


async def test_no_key_retires_itself(client):
    me = (await client.get("/v1/me")).json()
    answer = await client.delete(f"/v1/keys/{me['key_id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "own-key")


async def test_the_audit_tells_who_did_what_newest_first(client):
    me = (await client.get("/v1/me")).json()
    made = [(await client.post("/v1/keys", json={"name": "x", "scopes": ["read"]})).json() for _ in range(3)]
    page = (await client.get("/v1/audit", params={"action": "create", "limit": 2})).json()
    rest = await client.get(
        "/v1/audit", params={"action": "create", "limit": 2, "cursor": page["next_cursor"]}
    )
    entries = page["items"] + rest.json()["items"]
    assert [entry["subject"] for entry in entries] == [f"keys/{key['key_id']}" for key in reversed(made)]
    assert {entry["key_id"] for entry in entries} == {me["key_id"]}
    of_one = await client.get("/v1/audit", params={"subject": f"keys/{made[0]['key_id']}"})
    assert len(of_one.json()["items"]) == 1
    nobody = await client.get("/v1/audit", params={"key_id": made[0]["key_id"]})
    assert nobody.json()["items"] == []


async def test_a_key_that_has_sent_all_its_requests_is_told_when_it_may_send_more(anonymous, key_with):
    slow, other = await key_with("read", requests_per_minute=3), await key_with("read")
    for left in (2, 1, 0):
        answer = await anonymous.get("/v1/me", headers=bearer(slow))
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"key";q=3;w=60'
        assert answer.headers["ratelimit"].startswith(f'"key";r={left};t=')
    assert answer.json()["limits"]["requests_per_minute"] == 3
    refused = await anonymous.get("/v1/me", headers=bearer(slow))
    assert (refused.status_code, refused.json()["code"]) == (429, "rate-exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"] == f'"key";r=0;t={refused.headers["retry-after"]}'
    assert (await anonymous.get("/v1/me", headers=bearer(other))).status_code == 200


async def test_a_key_without_a_limit_is_told_of_none(anonymous, key_with):
    answer = await anonymous.get("/v1/me", headers=bearer(await key_with("read", requests_per_minute=0)))
    assert "ratelimit" not in answer.headers
    assert answer.json()["limits"]["requests_per_minute"] == 0


async def test_a_key_that_takes_anothers_place_has_its_limit(client, anonymous):
    asked = {"name": "shop", "scopes": ["read"], "requests_per_minute": 7}
    made = (await client.post("/v1/keys", json=asked)).json()
    new = (await client.post(f"/v1/keys/{made['key_id']}/rotate", json={})).json()
    answer = await anonymous.get("/v1/me", headers=bearer(new["key"]))
    assert answer.headers["ratelimit-policy"] == '"key";q=7;w=60'
