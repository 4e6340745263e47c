"""What would it really cost to make a line at a nearer node? A run solves the plan's facts with it forced there."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from pullplan.api import runs
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, RunNewsOf, Transaction
from pullplan.api.errors import ReplanNotConfirmedError
from pullplan.api.fields import Code, LineInPath
from pullplan.api.horizon import refuse_field
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.api.plans import StoredPlan, get_stored
from pullplan.api.reasons import get_line
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import ConfirmedStage, Instant
from pullplan.storage import confirmations, database
from pullplan.storage.runs import Run


class ConfirmRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which of the nodes that the line passes over is to make it."""

    node_code: Code


class Confirmation(msgspec.Struct, kw_only=True):
    """A line of a plan, made at another node: what was stated of it, and what it costs, stage by stage."""

    confirmation_id: UUID
    plan_id: UUID
    assignment_id: int
    node_code: str
    units: float
    """Of the line's need, forced there: the line's own, and what the plan makes of the need there already."""
    missed_units: float
    """Of these, what the node can't make whatever else is given up; unless it is 0, the stages are those of no such plan."""
    stated_measure: str
    """The stage that the line's reason speaks of."""
    stated_cost: float
    """What it was proven to grow by at least, while the stages before it stay as they are."""
    confirmed_measure: str | None
    """The first stage that gets worse in truth; null where none does, or where the node can't make the units."""
    confirmed_cost: float | None
    """What that stage grows by. It is never below stated_cost where both speak of the same stage, and never of a later
    stage than the stated one where stated_cost is above 0."""
    stages: list[ConfirmedStage]
    wall_seconds: float
    code_version: str
    created_at: Instant


async def _check(
    connection: database.Connection, plan_id: UUID, assignment_id: int, node_code: str
) -> dict[str, Any]:
    """Refuse what can't be forced.

    Raises: ResourceUnknownError, ReplanNotConfirmedError, ContentInvalidError.
    """
    plan = await get_stored(connection, plan_id)
    refuse_held(plan)
    line = await get_line(connection, plan, assignment_id)
    passed = next((p for p in line.passed_over if p.node_code == node_code), None)
    if passed is None:
        raise refuse_field("node_code", f"{node_code} is none of the nodes that this line passes over")
    if passed.forcing_cost is None:
        raise refuse_field("node_code", f"{node_code} can't make this line: {passed.cause}")
    return {"plan_id": str(plan_id), "assignment_id": assignment_id, "node_code": node_code}


def refuse_held(plan: StoredPlan) -> None:
    """Refuse a re-plan that holds lines for a price: solved afresh, it would hold none, and be another plan.

    Raises: ReplanNotConfirmedError.
    """
    held = plan.stability
    if held is not None and (held.churn_budget_units is not None or held.least_saving_per_unit > 0):
        raise ReplanNotConfirmedError(
            f"the plan {plan.plan_id} holds lines of the plan {plan.parent_plan_id} within its churn budget, and a "
            "plan solved afresh holds none; re-plan without a budget, or plan without a parent, and ask of that plan"
        )


@post(
    "/v1/plans/{plan_id:uuid}/assignments/{assignment_id:int}/confirm",
    guards=[require("plans:run")],
    operation_id="confirmReason",
    tags=["plans"],
    status_code=202,
    opt={"problems": (409,), "result": "getConfirmation"},
)
async def start_confirmation(
    request: Request[Any, Any, Any],
    data: JSONBody[ConfirmRequest],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    plan_id: FromPath[UUID],
    assignment_id: LineInPath,
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that solves the plan's own facts again with this line made at a node that it passes over, and compares both plans stage by stage with what the line's reason states."""
    async with database.transaction(pool) as connection:

        async def queue() -> Answer:
            parameters = await _check(connection, plan_id, assignment_id, data.node_code)
            return await runs.start(connection, caller, "confirmation", parameters)

        answer = await answer_once(connection, caller, idempotency_key, request, queue)
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get(
    "/v1/plans/{plan_id:uuid}/confirmations/{confirmation_id:uuid}",
    guards=[require("read")],
    operation_id="getConfirmation",
    tags=["plans"],
)
async def get_confirmation(
    transaction: Transaction, plan_id: FromPath[UUID], confirmation_id: FromPath[UUID]
) -> Confirmation:
    """Show what making a line at another node was stated to cost at least, and what it costs, stage by stage."""
    row = await confirmations.find(transaction, plan_id, confirmation_id)
    if row is None:
        raise ResourceUnknownError("confirmation", confirmation_id)
    return _read(dict(row))


def _read(row: dict[str, Any]) -> Confirmation:
    stages = msgspec.convert(row["stages"], list[ConfirmedStage])
    worse = next((s for s in stages if s.is_worse and row["missed_units"] == 0), None)
    confirmed = {
        "confirmed_measure": worse and worse.measure,
        "confirmed_cost": worse and worse.extra,
    }
    return msgspec.convert(row | confirmed, Confirmation)


ROUTES = [start_confirmation, get_confirmation]
