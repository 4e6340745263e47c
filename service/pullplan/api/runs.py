"""What long work is there, how is it started, waited for, followed and cancelled?"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from pullplan.api import lists
from pullplan.api.access import Caller, require
from pullplan.api.dependencies import CallerOf, PoolOf, RunNewsOf, Transaction
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import audit, database, queue, runs
from pullplan.storage.run_news import RunNews
from pullplan.storage.runs import Run, RunKind, RunState

WAIT_SECONDS_MAX = 30
POLL_SECONDS = 0.2
"""Who waits is woken by a run's change, and looks this often besides: a word may be lost."""
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")

Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        max_length=200,
        description="`wait=N` waits up to N seconds (30 at most) for the run's end: then 200 instead of 202.",
    ),
]
KindFilter = Annotated[RunKind | None, QueryParameter(description="Only runs of this kind.")]
StateFilter = Annotated[RunState | None, QueryParameter(name="state", description="Only runs in this state.")]


def accepted(run: Run) -> Answer:
    """Word the answer to a request that started, or asked to cancel, a run."""
    headers = {"Location": f"/v1/runs/{run.run_id}", "Retry-After": "1"}
    return Answer(status_code=202, headers=headers, body=msgspec.json.encode(run))


def respond(answer: Answer) -> Response[Run]:
    """Put an answer that holds a run into HTTP's words."""
    return Response(
        msgspec.json.decode(answer.body, type=Run), status_code=answer.status_code, headers=answer.headers
    )


async def start(
    connection: database.Connection, caller: Caller, kind: RunKind, parameters: dict[str, Any]
) -> Answer:
    """Queue a run, noted in the audit."""
    run = runs.read(await queue.enqueue(connection, kind, parameters, caller.key_id))
    await audit.insert(connection, caller.key_id, action=f"{kind}s.start", subject=f"/v1/runs/{run.run_id}")
    return accepted(run)


async def respond_when_ended(
    pool: database.Pool, news: RunNews, answer: Answer, prefer: str | None
) -> Response[Run]:
    """Wait for the run as long as the caller prefers: 200 with the ended run, else 202 with the run as it was."""
    response = respond(answer)
    wait = _WAIT.search(prefer or "")
    if wait is None or response.content is None:
        return response
    seconds = min(int(wait[1]), WAIT_SECONDS_MAX)
    headers = {**answer.headers, "Preference-Applied": f"wait={seconds}"}
    deadline = asyncio.get_running_loop().time() + seconds
    with news.watching(response.content.run_id) as changed:
        while True:
            changed.clear()
            async with database.lent(pool) as connection:
                run = await runs.get(connection, response.content.run_id)
            if run.has_ended():
                headers.pop("Retry-After")
                return Response(run, status_code=200, headers=headers)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return Response(run, status_code=202, headers=headers)
            await _pause(changed, min(left, POLL_SECONDS))


async def _pause(changed: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), seconds)


@get("/v1/runs", guards=[require("read")], operation_id="listRuns", tags=["runs"])
async def list_runs(
    transaction: Transaction,
    kind: KindFilter = None,
    run_state: StateFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
) -> lists.Page[Run]:
    """List runs, the newest first."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await runs.list_page(
        transaction, after=after, limit=limit + 1, kind=kind, state=run_state, updated_since=updated_since
    )
    return lists.page(rows, limit, key=lambda run: (run.created_at, run.run_id))


@get("/v1/runs/{run_id:uuid}", guards=[require("read")], operation_id="getRun", tags=["runs"])
async def get_run(transaction: Transaction, run_id: FromPath[UUID]) -> Run:
    """Say how far a run is. When it has succeeded, `result` is the path of what it made."""
    return await runs.get(transaction, run_id)


@post(
    "/v1/runs/{run_id:uuid}/cancel",
    guards=[require("plans:run")],
    operation_id="cancelRun",
    tags=["runs"],
    status_code=202,
    opt={"problems": (409,)},
)
async def cancel_run(
    request: Request[Any, Any, Any],
    transaction: Transaction,
    caller: CallerOf,
    run_id: FromPath[UUID],
    idempotency_key: IdempotencyKey = None,
) -> Response[Run]:
    """Cancel a run: a queued one at once, a running one within a second. 409 when it has ended already."""

    async def cancel() -> Answer:
        if await queue.request_cancel(transaction, run_id) is None:
            ended = await runs.get(transaction, run_id)
            raise runs.RunEndedError(f"the run has ended already: {ended.state}")
        await audit.insert(transaction, caller.key_id, action="runs.cancel", subject=f"/v1/runs/{run_id}")
        return accepted(await runs.get(transaction, run_id))

    return respond(await answer_once(transaction, caller, idempotency_key, request, cancel))


async def _follow(pool: database.Pool, news: RunNews, run_id: UUID) -> AsyncIterator[bytes]:
    seen: datetime | None = None
    with news.watching(run_id) as changed:
        while True:
            changed.clear()
            try:
                async with database.lent(pool) as connection:
                    run = await runs.get(connection, run_id)
            except DatabaseAwayError:
                return  # the listener connects again, as event sources do
            if run.updated_at != seen:
                name = b"end" if run.has_ended() else b"progress"
                yield b"event: " + name + b"\ndata: " + msgspec.json.encode(run) + b"\n\n"
            if run.has_ended():
                return
            seen = run.updated_at
            await _pause(changed, POLL_SECONDS)


@get(
    "/v1/runs/{run_id:uuid}/events",
    guards=[require("read")],
    operation_id="followRun",
    tags=["runs"],
    media_type="text/event-stream",
)
async def follow_run(pool: PoolOf, news: RunNewsOf, run_id: FromPath[UUID]) -> Stream:
    """Follow a run as server-sent events: `progress` at each change, `end` once at its end; data is the run."""
    async with database.lent(pool) as connection:
        await runs.get(connection, run_id)
    return Stream(
        _follow(pool, news, run_id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


ROUTES = [list_runs, get_run, cancel_run, follow_run]
