"""Which stored plans does this process have at hand, so that it need not read them back?"""

from uuid import UUID

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.storage import plan_reading, plans
from pullplan.storage.database import Connection
from pullplan.storage.plan_reading import WholePlan

PLANS_KEPT = 2
"""A re-plan and its parent: what its verification takes, and the next re-plan."""


class KnownPlans:
    """The last plans that were made, or read back, by this process: a plan that is stored never changes."""

    def __init__(self) -> None:
        self._plans: dict[UUID, WholePlan] = {}

    def keep(self, plan: WholePlan) -> None:
        """Keep a stored plan at hand, in place of the one that was kept first."""
        self._plans.pop(plan.plan_id, None)
        self._plans[plan.plan_id] = plan
        for plan_id in list(self._plans)[:-PLANS_KEPT]:
            del self._plans[plan_id]

    async def find(self, connection: Connection, plan_id: UUID) -> WholePlan | None:
        """Find a plan, as long as it is stored: at hand, else by reading it back."""
        head = await plans.find(connection, plan_id)
        known = self._plans.get(plan_id)
        if head is None or known is None or known.plan.plan_hash != head["plan_hash"]:
            known = await read_back(connection, plan_id)
            if known is not None:
                self.keep(known)
        return known


async def read_back(connection: Connection, plan_id: UUID) -> WholePlan | None:
    """Read every row of a plan, and the facts that it was made from."""
    facts = await plans.find_facts(connection, plan_id)
    if facts is None:
        return None
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    plan = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=days)
    if plan is None:
        return None
    return WholePlan(plan_id=plan_id, facts=facts, plan=plan, bucket_dates=bucket_dates(facts.horizon)[:-1])
