"""What does every way to serve a need cost at some prices, and is any cheaper than the line that the need has?

Ways are laid out once, by product: a *kind* is a capability with how long its goods travel and when work may start, and
a need is due at some *when*. What depends on the start is priced once per kind × when; the rest is one table per product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights
from pullplan.engine.options import Options, runs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ProductOffers:
    """The ways of one product to its needs."""

    product: int
    needs: IntArray
    """Positions, ascending."""
    when: IntArray
    """(n_needs,)"""
    n_whens: int
    route_cost: FloatArray
    """(n_kinds, n_needs); infinite where it is no way."""
    capability: IntArray
    """(n_batches,): kind × when, like the following."""
    first_start: IntArray
    n_starts: IntArray
    delay: IntArray
    """Of what starts in bucket 0: buckets from due to arrival."""

    @classmethod
    def of(cls, options: Options, product: int, needs: IntArray) -> Self:
        """Lay out a product's ways to some of its needs."""
        regions, region = np.unique(options.need_region[needs], return_inverse=True)
        ways = options.ways(product, regions)
        shape = ways.usable.shape
        columns = [
            np.broadcast_to(column, shape)
            for column in (ways.offset_buckets, ways.first_start_bucket, ways.last_start_bucket)
        ]
        code = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        for column in columns:
            least = int(column.min(initial=0))
            code = code * (int(column.max(initial=0)) - least + 1) + column - least
        place = np.flatnonzero(ways.usable)
        _, at, kind = np.unique(code.ravel()[place], return_index=True, return_inverse=True)
        way = place[at] // max(1, shape[1])
        offset, first, last = (column.ravel()[place[at], None] for column in columns)
        whens, when = np.unique(
            np.stack([column[needs] for column in _when(options)]), axis=1, return_inverse=True
        )
        bucket, latest, earliest, pinned_node, pinned_start = whens
        first, last = np.maximum(first, earliest - offset), np.minimum(last, latest - offset)
        is_pinned = pinned_start >= 0
        first = np.where(is_pinned, np.maximum(first, pinned_start), first)
        last = np.where(is_pinned, np.minimum(last, pinned_start), last)
        node = options.capabilities.node[ways.capability[way], None]
        n_starts = np.where((pinned_node < 0) | (node == pinned_node), np.maximum(0, last - first + 1), 0)
        cost = np.full((len(way), shape[1]), np.inf)
        cost[kind, place % max(1, shape[1])] = ways.route_cost.ravel()[place]
        cost = cost[:, region]
        cost[n_starts[:, when] == 0] = np.inf
        return cls(
            product=product,
            needs=needs,
            when=when,
            n_whens=whens.shape[1],
            route_cost=cost,
            capability=np.repeat(ways.capability[way], whens.shape[1]),
            first_start=first.ravel(),
            n_starts=n_starts.ravel(),
            delay=(offset - bucket).ravel(),
        )

    @cached_property
    def _starts_of_need(self) -> IntArray:
        """Count the starts of every way: (n_kinds, n_needs)."""
        of_need = self.n_starts.reshape(-1, self.n_whens)[:, self.when]
        return np.where(np.isfinite(self.route_cost), of_need, 0)

    @cached_property
    def n_options(self) -> int:
        """Count ways × starts."""
        return int(self._starts_of_need.sum())

    def cost_of_options(self, holding_cost_per_bucket: float) -> float:
        """Add up what a unit of every option costs."""
        n_starts = self._starts_of_need
        cost = float((np.where(n_starts > 0, self.route_cost, 0.0) * n_starts).sum())
        if holding_cost_per_bucket > 0:
            most_early = -(self.delay + self.first_start)
            n_early = np.clip(most_early, 0, self.n_starts)
            early = n_early * most_early - n_early * (n_early - 1) // 2
            early_of_need = early.reshape(-1, self.n_whens)[:, self.when]
            cost += float(early_of_need[n_starts > 0].sum()) * holding_cost_per_bucket
        return cost


def _when(options: Options) -> tuple[IntArray, ...]:
    return (
        options.need_bucket,
        options.need_latest_bucket,
        options.need_earliest_bucket,
        options.need_pinned_node,
        options.need_pinned_start,
    )


@dataclass(frozen=True)
class Offers:
    """The ways of all products."""

    options: Options
    of_product: Sequence[ProductOffers]

    @classmethod
    def of(cls, options: Options) -> Self:
        """Lay out every way to every need."""
        return cls(options, [ProductOffers.of(options, p, needs) for p, needs in runs(options.need_product)])

    def changed(self, options: Options, products: IntArray, place: IntArray | None) -> Self:
        """Lay some products out anew, and keep the others' ways; `place` says where needs now stand, if others than before."""
        kept = {o.product: o for o in self.of_product}
        if place is not None:
            kept = {p: replace(o, needs=place[o.needs]) for p, o in kept.items()}
        for product in products.tolist():
            needs = np.flatnonzero(options.need_product == product)
            kept.pop(product, None)
            if len(needs):
                kept[product] = ProductOffers.of(options, product, needs)
        return type(self)(options, [kept[product] for product in sorted(kept)])

    @cached_property
    def mean_cost(self) -> float:
        """Average one unit's cost over all options; 0 without any."""
        n_options = sum(o.n_options for o in self.of_product)
        holding = self.options.holding_cost_per_bucket
        cost = sum(o.cost_of_options(float(holding[o.product])) for o in self.of_product)
        return cost / n_options if n_options else 0.0

    @cached_property
    def _batches(self) -> tuple[IntArray, IntArray, FloatArray, FloatArray, BoolArray]:
        """Describe all kinds × whens.

        Shapes: product and capability (n_batches,); late and early buckets of every start, and whether it is one
        (n_batches, n_buckets)
        """
        columns = [(o.capability, o.first_start, o.n_starts, o.delay) for o in self.of_product]
        capability, first, n_starts, delay = (
            np.concatenate([_NOTHING, *column])
            for column in (zip(*columns, strict=True) if columns else [()] * 4)
        )
        product = np.repeat(
            np.array([o.product for o in self.of_product], dtype=np.int64),
            np.array([len(o.capability) for o in self.of_product], dtype=np.int64),
        )
        start = np.arange(self.options.horizon.horizon_buckets)
        may_start = (start >= first[:, None]) & (start < (first + n_starts)[:, None])
        delays = delay[:, None] + start
        return (
            product,
            capability,
            np.maximum(0, delays).astype(np.float64),
            np.maximum(0, -delays).astype(np.float64),
            may_start,
        )

    def start_prices(self, weights: StageWeights) -> FloatArray:
        """Price the best start of every kind × when: (n_batches,); infinite where there is none."""
        product, capability, late, early, may_start = self._batches
        of_time = weights.late_bucket * late + weights.early_bucket[product, None] * early
        priced: FloatArray = np.where(may_start, weights.by_start[capability] + of_time, np.inf).min(
            axis=1, initial=np.inf
        )
        return priced

    def priced(self, weights: StageWeights) -> Iterator[tuple[ProductOffers, FloatArray]]:
        """Price every way of each product's needs: (n_kinds, n_needs)."""
        start_price, end = self.start_prices(weights), 0
        for of_product in self.of_product:
            first, end = end, end + len(of_product.capability)
            by_when = start_price[first:end].reshape(-1, of_product.n_whens)[:, of_product.when]
            if weights.route_cost > 0:
                yield of_product, by_when + weights.route_cost * of_product.route_cost
            else:
                yield of_product, np.where(np.isfinite(of_product.route_cost), by_when, np.inf)

    def cheapest(self, weights: StageWeights) -> FloatArray:
        """Price the cheapest way to serve one unit of every need: (n_needs,); infinite where there is none."""
        cheapest = np.full(len(self.options.needs), np.inf)
        for of_product, priced in self.priced(weights):
            cheapest[of_product.needs] = priced.min(axis=0, initial=np.inf)
        return cheapest


_NOTHING = np.empty(0, dtype=np.int64)
