"""Which steps make a verification run: read the plan and its facts back, check, store what was found."""

from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec

from pullplan.engine.assignment import Spread, here
from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.checker import check
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Plan, PlanningFacts, Progress, VerificationRequest
from pullplan.storage import database, plan_reading, plans, verifications
from pullplan.storage.database import Connection
from pullplan.workflows.finish_run import storing_results


async def verify_plan(
    database_url: str,
    run_id: UUID,
    attempt: int,
    parameters: dict[str, Any],
    *,
    time_zone: str,  # noqa: ARG001 - every workflow is told; a stored plan has its days already
    progress: Progress,
    spread: Spread = here,  # noqa: ARG001 - every workflow is lent workers; this one needs none
    clock: Callable[[], float] = perf_counter,
) -> None:
    """Check the plan that `parameters` (a VerificationRequest) name, and store the outcome; its id is the run's.

    Raises: ResourceUnknownError, RunLostError, DatabaseAwayError
    """
    began = clock()
    plan_id = msgspec.convert(parameters, VerificationRequest).plan_id
    progress("reading", 0.0)
    (facts, plan), parent = await _read(database_url, plan_id)
    progress("checking", 0.0)
    outcome = check(facts, plan) if parent is None else check(facts, plan, parent[1], parent[0].horizon)
    progress("storing", 0.0)
    record = verifications.VerificationRecord(
        verification_id=run_id,
        run_id=run_id,
        plan_id=plan_id,
        wall_seconds=clock() - began,
        code_version=version("pullplan"),
    )
    result = f"/v1/plans/{plan_id}/verifications/{run_id}"
    async with storing_results(database_url, run_id, attempt, result) as storing:
        await verifications.insert(storing, record, outcome)


type _Whole = tuple[PlanningFacts, Plan]


async def _read(database_url: str, plan_id: UUID) -> tuple[_Whole, _Whole | None]:
    """Read a plan with its facts, and its parent with its own."""
    connection = await database.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await plans.find(connection, plan_id)
            whole = await _read_whole(connection, plan_id)
            if head is not None and whole is not None:
                parent_plan_id = head["parent_plan_id"]
                parent = parent_plan_id and await _read_whole(connection, parent_plan_id)
                return whole, parent
    finally:
        await connection.close()
    raise ResourceUnknownError("plan", plan_id)


async def _read_whole(connection: Connection, plan_id: UUID) -> _Whole | None:
    facts = await plans.find_facts(connection, plan_id)
    if facts is None:
        return None
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    plan = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=days)
    return None if plan is None else (facts, plan)
