"""What is made small, in which order? The stages of the lexicographic objective, one measure each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import TIERS
from pullplan.engine.options.arrays import Options

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageMeasure:
    """One stage: what a unit of every option, and a unit of every need left short, adds to its value (≥ 0).

    An option's part is the sum of what depends on its route (need × node) and on its start bucket.
    """

    name: str
    by_route: FloatArray
    by_start: FloatArray
    by_shortfall: FloatArray
    one_mean_need: float
    """The measure of one mean need: what a gap is relative to where the value itself is smaller."""

    @property
    def by_option(self) -> FloatArray:
        """Add both parts up."""
        return self.by_route + self.by_start


def stage_measures(options: Options) -> tuple[StageMeasure, ...]:
    """List the stages: shortfall by tier and rank, lateness, cost, earliness.

    Source: the planning model, section 6.
    """
    no_option = np.zeros(len(options.option_need))
    no_need = np.zeros(len(options.needs))
    mean_units = float(options.need_units.mean()) if len(options.needs) else 0.0
    weight = _shortfall_weight(options)
    stages = []
    for tier, rank in sorted({(TIERS.index(n.tier), n.rank) for n in options.needs}):
        inside = np.array([n.tier == TIERS[tier] and n.rank == rank for n in options.needs])
        one = float((options.need_units * weight)[inside].mean())
        name = f"shortfall:{TIERS[tier]}:{rank}"
        stages.append(StageMeasure(name, no_option, no_option, np.where(inside, weight, 0.0), one))
    late = options.option_late_buckets.astype(np.float64)
    early = options.option_early_buckets.astype(np.float64)
    mean_cost = float(options.option_cost.mean()) if len(no_option) else 0.0
    return (
        *stages,
        StageMeasure("lateness_unit_buckets", no_option, late, no_need, mean_units),
        StageMeasure(
            f"cost:{options.parameters.objective}",
            options.option_route_cost,
            options.option_holding_cost,
            no_need,
            mean_units * mean_cost,
        ),
        StageMeasure("earliness_unit_buckets", no_option, early, no_need, mean_units),
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
