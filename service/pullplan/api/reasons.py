"""Why does a line of a plan look as it does? One assignment with its reason, and one shortfall."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import get
from litestar.params import FromPath

from pullplan.api.access import require
from pullplan.api.dependencies import Transaction
from pullplan.api.fields import LineInPath
from pullplan.api.plan_lines import AssignmentRow, ShortfallRow
from pullplan.api.plans import StoredPlan, get_stored
from pullplan.api.wording import Wording
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import PassedOver
from pullplan.engine.stores import is_store
from pullplan.storage import database, plans


class PassedOverReason(PassedOver, kw_only=True):  # type: ignore[misc]  # mypy forgets that Fact makes its heirs frozen
    """A nearer (under landed cost: or cheaper) capable node that the line does not use, and why."""

    forcing_gap_absolute: float | None
    """How far this plan may itself lie above the forcing stage's bound: forcing adds at least forcing_cost less this
    to what the plan has now."""
    sentence: str


class AssignmentReason(msgspec.Struct, kw_only=True):
    """Why a line is made where it is made."""

    plan_id: UUID
    assignment_id: int
    node_code: str
    units: float
    distance_km: float
    distance_rank: int
    """1: the nearest of the nodes that are capable, qualified, online and have a lane."""
    rank_among_capable: int
    """1: the nearest of all nodes that make the product, whatever their state."""
    cost_per_unit: float
    """In the objective's measure: km, kg·km or money."""
    passed_over: list[PassedOverReason]
    told_in_plan_id: UUID
    """The plan whose facts and prices this speaks of: this one, or the ancestor of a re-plan since which neither the
    line nor any node that it names has changed."""
    sentence: str


async def get_line(connection: database.Connection, plan: StoredPlan, assignment_id: int) -> AssignmentRow:
    """Get one line of a plan.

    Raises: ResourceUnknownError.
    """
    return (await _get_told_line(connection, plan, assignment_id))[0]


async def get_short(connection: database.Connection, plan_id: UUID, shortfall_id: int) -> ShortfallRow:
    """Get one shortfall of a plan.

    Raises: ResourceUnknownError.
    """
    row = await plans.find_shortfall(connection, plan_id, shortfall_id)
    return _known(row, "shortfall", shortfall_id, ShortfallRow)


async def _get_told_line(
    connection: database.Connection, plan: StoredPlan, assignment_id: int
) -> tuple[AssignmentRow, UUID]:
    """Get a line, and the plan in which its reason was told."""
    row = await plans.find_assignment(connection, plan.plan_id, assignment_id)
    line = _known(row, "assignment", assignment_id, AssignmentRow)
    assert row is not None  # noqa: S101 - else it were not known
    return line, row["told_in_plan_id"]


def _known[T: msgspec.Struct](row: asyncpg.Record | None, noun: str, number: int, row_type: type[T]) -> T:
    if row is None:
        raise ResourceUnknownError(noun, number)
    return msgspec.convert(dict(row), row_type)


def wording_of(plan: StoredPlan) -> Wording:
    """Name things as the plan's parameters call for."""
    return Wording(
        objective=plan.objective,
        bucket=plan.bucket,
        shortfall_measure=plan.parameters.get("shortfall_measure", "value"),
        weigh_distance=plan.parameters.get("weigh_distance", False),
    )


def explain(plan: StoredPlan, line: AssignmentRow, told_in: StoredPlan) -> AssignmentReason:
    """Put a line's stored reasons into words and ranks; they speak of the stages of the plan they were told in."""
    wording = wording_of(plan)
    gaps = {stage.measure: stage.gap_absolute for stage in told_in.stages}
    own_place = (line.distance_km, line.node_code)
    places = [
        (passed.distance_km, passed.node_code)
        for passed in line.passed_over
        if not is_store(passed.node_code)
    ]
    return AssignmentReason(
        plan_id=plan.plan_id,
        **{name: getattr(line, name) for name in ("assignment_id", "node_code", "units", "distance_km")},
        distance_rank=line.distance_rank,
        rank_among_capable=1 + sum(km is not None and (km, code) < own_place for km, code in places),
        cost_per_unit=line.cost_per_unit,
        passed_over=[_passed_over(wording, gaps, passed) for passed in line.passed_over],
        told_in_plan_id=told_in.plan_id,
        sentence=wording.line(line),
    )


def _passed_over(wording: Wording, gaps: dict[str, float], passed: PassedOver) -> PassedOverReason:
    stored: dict[str, Any] = msgspec.structs.asdict(passed)
    gap = None if passed.forcing_measure is None else gaps.get(passed.forcing_measure)
    return PassedOverReason(**stored, forcing_gap_absolute=gap, sentence=wording.passed_over(passed))


@get(
    "/v1/plans/{plan_id:uuid}/assignments/{assignment_id:int}",
    guards=[require("read")],
    operation_id="getPlanAssignment",
    tags=["plans"],
)
async def get_assignment(
    transaction: Transaction, plan_id: FromPath[UUID], assignment_id: LineInPath
) -> AssignmentRow:
    """Show one line: which node makes what for which region, and which nearer nodes were passed over."""
    return await get_line(transaction, await get_stored(transaction, plan_id), assignment_id)


@get(
    "/v1/plans/{plan_id:uuid}/assignments/{assignment_id:int}/reason",
    guards=[require("read")],
    operation_id="getAssignmentReason",
    tags=["plans"],
)
async def get_reason(
    transaction: Transaction, plan_id: FromPath[UUID], assignment_id: LineInPath
) -> AssignmentReason:
    """Say why a line is made where it is made: for every nearer (or cheaper) node the cause, what room there would save, and the least that forcing the line there would cost, in the first stage that must get worse."""
    plan = await get_stored(transaction, plan_id)
    line, told_in = await _get_told_line(transaction, plan, assignment_id)
    return explain(plan, line, plan if told_in == plan_id else await get_stored(transaction, told_in))


@get(
    "/v1/plans/{plan_id:uuid}/shortfalls/{shortfall_id:int}",
    guards=[require("read")],
    operation_id="getPlanShortfall",
    tags=["plans"],
)
async def get_shortfall(
    transaction: Transaction, plan_id: FromPath[UUID], shortfall_id: LineInPath
) -> ShortfallRow:
    """Show one shortfall: what nobody makes, what binds, and a sentence that names it."""
    return await get_short(transaction, (await get_stored(transaction, plan_id)).plan_id, shortfall_id)


ROUTES = [get_assignment, get_reason, get_shortfall]
