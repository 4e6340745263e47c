"""Which steps confirm what forcing a node costs: read the plan's facts and line, solve with it forced, compare, store."""

from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.explanation import solve_forced
from pullplan.engine.model import Forced, Need, PassedOver, PlanningFacts, Stage
from pullplan.engine.plan import in_canonical_order
from pullplan.storage import confirmations, plan_reading, plans
from pullplan.storage.database import Connection
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results


class ConfirmationAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which line of which plan is to be made at which node."""

    plan_id: UUID
    assignment_id: int
    node_code: str


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    facts: PlanningFacts
    needs: tuple[Need, ...]
    planned: dict[str, float]
    forced: Forced
    stated_measure: str
    stated_cost: float


async def run_confirmation(desk: Desk, run: Claimed) -> None:
    """Solve a plan's facts with a line forced to another node and store what that costs; its id is the run's.

    Raises: ResourceUnknownError, AssignmentFailedError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    asked = msgspec.convert(run.parameters, ConfirmationAsked)
    desk.progress("reading", 0.0)
    async with (
        desk.line.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        read = await _read(connection, asked)
    desk.progress("assigning", 0.0)
    missed_units, stages = solve_forced(
        in_canonical_order(read.facts),
        read.needs,
        read.forced,
        read.planned,
        lambda search: desk.progress(search.step, search.done_share, search),
        spread=desk.spread,
    )
    record = confirmations.ConfirmationRecord(
        **msgspec.structs.asdict(asked),
        confirmation_id=run.run_id,
        units=read.forced.units,
        missed_units=missed_units,
        stated_measure=read.stated_measure,
        stated_cost=read.stated_cost,
        stages=stages,
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
    )
    desk.progress("storing", 0.0)
    result = f"/v1/plans/{asked.plan_id}/confirmations/{run.run_id}"
    async with storing_results(desk, run, result) as storing:
        await confirmations.insert(storing, record)


async def _read(connection: Connection, asked: ConfirmationAsked) -> _Read:
    plan = await plans.find(connection, asked.plan_id)
    facts = await plans.find_facts(connection, asked.plan_id)
    line = await plans.find_assignment(connection, asked.plan_id, asked.assignment_id)
    if plan is None or facts is None or line is None:
        raise ResourceUnknownError("assignment", f"{asked.assignment_id} of the plan {asked.plan_id}")
    passed = msgspec.convert(line["passed_over"], list[PassedOver])
    other = next((p for p in passed if p.node_code == asked.node_code), None)
    if other is None or other.forcing_measure is None or other.forcing_cost is None:
        raise ResourceUnknownError("way to make the line at", asked.node_code)
    there = await confirmations.sum_units_there(connection, *msgspec.structs.astuple(asked))
    stages = msgspec.convert(plan["stages"], list[Stage])
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    return _Read(
        facts=facts,
        needs=await plan_reading.find_needs(connection, asked.plan_id, facts, days_per_bucket=days),
        planned={stage.measure: stage.before_lots for stage in stages},
        # What the node makes of this need already stays there: else moving it away would make room.
        forced=Forced(need_id=line["need_id"], node_code=asked.node_code, units=there + line["units"]),
        stated_measure=other.forcing_measure,
        stated_cost=other.forcing_cost,
    )
