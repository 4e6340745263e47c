"""What is made small, in which order? The stages of the lexicographic objective, one measure each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import TIERS, ShortfallStage
from pullplan.engine.options.arrays import OptionRows, Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CountedShort:
    """The needs, and of each the slices, that a shortfall stage counts; arrays are (n_counted,)."""

    need: IntArray
    """Positions, ascending."""
    weight: FloatArray
    """What one unit short adds to the stage's value."""
    units: FloatArray
    """Of the need, in the slices that are counted."""
    first_units: FloatArray
    """Of the need, in the first of these slices."""
    units_after: FloatArray
    """Of the need, in the slices after those: what stays short is of the last slices."""
    n_slices: int

    def short_units(self, shortfall_units: FloatArray) -> FloatArray:
        """Tell what of each need's shortfall lies in the counted slices: (n_needs,) → (n_counted,)."""
        return np.clip(shortfall_units[self.need] - self.units_after, 0.0, self.units)


@dataclass(frozen=True)
class StageMeasure:
    """One stage: what a unit of every option adds to its value (≥ 0), and which shortfalls do.

    An option's part is the sum of what depends on its route (need × node) and on its start bucket; a stage that counts
    shortfalls counts no option.
    """

    name: str
    route_cost: float
    """Weight of an option's cost without holding: 1 in the cost stage, else 0."""
    late_bucket: float
    """What a bucket late adds."""
    early_bucket: FloatArray
    """(n_products,): what a bucket early adds."""
    one_mean_need: float
    """The measure of one mean need: what a gap is relative to where the value itself is smaller."""
    counted: CountedShort | None = None

    @property
    def n_joined(self) -> int:
        """Count the slices that it joins; 1 where it counts none."""
        return 1 if self.counted is None else self.counted.n_slices

    def by_route(self, rows: OptionRows) -> FloatArray:
        """Measure what depends on each option's route: (n_options,)."""
        return self.route_cost * rows.route_cost

    def by_start(self, rows: OptionRows, options: Options) -> FloatArray:
        """Measure what depends on each option's start bucket: (n_options,)."""
        early = self.early_bucket[options.need_product[rows.need]] * rows.early_buckets
        return self.late_bucket * rows.late_buckets + early

    def by_option(self, rows: OptionRows, options: Options) -> FloatArray:
        """Add both parts up."""
        return self.by_route(rows) + self.by_start(rows, options)


def stage_measures(options: Options, names: Sequence[str] | None = None) -> tuple[StageMeasure, ...]:
    """List the stages: shortfall by tier, rank and slices, lateness, cost, earliness.

    `names` are those of a plan: how it joins slices depends on what is short. Without any, all slices are joined.

    Source: the planning model, section 6.
    """
    no_product, every_product = np.zeros(len(options.products)), np.ones(len(options.products))
    mean_units = float(options.need_units.mean()) if len(options.needs) else 0.0
    needs_of = needs_by_rank(options)
    read = [ShortfallStage(tier=TIERS[tier], rank=rank) for tier, rank in needs_of]
    if names is not None:
        read = [stage for name in names if (stage := ShortfallStage.read(name)) is not None]
    weight = shortfall_weight(options)
    nobody = np.empty(0, dtype=np.int64)
    shortfalls = []
    for stage in read:
        needs = needs_of.get((TIERS.index(stage.tier), stage.rank), nobody)
        counted = _count(options, needs, weight[needs], stage)
        one = float((options.need_units[needs] * counted.weight).mean()) if len(needs) else 0.0
        shortfalls.append(StageMeasure(stage.measure, 0.0, 0.0, no_product, one, counted))
    cost = f"cost:{options.parameters.objective}"
    one_mean_cost = mean_units * options.mean_cost
    return (
        *shortfalls,
        StageMeasure("lateness_unit_buckets", 0.0, 1.0, no_product, mean_units),
        StageMeasure(cost, 1.0, 0.0, options.holding_cost_per_bucket, one_mean_cost),
        StageMeasure("earliness_unit_buckets", 0.0, 0.0, every_product, mean_units),
    )


def needs_by_rank(options: Options) -> dict[tuple[int, int], IntArray]:
    """Gather the positions of needs by tier and rank, in the order in which they are served."""
    if not len(options.needs):
        return {}
    order = np.lexsort((options.need_rank, options.need_tier))
    tier, rank = options.need_tier[order], options.need_rank[order]
    changes = np.flatnonzero((np.diff(tier) != 0) | (np.diff(rank) != 0)) + 1
    return {
        (int(options.need_tier[needs[0]]), int(options.need_rank[needs[0]])): needs
        for needs in np.split(order, changes)
    }


def slice_edges(options: Options, needs: IntArray) -> FloatArray:
    """Add up the units of needs from their last slice back: [:, j] are those of the last j slices.

    Every slice but the first has `need_slice_units`, as far as the need has so many; the first has the rest.

    Shapes: (n,) → (n, share_slices + 1)
    """
    n_slices = options.parameters.share_slices
    edges = np.minimum(
        options.need_units[needs, None], options.need_slice_units[needs, None] * np.arange(n_slices + 1)
    )
    edges[:, n_slices] = options.need_units[needs]
    return edges


def _count(options: Options, needs: IntArray, weight: FloatArray, stage: ShortfallStage) -> CountedShort:
    n_slices = options.parameters.share_slices
    edges = slice_edges(options, needs)
    first, last = stage.first_slice or 1, stage.last_slice or n_slices
    after, up_to = edges[:, n_slices - last], edges[:, n_slices - first + 1]
    return CountedShort(
        need=needs,
        weight=weight,
        units=up_to - after,
        first_units=up_to - edges[:, n_slices - first],
        units_after=after,
        n_slices=last - first + 1,
    )


def shortfall_weight(options: Options) -> FloatArray:
    """Weigh one unit short of every need; nothing weighs less than the least that weighs anything.

    A unit that weighed 0 would be left short for nothing. `resource_hours` of a need are the least over the
    nodes that could make it.
    """
    measure = options.parameters.shortfall_measure
    if measure == "units":
        return np.ones(len(options.needs))
    if measure == "value":
        by_product = np.array([p.value_per_unit for p in options.products], dtype=np.float64)
    else:
        by_product = _least_hours_by_product(options)
    positive = by_product[by_product > 0]
    floor = float(positive.min()) if len(positive) else 1.0
    return np.maximum(by_product, floor)[options.need_product]


def _least_hours_by_product(options: Options) -> FloatArray:
    renewed = ~options.capacities.is_stored
    hours = np.asarray(options.capabilities.use @ renewed.astype(np.float64))
    least = np.zeros(len(options.products))
    for p, positions in enumerate(options.capabilities.of_product):
        usable = positions[options.capabilities.is_usable[positions]]
        if len(usable):
            least[p] = hours[usable].min()
    return least
