"""What does every way to serve a need cost at some prices, and is any cheaper than the line that the need has?

Ways are laid out once, by product: a *kind* is a capability with how long its goods travel and when work may start, and
a need is due at some *when*. What depends on the start is priced once per kind × when; the rest is one table per product.
"""

from collections.abc import Iterator, Mapping
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

    def batch(self, kind: IntArray, column: IntArray) -> IntArray:
        """Number kinds of some needs' columns among the product's kinds × whens."""
        return kind * self.n_whens + self.when[column]

    def count_options(self, holding_cost_per_bucket: float) -> tuple[int, float]:
        """Count ways × starts, and add up what a unit of each costs."""
        n_starts = self.n_starts.reshape(-1, self.n_whens)[:, self.when]
        is_way = np.isfinite(self.route_cost) & (n_starts > 0)
        cost = float((np.where(is_way, self.route_cost, 0.0) * n_starts).sum())
        if holding_cost_per_bucket > 0:
            most_early = -(self.delay + self.first_start)
            n_early = np.clip(most_early, 0, self.n_starts)
            early = n_early * most_early - n_early * (n_early - 1) // 2
            early_of_need = early.reshape(-1, self.n_whens)[:, self.when]
            cost += float(early_of_need[is_way].sum()) * holding_cost_per_bucket
        return int(n_starts[is_way].sum()), cost


def _when(options: Options) -> tuple[IntArray, ...]:
    return (
        options.need_bucket,
        options.need_latest_bucket,
        options.need_earliest_bucket,
        options.need_pinned_node,
        options.need_pinned_start,
    )


class _Batches:
    """Every product's kinds × whens, one after the other."""

    def __init__(self, of_product: Mapping[int, ProductOffers], n_buckets: int) -> None:
        every = of_product.values()
        columns = [(o.capability, o.first_start, o.n_starts, o.delay) for o in every]
        self.capability, first, n_starts, delay = (
            np.concatenate([_NOTHING, *column])
            for column in (zip(*columns, strict=True) if columns else [()] * 4)
        )
        n_batches = np.array([len(o.capability) for o in every], dtype=np.int64)
        self.product = np.repeat(np.array(list(of_product), dtype=np.int64), n_batches)
        self.first = dict(zip(of_product, (np.cumsum(n_batches) - n_batches).tolist(), strict=True))
        start = np.arange(n_buckets)
        self.may_start = (start >= first[:, None]) & (start < (first + n_starts)[:, None])
        delays = delay[:, None] + start
        self.late = np.maximum(0, delays).astype(np.float64)
        self.early = np.maximum(0, -delays).astype(np.float64)


@dataclass(frozen=True)
class Offers:
    """The ways of all products."""

    options: Options
    of_product: Mapping[int, ProductOffers]
    """By product, ascending."""
    counted: Mapping[int, tuple[int, float]]
    """Of each product: its options, and the sum of what a unit of each costs."""
    batches: _Batches

    @classmethod
    def of(cls, options: Options) -> Self:
        """Lay out every way to every need."""
        return cls._of(
            options, {p: ProductOffers.of(options, p, needs) for p, needs in runs(options.need_product)}, {}
        )

    @classmethod
    def _of(
        cls,
        options: Options,
        of_product: Mapping[int, ProductOffers],
        counted: Mapping[int, tuple[int, float]],
    ) -> Self:
        holding = options.holding_cost_per_bucket
        every = {
            p: counted[p] if p in counted else offers.count_options(float(holding[p]))
            for p, offers in of_product.items()
        }
        return cls(options, of_product, every, _Batches(of_product, options.horizon.horizon_buckets))

    def changed(self, options: Options, products: IntArray, place: IntArray | None) -> Self:
        """Lay some products out anew, and keep the others' ways; `place` says where needs now stand, if others than before."""
        if len(products) == 0 and place is None:
            return replace(self, options=options)
        kept = dict(self.of_product)
        if place is not None:
            kept = {p: replace(o, needs=place[o.needs]) for p, o in kept.items()}
        anew = set(products.tolist())
        for product in anew:
            needs = np.flatnonzero(options.need_product == product)
            kept.pop(product, None)
            if len(needs):
                kept[product] = ProductOffers.of(options, product, needs)
        counted = {p: count for p, count in self.counted.items() if p not in anew}
        return self._of(options, {p: kept[p] for p in sorted(kept)}, counted)

    @cached_property
    def mean_cost(self) -> float:
        """Average one unit's cost over all options; 0 without any."""
        n_options = sum(n for n, _ in self.counted.values())
        return sum(cost for _, cost in self.counted.values()) / n_options if n_options else 0.0

    def is_laid_out_as(self, other: "Offers") -> bool:
        """Tell whether kinds × whens are the same, and stand alike."""
        if self.of_product is other.of_product:
            return True
        return list(self.of_product) == list(other.of_product) and all(
            mine is theirs
            or all(
                np.array_equal(getattr(mine, name), getattr(theirs, name))
                for name in ("capability", "first_start", "n_starts", "delay")
            )
            for mine, theirs in zip(self.of_product.values(), other.of_product.values(), strict=True)
        )

    def start_prices(self, weights: StageWeights) -> FloatArray:
        """Price every start of every kind × when: (n_batches, n_buckets); infinite where it is none."""
        batches = self.batches
        of_time = weights.late_bucket * batches.late
        of_time += weights.early_bucket[batches.product, None] * batches.early
        return np.where(batches.may_start, weights.by_start[batches.capability] + of_time, np.inf)

    def priced(
        self, best_start: FloatArray, route_cost: float, needs: IntArray | None = None
    ) -> Iterator[tuple[ProductOffers, IntArray, FloatArray]]:
        """Price every way of all needs, or of some, product by product, given the best start of every kind × when.

        Yields a product's offers, columns of it (n,) and their prices (n_kinds, n).
        """
        if needs is None:
            of_products = ((p, np.arange(len(o.needs))) for p, o in self.of_product.items())
        else:
            of_products = (
                (p, np.searchsorted(self.of_product[p].needs, needs[at]))
                for p, at in runs(self.options.need_product[needs])
            )
        for product, column in of_products:
            offers, first = self.of_product[product], self.batches.first[product]
            by_when = best_start[first : first + len(offers.capability)].reshape(-1, offers.n_whens)
            cost = offers.route_cost if needs is None else offers.route_cost[:, column]
            price = by_when[:, offers.when[column]]
            if route_cost > 0:
                yield offers, column, price + route_cost * cost
            else:
                yield offers, column, np.where(np.isfinite(cost), price, np.inf)

    def cheapest(self, weights: StageWeights, needs: IntArray | None = None) -> FloatArray:
        """Price the cheapest way to serve one unit of every need, or of some; infinite where there is none.

        Shapes: (n,) ascending positions → (n,)
        """
        best = self.start_prices(weights).min(axis=1, initial=np.inf)
        cheapest = np.full(len(self.options.needs) if needs is None else len(needs), np.inf)
        for offers, column, priced in self.priced(best, weights.route_cost, needs):
            of_product = offers.needs[column]
            at = of_product if needs is None else np.searchsorted(needs, of_product)
            cheapest[at] = priced.min(axis=0, initial=np.inf)
        return cheapest


_NOTHING = np.empty(0, dtype=np.int64)
