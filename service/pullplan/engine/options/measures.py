"""What is made small, in which order? The stages of the lexicographic objective, one measure each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import TIERS
from pullplan.engine.options.arrays import OptionRows, Options

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageMeasure:
    """One stage: what a unit of every option, and a unit of every need left short, adds to its value (≥ 0).

    An option's part is the sum of what depends on its route (need × node) and on its start bucket.
    """

    name: str
    route_cost: float
    """Weight of an option's cost without holding: 1 in the cost stage, else 0."""
    late_bucket: float
    """What a bucket late adds."""
    early_bucket: FloatArray
    """(n_products,): what a bucket early adds."""
    by_shortfall: FloatArray
    """(n_needs,)"""
    one_mean_need: float
    """The measure of one mean need: what a gap is relative to where the value itself is smaller."""

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


def stage_measures(options: Options) -> tuple[StageMeasure, ...]:
    """List the stages: shortfall by tier and rank, lateness, cost, earliness.

    Source: the planning model, section 6.
    """
    no_need = np.zeros(len(options.needs))
    no_product, every_product = np.zeros(len(options.products)), np.ones(len(options.products))
    mean_units = float(options.need_units.mean()) if len(options.needs) else 0.0
    weight = _shortfall_weight(options)
    stages = []
    for tier, rank in np.unique(np.stack([options.need_tier, options.need_rank]), axis=1).T.tolist():
        inside = (options.need_tier == tier) & (options.need_rank == rank)
        one = float((options.need_units * weight)[inside].mean())
        name = f"shortfall:{TIERS[tier]}:{rank}"
        stages.append(StageMeasure(name, 0.0, 0.0, no_product, np.where(inside, weight, 0.0), one))
    cost = f"cost:{options.parameters.objective}"
    one_mean_cost = mean_units * options.mean_cost
    return (
        *stages,
        StageMeasure("lateness_unit_buckets", 0.0, 1.0, no_product, no_need, mean_units),
        StageMeasure(cost, 1.0, 0.0, options.holding_cost_per_bucket, no_need, one_mean_cost),
        StageMeasure("earliness_unit_buckets", 0.0, 0.0, every_product, no_need, mean_units),
    )


def _shortfall_weight(options: Options) -> FloatArray:
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
