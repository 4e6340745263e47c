"""Which steps make a verification run: read the plan and its facts back, check, store what was found."""

from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.checker import check
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Verification, VerificationRequest
from pullplan.storage import plans, verifications
from pullplan.storage.database import Connection
from pullplan.storage.plan_reading import WholePlan
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results
from pullplan.workflows.known_plans import KnownPlans, read_back


async def verify_plan(desk: Desk, run: Claimed) -> None:
    """Check the plan that the parameters (a VerificationRequest) name, and store the outcome; its id is the run's.

    Raises: ResourceUnknownError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    plan_id = msgspec.convert(run.parameters, VerificationRequest).plan_id
    desk.progress("reading", 0.0)
    async with (
        desk.line.lent() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        stored = await read_to_check(connection, plan_id, desk.plans)
    desk.plans.keep(stored.whole)
    desk.progress("checking", 0.0)
    outcome = stored.check()
    desk.progress("storing", 0.0)
    wall_seconds = desk.clock() - began
    async with storing_results(desk, run, f"/v1/plans/{plan_id}/verifications/{run.run_id}") as storing:
        await store_verification(storing, run.run_id, plan_id, outcome, wall_seconds=wall_seconds)


class Stored(msgspec.Struct, frozen=True):
    """A plan as it was read back, with the parent that it is held to."""

    whole: WholePlan
    parent: WholePlan | None

    def check(self) -> Verification:
        """Hold the plan to its facts, and to its parent."""
        whole, parent = self.whole, self.parent
        if parent is None:
            return check(whole.facts, whole.plan, facts_hash=whole.facts_hash)
        return check(whole.facts, whole.plan, parent.plan, parent.facts.horizon, facts_hash=whole.facts_hash)


async def read_to_check(connection: Connection, plan_id: UUID, known: KnownPlans) -> Stored:
    """Read every row of a plan back, with its facts; what it is compared with may be at hand.

    Raises: ResourceUnknownError
    """
    head = await plans.find(connection, plan_id)
    whole = await read_back(connection, plan_id)
    if head is None or whole is None:
        raise ResourceUnknownError("plan", plan_id)
    parent_plan_id = head["parent_plan_id"]
    parent = await known.find(connection, parent_plan_id) if parent_plan_id else None
    return Stored(whole, None if parent is None else parent.whole)


async def store_verification(
    connection: Connection, run_id: UUID, plan_id: UUID, outcome: Verification, *, wall_seconds: float
) -> None:
    """Store what a check found under its run's id, inside the caller's transaction."""
    record = verifications.VerificationRecord(
        verification_id=run_id,
        run_id=run_id,
        plan_id=plan_id,
        wall_seconds=wall_seconds,
        code_version=version("pullplan"),
    )
    await verifications.insert(connection, record, outcome)
