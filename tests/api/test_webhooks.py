"""Webhooks: who may be called where, and what waits to be told."""

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import standardwebhooks

from pullplan.addresses import is_public
from pullplan.api.webhooks import Event
from pullplan.storage import queue
from pullplan.storage.runs import RunKind

pytestmark = pytest.mark.anyio

HOOKS = "/v1/webhooks"
BODY = {"url": "https://erp.example.com/hook?of=plans", "events": ["plan.succeeded", "plan.failed"]}


async def made(client: httpx.AsyncClient, **changes) -> tuple[str, httpx.Response]:
    answer = await client.post(HOOKS, json=BODY | changes)
    assert answer.status_code == 201, answer.text
    return f"{HOOKS}/{answer.json()['webhook_id']}", answer


async def test_a_webhook_shows_its_secret_once_and_its_writes_are_audited(client: httpx.AsyncClient):
    path, answer = await made(client)
    secret = answer.json()["secret"]
    assert standardwebhooks.Webhook(secret).sign("m", datetime.now(UTC), "x").startswith("v1,")
    assert answer.headers["cache-control"] == "no-store"
    shown = await client.get(path)
    assert (shown.json()["events"], shown.headers["etag"]) == (["plan.failed", "plan.succeeded"], '"1"')
    rotated = await client.post(f"{path}/rotate", json={})
    assert rotated.json()["secret"] != secret
    for answer in (shown, await client.get(HOOKS)):
        assert "secret" not in str(answer.json()).replace("previous_secret_until", "")
    told = (await client.get("/v1/audit", params={"subject": path.removeprefix("/v1/")})).json()["items"]
    assert [entry["action"] for entry in told] == ["rotate", "create"]
    assert secret not in str(told)


async def test_a_webhook_is_changed_as_it_was_read_and_retired(client: httpx.AsyncClient):
    path, _ = await made(client)
    assert (await client.put(path, json=BODY)).status_code == 428
    changed = await client.put(path, json=BODY | {"is_enabled": False}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["is_enabled"]) == (200, False)
    assert (await client.put(path, json=BODY, headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.delete(path, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    assert (await client.get(HOOKS)).json()["items"] == []
    assert (await client.get(path)).json()["retired_at"]
    assert (await client.post(f"{path}/ping")).status_code == 412
    assert (await client.get(f"{HOOKS}/{uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3:8443/x",
        "https://[::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://user:word@example.com/",
        "https://example.com/a#b",
        "https://example.com/a\r\nX: y",
        "file:///etc/passwd",
        "ftp://example.com/",
        "https://",
    ],
)
async def test_an_address_that_would_never_be_sent_to_is_refused(client: httpx.AsyncClient, url: str):
    answer = await client.post(HOOKS, json=BODY | {"url": url})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url"), answer.text


async def test_events_that_are_none_or_unknown_are_refused(client: httpx.AsyncClient):
    for events in ([], ["plan.exploded"], None):
        assert (await client.post(HOOKS, json=BODY | {"events": events})).status_code == 422


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, *, public: bool):
    assert is_public(address) is public


async def ended(connection: asyncpg.Connection, kind: str, how: str) -> UUID:
    """Let a run of a kind come to its end."""
    row = await queue.enqueue(connection, kind, {}, None)
    run = await queue.claim(connection, 60)
    assert run is not None
    if how == "succeeded":
        assert await queue.succeed(connection, run.run_id, run.attempt, "/v1/plans/1")
    elif how == "failed":
        assert await queue.fail(connection, run.run_id, run.attempt, {"code": "x", "detail": "no nodes"})
    else:
        assert await queue.end_cancelled(connection, run.run_id, run.attempt)
    return UUID(str(row["run_id"]))


async def test_what_a_run_came_to_waits_for_whoever_asked_in_the_same_transaction(
    client: httpx.AsyncClient, connection: asyncpg.Connection
):
    path, _ = await made(client)
    other, _ = await made(client, events=["forecast.cancelled"])
    disabled, _ = await made(client, is_enabled=False)
    async with connection.transaction():
        run_id = await ended(connection, "plan", "failed")
    undone = connection.transaction()
    await undone.start()
    await ended(connection, "plan", "succeeded")
    await undone.rollback()
    await ended(connection, "forecast", "cancelled")
    (delivery,) = (await client.get(f"{path}/deliveries")).json()["items"]
    assert (delivery["event"], delivery["state"], delivery["attempts"]) == ("plan.failed", "waiting", 0)
    assert delivery["payload"]["data"] == {
        "run_id": str(run_id),
        "kind": "plan",
        "state": "failed",
        "result": None,
        "problem": {"code": "x", "detail": "no nodes"},
    }
    assert len((await client.get(f"{other}/deliveries")).json()["items"]) == 1
    assert (await client.get(f"{disabled}/deliveries")).json()["items"] == []


def test_every_kind_of_run_can_be_heard_of_however_it_ends():
    assert {*get_args(Event)} == {
        f"{kind}.{state}" for kind in get_args(RunKind) for state in ("succeeded", "failed", "cancelled")
    }


async def test_a_ping_is_listed_and_redelivered_only_once_it_has_ended(
    client: httpx.AsyncClient, connection: asyncpg.Connection
):
    path, _ = await made(client)
    ping = (await client.post(f"{path}/ping")).json()
    again = f"{path}/deliveries/{ping['delivery_id']}/redeliver"
    refused = await client.post(again)
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery-waits")
    await connection.execute("UPDATE webhook_deliveries SET state = 'dead', attempts = 10, ended_at = now()")
    assert (await client.get(f"{path}/deliveries?delivery_state=dead")).json()["items"][0][
        "next_attempt_at"
    ] is None
    waiting = (await client.post(again)).json()
    assert (waiting["state"], waiting["attempts"], waiting["message_id"]) == (
        "waiting",
        0,
        ping["message_id"],
    )
    assert (await client.post(f"{path}/deliveries/999/redeliver")).status_code == 404
    await client.delete(path, headers={"If-Match": "*"})
    assert (await client.get(f"{path}/deliveries")).json()["items"][0][
        "last_problem"
    ] == "the webhook was retired"
