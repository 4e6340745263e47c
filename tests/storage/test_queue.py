import asyncio
from uuid import UUID, uuid4

import pytest

from pullplan.storage import database, queue

pytestmark = pytest.mark.anyio

LEASE_SECONDS = 60.0


async def state_of(connection: database.Connection, run_id):
    return await connection.fetchrow("SELECT * FROM runs WHERE run_id = $1", run_id)


async def claimed(connection: database.Connection, lease_seconds: float = LEASE_SECONDS) -> queue.Claimed:
    run = await queue.claim(connection, lease_seconds)
    assert run is not None
    return run


async def lose_worker(connection: database.Connection) -> queue.Claimed:
    run = await claimed(connection)
    assert await queue.give_up(connection, run.run_id, run.attempt)
    return run


async def test_an_enqueued_run_is_claimed_once_with_its_parameters(connection):
    row = await queue.enqueue(connection, "plan", {"horizon_buckets": 8}, uuid4())
    assert row["state"] == "queued"
    run = await claimed(connection)
    assert (run.run_id, run.kind, run.attempt) == (row["run_id"], "plan", 1)
    assert run.parameters == {"horizon_buckets": 8}
    assert await queue.claim(connection, LEASE_SECONDS) is None


async def test_runs_are_claimed_in_the_order_they_came(connection):
    came = [(await queue.enqueue(connection, "plan", {}, None))["run_id"] for _ in range(3)]
    assert [(await claimed(connection)).run_id for _ in range(3)] == came


async def test_two_workers_at_once_never_claim_the_same_run(pool):
    async with database.transaction(pool) as connection:
        for _ in range(40):
            await queue.enqueue(connection, "forecast", {}, None)

    async def take_all() -> list[UUID]:
        taken: list[UUID] = []
        async with database.lent(pool) as connection:
            while run := await queue.claim(connection, LEASE_SECONDS):
                taken.append(run.run_id)
        return taken

    shares = await asyncio.gather(*(take_all() for _ in range(4)))
    taken = [run_id for share in shares for run_id in share]
    assert len(taken) == len(set(taken)) == 40


async def test_a_lease_that_is_over_is_taken_over_and_its_attempt_fenced_out(connection):
    await queue.enqueue(connection, "plan", {}, None)
    stalled = await claimed(connection, lease_seconds=0.0)
    successor = await claimed(connection)
    assert (successor.run_id, successor.attempt) == (stalled.run_id, stalled.attempt + 1)
    run_id = stalled.run_id
    assert await queue.renew(connection, run_id, stalled.attempt, LEASE_SECONDS) is None
    assert not await queue.succeed(connection, run_id, stalled.attempt, "/v1/plans/late")
    assert not await queue.fail(connection, run_id, stalled.attempt, {"code": "late", "detail": "late"})
    assert not await queue.give_back(connection, run_id, stalled.attempt)
    assert not await queue.give_up(connection, run_id, stalled.attempt)
    assert not await queue.end_cancelled(connection, run_id, stalled.attempt)
    assert await queue.succeed(connection, run_id, successor.attempt, "/v1/plans/first")
    assert not await queue.succeed(connection, run_id, successor.attempt, "/v1/plans/twice")
    assert (await state_of(connection, run_id))["result"] == "/v1/plans/first"


async def test_a_renewed_run_stays_its_workers_and_shows_its_progress(connection):
    await queue.enqueue(connection, "plan", {}, None)
    run = await claimed(connection, lease_seconds=0.0)
    progress = {"step": "assign", "done_share": 0.5, "detail": "stage 2 of 4"}
    assert await queue.renew(connection, run.run_id, run.attempt, LEASE_SECONDS, progress) is False
    assert await queue.renew(connection, run.run_id, run.attempt, LEASE_SECONDS) is False
    assert await queue.claim(connection, LEASE_SECONDS) is None
    assert (await state_of(connection, run.run_id))["progress"] == progress


async def test_a_run_that_lost_three_workers_fails_and_says_so(connection):
    row = await queue.enqueue(connection, "plan", {}, None)
    for attempt in (1, 2, 3):
        assert await queue.end_abandoned(connection) == []
        assert (await lose_worker(connection)).attempt == attempt
    assert await queue.claim(connection, LEASE_SECONDS) is None
    assert await queue.end_abandoned(connection) == [row["run_id"]]
    ended = await state_of(connection, row["run_id"])
    assert (ended["state"], ended["attempt"], ended["workers_lost"]) == ("failed", 3, 3)
    assert ended["problem"]["code"] == "worker-lost"
    assert "lost three workers" in ended["problem"]["detail"]


async def test_a_worker_that_is_stopped_on_purpose_is_not_a_worker_lost(connection):
    row = await queue.enqueue(connection, "plan", {}, None)
    for _ in range(5):
        run = await claimed(connection)
        assert await queue.give_back(connection, run.run_id, run.attempt)
    assert await queue.end_abandoned(connection) == []
    assert (await state_of(connection, row["run_id"]))["workers_lost"] == 0
    assert (await claimed(connection)).attempt == 6


async def test_cancelling_ends_a_queued_run_at_once(connection):
    row = await queue.enqueue(connection, "plan", {}, None)
    assert await queue.request_cancel(connection, row["run_id"]) == "cancelled"
    assert await queue.claim(connection, LEASE_SECONDS) is None
    assert await queue.request_cancel(connection, row["run_id"]) is None


async def test_cancelling_a_running_run_is_told_to_its_worker(connection):
    await queue.enqueue(connection, "plan", {}, None)
    run = await claimed(connection)
    assert await queue.request_cancel(connection, run.run_id) == "running"
    assert await queue.renew(connection, run.run_id, run.attempt, LEASE_SECONDS) is True
    assert await queue.end_cancelled(connection, run.run_id, run.attempt)
    assert (await state_of(connection, run.run_id))["state"] == "cancelled"


async def test_a_run_to_be_cancelled_whose_worker_dies_is_cancelled_not_tried_again(connection):
    await queue.enqueue(connection, "plan", {}, None)
    run = await claimed(connection)
    await queue.request_cancel(connection, run.run_id)
    await queue.give_up(connection, run.run_id, run.attempt)
    assert await queue.claim(connection, LEASE_SECONDS) is None
    assert await queue.end_abandoned(connection) == [run.run_id]
    assert (await state_of(connection, run.run_id))["state"] == "cancelled"


async def test_a_failed_run_keeps_its_problem(connection):
    await queue.enqueue(connection, "forecast", {}, None)
    run = await claimed(connection)
    problem = {"code": "horizon-invalid", "detail": "earliest_start_date lies after the horizon"}
    assert await queue.fail(connection, run.run_id, run.attempt, problem)
    ended = await state_of(connection, run.run_id)
    assert (ended["state"], ended["problem"]) == ("failed", problem)


async def test_a_listener_hears_of_a_run_when_it_is_committed(connection, database_url):
    heard: asyncio.Queue[None] = asyncio.Queue()
    listening = asyncio.create_task(queue.listen(database_url, lambda: heard.put_nowait(None)))
    await asyncio.wait_for(heard.get(), 10)  # the first call says that it listens
    transaction = connection.transaction()
    await transaction.start()
    await queue.enqueue(connection, "plan", {}, None)
    assert heard.empty()
    await transaction.commit()
    await asyncio.wait_for(heard.get(), 10)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_listening_ends_when_the_connection_is_lost(connection, database_url):
    heard = asyncio.Event()
    listening = asyncio.create_task(queue.listen(database_url, heard.set))
    await asyncio.wait_for(heard.wait(), 10)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await asyncio.wait_for(listening, 10)
