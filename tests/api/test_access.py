"""Who may do what: keys, scopes, expiry, retirement."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from pullplan.api.access import CACHE_SECONDS, Keyring
from pullplan.api.app import ROUTES
from pullplan.api.errors import KeyRefusedError
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
    keyring = Keyring(pool, clock)
    text = await key_with("read")
    caller = await keyring.identify(f"Bearer {text}")
    async with database.lent(pool) as connection:
        await keys.retire(connection, caller.key_id, clock.now)
    assert await keyring.identify(f"bearer {text}") == caller
    clock.now += timedelta(seconds=CACHE_SECONDS)
    with pytest.raises(KeyRefusedError):
        await keyring.identify(f"Bearer {text}")


async def test_a_remembered_key_still_expires_to_the_second(pool, key_with):
    clock = _Clock()
    keyring = Keyring(pool, clock)
    text = await key_with("read", expires_at=clock.now + timedelta(seconds=1))
    await keyring.identify(f"Bearer {text}")
    clock.now += timedelta(seconds=1)
    with pytest.raises(KeyRefusedError):
        await keyring.identify(f"Bearer {text}")


async def test_a_write_is_audited_with_its_key(client, connection: database.Connection):
    me = (await client.get("/v1/me")).json()
    run = (await client.post("/v1/plans", json={})).json()
    row = await connection.fetchrow("SELECT key_id, action, subject FROM audit_entries")
    assert row is not None
    assert (str(row["key_id"]), row["action"], row["subject"]) == (
        me["key_id"], "plans.start", f"/v1/runs/{run['run_id']}",
    )  # fmt: skip
