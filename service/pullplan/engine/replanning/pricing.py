"""What is the best plan that keeps to the churn, where much has changed? Found through prices, as a plan of its own is.

Capacity has prices, and so has staying: both are found together, from those of the best plan that holds nothing.
"""

from dataclasses import replace

import numpy as np

from pullplan.engine.assignment import assign_held
from pullplan.engine.model import SearchProgress
from pullplan.engine.options import Options, stage_measures
from pullplan.engine.replanning.pieces import Pieces
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.proving import Proven, prove_held
from pullplan.engine.replanning.searching import Progress, moved_units
from pullplan.engine.replanning.standing import Standing

PROVEN_GAP = 1e-6
"""Of a stage's value, or of the measure of one mean need: a plan that is further off is looked for otherwise."""


def look_by_prices(
    options: Options,
    standing: Standing,
    churn: Churn,
    free: Proven | None,
    progress: Progress | None = None,
) -> Proven | None:
    """Find and prove the best plan of all that keep to the churn; None where prices don't settle.

    `free` is the best plan that holds nothing, where it is known.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """

    def hear(search: SearchProgress) -> None:
        if progress is not None:
            progress(search.stage, search.done_share)

    pieces = Pieces.of(options, standing)
    holds, warm_prices = pieces.holds(standing), None
    if free is not None and not churn.is_free:
        budget = standing.held_units if churn.budget_units is None else churn.budget_units
        holds = replace(
            holds,
            fewest_units=standing.held_units - budget,
            worth_per_unit=churn.least_saving_per_unit,
            churn_price=_price_to_begin_with(free, standing, budget),
        )
        warm_prices = free.solution.stage_prices[-2].capacity
    solution = assign_held(pieces.options, holds, hear, warm_prices)
    if solution is None:
        return None
    solution = pieces.joined(options, solution)
    moved = moved_units(options, standing, solution)
    churn_prices = [prices.churn for prices in solution.stage_prices]
    proven = prove_held(options, standing, solution, churn_prices, moved)
    return proven if _is_best(options, proven, churn) else None


def _is_best(options: Options, proven: Proven, churn: Churn) -> bool:
    """Tell whether no plan that keeps to the churn is better: a plan's own proof is of those that move no more than it.

    Where pieces of one need share what is short, each is sliced alone: that is not always best for the need.
    """
    spare = 0.0 if churn.budget_units is None else max(0.0, churn.budget_units - proven.moved_units)
    measures = stage_measures(options, proven.solution.stage_names)
    cost = len(measures) - 2
    for stage, measure, price in zip(proven.stages, measures, proven.churn_prices, strict=True):
        cost_counts = 1.0 if measure is measures[cost] else sum(stage.multipliers[cost:])
        of_budget = max(0.0, price - cost_counts * churn.least_saving_per_unit)
        missed = stage.gap_absolute + measure.n_joined * of_budget * spare
        if missed > PROVEN_GAP * max(abs(stage.value), measure.one_mean_need):
            return False
    return True


def _price_to_begin_with(free: Proven, standing: Standing, budget_units: float) -> float:
    """At the prices of the best plan: what the unit saves that the budget would be used up with."""
    cost = len(free.bounded) - 2
    saving = free.held_prices[cost] - free.bounded[cost].cheapest[standing.rows.need]
    most_first = np.argsort(-saving, kind="stable")
    at = int(np.searchsorted(np.cumsum(standing.units[most_first]), budget_units))
    return max(0.0, float(saving[most_first[min(at, len(saving) - 1)]])) if len(saving) else 0.0
