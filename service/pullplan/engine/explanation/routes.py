"""What is the best that each node could have done for each need, what stood in its way, and what would forcing it cost?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import reduced_costs
from pullplan.engine.options import OptionRows, Options, Solution, StageMeasure, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOTHING_BELOW = 1e-7
"""Of what a unit of the mean need measures in a stage: a smaller reduced cost is rounding, and is told as 0."""


@dataclass(frozen=True)
class Route:
    """One node for one need: its least late, then least reduced, option, and what every option of it would cost."""

    late_buckets: int
    cost: float
    saving: float
    """What one more unit of that option would save in the cost stage: Σ saving of capacity × use."""
    forcing_measure: str
    """The first stage up to the cost that must get worse when the node is forced; the cost stage where none must."""
    forcing_cost_per_unit: float
    """That stage's least reduced cost, at its own prices and multipliers, over the options that the stages before leave
    open."""


Routes = dict[tuple[int, int], Route]
"""By (need, capability); pairs without any option are missing."""


def best_by_route(options: Options, solution: Solution) -> Routes:
    """Find every route's best option under the prices of the cost stage."""
    cost_stage = next(k for k, p in enumerate(solution.stage_prices) if p.measure.startswith("cost:"))
    table = options.rows_of(np.unique(solution.need))
    start = table.capability, table.start_bucket
    proving_price = options.capability_prices(solution.stage_prices[cost_stage].capacity)[start]
    saving = options.capability_prices(solution.capacity_savings)[start]
    cost, late = table.cost, table.late_buckets
    order = np.lexsort((cost + proving_price, late, table.capability, table.need))
    pair = table.need[order] * max(1, len(options.capabilities.rows))
    _, first = np.unique(pair + table.capability[order], return_index=True)
    best = order[first]
    measures = stage_measures(options, solution.stage_names)[: cost_stage + 1]
    stage, per_unit = _forcing(options, solution, measures, table=table, order=order, first=first)
    names = [measures[k].name for k in stage.tolist()]
    rows = zip(
        late[best].tolist(), cost[best].tolist(), saving[best].tolist(), names, per_unit.tolist(), strict=True
    )
    pairs = zip(table.need[best].tolist(), table.capability[best].tolist(), strict=True)
    return {pair: Route(*row) for pair, row in zip(pairs, rows, strict=True)}


def _forcing(
    options: Options,
    solution: Solution,
    measures: tuple[StageMeasure, ...],
    *,
    table: OptionRows,
    order: IntArray,
    first: IntArray,
) -> tuple[IntArray, FloatArray]:
    """Tell each route's first stage that forcing must worsen (else the last), and by how much a unit.

    An option with a positive reduced cost in a stage is closed to the stages after it: a plan that meets the first
    stage's lower bound has no unit there, because each would lift it above the bound by that much.

    Shapes: `order` (n_options,) sorts options by route, `first` (n_routes,) → (n_routes,), (n_routes,)
    """
    stage = np.zeros(len(first), dtype=np.int64)
    per_unit = np.zeros(len(first))
    is_open = np.ones(len(order), dtype=bool)
    if len(first) == 0:
        return stage, per_unit
    mean_units = float(options.need_units.mean())
    for k, measure in enumerate(measures):
        reduced = reduced_costs(options, measures[: k + 1], solution.stage_prices[k], table)[order]
        reduced[reduced <= NOTHING_BELOW * measure.one_mean_need / mean_units] = 0.0
        least = np.minimum.reduceat(np.where(is_open, reduced, np.inf), first)
        undecided = per_unit == 0
        stage[undecided], per_unit[undecided] = k, least[undecided]
        is_open &= reduced == 0
    return stage, per_unit
