"""Which steps make a verification run: read the plan and its facts back, check, store what was found."""

from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.checker import check
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Plan, PlanningFacts, VerificationRequest
from pullplan.storage import plan_reading, plans, verifications
from pullplan.storage.database import Connection
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results


async def verify_plan(desk: Desk, run: Claimed) -> None:
    """Check the plan that the parameters (a VerificationRequest) name, and store the outcome; its id is the run's.

    Raises: ResourceUnknownError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    plan_id = msgspec.convert(run.parameters, VerificationRequest).plan_id
    desk.progress("reading", 0.0)
    async with desk.line.lent() as connection:
        (facts, plan), parent = await _read(connection, plan_id)
    desk.progress("checking", 0.0)
    outcome = check(facts, plan) if parent is None else check(facts, plan, parent[1], parent[0].horizon)
    desk.progress("storing", 0.0)
    record = verifications.VerificationRecord(
        verification_id=run.run_id,
        run_id=run.run_id,
        plan_id=plan_id,
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
    )
    result = f"/v1/plans/{plan_id}/verifications/{run.run_id}"
    async with storing_results(desk, run, result) as storing:
        await verifications.insert(storing, record, outcome)


type _Whole = tuple[PlanningFacts, Plan]


async def _read(connection: Connection, plan_id: UUID) -> tuple[_Whole, _Whole | None]:
    """Read a plan with its facts, and its parent with its own.

    Raises: ResourceUnknownError
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        head = await plans.find(connection, plan_id)
        whole = await _read_whole(connection, plan_id)
        if head is None or whole is None:
            raise ResourceUnknownError("plan", plan_id)
        parent_plan_id = head["parent_plan_id"]
        return whole, parent_plan_id and await _read_whole(connection, parent_plan_id)


async def _read_whole(connection: Connection, plan_id: UUID) -> _Whole | None:
    facts = await plans.find_facts(connection, plan_id)
    if facts is None:
        return None
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    plan = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=days)
    return None if plan is None else (facts, plan)
