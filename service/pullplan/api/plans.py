"""How is a plan asked for, and what does it say? Its lines are read in plan_lines."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from pullplan.api import lists, runs
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, Clock, PoolOf, RunNewsOf, SettingsOf, Transaction
from pullplan.api.errors import ContentInvalidError
from pullplan.api.horizon import check_year, fill_as_of, refuse_field
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.api.pins import check_pins
from pullplan.engine.errors import LineProblem, ReferenceUnknownError, ResourceUnknownError
from pullplan.engine.model import (
    EVERY,
    Bucket,
    Figures,
    Instant,
    Objective,
    PlanRequest,
    PullPolicy,
    ResourceKind,
    Stability,
    Stage,
)
from pullplan.storage import database, forecasts, plans
from pullplan.storage import runs as stored_runs
from pullplan.storage.runs import Run

_OWN_OF_A_PLAN = (
    *("as_of", "forecast_id", "parent_plan_id"),
    *("churn_budget_units", "least_saving_per_unit", "solve_seconds_max", "verify"),
)
"""What a re-plan never takes from its parent's request."""


class StoredPlan(msgspec.Struct, kw_only=True):
    """A plan without its lines: what it was made from, what it achieves, and the proof of each stage."""

    plan_id: UUID
    run_id: UUID
    forecast_id: UUID | None
    parent_plan_id: UUID | None
    """Of a re-plan: the plan whose lines it holds."""
    as_of: Instant
    bucket: Bucket
    first_bucket_date: date
    horizon_buckets: int
    objective: Objective
    parameters: dict[str, Any]
    snapshot_at: Instant
    """The moment whose facts it was made from."""
    snapshot_hash: str
    plan_hash: str
    """Equal facts make equal plans: the same hash."""
    method: str
    tie_break: str
    """How the last stage chooses among equals."""
    reproducible: bool
    stages: list[Stage]
    """Each stage's value, with a lower bound that its stored prices prove."""
    figures: Figures
    stability: Stability | None
    """Of a re-plan: what it holds of its parent, how much of that has moved, and what holding costs."""
    wall_seconds: float
    code_version: str
    created_at: Instant


class NodeUse(msgspec.Struct, kw_only=True, frozen=True):
    """How much of a node's resource the plan uses over its horizon."""

    node_code: str
    resource_code: str
    kind: ResourceKind
    capacity: float
    used: float
    use_share: float | None


class PlanFigures(Figures, kw_only=True):  # type: ignore[misc]  # mypy forgets that Fact makes its heirs frozen
    """What a planner reads first, and the nodes, the busiest first."""

    nodes: list[NodeUse]


async def get_stored(connection: database.Connection, plan_id: UUID) -> StoredPlan:
    """Get a plan without its lines.

    Raises: ResourceUnknownError.
    """
    row = await plans.find(connection, plan_id)
    if row is None:
        raise ResourceUnknownError("plan", plan_id)
    return msgspec.convert(dict(row), StoredPlan)


def check_request(request: PlanRequest) -> None:
    """Refuse what no single field's bounds can: fields that need each other, and a policy given twice.

    Raises: ContentInvalidError.
    """
    check_year("earliest_start_date", request.earliest_start_date)
    if request.lanes == "within_km" and request.lanes_within_km is None:
        raise refuse_field("lanes_within_km", "lanes=within_km needs it", "missing-field")
    if request.parent_plan_id is None:
        for field in ("churn_budget_units", "least_saving_per_unit"):
            if getattr(request, field):
                raise refuse_field(field, "only a re-plan has one: name its parent_plan_id")
    elif request.solve_seconds_max is not None:
        raise refuse_field("solve_seconds_max", "a re-plan is searched to its end: leave it out")
    seen: set[tuple[str, str]] = set()
    for i, policy in enumerate(request.policy_overrides):
        pair = (policy.product_code, policy.region_code)
        if pair in seen:
            detail = f"the policy of {pair[0]} × {pair[1]} is given twice"
            problem = LineProblem(code="duplicate", detail=detail, pointer=f"/policy_overrides/{i}")
            raise ContentInvalidError(detail, [problem])
        seen.add(pair)


async def fill_from_parent(
    connection: database.Connection, request: PlanRequest, given: Collection[str]
) -> PlanRequest:
    """Take what a re-plan's request leaves out from its parent: horizon, objective, policies and the like.

    Raises: ReferenceUnknownError, ContentInvalidError.
    """
    if request.parent_plan_id is None:
        return request
    row = await plans.find(connection, request.parent_plan_id)
    if row is None:
        detail = f"there is no plan {request.parent_plan_id}"
        problem = LineProblem(
            code="reference-unknown", detail=detail, pointer="/parent_plan_id", field="parent_plan_id"
        )
        raise ReferenceUnknownError(detail, [problem])
    if "bucket" in given and request.bucket != row["bucket"]:
        raise refuse_field("bucket", f"the parent is by {row['bucket']}, and so is what is made from it")
    of_parent = msgspec.convert(row["parameters"], PlanRequest)
    inherited = set(PlanRequest.__struct_fields__) - {*given, *_OWN_OF_A_PLAN}
    return msgspec.structs.replace(request, **{name: getattr(of_parent, name) for name in inherited})


async def check_references(connection: database.Connection, request: PlanRequest) -> None:
    """Refuse a request that names a forecast, product or region that is not there.

    Raises: ReferenceUnknownError, ContentInvalidError.
    """
    await _check_codes(connection, request.policy_overrides)
    if request.forecast_id is None:
        return
    forecast = await forecasts.find(connection, request.forecast_id)
    if forecast is None:
        detail = f"there is no forecast {request.forecast_id}"
        problem = LineProblem(
            code="reference-unknown", detail=detail, pointer="/forecast_id", field="forecast_id"
        )
        raise ReferenceUnknownError(detail, [problem])
    if forecast["bucket"] != request.bucket:
        raise refuse_field(
            "forecast_id", f"this forecast is by {forecast['bucket']}, not by {request.bucket}"
        )


async def _check_codes(connection: database.Connection, policies: tuple[PullPolicy, ...]) -> None:
    if not policies:
        return
    products = {p.product_code for p in policies} - {EVERY}
    regions = {p.region_code for p in policies} - {EVERY}
    unknown = await stored_runs.list_unknown_codes(connection, products, regions)
    if unknown:
        problems = [_unknown_code(policies, field, code) for field, code in unknown]
        detail = "policy_overrides: " + "; ".join(problem.detail for problem in problems[:5])
        raise ReferenceUnknownError(detail, problems)


def _unknown_code(policies: tuple[PullPolicy, ...], field: str, code: str) -> LineProblem:
    """Name the first policy of a code that is not there."""
    first = next(i for i, policy in enumerate(policies) if getattr(policy, field) == code)
    return LineProblem(
        code="reference-unknown",
        detail=f"there is no {field.removesuffix('_code')} {code}",
        pointer=f"/policy_overrides/{first}/{field}",
        field=field,
    )


@post(
    "/v1/plans",
    guards=[require("plans:run")],
    operation_id="startPlan",
    tags=["plans"],
    status_code=202,
    opt={"problems": (409,), "result": "getPlan"},
)
async def start_plan(
    request: Request[Any, Any, Any],
    data: JSONBody[PlanRequest],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    clock: Clock,
    settings: SettingsOf,
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that plans what each node makes for each region, from the facts as they were known at `as_of`.

    Without a `forecast_id`, a fresh forecast is made within the run where a policy needs one. What is pinned stays: where
    that can't be, the run fails as `pin-infeasible` and names the pin.

    With a `parent_plan_id` the run re-plans: what that plan says stays wherever it can and is worth it, what the request leaves
    out is as it was asked of that plan, and its forecast is used again for the same buckets.

    With `verify` the plan is held to its facts, as `verifyPlan` does, before the run succeeds: the verification has the run's id.
    Where anything is found wrong, nothing is stored, and the run fails as `plan-invalid`.
    """
    given = msgspec.json.decode(await request.body(), type=dict[str, msgspec.Raw]).keys()
    async with database.transaction(pool) as connection:

        async def queue() -> Answer:
            asked = await fill_from_parent(connection, data, given)
            check_request(asked)
            filled = fill_as_of(asked, clock())
            await check_references(connection, filled)
            await check_pins(connection, filled, settings.time_zone)
            return await runs.start(connection, caller, "plan", msgspec.to_builtins(filled))

        answer = await answer_once(connection, caller, idempotency_key, request, queue)
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get("/v1/plans", guards=[require("read")], operation_id="listPlans", tags=["plans"])
async def list_plans(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
) -> lists.Page[StoredPlan]:
    """List plans, the newest first."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await plans.list_all(transaction, after=after, limit=limit + 1, updated_since=updated_since)
    items = [msgspec.convert(dict(row), StoredPlan) for row in rows]
    return lists.page(items, limit, key=lambda item: (item.created_at, item.plan_id))


@get("/v1/plans/{plan_id:uuid}", guards=[require("read")], operation_id="getPlan", tags=["plans"])
async def get_plan(transaction: Transaction, plan_id: FromPath[UUID]) -> StoredPlan:
    """Show a plan: what it was made from, its figures, and each stage's value with the bound that proves it."""
    return await get_stored(transaction, plan_id)


@get(
    "/v1/plans/{plan_id:uuid}/figures",
    guards=[require("read")],
    operation_id="getPlanFigures",
    tags=["plans"],
)
async def get_plan_figures(transaction: Transaction, plan_id: FromPath[UUID]) -> PlanFigures:
    """Show what a planner reads first: units needed, assigned and short, distances, and the busiest nodes."""
    plan = await get_stored(transaction, plan_id)
    rows = await plans.list_busiest(transaction, plan_id)
    figures = msgspec.to_builtins(plan.figures)
    return PlanFigures(**figures, nodes=[NodeUse(**row) for row in rows])


ROUTES = [start_plan, list_plans, get_plan, get_plan_figures]
