"""What is the best that each node could have done for each need, what stood in its way, and what would forcing it cost?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import PricedStage
from pullplan.engine.options import OptionRows, Options, Solution, StageMeasure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOTHING_BELOW = 1e-7
"""Of what a unit of the mean need measures in a stage: a smaller reduced cost is rounding, and is told as 0."""


@dataclass(frozen=True)
class Routes:
    """Nodes with a way, each for one need: its least late, then least reduced, option, and what forcing it costs.

    Ordered by need and capability; arrays are (n_routes,).
    """

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    late_buckets: IntArray
    cost: FloatArray
    saving: FloatArray
    """What one more unit of that option would save in the cost stage: Σ saving of capacity × use."""
    share_saving: FloatArray
    """The part of it that is of a share limit."""
    forcing_stage: IntArray
    """The first stage up to the cost that must get worse when the node is forced; the cost stage where none must."""
    forcing_cost_per_unit: FloatArray
    """That stage's least reduced cost, at its own prices and multipliers, over the options that the stages before leave
    open."""


def best_routes(
    options: Options,
    solution: Solution,
    stages: Sequence[tuple[StageMeasure, PricedStage]],
    *,
    need: IntArray,
    capability: IntArray,
) -> Routes:
    """Find the best option of some pairs of need and capability under the prices of the cost stage.

    `stages` end with the cost.

    Shapes: (n_pairs,), (n_pairs,), ordered by both
    """
    rows = options.rows_of(need, capability)
    first = np.flatnonzero(
        (np.diff(rows.need, prepend=-1) != 0) | (np.diff(rows.capability, prepend=-1) != 0)
    )
    of_start = rows.capability, rows.start_bucket
    proving_price = options.capability_prices(solution.stage_prices[len(stages) - 1].capacity)[of_start]
    best = _first_least(first, rows.late_buckets, rows.cost + proving_price)
    stage, per_unit = _forcing(options, stages, rows, first)
    savings = solution.capacity_savings
    of_shares = np.where(options.capacities.is_share[:, None], savings, 0.0)
    return Routes(
        need=rows.need[best],
        capability=rows.capability[best],
        start_bucket=rows.start_bucket[best],
        late_buckets=rows.late_buckets[best],
        cost=rows.cost[best],
        saving=options.capability_prices(savings)[of_start][best],
        share_saving=options.capability_prices(of_shares)[of_start][best],
        forcing_stage=stage,
        forcing_cost_per_unit=per_unit,
    )


def _first_least(first: IntArray, *keys: npt.NDArray[np.number]) -> IntArray:
    """Find in every run the first row whose keys are least, the first key counting most.

    Shapes: `first` (n_runs,), each (n_rows,) → (n_runs,)
    """
    if len(first) == 0:
        return first
    run_of_row = np.repeat(np.arange(len(first)), np.diff(first, append=len(keys[0])))
    is_least = np.ones(len(run_of_row), dtype=bool)
    for key in keys:
        left = np.where(is_least, key, np.inf)
        is_least &= left == np.minimum.reduceat(left, first)[run_of_row]
    rows = np.flatnonzero(is_least)
    return rows[np.flatnonzero(np.diff(run_of_row[rows], prepend=-1))]


def _forcing(
    options: Options, stages: Sequence[tuple[StageMeasure, PricedStage]], rows: OptionRows, first: IntArray
) -> tuple[IntArray, FloatArray]:
    """Tell each route's first stage that forcing must worsen (else the last), and by how much a unit.

    An option with a positive reduced cost in a stage is closed to the stages after it: a plan that meets the first
    stage's lower bound has no unit there, because each would lift it above the bound by that much.

    Shapes: `first` row of every route (n_routes,) → (n_routes,), (n_routes,)
    """
    stage = np.zeros(len(first), dtype=np.int64)
    per_unit = np.zeros(len(first))
    if len(first) == 0:
        return stage, per_unit
    is_open = np.ones(len(rows.need), dtype=bool)
    mean_units = float(options.need_units.mean())
    for k, (measure, priced) in enumerate(stages):
        reduced = priced.reduced_costs(options, rows)
        reduced[reduced <= NOTHING_BELOW * measure.one_mean_need / mean_units] = 0.0
        least = np.minimum.reduceat(np.where(is_open, reduced, np.inf), first)
        undecided = per_unit == 0
        stage[undecided], per_unit[undecided] = k, least[undecided]
        is_open &= reduced == 0
    return stage, per_unit
