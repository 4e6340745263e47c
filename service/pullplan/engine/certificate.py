"""How far can any plan be from this one, stage by stage? Bounds from prices alone, never from the solver's word.

Stage k minimises its measure over all plans that are no worse than this one in stages 1 … k−1. For any prices ≥ 0

    bound_k = Σ units × min over options and shortfall of (measure_k + prices · use + Σ_j multiplier_j measure_j)
              − prices · capacity − Σ_j multiplier_j achieved_j

is at most what any such plan can reach. Source: the planning model, section 6.3.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import CapacityPrice, Stage
from pullplan.engine.options import Options, Solution, StageMeasure, StagePrices, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def certify(options: Options, solution: Solution) -> tuple[Stage, ...]:
    """Recompute every stage's value from the lines and its bound from the prices."""
    measures = stage_measures(options)
    values = stage_values(measures, solution.option_index, solution.units, solution.shortfall_units)
    stages = []
    for k, (measure, prices) in enumerate(zip(measures, solution.stage_prices, strict=True)):
        bound = lower_bound(options, measures[: k + 1], prices, values[:k])
        gap_absolute = values[k] - bound
        reference = max(abs(values[k]), measure.one_mean_need)
        stages.append(
            Stage(
                stage=k + 1,
                measure=measure.name,
                value=values[k],
                lower_bound=bound,
                gap=gap_absolute / reference if reference > 0 else gap_absolute,
                gap_absolute=gap_absolute,
                multipliers=tuple(prices.multipliers.tolist()),
            )
        )
    return tuple(stages)


def stage_values(
    measures: Sequence[StageMeasure],
    option_index: IntArray,
    units: FloatArray,
    shortfall_units: FloatArray,
) -> list[float]:
    """Measure lines and shortfalls: each stage's value.

    Shapes: (n_lines,), (n_lines,), (n_needs,) → one value per stage
    """
    return [
        float(measure.by_option[option_index] @ units + measure.by_shortfall @ shortfall_units)
        for measure in measures
    ]


def lower_bound(
    options: Options, measures: Sequence[StageMeasure], prices: StagePrices, achieved: Sequence[float]
) -> float:
    """Bound the last of `measures` from below, given prices and what the stages before it achieved.

    Valid for any prices and multipliers ≥ 0.
    """
    by_option, by_shortfall, capacity_price = _priced(options, measures, prices)
    cheapest = _cheapest_way(options, by_option, by_shortfall)
    return float(
        options.need_units @ cheapest
        - (capacity_price * options.capacities.available).sum()
        - prices.multipliers @ np.array(achieved)
    )


def reduced_costs(options: Options, measures: Sequence[StageMeasure], prices: StagePrices) -> FloatArray:
    """Price every option in the last of `measures` above the cheapest way of its need (≥ 0).

    Any plan that keeps the stages before and serves u units of a need by this option has a value of at least
    bound + u × reduced cost. Proof: in the sum of `lower_bound` those u units pay this option's price instead of
    the cheapest way's; every other term bounds such a plan as it bounds any other.

    Shapes: (n_options,)
    """
    by_option, by_shortfall, _ = _priced(options, measures, prices)
    reduced: FloatArray = by_option - _cheapest_way(options, by_option, by_shortfall)[options.option_need]
    return reduced


def _priced(
    options: Options, measures: Sequence[StageMeasure], prices: StagePrices
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Price one unit of every option and of every need's shortfall, and each capacity.

    Shapes: (n_options,), (n_needs,), (n_resources, n_buckets)
    """
    *earlier, measure = measures
    capacity_price = valid_capacity_prices(options, prices.capacity)
    by_option = measure.by_option + options.option_capacity_price(capacity_price)
    by_shortfall = measure.by_shortfall.copy()
    for multiplier, before in zip(prices.multipliers.tolist(), earlier, strict=True):
        by_option += multiplier * before.by_option
        by_shortfall += multiplier * before.by_shortfall
    return by_option, by_shortfall, capacity_price


def _cheapest_way(options: Options, by_option: FloatArray, by_shortfall: FloatArray) -> FloatArray:
    cheapest = by_shortfall.copy()
    np.minimum.at(cheapest, options.option_need, by_option)
    return cheapest


def valid_capacity_prices(options: Options, prices: FloatArray) -> FloatArray:
    """Lower prices of stores to what a proof may use: what arrives later is never worth more.

    Shapes: (n_resources, n_buckets) → the same
    """
    return np.where(options.capacities.is_stored[:, None], np.minimum.accumulate(prices, axis=1), prices)


def capacity_prices(options: Options, solution: Solution) -> tuple[CapacityPrice, ...]:
    """List every price that is not zero, by stage, node, resource and bucket."""
    return tuple(
        CapacityPrice(
            stage=k + 1,
            node_code=options.capacities.keys[row][0],
            resource_code=options.capacities.keys[row][1],
            bucket=int(bucket),
            price=float(prices.capacity[row, bucket]),
        )
        for k, prices in enumerate(solution.stage_prices)
        for row, bucket in np.argwhere(prices.capacity > 0).tolist()
    )


def stage_prices_of(
    options: Options, stages: Sequence[Stage], prices: Sequence[CapacityPrice]
) -> tuple[StagePrices, ...]:
    """Read a stored plan's prices and multipliers back, so that its bounds can be computed again."""
    row_of = {key: row for row, key in enumerate(options.capacities.keys)}
    capacity = np.zeros((len(stages), *options.capacities.available.shape))
    for price in prices:
        row = row_of[price.node_code, price.resource_code]
        capacity[price.stage - 1, row, price.bucket] = price.price
    return tuple(
        StagePrices(stage.measure, capacity[k], np.array(stage.multipliers, dtype=np.float64))
        for k, stage in enumerate(stages)
    )
