"""How far can any plan that moves no more be from this one, stage by stage?

A held unit that leaves its line counts as moved. Stage k's bound holds for every plan that is no worse than this one
in stages 1 … k−1 and moves no more held units: whatever prices, multipliers and churn price π are (≥ 0),

    bound_k = n × (Σ needs: best over v of (Σ slices' units × min(v, what they weigh short)
                                            + Σ held units × min(price of the held line − v, π))
                   − prices · capacity − Σ_j multiplier_j achieved_j − π × moved units)

where v is at most the price of the need's cheapest way, and n the number of slices that the stage joins: every way but its
own line costs a held unit π more. Without holds v is the cheapest way itself, and this is the certificate's bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import BoundedStage, bounded_stages, price_options, relative, stage_values
from pullplan.engine.model import Stage
from pullplan.engine.options import Options, Solution, stage_measures
from pullplan.engine.replanning.standing import Standing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Proven:
    """A solution with its certificate."""

    solution: Solution
    churn_prices: tuple[float, ...]
    moved_units: float
    stages: tuple[Stage, ...]
    bounded: tuple[BoundedStage, ...]
    """What each stage's prices say of every need."""
    held_prices: tuple[FloatArray, ...]
    """By stage, (n_held,): of one unit of each held line."""


def prove_held(
    options: Options,
    standing: Standing,
    solution: Solution,
    churn_prices: Sequence[float],
    moved_units: float,
    *,
    with_lots: tuple[Sequence[float], float] | None = None,
) -> Proven:
    """Certify a re-plan: all stages over all options, with what is held.

    `with_lots` are the values, and the moved units, of the plan where its orders are cut into lots; `solution` is then its
    relaxation, and bounds are of all plans that move no more units than either.
    """
    measures = stage_measures(options, solution.stage_names)
    values = stage_values(options, measures, solution)
    bounded = bounded_stages(options, measures, solution.stage_prices, values)
    most_moved = moved_units if with_lots is None else max(moved_units, with_lots[1])
    held_prices = [
        price_options(options, measures[: k + 1], prices, standing.rows)
        for k, prices in enumerate(solution.stage_prices)
    ]
    stages = []
    for k, (measure, of_stage, churn_price) in enumerate(zip(measures, bounded, churn_prices, strict=True)):
        held = _held_cover(of_stage, standing, held_prices[k], churn_price) - churn_price * most_moved
        bound = of_stage.bound + of_stage.n_joined * held
        gap_absolute = values[k] - bound
        reference = max(abs(values[k]), measure.one_mean_need)
        value = values[k] if with_lots is None else with_lots[0][k]
        stages.append(
            Stage(
                stage=k + 1,
                measure=measure.name,
                value=value,
                lower_bound=bound,
                gap=relative(gap_absolute, reference),
                gap_absolute=gap_absolute,
                multipliers=tuple(solution.stage_prices[k].multipliers.tolist()),
                relaxation_value=None if with_lots is None else values[k],
                price_of_lots=None if with_lots is None else relative(value - values[k], reference),
            )
        )
    return Proven(
        solution, tuple(churn_prices), moved_units, tuple(stages), tuple(bounded), tuple(held_prices)
    )


def _held_cover(of_stage: BoundedStage, standing: Standing, price: FloatArray, churn_price: float) -> float:
    """Add up what holds add to the cheapest cover of every need.

    A need's price v, at most that of its cheapest way, proves Σ slices' units × min(v, what they weigh short)
    + Σ held units × min(churn price, line's price − v). The best v is one at which either bends.

    Shapes: price (n_held,)
    """
    if churn_price == 0 or len(price) == 0:
        return 0.0
    needs, at = np.unique(standing.rows.need, return_inverse=True)
    cheapest = of_stage.cheapest[needs]
    slices = [_of_needs(needs, *short) for short in of_stage.short]

    def cover(v: FloatArray) -> FloatArray:
        found = np.zeros(len(needs))
        for units, weight in slices:
            found += units * np.minimum(v, weight)
        return found

    def with_holds(v: FloatArray) -> FloatArray:
        held = standing.units * np.minimum(churn_price, price - v[at])
        return cover(v) + np.bincount(at, held, len(needs))

    number = np.arange(len(at)) - np.searchsorted(at, at)
    bends = [np.minimum(weight, cheapest) for _, weight in slices]
    for j in range(int(number.max()) + 1):
        bend = cheapest.copy()
        bend[at[number == j]] = np.clip(price[number == j] - churn_price, 0.0, cheapest[at[number == j]])
        bends.append(bend)
    best = with_holds(cheapest)
    for bend in (np.zeros(len(needs)), *bends):
        best = np.maximum(best, with_holds(bend))
    return float((best - cover(cheapest)).sum())


def _of_needs(
    needs: IntArray, counted: IntArray, units: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Lay units and weights of counted needs out for some needs: those that are not counted have none."""
    if len(counted) == 0:
        return np.zeros(len(needs)), np.zeros(len(needs))
    place = np.minimum(np.searchsorted(counted, needs), len(counted) - 1)
    is_counted = counted[place] == needs
    return np.where(is_counted, units[place], 0.0), np.where(is_counted, weight[place], 0.0)
