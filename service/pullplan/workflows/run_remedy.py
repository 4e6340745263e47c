"""Which steps find what would end a shortfall: read the plan and its facts, solve with more of what is full, store."""

from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.explanation import find_remedies
from pullplan.engine.plan import in_canonical_order
from pullplan.storage import remedies
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results


class RemedyAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which shortfall of which plan is to be ended."""

    plan_id: UUID
    shortfall_id: int


async def run_remedy(desk: Desk, run: Claimed) -> None:
    """Solve a plan's facts with a shortfall served, at each of the cheapest nodes, and store what that takes; its id is the run's.

    Raises: ResourceUnknownError, AssignmentFailedError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    asked = msgspec.convert(run.parameters, RemedyAsked)
    desk.progress("reading", 0.0)
    facts, plan = await desk.read_plan(asked.plan_id)
    shortfall = next((s for s in plan.shortfalls if s.shortfall_id == asked.shortfall_id), None)
    if shortfall is None:
        raise ResourceUnknownError("shortfall", f"{asked.shortfall_id} of the plan {asked.plan_id}")
    desk.progress("assigning", 0.0)
    found = find_remedies(
        in_canonical_order(facts),
        plan,
        shortfall,
        lambda search: desk.progress(search.step, search.done_share, search),
        spread=desk.spread,
    )
    record = remedies.RemedyRecord(
        remedy_id=run.run_id,
        plan_id=asked.plan_id,
        shortfall_id=asked.shortfall_id,
        units=shortfall.units,
        remedies=found,
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
    )
    desk.progress("storing", 0.0)
    result = f"/v1/plans/{asked.plan_id}/remedies/{run.run_id}"
    async with storing_results(desk, run, result) as storing:
        await remedies.insert(storing, record)
