"""Runs: started, read, waited for, followed, cancelled."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from pullplan.api import runs
from pullplan.storage import database, queue
from pullplan.worker.child import Said

pytestmark = pytest.mark.anyio

NOTHING_SAID = dict.fromkeys(
    ("step", "detail", "stage", "round", "value", "bound", "needs_settled", "lines_done", "lines")
) | {"done_share": 0.0}


async def _finish(connection: database.Connection, run_id: str, result: str = "/v1/plans/x") -> None:
    claimed = await queue.claim(connection, 60.0)
    assert claimed is not None
    assert claimed.run_id == UUID(run_id)
    assert await queue.succeed(connection, claimed.run_id, claimed.attempt, result)


async def test_a_started_run_is_queued_and_says_where_to_look(client):
    answer = await client.post("/v1/plans", json={"horizon_buckets": 3})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/v1/runs/{run['run_id']}"
    assert answer.headers["retry-after"] == "1"
    assert (run["kind"], run["state"], run["attempt"], run["result"]) == ("plan", "queued", 0, None)
    assert run["progress"] == NOTHING_SAID
    assert run["parameters"]["horizon_buckets"] == 3
    assert (await client.get(answer.headers["location"])).json() == run


async def test_the_moment_of_asking_is_what_a_run_without_as_of_sees(client):
    before = (await client.post("/v1/forecasts", json={})).json()
    after = (await client.post("/v1/forecasts", json={"as_of": "2022-01-03T01:00:00+01:00"})).json()
    assert before["parameters"]["as_of"][:10] == before["created_at"][:10]
    assert after["parameters"]["as_of"] == "2022-01-03T01:00:00+01:00"


async def test_a_run_that_is_not_there_is_a_404(client):
    for path in (f"/v1/runs/{uuid4()}", f"/v1/runs/{uuid4()}/events", "/v1/runs/not-an-id"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post(f"/v1/runs/{uuid4()}/cancel")).status_code == 404


async def test_runs_are_filtered_by_kind_and_state(client):
    plan = (await client.post("/v1/plans", json={})).json()
    forecast = (await client.post("/v1/forecasts", json={})).json()
    await client.post(f"/v1/runs/{forecast['run_id']}/cancel")

    async def ids(query: str) -> list[str]:
        return [run["run_id"] for run in (await client.get(f"/v1/runs?{query}")).json()["items"]]

    assert await ids("kind=plan") == [plan["run_id"]]
    assert await ids("state=cancelled") == [forecast["run_id"]]
    assert await ids("kind=plan&state=cancelled") == []
    assert (await client.get("/v1/runs?state=lost")).status_code == 422


async def test_a_queued_run_is_cancelled_at_once_and_an_ended_one_not_again(client):
    run = (await client.post("/v1/plans", json={})).json()
    answer = await client.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert answer.json()["finished_at"] is not None
    again = await client.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run-ended")


async def test_a_running_run_is_asked_to_end(client, connection):
    run = (await client.post("/v1/plans", json={})).json()
    await queue.claim(connection, 60.0)
    answer = await client.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (answer.json()["state"], answer.json()["cancel_requested"]) == ("running", True)


async def test_a_caller_who_prefers_to_wait_gets_the_ended_run(client, connection):
    waiting = asyncio.create_task(
        client.post("/v1/plans", json={}, headers={"Prefer": "respond-async, wait=20"})
    )
    run_id = None
    while run_id is None:
        run_id = await connection.fetchval("SELECT run_id::text FROM runs")
    await _finish(connection, run_id)
    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.json()["result"] == "/v1/plans/x"
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.headers["location"] == f"/v1/runs/{run_id}"


async def test_who_waits_is_told_of_the_end_and_does_not_look_for_it(client, connection, monkeypatch):
    monkeypatch.setattr(runs, "POLL_SECONDS", 60.0)
    waiting = asyncio.create_task(client.post("/v1/plans", json={}, headers={"Prefer": "wait=30"}))
    run_id = None
    while run_id is None:
        run_id = await connection.fetchval("SELECT run_id::text FROM runs")
    await asyncio.sleep(0.2)  # by now it has looked, and found the run queued
    await _finish(connection, run_id)
    answer = await asyncio.wait_for(waiting, 20)
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


async def test_a_wait_that_is_over_before_the_run_answers_202(client):
    answer = await client.post("/v1/plans", json={}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=0"


def _events(text: str) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def test_who_follows_a_run_hears_of_each_change_and_of_its_end(client, connection):
    run_id = (await client.post("/v1/plans", json={})).json()["run_id"]
    following = asyncio.create_task(client.get(f"/v1/runs/{run_id}/events"))
    claimed = await queue.claim(connection, 60.0)
    assert claimed is not None
    await queue.renew(
        connection, claimed.run_id, claimed.attempt, 60.0, {"step": "netting", "done_share": 0.5}
    )
    await queue.fail(connection, claimed.run_id, claimed.attempt, {"code": "too-bad", "detail": "it failed"})
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = _events(answer.text)
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    name, run = events[-1]
    assert (name, run["state"], run["problem"]) == (
        "end",
        "failed",
        {"code": "too-bad", "detail": "it failed"},
    )
    assert run["progress"] == NOTHING_SAID | {"step": "netting", "done_share": 0.5}


async def test_a_run_that_assigns_says_how_far_its_search_is(client, connection):
    run_id = (await client.post("/v1/plans", json={})).json()["run_id"]
    claimed = await queue.claim(connection, 60.0)
    search: dict[str, Any] = {
        "stage": "cost:nearest",
        "round": 7,
        "value": 12.5,
        "bound": 12.0,
        "needs_settled": 40,
    }
    said = Said(step="assigning: cost", done_share=0.5, **search)
    assert claimed is not None
    await queue.renew(connection, claimed.run_id, claimed.attempt, 60.0, msgspec.to_builtins(said))
    progress = (await client.get(f"/v1/runs/{run_id}")).json()["progress"]
    assert progress == NOTHING_SAID | {"step": "assigning: cost", "done_share": 0.5} | search


async def test_a_run_that_has_ended_is_followed_to_its_end_at_once(client, connection):
    run_id = (await client.post("/v1/plans", json={})).json()["run_id"]
    await _finish(connection, run_id)
    ((name, run),) = _events((await client.get(f"/v1/runs/{run_id}/events")).text)
    assert (name, run["run_id"]) == ("end", run_id)
