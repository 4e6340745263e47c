"""Which steps confirm what forcing a node costs: read the plan and its facts, solve with the line forced, compare, store."""

from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.explanation import solve_forced
from pullplan.engine.model import Assignment, Forced, PassedOver, Plan
from pullplan.engine.plan import in_canonical_order
from pullplan.storage import confirmations
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results


class ConfirmationAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which line of which plan is to be made at which node."""

    plan_id: UUID
    assignment_id: int
    node_code: str


async def run_confirmation(desk: Desk, run: Claimed) -> None:
    """Solve a plan's facts with a line forced to another node and store what that costs; its id is the run's.

    Raises: ResourceUnknownError, AssignmentFailedError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    asked = msgspec.convert(run.parameters, ConfirmationAsked)
    desk.progress("reading", 0.0)
    facts, plan = await desk.read_plan(asked.plan_id)
    line, passed = _find(plan, asked)
    # What the node makes of this need already stays there: else moving it away would make room.
    there = plan.units_of(line.need_id, asked.node_code)
    forced = Forced(need_id=line.need_id, node_code=asked.node_code, units=there + line.units)
    desk.progress("assigning", 0.0)
    missed_units, stages = solve_forced(
        in_canonical_order(facts),
        plan.needs,
        forced,
        {stage.measure: stage.before_lots for stage in plan.stages},
        lambda search: desk.progress(search.step, search.done_share, search),
        spread=desk.spread,
    )
    assert passed.forcing_measure is not None and passed.forcing_cost is not None  # noqa: S101, PT018 - as it was found
    record = confirmations.ConfirmationRecord(
        **msgspec.structs.asdict(asked),
        confirmation_id=run.run_id,
        units=forced.units,
        missed_units=missed_units,
        stated_measure=passed.forcing_measure,
        stated_cost=passed.forcing_cost,
        stages=stages,
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
    )
    desk.progress("storing", 0.0)
    result = f"/v1/plans/{asked.plan_id}/confirmations/{run.run_id}"
    async with storing_results(desk, run, result) as storing:
        await confirmations.insert(storing, record)


def _find(plan: Plan, asked: ConfirmationAsked) -> tuple[Assignment, PassedOver]:
    """Find the line, and what it says of the node that it passes over.

    Raises: ResourceUnknownError
    """
    line = next((line for line in plan.assignments if line.assignment_id == asked.assignment_id), None)
    if line is None:
        raise ResourceUnknownError("assignment", f"{asked.assignment_id} of the plan {asked.plan_id}")
    passed = next((p for p in line.passed_over if p.node_code == asked.node_code), None)
    if passed is None or passed.forcing_cost is None:
        raise ResourceUnknownError("way to make the line at", asked.node_code)
    return line, passed
