"""What is a workflow lent by the process that it runs in?"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from uuid import UUID

from pullplan.engine.assignment import Spread, here
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Plan, PlanningFacts, Progress
from pullplan.storage.database import Line
from pullplan.workflows.known_plans import KnownPlans


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Everything besides the run itself."""

    line: Line
    """To the database; where it stays open from run to run, so does what the server has made ready for it."""
    time_zone: str
    """The deployment's, in which days are cut."""
    progress: Progress
    spread: Spread = here
    """Workers for the search."""
    clock: Callable[[], float] = perf_counter
    plans: KnownPlans = field(default_factory=KnownPlans)
    """What runs before this one have left at hand."""

    async def read_plan(self, plan_id: UUID) -> tuple[PlanningFacts, Plan]:
        """Find a stored plan with the facts that it was made from.

        Raises: ResourceUnknownError, DatabaseAwayError
        """
        async with (
            self.line.lent() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            known = await self.plans.find(connection, plan_id)
        if known is None:
            raise ResourceUnknownError("plan", plan_id)
        return known.whole.facts, known.whole.plan
