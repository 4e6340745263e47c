"""What is the plan where everything has to be looked at?"""

from dataclasses import dataclass

import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.model import Horizon, Plan, PlanningFacts
from pullplan.engine.options import Options, build_options
from pullplan.engine.replanning.lots import release_broken_orders
from pullplan.engine.replanning.near import Looked
from pullplan.engine.replanning.netting import net_again
from pullplan.engine.replanning.pricing import look_by_prices
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.searching import Progress, search
from pullplan.engine.replanning.standing import (
    Parent,
    Standing,
    find_standing,
    first_bucket_date,
    keep_numbers,
)

PRICED_FROM_NEEDS = 1_000
"""Below, the programme of the needs that have a cheaper way is solved within seconds."""


@dataclass(frozen=True)
class Whole:
    """All needs and all that the parent says of them."""

    options: Options
    standing: Standing
    parent: Parent

    def look(self, churn: Churn, free: Looked | None, progress: Progress | None) -> Looked:
        """Find the best plan of all that keep to the churn; `free` is the best that holds nothing, where it is known.

        Raises: AssignmentFailedError where HiGHS ends without an optimum.
        """
        if len(self.options.needs) >= PRICED_FROM_NEEDS:
            known = None if free is None else free.proven
            priced = look_by_prices(self.options, self.standing, churn, known, progress)
            if priced is not None:
                return Looked(self.options, self.standing, self.parent, priced)
        # A need that its parent splits is one that ties: it is where a little room is found first.
        n_lines = np.bincount(self.standing.rows.need, minlength=len(self.options.needs))
        proven = search(self.options, self.standing, n_lines > 1, churn, progress)
        return Looked(self.options, self.standing, self.parent, proven)


def lay_out_whole(facts: PlanningFacts, parent_facts: PlanningFacts, parent: Plan) -> Whole:
    """Net the facts, and find what of the parent can stand."""
    needs = keep_numbers(
        net_again(facts, parent_facts, parent.needs), facts.horizon, parent, parent_facts.horizon
    )
    options = build_options(facts, needs)
    of_parent = Parent(
        lines=parent.assignments,
        shortfalls=parent.shortfalls,
        last_assignment_id=max((line.assignment_id for line in parent.assignments), default=0),
        shift=shift_buckets(options.horizon, parent_facts.horizon),
    )
    standing = release_broken_orders(options, find_standing(options, of_parent), of_parent)
    return Whole(options, standing, of_parent)


def shift_buckets(horizon: Horizon, parent_horizon: Horizon) -> int:
    """Count the buckets from a horizon's first to its parent's: 0 on the same day, below 0 later."""
    days = (first_bucket_date(parent_horizon) - first_bucket_date(horizon)).days
    return days // DAYS_PER_BUCKET[horizon.bucket]
