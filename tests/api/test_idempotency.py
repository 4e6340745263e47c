"""A request sent twice is done once."""

import asyncio

import pytest

from pullplan.storage import database, idempotency

pytestmark = pytest.mark.anyio


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def _count_runs(connection: database.Connection) -> int:
    return len(await connection.fetch("SELECT run_id FROM runs"))


async def test_the_same_request_again_gets_the_first_answer_and_makes_no_second_run(client, connection):
    first = await client.post("/v1/plans", json={}, headers=keyed("a"))
    again = await client.post("/v1/plans", json={}, headers=keyed("a"))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert await _count_runs(connection) == 1


@pytest.mark.parametrize(("path", "body"), [("/v1/plans", {"horizon_buckets": 2}), ("/v1/forecasts", {})])
async def test_another_request_with_a_used_key_is_refused(client, connection, path, body):
    await client.post("/v1/plans", json={}, headers=keyed("a"))
    answer = await client.post(path, json=body, headers=keyed("a"))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert await _count_runs(connection) == 1


async def test_two_callers_may_choose_the_same_key(client, key_with, connection):
    other = {"Authorization": f"Bearer {await key_with('plans:run')}"}
    await client.post("/v1/plans", json={}, headers=keyed("a"))
    answer = await client.post("/v1/plans", json={}, headers=keyed("a") | other)
    assert answer.status_code == 202
    assert await _count_runs(connection) == 2


async def test_a_request_that_failed_has_not_used_its_key(client):
    refused = {"policy_overrides": [{"product_code": "none"}]}
    assert (await client.post("/v1/plans", json=refused, headers=keyed("a"))).status_code == 422
    assert (await client.post("/v1/plans", json={}, headers=keyed("a"))).status_code == 202


async def test_while_the_first_is_being_answered_the_second_is_told_to_come_back(client, connection):
    me = (await client.get("/v1/me")).json()
    async with connection.transaction():
        assert await idempotency.try_lock(connection, me["key_id"], "a")
        answer = await client.post("/v1/plans", json={}, headers=keyed("a"))
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-key-busy")
        assert "retry-after" in answer.headers
    assert (await client.post("/v1/plans", json={}, headers=keyed("a"))).status_code == 202


async def test_many_at_once_make_one_run(client, connection):
    answers = await asyncio.gather(
        *(client.post("/v1/plans", json={}, headers=keyed("a")) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["run_id"] for answer in answers if answer.status_code == 202}) == 1
    assert await _count_runs(connection) == 1


async def test_a_cancel_sent_twice_is_answered_the_same(client):
    run = (await client.post("/v1/plans", json={})).json()
    path = f"/v1/runs/{run['run_id']}/cancel"
    first = await client.post(path, headers=keyed("c"))
    again = await client.post(path, headers=keyed("c"))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert (await client.post(path)).status_code == 409


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x07b"])
async def test_a_key_that_is_empty_endless_or_unprintable_is_refused(client, key):
    answer = await client.post("/v1/plans", json={}, headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
