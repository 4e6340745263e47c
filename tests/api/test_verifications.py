"""Verifications: asked for, waited for, listed and read."""

import asyncio
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.computing import compute_next
from tests.seeding import AS_OF, demand, insert, network, stock

from pullplan.engine.model import PlanRequest
from pullplan.storage import queue
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


@pytest.fixture
async def plan_id(connection: Connection, database_url: str) -> UUID:
    await insert(connection, [*network(), *stock(), *demand()])
    request = msgspec.to_builtins(PlanRequest(as_of=AS_OF, horizon_buckets=2))
    await queue.enqueue(connection, "plan", request, None)
    return await compute_next(database_url)


async def test_a_verification_is_a_run_whose_result_says_what_was_found(
    client, connection, database_url, plan_id
):
    answer = await client.post(f"/v1/plans/{plan_id}/verify")
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/v1/runs/{run['run_id']}"
    assert (run["kind"], run["state"], run["parameters"]) == (
        "verification",
        "queued",
        {"plan_id": str(plan_id)},
    )
    await compute_next(database_url)
    ended = (await client.get(f"/v1/runs/{run['run_id']}")).json()
    assert ended["result"] == f"/v1/plans/{plan_id}/verifications/{run['run_id']}"
    found = (await client.get(ended["result"])).json()
    assert (found["valid"], found["n_findings"], found["findings"]) == (True, 0, [])
    assert found["checked"]["n_options"] > 0
    stages = (await client.get(f"/v1/plans/{plan_id}")).json()["stages"]
    assert [stage["measure"] for stage in found["stages"]] == [stage["measure"] for stage in stages]
    audited = await connection.fetchval("SELECT action FROM audit_entries ORDER BY audit_id DESC LIMIT 1")
    assert audited == "verifications.start"


async def test_who_prefers_to_wait_gets_the_ended_run(client, connection, database_url, plan_id):
    async def work_soon() -> None:
        while await connection.fetchval("SELECT count(*) FROM runs WHERE state = 'queued'") == 0:  # noqa: ASYNC110 - the queue is in the database
            await asyncio.sleep(0.01)
        await compute_next(database_url)

    waiting = client.post(f"/v1/plans/{plan_id}/verify", headers={"Prefer": "wait=20"})
    answer, _ = await asyncio.gather(waiting, work_soon())
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


async def test_a_plan_that_was_tampered_with_is_told_sentence_by_sentence(
    client, connection, database_url, plan_id
):
    await connection.execute(
        "UPDATE plan_assignments SET units = units * 3 WHERE assignment_id = 1 AND plan_id = $1", plan_id
    )
    await client.post(f"/v1/plans/{plan_id}/verify")
    verification_id = await compute_next(database_url)
    found = (await client.get(f"/v1/plans/{plan_id}/verifications/{verification_id}")).json()
    assert not found["valid"]
    [uncovered] = [finding for finding in found["findings"] if finding["code"] == "need_not_covered"]
    assert uncovered["need_id"] == 1
    assert "too many" in uncovered["detail"]


async def test_the_same_request_again_starts_no_second_check(client, connection, plan_id):
    headers = {"Idempotency-Key": "once"}
    first = await client.post(f"/v1/plans/{plan_id}/verify", headers=headers)
    again = await client.post(f"/v1/plans/{plan_id}/verify", headers=headers)
    assert again.json() == first.json()
    assert await connection.fetchval("SELECT count(*) FROM runs WHERE kind = 'verification'") == 1


async def test_verifications_are_listed_the_newest_first_without_their_findings(
    client, database_url, plan_id
):
    path = f"/v1/plans/{plan_id}/verifications"
    assert (await client.get(path)).json() == {"items": [], "next_cursor": None}
    made = []
    for _ in range(3):
        await client.post(f"/v1/plans/{plan_id}/verify")
        made.append(str(await compute_next(database_url)))
    first = (await client.get(path, params={"limit": 2})).json()
    rest = (await client.get(path, params={"cursor": first["next_cursor"]})).json()
    assert [item["verification_id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert all("findings" not in item for item in first["items"])
    runs = (await client.get("/v1/runs", params={"kind": "verification"})).json()["items"]
    assert [run["run_id"] for run in runs] == made[::-1]


async def test_what_is_not_there_is_a_404(client, database_url, plan_id):
    assert (await client.post(f"/v1/plans/{uuid4()}/verify")).status_code == 404
    assert (await client.get(f"/v1/plans/{uuid4()}/verifications")).status_code == 404
    await client.post(f"/v1/plans/{plan_id}/verify")
    verification_id = await compute_next(database_url)
    for path in (f"{plan_id}/verifications/{uuid4()}", f"{uuid4()}/verifications/{verification_id}"):
        answer = await client.get(f"/v1/plans/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")


async def test_starting_a_check_needs_the_scope_that_starts_plans(client, key_with, plan_id):
    reader = {"Authorization": f"Bearer {await key_with('read')}"}
    assert (await client.post(f"/v1/plans/{plan_id}/verify", headers=reader)).status_code == 403
    assert (await client.get(f"/v1/plans/{plan_id}/verifications", headers=reader)).status_code == 200
