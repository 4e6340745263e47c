"""How is a stored plan verified, and what was found?"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from pullplan.api import lists, runs
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, RunNewsOf, Transaction
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.api.plans import get_stored
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Checked, CheckedStage, Finding, Instant, VerificationRequest
from pullplan.storage import database, verifications
from pullplan.storage.runs import Run


class VerificationSummary(msgspec.Struct, kw_only=True):
    """What a check of a stored plan came to: by a checker that shares no code with the planner, from facts and lines alone."""

    verification_id: UUID
    run_id: UUID
    plan_id: UUID
    valid: bool
    n_findings: int
    stages: list[CheckedStage]
    """Each stage's value and bound as recomputed."""
    checked: Checked
    wall_seconds: float
    code_version: str
    created_at: Instant


class StoredVerification(VerificationSummary, kw_only=True):
    """The same with what is wrong, sentence by sentence."""

    findings: list[Finding]
    """The first thousand."""


@post(
    "/v1/plans/{plan_id:uuid}/verify",
    guards=[require("plans:run")],
    operation_id="verifyPlan",
    tags=["plans"],
    status_code=202,
    opt={"problems": (409,), "result": "getPlanVerification"},
)
async def verify_plan(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    plan_id: FromPath[UUID],
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that checks a stored plan against the facts it was made from: every need covered, no capacity exceeded, only nodes that may, and each stage's bound from the stored prices alone."""
    async with database.transaction(pool) as connection:

        async def queue() -> Answer:
            await get_stored(connection, plan_id)
            asked = msgspec.to_builtins(VerificationRequest(plan_id=plan_id))
            return await runs.start(connection, caller, "verification", asked)

        answer = await answer_once(connection, caller, idempotency_key, request, queue)
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get(
    "/v1/plans/{plan_id:uuid}/verifications",
    guards=[require("read")],
    operation_id="listPlanVerifications",
    tags=["plans"],
)
async def list_verifications(
    transaction: Transaction,
    plan_id: FromPath[UUID],
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> lists.Page[VerificationSummary]:
    """List a plan's verifications, the newest first."""
    await get_stored(transaction, plan_id)
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await verifications.list_of_plan(transaction, plan_id, after=after, limit=limit + 1)
    items = [msgspec.convert(dict(row), VerificationSummary) for row in rows]
    return lists.page(items, limit, key=lambda item: (item.created_at, item.verification_id))


@get(
    "/v1/plans/{plan_id:uuid}/verifications/{verification_id:uuid}",
    guards=[require("read")],
    operation_id="getPlanVerification",
    tags=["plans"],
)
async def get_verification(
    transaction: Transaction, plan_id: FromPath[UUID], verification_id: FromPath[UUID]
) -> StoredVerification:
    """Show what a verification looked at, what it recomputed, and everything that it found wrong."""
    row = await verifications.find(transaction, plan_id, verification_id)
    if row is None:
        raise ResourceUnknownError("verification", verification_id)
    return msgspec.convert(dict(row), StoredVerification)


ROUTES = [verify_plan, list_verifications, get_verification]
