"""What would end a shortfall, and how much of it? A run solves the plan's facts with it served at the cheapest nodes."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from pullplan.api import runs
from pullplan.api.access import require
from pullplan.api.confirmations import refuse_held
from pullplan.api.dependencies import CallerOf, PoolOf, RunNewsOf, Transaction
from pullplan.api.fields import LineInPath
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.api.plan_lines import ShortfallRow
from pullplan.api.plans import StoredPlan, get_stored
from pullplan.api.reasons import get_short, wording_of
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import ConfirmedStage, Instant, Remedy
from pullplan.storage import database, remedies
from pullplan.storage.runs import Run


class LackingCapacity(msgspec.Struct, kw_only=True):
    """More of a node's resource in one bucket, or of the share of a product that it may start in all."""

    resource_code: str | None
    product_code: str | None
    bucket_date: date
    amount: float
    """In the resource's unit; of a share, units started."""


class NodeRemedy(msgspec.Struct, kw_only=True):
    """One node that would serve all that is short, and what it lacks for that."""

    node_code: str
    brings_online: bool
    qualifies: bool
    extra_capacity: list[LackingCapacity]
    stages: list[ConfirmedStage]
    """What every stage would measure, solved anew with all of that: none is worse unless one before it is better."""
    sentence: str


class ShortfallRemedies(msgspec.Struct, kw_only=True):
    """What would end a shortfall: up to three nodes, the least late, then least costly, first."""

    remedy_id: UUID
    plan_id: UUID
    shortfall_id: int
    product_code: str
    region_code: str
    units: float
    remedies: list[NodeRemedy]
    """Empty where no node could serve the need in time, whatever it had."""
    wall_seconds: float
    code_version: str
    created_at: Instant


@post(
    "/v1/plans/{plan_id:uuid}/shortfalls/{shortfall_id:int}/remedy",
    guards=[require("plans:run")],
    operation_id="findRemedies",
    tags=["plans"],
    status_code=202,
    opt={"problems": (409,), "result": "getRemedies"},
)
async def start_remedy(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    plan_id: FromPath[UUID],
    shortfall_id: LineInPath,
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that finds what would end a shortfall: which node, which resource, how much more of it and when, each solved anew with the plan's own facts before it is told."""
    async with database.transaction(pool) as connection:

        async def queue() -> Answer:
            refuse_held(await get_stored(connection, plan_id))
            await get_short(connection, plan_id, shortfall_id)
            asked = {"plan_id": str(plan_id), "shortfall_id": shortfall_id}
            return await runs.start(connection, caller, "remedy", asked)

        answer = await answer_once(connection, caller, idempotency_key, request, queue)
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get(
    "/v1/plans/{plan_id:uuid}/remedies/{remedy_id:uuid}",
    guards=[require("read")],
    operation_id="getRemedies",
    tags=["plans"],
)
async def get_remedies(
    transaction: Transaction, plan_id: FromPath[UUID], remedy_id: FromPath[UUID]
) -> ShortfallRemedies:
    """Show what would end a shortfall, in amounts and in words."""
    row = await remedies.find(transaction, plan_id, remedy_id)
    if row is None:
        raise ResourceUnknownError("remedy", remedy_id)
    plan = await get_stored(transaction, plan_id)
    short = await get_short(transaction, plan_id, row["shortfall_id"])
    told = msgspec.convert(row["remedies"], list[Remedy])
    return ShortfallRemedies(
        **{name: row[name] for name in ("remedy_id", "plan_id", "shortfall_id", "units")},
        product_code=short.product_code,
        region_code=short.region_code,
        remedies=[_of_node(plan, short, remedy) for remedy in told],
        **{name: row[name] for name in ("wall_seconds", "code_version", "created_at")},
    )


def _of_node(plan: StoredPlan, short: ShortfallRow, remedy: Remedy) -> NodeRemedy:
    length = timedelta(weeks=1) if plan.bucket == "week" else timedelta(days=1)
    lacking = [
        LackingCapacity(
            resource_code=extra.resource_code,
            product_code=extra.product_code,
            bucket_date=plan.first_bucket_date + extra.bucket * length,
            amount=extra.amount,
        )
        for extra in remedy.extra_capacity
    ]
    return NodeRemedy(
        node_code=remedy.node_code,
        brings_online=remedy.brings_online,
        qualifies=remedy.qualifies,
        extra_capacity=lacking,
        stages=list(remedy.stages),
        sentence=wording_of(plan).remedy(short, remedy, [lack.bucket_date for lack in lacking]),
    )


ROUTES = [start_remedy, get_remedies]
