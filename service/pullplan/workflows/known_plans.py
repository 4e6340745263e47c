"""Which stored plans does this process have at hand, so that it need not read them back?"""

from dataclasses import dataclass
from uuid import UUID

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.engine.replanning import Warm
from pullplan.storage import plan_reading, plans
from pullplan.storage.database import Connection
from pullplan.storage.plan_reading import WholePlan

PLANS_KEPT = 2
"""A re-plan and its parent: what its verification takes, and the next re-plan."""


@dataclass(frozen=True)
class KnownPlan:
    """A stored plan, with what the next change of it can begin from."""

    whole: WholePlan
    warm: Warm


class KnownPlans:
    """The last plans that were made, or read back, by this process: a plan that is stored never changes."""

    def __init__(self) -> None:
        self._plans: dict[UUID, KnownPlan] = {}

    def keep(self, whole: WholePlan, warm: Warm | None = None) -> None:
        """Keep a stored plan at hand, in place of the one that was kept first."""
        self._plans.pop(whole.plan_id, None)
        self._plans[whole.plan_id] = KnownPlan(whole, warm or Warm.of(whole.facts, whole.plan))
        for plan_id in list(self._plans)[:-PLANS_KEPT]:
            del self._plans[plan_id]

    async def find(self, connection: Connection, plan_id: UUID) -> KnownPlan | None:
        """Find a plan, as long as it is stored: at hand, else by reading it back."""
        head = await plans.find(connection, plan_id)
        known = self._plans.get(plan_id)
        if head is not None and known is not None and known.whole.plan.plan_hash == head["plan_hash"]:
            return known
        whole = await read_back(connection, plan_id)
        if whole is None:
            return None
        self.keep(whole)
        return self._plans[plan_id]


async def read_back(connection: Connection, plan_id: UUID) -> WholePlan | None:
    """Read every row of a plan, and the facts that it was made from."""
    found = await plans.find_snapshot(connection, plan_id)
    if found is None:
        return None
    facts, facts_hash = found
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    plan = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=days)
    if plan is None:
        return None
    dates = bucket_dates(facts.horizon)[:-1]
    return WholePlan(plan_id=plan_id, facts=facts, facts_hash=facts_hash, plan=plan, bucket_dates=dates)
