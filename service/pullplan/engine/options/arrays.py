"""In which ways may each need be served? Arrays over needs, options and resources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.lanes import LaneTable
from pullplan.engine.model import Horizon, Need, Node, PlanParameters, Product
from pullplan.engine.options.capacities import Capacities
from pullplan.engine.options.ways import Capabilities, Ways, ways_of_product

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

GROUP_NEEDS = 4_096
"""At most: what bounds the memory of a look at a group."""
LISTED_NEEDS = 1_000
"""Up to so many needs, a list of their options is sooner read than groups are gone through."""


@dataclass(frozen=True)
class NeedGroup:
    """Needs that share product, due bucket and latest bucket: their ways differ by region alone."""

    product: int
    bucket: int
    latest_bucket: int
    needs: IntArray
    """Positions, ascending."""


@dataclass(frozen=True)
class OptionRows:
    """Some options, one by one: a need served over a way by work of a start bucket. All arrays are (n_options,)."""

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    arrival_bucket: IntArray
    late_buckets: IntArray
    """From due to arrival."""
    early_buckets: IntArray
    """From arrival to due."""
    distance_km: FloatArray
    distance_rank: IntArray
    """1: no node that is capable, qualified, not offline and has a lane is nearer; ties by code. Stores don't count."""
    route_cost: FloatArray
    """Cost per unit without holding, in the objective's measure."""
    holding_cost: FloatArray
    """Holding per unit until the bucket in which it is due; 0 under `nearest`."""

    def __getitem__(self, part: slice | IntArray | BoolArray) -> "OptionRows":
        """Take some options."""
        return OptionRows(**{field.name: getattr(self, field.name)[part] for field in fields(self)})

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """Put options after each other."""
        return cls(
            **{
                field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
                for field in fields(cls)
            }
        )

    @property
    def cost(self) -> FloatArray:
        """Price one unit of each option in the objective's measure."""
        return self.route_cost + self.holding_cost


@dataclass(frozen=True)
class Options:
    """Every way in which any need may be served: need × node × start bucket, ordered so.

    `need_*` arrays are (n_needs,). Options themselves are not kept: `ways` tells a product's over regions, `rows_of`
    those of some needs one by one, `reach` which starts serve them. `option_*` arrays (n_options,) list all of them, for small instances: they are
    made when first asked for. An option arrives no later than its need's latest bucket; it may arrive early, and is
    then held.
    """

    horizon: Horizon
    parameters: PlanParameters
    products: tuple[Product, ...]
    nodes: tuple[Node, ...]
    lanes: LaneTable
    capacities: Capacities
    capabilities: Capabilities
    holding_cost_per_bucket: FloatArray
    """(n_products,): of one unit; 0 under `nearest`."""
    needs: Sequence[Need]
    need_units: FloatArray
    need_slice_units: FloatArray
    """Of every slice but the first of a need that is shared out: its units ÷ share_slices."""
    need_product: IntArray
    need_region: IntArray
    need_bucket: IntArray
    need_earliest_bucket: IntArray
    """Before, it would grow too old until it is due."""
    need_latest_bucket: IntArray
    need_pinned_node: IntArray
    """The one node that may serve it; −1: any."""
    need_pinned_start: IntArray
    """The one bucket in which work for it may start; −1: any."""
    need_tier: IntArray
    """By position in TIERS."""
    need_rank: IntArray

    def ways(self, product: int, regions: IntArray) -> Ways:
        """Work out a product's ways to some regions.

        Shapes: (n_regions,) positions, in any order, also repeated
        """
        return ways_of_product(
            self.products[product],
            regions,
            capabilities=self.capabilities,
            positions=self.capabilities.of_product[product],
            lanes=self.lanes,
            horizon=self.horizon,
            parameters=self.parameters,
        )

    def reach(self, product: int, needs: IntArray) -> tuple[Ways, IntArray, IntArray]:
        """Work out a product's ways to some of its needs, the first start of each and how many starts there are.

        Shapes: (n,) positions → ways over (n_ways, n), twice (n_ways, n)
        """
        ways = self.ways(product, self.need_region[needs])
        earliest = self.need_earliest_bucket[needs] if self._may_grow_old else None
        first, n_starts = ways.starts(self.need_latest_bucket[needs], earliest)
        if not self._has_pins:
            return ways, first, n_starts
        node, start = self.need_pinned_node[needs], self.need_pinned_start[needs]
        is_elsewhere = (node >= 0) & (self.capabilities.node[ways.capability][:, None] != node)
        is_open = (start < 0) | ((first <= start) & (start < first + n_starts))
        n_starts = np.where(
            is_elsewhere | ~is_open, 0, np.where(start < 0, n_starts, np.minimum(n_starts, 1))
        )
        return ways, np.where(start < 0, first, start), n_starts

    @cached_property
    def _may_grow_old(self) -> bool:
        return bool(self.need_earliest_bucket.any())

    @cached_property
    def _has_pins(self) -> bool:
        return bool((self.need_pinned_node >= 0).any())

    @cached_property
    def groups(self) -> tuple[NeedGroup, ...]:
        """Gather the needs by product, due bucket and latest bucket, in this order."""
        keys = (self.need_latest_bucket, self.need_bucket, self.need_product)
        order = np.lexsort(keys)
        changes = np.zeros(max(0, len(order) - 1), dtype=bool)
        for key in keys:
            changes |= np.diff(key[order]) != 0
        groups = []
        for first, end in pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(order)]):
            for cut in range(first, end, GROUP_NEEDS):
                needs = order[cut : min(cut + GROUP_NEEDS, end)]
                product, bucket, latest = (int(key[needs[0]]) for key in reversed(keys))
                groups.append(NeedGroup(product, bucket, latest, needs))
        return tuple(groups)

    def rows_of(self, needs: IntArray, capability: IntArray | None = None) -> OptionRows:
        """List every option of some needs, or of some pairs of need and capability.

        Shapes: (n,) ascending positions; pairs ordered by both → ordered by need, node code and start bucket
        """
        if capability is None and self.is_listed:
            return self.rows[np.isin(self.rows.need, needs)]
        return self._list(needs, capability)

    def _list(self, needs: IntArray, capability: IntArray | None = None) -> OptionRows:
        pieces = []
        for product, at in self._by_product(needs):
            of_product = needs[at]
            ways, first, n_starts = self.reach(product, of_product)
            if capability is None:
                column, way = np.nonzero(n_starts.T)
            else:
                column, way = np.arange(len(at)), np.searchsorted(ways.capability, capability[at])
            count = n_starts[way, column]
            start = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first[way, column], count)
            column, way = np.repeat(column, count), np.repeat(way, count)
            pieces.append(self._describe(ways, way, column, of_product[column], start))
        if not pieces:
            return self._no_rows
        rows = OptionRows.joined(pieces)
        # Where needs stand in the order of their products, so do the pieces; each is in order.
        return rows[np.argsort(rows.need, kind="stable")]

    def rows_at(self, need: IntArray, capability: IntArray, start_bucket: IntArray) -> OptionRows:
        """Describe options that are named.

        Shapes: three times (n,), in any order → in the same order
        """
        if self.is_listed and len(need):
            wanted = self.number(need, capability, start_bucket)
            return self.rows[np.searchsorted(self._row_numbers, wanted)]
        return self._described(need, capability, start_bucket)

    def are_options(self, need: IntArray, capability: IntArray, start_bucket: IntArray) -> BoolArray:
        """Tell whether needs can be served so: thrice (n,), capabilities of the need's product → (n,)."""
        if self.is_listed:
            inside = (start_bucket >= 0) & (start_bucket < self.horizon.horizon_buckets)
            return inside & np.isin(self.number(need, capability, start_bucket), self._row_numbers)
        found = np.zeros(len(need), dtype=bool)
        for product, at in runs(self.need_product[need]):
            ways, first, n_starts = self.reach(product, need[at])
            place = np.searchsorted(ways.capability, capability[at]), np.arange(len(at))
            since = start_bucket[at] - first[place]
            found[at] = (since >= 0) & (since < n_starts[place])
        return found

    def number(self, need: IntArray, capability: IntArray, start_bucket: IntArray) -> IntArray:
        """Give options numbers of their own, ascending by need, capability and start bucket: thrice (n,) → (n,)."""
        n_capabilities, n_buckets = len(self.capabilities.rows), self.horizon.horizon_buckets
        return (need * n_capabilities + capability) * n_buckets + start_bucket

    @cached_property
    def _row_numbers(self) -> IntArray:
        return self.number(self.rows.need, self.rows.capability, self.rows.start_bucket)

    def _described(self, need: IntArray, capability: IntArray, start_bucket: IntArray) -> OptionRows:
        pieces, places = [], []
        every_region = np.arange(len(self.lanes.region_codes))
        for product, rows in runs(self.need_product[need]):
            # Of fewer options than regions, one column for each is less than all.
            region = self.need_region[need[rows]]
            few = len(rows) <= len(every_region)
            ways = self.ways(product, region if few else every_region)
            column = np.arange(len(rows)) if few else region
            way = np.searchsorted(ways.capability, capability[rows])
            pieces.append(self._describe(ways, way, column, need[rows], start_bucket[rows]))
            places.append(rows)
        if not pieces:
            return self._no_rows
        return OptionRows.joined(pieces)[np.argsort(np.concatenate(places))]

    def _describe(
        self, ways: Ways, way: IntArray, column: IntArray, need: IntArray, start_bucket: IntArray
    ) -> OptionRows:
        """Describe options of one product: each (n,)."""
        arrival = start_bucket + ways.offset_buckets[way, column]
        delay = arrival - self.need_bucket[need]
        early = np.maximum(0, -delay)
        return OptionRows(
            need=need,
            capability=ways.capability[way],
            start_bucket=start_bucket,
            arrival_bucket=arrival,
            late_buckets=np.maximum(0, delay),
            early_buckets=early,
            distance_km=ways.distance_km[way, column],
            distance_rank=ways.distance_rank(way, column),
            route_cost=ways.route_cost[way, column],
            holding_cost=self.holding_cost_per_bucket[self.need_product[need]] * early,
        )

    @property
    def _no_rows(self) -> OptionRows:
        whole, real = np.empty(0, dtype=np.int64), np.empty(0)
        return OptionRows(whole, whole, whole, whole, whole, whole, real, whole, real, real)

    def part(self, needs: IntArray, used: FloatArray) -> Self:
        """Take some needs, and what the others, which use so much, leave of every capacity.

        Shapes: (n,) ascending positions, (n_resources, n_buckets)
        """
        capacities = replace(
            self.capacities,
            others_use=used,
            available=self.capacities.available - used,
        )
        of_needs = {
            field.name: getattr(self, field.name)[needs]
            for field in fields(self)
            if field.name.startswith("need_")
        }
        return replace(
            self, capacities=capacities, needs=tuple(self.needs[i] for i in needs.tolist()), **of_needs
        )

    @property
    def is_listed(self) -> bool:
        """Tell whether options are few enough to be read one by one."""
        return len(self.needs) <= LISTED_NEEDS

    def _by_product(self, needs: IntArray) -> Iterator[tuple[int, IntArray]]:
        for product, rows in runs(self.need_product[needs]):
            for cut in range(0, len(rows), GROUP_NEEDS):
                yield product, rows[cut : cut + GROUP_NEEDS]

    @cached_property
    def rows(self) -> OptionRows:
        """List every option of every need."""
        return self._list(np.arange(len(self.needs)))

    @property
    def option_need(self) -> IntArray:
        """Name each option's need by its position."""
        return self.rows.need

    @property
    def option_capability(self) -> IntArray:
        """Name each option's capability by its position."""
        return self.rows.capability

    @property
    def option_start_bucket(self) -> IntArray:
        """Tell when each option's work starts."""
        return self.rows.start_bucket

    @property
    def option_arrival_bucket(self) -> IntArray:
        """Tell when each option arrives."""
        return self.rows.arrival_bucket

    @property
    def option_distance_rank(self) -> IntArray:
        """Rank each option's node by its distance."""
        return self.rows.distance_rank

    @property
    def option_route_cost(self) -> FloatArray:
        """Price one unit of each option without holding."""
        return self.rows.route_cost

    @property
    def option_node(self) -> IntArray:
        """Name each option's node by its position."""
        return self.capabilities.node[self.rows.capability]

    @property
    def option_cost(self) -> FloatArray:
        """Price one unit of each option in the objective's measure."""
        return self.rows.cost

    @property
    def option_late_buckets(self) -> IntArray:
        """Count the buckets from due to arrival."""
        return self.rows.late_buckets

    @property
    def option_early_buckets(self) -> IntArray:
        """Count the buckets from arrival to due."""
        return self.rows.early_buckets

    @cached_property
    def mean_cost(self) -> float:
        """Average one unit's cost over all options; 0 without any."""
        if self.is_listed:
            return float(self.rows.cost.mean()) if len(self.rows.need) else 0.0
        n_options, cost = 0, 0.0
        for group in self.groups:
            ways, first, n_starts = self.reach(group.product, group.needs)
            n_options += int(n_starts.sum())
            cost += float((np.where(n_starts > 0, ways.route_cost, 0.0) * n_starts).sum())
            if self.holding_cost_per_bucket[group.product] > 0:
                most_early = group.bucket - ways.offset_buckets - first
                n_early = np.clip(most_early, 0, n_starts)
                early = n_early * most_early - n_early * (n_early - 1) // 2
                cost += float(early.sum()) * float(self.holding_cost_per_bucket[group.product])
        return cost / n_options if n_options else 0.0

    def capability_prices(self, prices: FloatArray) -> FloatArray:
        """Sum price × use of one unit of each capability by start bucket.

        Shapes: (n_resources, n_buckets) → (n_capabilities, n_buckets)
        """
        if len(self.capacities.keys) == 0:
            return np.zeros((len(self.capabilities.rows), self.horizon.horizon_buckets))
        priced: FloatArray = self.capabilities.use @ prices
        return priced

    def use_by_bucket(self, capability: IntArray, start_bucket: IntArray, units: FloatArray) -> FloatArray:
        """Add up what lines take of every resource in their start buckets.

        Shapes: three times (n_lines,) → (n_resources, n_buckets)
        """
        made = np.zeros((len(self.capabilities.rows), self.horizon.horizon_buckets))
        np.add.at(made, (capability, start_bucket), units)
        used: FloatArray = self.capabilities.use.T @ made
        return used


def runs(key: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Gather the positions of equal keys, in the order of the keys."""
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    for start, end in pairwise([*first.tolist(), len(order)]):
        yield int(key[order[start]]), order[start:end]
