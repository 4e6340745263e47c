"""What do the needs of a plan say, and could a plan of these facts have them?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pullplan.engine.checker.columns import (
    UNKNOWN,
    BoolArray,
    FloatArray,
    IntArray,
    floats,
    n_alike,
    places,
    whole_numbers,
)
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.report import Report
from pullplan.engine.model import EVERY, TIERS, Finding, Need


@dataclass(frozen=True)
class Needs:
    """A plan's needs, in their order; arrays are (n_needs,), places are those of the facts' codes or UNKNOWN."""

    rows: Sequence[Need]
    need_id: IntArray
    product: IntArray
    region: IntArray
    tier: IntArray
    rank: IntArray
    bucket: IntArray
    latest_bucket: IntArray
    """By the plan's parameters, whatever the need says."""
    units: FloatArray
    pinned_node: IntArray
    pinned_start: FloatArray
    """NaN where any start will do."""
    is_pinned: BoolArray
    may_be_made: BoolArray
    """Unless the policy is to produce nothing for it."""

    @property
    def finite_units(self) -> FloatArray:
        """Tell the units of every need, 0 where they are no number: (n_needs,)."""
        return np.where(np.isfinite(self.units), self.units, 0.0)

    @property
    def mean_units(self) -> float:
        """Measure one mean need."""
        return float(self.finite_units.mean()) if len(self.rows) else 0.0

    @property
    def is_known(self) -> BoolArray:
        """Tell whether the facts have a need's product and region: (n_needs,)."""
        is_known: BoolArray = (self.product != UNKNOWN) & (self.region != UNKNOWN)
        return is_known


def read_needs(ground: Ground, rows: Sequence[Need]) -> Needs:
    """Read needs as columns."""
    parameters, last = ground.facts.parameters, ground.n_buckets - 1
    tier = places(rows, "tier", {tier: t for t, tier in enumerate(TIERS)})
    bucket = whole_numbers(rows, "bucket")
    late = [parameters.late_buckets, parameters.forecast_late_buckets]
    latest = [np.full(len(rows), last) if n is None else np.minimum(bucket + n, last) for n in late]
    return Needs(
        rows=rows,
        need_id=whole_numbers(rows, "need_id"),
        product=places(rows, "product_code", ground.product),
        region=places(rows, "region_code", ground.region),
        tier=tier,
        rank=whole_numbers(rows, "rank"),
        bucket=bucket,
        latest_bucket=np.where(tier == TIERS.index("forecast"), latest[1], latest[0]),
        units=floats(rows, "units"),
        pinned_node=places(rows, "pinned_node_code", ground.node),
        pinned_start=floats(rows, "pinned_start_bucket"),
        is_pinned=np.fromiter((need.pinned_node_code is not None for need in rows), np.bool_, len(rows)),
        may_be_made=_may_be_made(ground, rows),
    )


def _may_be_made(ground: Ground, rows: Sequence[Need]) -> BoolArray:
    """Tell of which needs the policy lets anything be made: a pair's own, else the product's, the region's, that of all."""
    policies = {(p.product_code, p.region_code): p.policy for p in ground.facts.policies}
    if "do_not_produce" not in policies.values():
        return np.ones(len(rows), dtype=np.bool_)

    def may(product: str, region: str) -> bool:
        places = (product, region), (product, EVERY), (EVERY, region), (EVERY, EVERY)
        return next((policies[at] for at in places if at in policies), "") != "do_not_produce"

    return np.fromiter((may(need.product_code, need.region_code) for need in rows), np.bool_, len(rows))


def check_needs(ground: Ground, needs: Needs, report: Report) -> None:
    """Look for needs that no plan of these facts could have."""
    rows, units, bucket = needs.rows, needs.units, needs.bucket
    times = n_alike(needs.need_id)

    def wrong(is_wrong: BoolArray, words: Callable[[int, Need], str]) -> None:
        report.add_where(
            is_wrong,
            lambda i: Finding(
                code="need_malformed",
                detail=f"need {rows[i].need_id}: {words(i, rows[i])}",
                need_id=rows[i].need_id,
            ),
        )

    wrong(times > 1, lambda i, _: f"{times[i]} needs have this number")
    wrong(needs.need_id < 1, lambda *_: "needs are numbered from 1")
    wrong(needs.product == UNKNOWN, lambda _, need: f"there is no product {need.product_code}")
    wrong(needs.region == UNKNOWN, lambda _, need: f"there is no region {need.region_code}")
    wrong(needs.tier == UNKNOWN, lambda _, need: f"there is no tier {need.tier}")
    wrong(~(np.isfinite(units) & (units > 0)), lambda _, need: f"it is of {need.units:g} units")
    wrong(
        (bucket < 0) | (bucket >= ground.n_buckets),
        lambda _, need: f"bucket {need.bucket} is outside the horizon",
    )
    wrong(
        needs.latest_bucket != whole_numbers(rows, "latest_bucket"),
        lambda i, need: (
            f"the plan's parameters let it arrive until bucket {needs.latest_bucket[i]}, "
            f"not {need.latest_bucket}"
        ),
    )
    wrong(
        needs.is_pinned != (needs.tier == TIERS.index("pinned")),
        lambda _, need: f"it is of tier {need.tier}, and pinned to {need.pinned_node_code or 'no node'}",
    )
