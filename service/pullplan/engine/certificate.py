"""How far can any plan be from this one, stage by stage? Bounds from prices alone, never from the solver's word.

Stage k minimises its measure over all plans that are no worse than this one in stages 1 … k−1. For any prices ≥ 0

    bound_k = Σ units × min over options and shortfall of (measure_k + prices · use + Σ_j multiplier_j measure_j)
              − prices · capacity − Σ_j multiplier_j achieved_j

is at most what any such plan can reach. The minimum is taken slice by slice: one slice of a need may have to be served
where the next is better left short. A stage that joins n slices is bounded by n × the bound of the first of them, because
no plan is less short in a slice than in the one before it. Source: the planning model, section 6.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import CapacityPrice, Stage
from pullplan.engine.options import (
    CapacityKey,
    NeedGroup,
    OptionRows,
    Options,
    Solution,
    StageMeasure,
    StagePrices,
    stage_measures,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

UNCOUNTED_SHARE = 1e-9
"""Of a need: what its slices miss it by below this is rounding."""


@dataclass(frozen=True)
class StageWeights:
    """What one unit adds in the last of some stages, prices and multipliers counted."""

    route_cost: float
    late_bucket: float
    early_bucket: FloatArray
    """(n_products,)"""
    by_start: FloatArray
    """(n_capabilities, n_buckets): the capacity that it takes."""
    short: Sequence[tuple[IntArray, FloatArray, FloatArray]]
    """Needs, units of each, and what one of these units left short adds; all others may stay short for nothing."""
    n_joined: int
    """So many slices the last stage counts, of which it bounds the first."""

    def cover(self, cheapest: FloatArray) -> float:
        """Cover every unit in the cheapest way, which may be to leave it short: cheapest (n_needs,) is to serve it."""
        return sum(
            weighed_sum(units, np.minimum(cheapest[needs], by_shortfall))
            for needs, units, by_shortfall in self.short
        )

    def dearest_cover(self, cheapest: FloatArray) -> FloatArray:
        """Find what a unit of each need is covered at in the slice where that is dearest: (n_needs,) → (n_needs,)."""
        dearest = np.zeros(len(cheapest))
        for needs, units, by_shortfall in self.short:
            covered = np.where(units > 0, np.minimum(cheapest[needs], by_shortfall), 0.0)
            dearest[needs] = np.maximum(dearest[needs], covered)
        return dearest

    def least_cover(self, cheapest: FloatArray, need_units: FloatArray) -> FloatArray:
        """Find what a unit of each need is covered at in the slice where that is cheapest: (n_needs,) → (n_needs,)."""
        least, units_left = np.full(len(cheapest), np.inf), need_units.copy()
        for needs, units, by_shortfall in self.short:
            covered = np.where(units > 0, np.minimum(cheapest[needs], by_shortfall), np.inf)
            least[needs] = np.minimum(least[needs], covered)
            units_left[needs] -= units
        return np.where(units_left > UNCOUNTED_SHARE * need_units, 0.0, least)

    def by_option(self, options: Options, rows: OptionRows) -> FloatArray:
        """Price one unit of each option: (n_options,)."""
        early = self.early_bucket[options.need_product[rows.need]] * rows.early_buckets
        of_time = self.late_bucket * rows.late_buckets + early
        # In the same order as _cheapest_ways adds them up, so that the cheapest way is no dearer than itself.
        of_start: FloatArray = self.by_start[rows.capability, rows.start_bucket] + of_time
        return of_start + self.route_cost * rows.route_cost


def certify(
    options: Options, solution: Solution, with_lots: Sequence[float] | None = None
) -> tuple[Stage, ...]:
    """Recompute every stage's value from the lines and its bound from the prices.

    `with_lots` are the values of the plan where its orders are cut into lots; `solution` is then its relaxation.
    """
    measures = stage_measures(options, solution.stage_names)
    values = stage_values(options, measures, solution)
    bounds = lower_bounds(options, measures, solution.stage_prices, values)
    stages = []
    for k, (measure, prices, bound) in enumerate(zip(measures, solution.stage_prices, bounds, strict=True)):
        gap_absolute = values[k] - bound
        reference = max(abs(values[k]), measure.one_mean_need)
        stages.append(
            Stage(
                stage=k + 1,
                measure=measure.name,
                value=values[k] if with_lots is None else with_lots[k],
                lower_bound=bound,
                gap=relative(gap_absolute, reference),
                gap_absolute=gap_absolute,
                multipliers=tuple(prices.multipliers.tolist()),
                relaxation_value=None if with_lots is None else values[k],
                price_of_lots=None if with_lots is None else relative(with_lots[k] - values[k], reference),
            )
        )
    return tuple(stages)


def relative(difference: float, reference: float) -> float:
    """Tell a difference as a share, or as it is where there is nothing to take it of."""
    return difference / reference if reference > 0 else difference


def weighed_sum(weights: FloatArray, amounts: FloatArray) -> float:
    """Add up as exactly as a float tells: multipliers can be ten billion, and take every rounding times as much."""
    return float(np.multiply(weights, amounts, dtype=np.longdouble).sum())


def stage_values(options: Options, measures: Sequence[StageMeasure], solution: Solution) -> list[float]:
    """Measure lines and shortfalls: each stage's value."""
    rows = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    return [
        weighed_sum(measure.by_option(rows, options), solution.units)
        if measure.counted is None
        else weighed_sum(measure.counted.weight, measure.counted.short_units(solution.shortfall_units))
        for measure in measures
    ]


def lower_bounds(
    options: Options,
    measures: Sequence[StageMeasure],
    stage_prices: Sequence[StagePrices],
    achieved: Sequence[float],
) -> list[float]:
    """Bound every stage from below, given its prices and what the stages before it achieved.

    Valid for any prices and multipliers ≥ 0.
    """
    return [of_stage.bound for of_stage in bounded_stages(options, measures, stage_prices, achieved)]


@dataclass(frozen=True)
class BoundedStage:
    """A stage's lower bound, and what its prices say of every need; arrays are (n_needs,)."""

    bound: float
    n_joined: int
    """So many times the bound of one slice it is."""
    cheapest: FloatArray
    """To serve one unit; infinite where there is no way."""
    short: Sequence[tuple[IntArray, FloatArray, FloatArray]]
    """Needs, ascending, units of each, and what one of these units left short adds; other units add nothing."""
    least_cover: FloatArray
    """In the slice where it is cheapest; 0 where one does not count."""


def bounded_stages(
    options: Options,
    measures: Sequence[StageMeasure],
    stage_prices: Sequence[StagePrices],
    achieved: Sequence[float],
) -> list[BoundedStage]:
    """Bound every stage from below, and tell what each need is covered at.

    Valid for any prices and multipliers ≥ 0.
    """
    weights = [stage_weights(options, measures[: k + 1], prices) for k, prices in enumerate(stage_prices)]
    cheapest = _cheapest_ways(options, weights)
    bounded = []
    for k, (prices, of_stage, way) in enumerate(zip(stage_prices, weights, cheapest, strict=True)):
        valid_prices = valid_capacity_prices(options, prices.capacity)
        room = weighed_sum(valid_prices, options.capacities.available)
        kept = weighed_sum(prices.multipliers, np.array(achieved[:k]))
        bound = of_stage.n_joined * (of_stage.cover(way) - room - kept)
        least_cover = of_stage.least_cover(way, options.need_units)
        bounded.append(BoundedStage(bound, of_stage.n_joined, way, of_stage.short, least_cover))
    return bounded


@dataclass(frozen=True)
class PricedStage:
    """What every way costs in one stage, at its prices, above what its need must pay there anyway."""

    weights: StageWeights
    dearest_cover: FloatArray
    """(n_needs,)"""

    def reduced_costs(self, options: Options, rows: OptionRows) -> FloatArray:
        """Price options above the cheapest way of their need (≥ 0), in whichever slice.

        Any plan that keeps the stages before and serves u units of a need by this option has a value of at least
        bound + u × reduced cost. Proof: in the sum of `lower_bounds` those u units pay this option's price instead of
        the cheapest way's of the slices they are in; every other term bounds such a plan as it bounds any other.

        Shapes: (n_options,)
        """
        above: FloatArray = self.weights.by_option(options, rows) - self.dearest_cover[rows.need]
        return self.weights.n_joined * above


def price_stages(
    options: Options, measures: Sequence[StageMeasure], stage_prices: Sequence[StagePrices]
) -> list[PricedStage]:
    """Price what every need must pay in each stage."""
    weights = [
        stage_weights(options, measures[: k + 1], prices)
        for k, (_, prices) in enumerate(zip(measures, stage_prices, strict=True))
    ]
    cheapest = _cheapest_ways(options, weights)
    return [
        PricedStage(of_stage, of_stage.dearest_cover(way))
        for of_stage, way in zip(weights, cheapest, strict=True)
    ]


def price_options(
    options: Options, measures: Sequence[StageMeasure], prices: StagePrices, rows: OptionRows
) -> FloatArray:
    """Price one unit of some options in the last of `measures`.

    Shapes: (n_options,)
    """
    return stage_weights(options, measures, prices).by_option(options, rows)


def stage_weights(options: Options, measures: Sequence[StageMeasure], prices: StagePrices) -> StageWeights:
    *earlier, last = measures
    weighed = [(m, of) for m, of in zip(prices.multipliers.tolist(), earlier, strict=True) if m > 0]
    counted = [(m, measure) for m, measure in (*weighed, (1.0, last)) if measure.counted is None]
    short = [(of.counted.need, of.counted.units, m * of.counted.weight) for m, of in weighed if of.counted]
    if last.counted:
        # The slices that a stage joins to its first may stay short for nothing.
        short.append((last.counted.need, last.counted.first_units, last.counted.weight))
    return StageWeights(
        route_cost=sum(m * measure.route_cost for m, measure in counted),
        late_bucket=sum(m * measure.late_bucket for m, measure in counted),
        early_bucket=sum((m * of.early_bucket for m, of in counted), start=np.zeros(len(options.products))),
        by_start=options.capability_prices(valid_capacity_prices(options, prices.capacity)),
        short=short,
        n_joined=last.counted.n_slices if last.counted else 1,
    )


def _cheapest_ways(options: Options, weights: Sequence[StageWeights]) -> list[FloatArray]:
    """Price the cheapest way to serve one unit of every need at several weights; infinite where there is none.

    Shapes: each (n_needs,)
    """
    cheapest = [np.full(len(options.needs), np.inf) for _ in weights]
    if options.is_listed:
        for found, of_stage in zip(cheapest, weights, strict=True):
            np.minimum.at(found, options.rows.need, of_stage.by_option(options, options.rows))
        return cheapest
    for group in options.groups:
        ways, first, n_starts = options.reach(group.product, group.needs)
        if len(ways.capability) == 0:
            continue
        kinds = _kinds(np.where(n_starts > 0, np.stack([ways.offset_buckets, first, n_starts]), -1))
        for found, of_stage in zip(cheapest, weights, strict=True):
            priced = np.full(n_starts.shape, np.inf)
            for kind, inside in kinds:
                least = _least_over_starts(of_stage, group, ways.capability, kind)
                np.copyto(priced, least[:, None], where=inside)
            if of_stage.route_cost > 0:
                np.add(priced, of_stage.route_cost * ways.route_cost, out=priced, where=n_starts > 0)
            found[group.needs] = priced.min(axis=0)
    return cheapest


def _least_over_starts(
    weights: StageWeights, group: NeedGroup, capability: IntArray, kind: tuple[int, int, int]
) -> FloatArray:
    """Price the best start of each way, by what depends on the start: (n_ways,)."""
    offset, first, n_starts = kind
    late = np.arange(first, first + n_starts) + offset - group.bucket
    of_time = np.where(late > 0, weights.late_bucket * late, -weights.early_bucket[group.product] * late)
    priced: FloatArray = weights.by_start[capability, first : first + n_starts] + of_time
    return priced.min(axis=1)


def _kinds(columns: IntArray) -> list[tuple[tuple[int, int, int], BoolArray]]:
    """Tell equal triples apart, −1 left out: (3, n_ways, n_regions) → each with where it stands."""
    code = np.zeros(columns.shape[1:], dtype=np.int64)
    for column in columns:
        code = code * (int(column.max()) + 2) + column + 1
    flat = code.ravel()
    numbers = [0] if (flat == flat[0]).all() else np.unique(flat, return_index=True)[1].tolist()
    triples = [(int(a), int(b), int(c)) for a, b, c in columns.reshape(3, -1)[:, numbers].T]
    return [
        (triple, code == flat[number])
        for triple, number in zip(triples, numbers, strict=True)
        if triple[2] >= 0
    ]


def valid_capacity_prices(options: Options, prices: FloatArray) -> FloatArray:
    """Lower prices of stores to what a proof may use: what arrives later is never worth more.

    A share limit is all there from the start: its one price, that of bucket 0, holds throughout.

    Shapes: (n_resources, n_buckets) → the same
    """
    capacities = options.capacities
    stored = np.where(capacities.is_stored[:, None], np.minimum.accumulate(prices, axis=1), prices)
    return np.where(capacities.is_share[:, None], prices[:, :1], stored)


def capacity_prices(options: Options, solution: Solution) -> tuple[CapacityPrice, ...]:
    """List every price that is not zero, by stage, node, resource and bucket; a share limit's is that of bucket 0."""
    capacities = options.capacities
    is_told = ~capacities.is_share[:, None] | (np.arange(options.horizon.horizon_buckets) == 0)
    return tuple(
        CapacityPrice(
            stage=k + 1,
            node_code=capacities.keys[row].node_code,
            resource_code=capacities.keys[row].resource_code,
            product_code=capacities.keys[row].product_code,
            bucket=int(bucket),
            price=float(prices.capacity[row, bucket]),
        )
        for k, prices in enumerate(solution.stage_prices)
        for row, bucket in np.argwhere(is_told & (prices.capacity > 0)).tolist()
    )


def stage_prices_of(
    options: Options, stages: Sequence[Stage], prices: Sequence[CapacityPrice]
) -> tuple[StagePrices, ...]:
    """Read a stored plan's prices and multipliers back, so that its bounds can be computed again."""
    row_of = {key: row for row, key in enumerate(options.capacities.keys)}
    capacity = np.zeros((len(stages), *options.capacities.available.shape))
    for price in prices:
        row = row_of[CapacityKey(price.node_code, price.resource_code, price.product_code)]
        capacity[price.stage - 1, row, price.bucket] = price.price
    return tuple(
        StagePrices(stage.measure, capacity[k], np.array(stage.multipliers, dtype=np.float64))
        for k, stage in enumerate(stages)
    )
