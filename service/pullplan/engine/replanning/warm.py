"""What is the plan after a change, from what is kept of the plan before it?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.plan import in_canonical_order
from pullplan.engine.replanning.inheriting import changed_nodes, inherit_or_tell
from pullplan.engine.replanning.laid import Laid, find_change
from pullplan.engine.replanning.lots import cut_into_orders
from pullplan.engine.replanning.near import Looked, look_near
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.searching import Progress as SearchProgress
from pullplan.engine.replanning.whole import lay_out_whole
from pullplan.engine.replanning.writing import write_down

Progress = Callable[[str, float], None]


def replan(
    facts: PlanningFacts,
    parent_facts: PlanningFacts,
    parent: Plan,
    churn: Churn,
    progress: Progress | None = None,
) -> Plan:
    """Plan the facts, holding what the parent says as far as the churn is worth it.

    Needs keep the parent's numbers, and so do lines that stay. With a churn that is free the plan is as good as any,
    and moves nothing for nothing; else it also carries what the best plan would be.

    Raises: PinInfeasibleError where a pin can't be kept; LotRulesContradictoryError; AssignmentFailedError when the
        solver fails.
    """
    return Warm.of(parent_facts, parent).replan(facts, churn, progress)[0]


@dataclass(frozen=True)
class Warm:
    """A plan with what is known of it; what it has not yet been asked for is laid out when it is.

    What is kept decides nothing: a plan that is made warm is the very plan that is made from facts and parent alone.
    """

    facts: PlanningFacts
    plan: Plan
    kept: Laid | None = None

    @classmethod
    def of(cls, facts: PlanningFacts, plan: Plan) -> Self:
        """Begin with a plan and the facts that it was made from."""
        return cls(facts, plan)

    @cached_property
    def laid(self) -> Laid:
        """Lay the plan out."""
        return self.kept or Laid.of(self.facts, self.plan)

    def replan(
        self, facts: PlanningFacts, churn: Churn, progress: Progress | None = None
    ) -> tuple[Plan, "Warm"]:
        """Plan other facts as `replan` does, and keep what is known of the plan for the next change."""
        tell = progress or (lambda _step, _done_share: None)
        facts = in_canonical_order(facts)
        tell("netting", 0.0)
        found = self._replan_near(facts, churn, tell)
        if found is not None:
            return found
        plan = self._replan_whole(facts, churn, tell)
        return plan, Warm(facts, plan)

    def _replan_near(self, facts: PlanningFacts, churn: Churn, tell: Progress) -> "tuple[Plan, Warm] | None":
        """Look at what has changed alone; None where that is not enough, as for lots, whose orders gather many needs."""
        if self.plan.shortfalls or not self.plan.needs or self.plan.figures.lots is not None:
            return None
        change = find_change(facts, self.facts, self.plan, self.laid)
        if change is None or not len(change.laid.options.needs):
            return None
        tell("assigning", 0.0)
        looked, free = _within(churn, lambda churn, _: look_near(change, self.plan, churn, _assigning(tell)))
        if looked is None:
            return None
        tell("explaining", 0.0)
        laid = change.laid
        told = inherit_or_tell(looked, frozenset())
        plan = write_down(facts, laid.options.needs, self.plan, looked, free, churn=churn, told=told)
        if looked.others is not None:
            laid = looked.others.laid_with(looked.options, told[0])
        return plan, Warm(facts, plan, laid)

    def _replan_whole(self, facts: PlanningFacts, churn: Churn, tell: Progress) -> Plan:
        whole = lay_out_whole(facts, self.facts, self.plan)
        tell("assigning", 0.0)
        looked, free = _within(churn, lambda churn, free: whole.look(churn, free, _assigning(tell)))
        looked = cut_into_orders(looked, churn, lambda done: tell("cutting into lots", done))
        tell("explaining", 0.0)
        told = inherit_or_tell(looked, changed_nodes(facts, self.facts))
        return write_down(facts, whole.options.needs, self.plan, looked, free, churn=churn, told=told)


def _within[T: Looked | None](churn: Churn, look: Callable[[Churn, T | None], T]) -> tuple[T, T | None]:
    """Find the best plan; where it moves more than the churn allows, the best that doesn't, and the other beside it."""
    free = look(Churn(), None)
    if free is None or churn.is_free or free.proven.moved_units == 0:
        return free, None
    within = churn.budget_units is None or free.proven.moved_units <= churn.budget_units
    if within and churn.least_saving_per_unit == 0:
        return free, None
    return look(churn, free), free


def _assigning(tell: Progress) -> SearchProgress:
    return lambda measure, done: tell(f"assigning: {measure.partition(':')[0]}", done)
