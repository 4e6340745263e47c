"""How do options become a market: which ways has each product, and when may they start to be in time?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market, Ranks, Timing
from pullplan.engine.assignment.holds import NOT_HELD, Holds
from pullplan.engine.assignment.programme import largest_use
from pullplan.engine.options import Options, Ways, runs, shortfall_weight

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BLOCK_NEEDS = 8_192
"""At most: what bounds the memory of a look at a block."""


@dataclass(frozen=True)
class Layout:
    """The market of some options, and the way back."""

    market: Market
    need: IntArray
    """(n_needs,): the need of options that each of the market's is; one that nobody can serve is not in it."""
    capability: Sequence[IntArray]
    """By block, (n_ways,)."""
    row_scale: FloatArray
    """(n_resources,); rows of the market beyond these are not of resources."""
    worth_of_staying: float = 0.0
    """Of a held unit, taken off the cost of its stay."""


@dataclass(frozen=True)
class _Kinds:
    """One block's ways: capabilities told apart by how long their goods travel and when they may start, then their stays.

    Its needs are told apart by *when*: due bucket, earliest and latest arrival, pinned start (−1: any), and the start of
    the line that holds them.
    """

    needs: IntArray
    """Ordered by when."""
    when: IntArray
    """(n_whens, 5)"""
    when_of_need: IntArray
    capability: IntArray
    offset_buckets: IntArray
    first_start: IntArray
    last_start: IntArray
    cost: FloatArray
    """(n_ways, n_needs); infinite where the way does not go there, or not in time."""
    is_stay: BoolArray
    """(n_ways,)"""

    @property
    def start_range(self) -> tuple[IntArray, IntArray]:
        """Tell the first and the last start of each way that are in time: twice (n_ways, n_whens)."""
        _, earliest, latest, pinned, held = self.when.T
        offset = self.offset_buckets[:, None]
        first = np.maximum(self.first_start[:, None], earliest - offset)
        last = np.minimum(self.last_start[:, None], latest - offset)
        for is_bound, start in ((pinned >= 0, pinned), (self.is_stay[:, None], held)):
            first = np.where(is_bound, np.maximum(first, start), first)
            last = np.where(is_bound, np.minimum(last, start), last)
        return first, last


def lay_out(
    options: Options,
    needs_by_stage: Iterable[IntArray],
    latest_bucket: IntArray,
    holds: Holds | None = None,
) -> Layout | None:
    """Lay out the market of what arrives by each need's latest bucket; None where nothing does.

    Where some needs are held, and that is not free, the row of stays comes after those of resources.

    Shapes: `latest_bucket` (n_needs,)
    """
    holding = None if holds is None or holds.is_free else holds
    when = _when(options, latest_bucket, holding)
    blocks_of_needs = _needs_of_blocks(options, when)
    kinds = [k for needs in blocks_of_needs if len((k := _kinds(options, needs, when, holding)).needs)]
    last_starts = [int(k.start_range[1][np.isfinite(k.cost).any(axis=1)].max(initial=-1)) for k in kinds]
    n_starts = max(last_starts, default=-1) + 1
    if n_starts == 0:
        return None
    row_scale = largest_use(options)
    weight = shortfall_weight(options)
    stage = np.zeros(len(options.needs), dtype=np.int64)
    for number, of_stage in enumerate(needs_by_stage):
        stage[of_stage] = number
    blocks = []
    for k in kinds:
        use = (options.capabilities.use[k.capability] / row_scale).toarray()
        if holding is not None:
            use = np.column_stack([use, np.where(k.is_stay, -1.0, 0.0)])
        rows = np.flatnonzero(use.any(axis=0))
        blocks.append(
            Block(
                cost=k.cost,
                units=options.need_units[k.needs],
                rows=rows,
                use=use[:, rows],
                stage=stage[k.needs],
                shortfall_weight=float(weight[k.needs[0]]),
                slice_units=options.need_slice_units[k.needs],
                timing=_timing(options, k, n_starts),
            )
        )
    capacities = options.capacities
    capacity = capacities.available[:, :n_starts] / row_scale[:, None]
    is_stored, is_limit = capacities.is_stored, capacities.is_share
    if holding is not None:
        capacity = np.concatenate([capacity, holding.capacity(n_starts)])
        is_stored, is_limit = np.append(is_stored, True), np.append(is_limit, False)
    market = Market(
        blocks=blocks,
        capacity=capacity.ravel(),
        is_full=np.zeros(capacity.size, dtype=bool),
        n_slices=options.parameters.share_slices,
        n_starts=n_starts,
        is_stored=is_stored if n_starts > 1 else None,
        ranks=_ranks(options, kinds) if holds is None else _moves(kinds, holds) if holding is None else None,
        is_limit=is_limit if is_limit.any() else None,
        has_later_ways=bool((options.need_latest_bucket > latest_bucket).any()),
    )
    need = np.concatenate([k.needs for k in kinds])
    worth = 0.0 if holding is None else holding.worth_per_unit
    return Layout(market, need, [k.capability for k in kinds], row_scale, worth)


def _when(options: Options, latest_bucket: IntArray, holds: Holds | None) -> IntArray:
    """Say when every need may be served: (5, n_needs)."""
    held = np.full(len(latest_bucket), NOT_HELD) if holds is None else holds.start_bucket
    earliest, pinned = options.need_earliest_bucket, options.need_pinned_start
    return np.stack([options.need_bucket, earliest, latest_bucket, pinned, held])


def _needs_of_blocks(options: Options, when: IntArray) -> list[IntArray]:
    """Gather the needs by product, ordered by due bucket, so many at a time."""
    order = np.lexsort((*when[::-1], options.need_product))
    product = options.need_product[order]
    ends = np.searchsorted(product, np.arange(len(options.products) + 1)).tolist()
    return [
        order[first : min(first + BLOCK_NEEDS, end)]
        for start, end in pairwise(ends)
        for first in range(start, end, BLOCK_NEEDS)
    ]


def _kinds(options: Options, needs: IntArray, when_of_needs: IntArray, holds: Holds | None) -> _Kinds:
    regions, column = np.unique(options.need_region[needs], return_inverse=True)
    ways = options.ways(int(options.need_product[needs[0]]), regions)
    of_way, offset, first, last, goes = _tell_apart(ways, options.horizon.horizon_buckets)
    when, when_of_need = np.unique(when_of_needs[:, needs].T, axis=0, return_inverse=True)
    found = _Kinds(
        needs=needs,
        when=when,
        when_of_need=when_of_need,
        capability=ways.capability[of_way],
        offset_buckets=offset,
        first_start=first,
        last_start=last,
        cost=np.where(goes, ways.route_cost[of_way], np.inf)[:, column],
        is_stay=np.zeros(len(of_way), dtype=bool),
    )
    if holds is not None:
        found = _with_stays(found, holds)
    first_in_time, last_in_time = found.start_range
    pinned = options.need_pinned_node[needs]
    is_elsewhere = (pinned >= 0) & (options.capabilities.node[found.capability][:, None] != pinned)
    found.cost[is_elsewhere | (first_in_time > last_in_time)[:, when_of_need]] = np.inf
    has_way = np.isfinite(found.cost).any(axis=0)
    if has_way.all():
        return found
    return replace(
        found, needs=needs[has_way], when_of_need=when_of_need[has_way], cost=found.cost[:, has_way]
    )


def _tell_apart(ways: Ways, horizon_buckets: int) -> tuple[IntArray, IntArray, IntArray, IntArray, BoolArray]:
    """Tell ways apart by how long their goods travel and when they may start, in this order.

    Shapes: (n_kinds,) way, offset, first start, last start; (n_kinds, n_regions) which of them goes where
    """
    way = np.arange(len(ways.capability))[:, None]
    # What starts past the horizon, or ends before it, is never in time: how far does not matter.
    first = np.minimum(ways.first_start_bucket, horizon_buckets)
    last = np.maximum(ways.last_start_bucket, -1)
    least, number = [], np.broadcast_to(way, ways.usable.shape)
    for told in (ways.offset_buckets, first, last):
        least.append(int(told.min(initial=0)))
        number = number * (int(told.max(initial=0)) - least[-1] + 1) + told - least[-1]
    kind, at = np.unique(number[ways.usable], return_index=True)
    place = np.argwhere(ways.usable)[at].T
    offset, first, last = (
        np.broadcast_to(told, ways.usable.shape)[tuple(place)] for told in (ways.offset_buckets, first, last)
    )
    return place[0], offset, first, last, ways.usable[place[0]] & (number[place[0]] == kind[:, None])


def _with_stays(kinds: _Kinds, holds: Holds) -> _Kinds:
    """Add every way once more, for the needs that are held there."""
    n_ways = len(kinds.capability)
    is_held = kinds.capability[:, None] == holds.capability[kinds.needs]
    stays = np.where(is_held, kinds.cost - holds.worth_per_unit, np.inf)
    return replace(
        kinds,
        capability=np.tile(kinds.capability, 2),
        offset_buckets=np.tile(kinds.offset_buckets, 2),
        first_start=np.tile(kinds.first_start, 2),
        last_start=np.tile(kinds.last_start, 2),
        cost=np.concatenate([kinds.cost, stays]),
        is_stay=np.arange(2 * n_ways) >= n_ways,
    )


def _timing(options: Options, kinds: _Kinds, n_starts: int) -> Timing | None:
    """Say what every start costs; None where all can start in one bucket only, and none waits."""
    first, last = kinds.start_range
    start = np.arange(n_starts)
    may_start = (start >= first[:, :, None]) & (start <= last[:, :, None])
    early = kinds.when[:, :1] - kinds.offset_buckets[:, None, None] - start
    early_buckets = np.where(may_start, np.maximum(0, early), 0).astype(np.float64)
    late_buckets = np.where(may_start, np.maximum(0, -early), 0).astype(np.float64)
    if n_starts == 1 and not early_buckets.any() and not late_buckets.any():
        return None
    held = options.holding_cost_per_bucket[options.need_product[kinds.needs[0]]] * early_buckets
    return Timing(
        due=kinds.when_of_need,
        start_cost=np.where(may_start, held, np.inf),
        early_buckets=early_buckets,
        late_buckets=late_buckets,
    )


def _ranks(options: Options, kinds: Sequence[_Kinds]) -> Ranks:
    """Rank equally good ways to serve a need; to stay short comes after all ways, and has rank 0."""

    def ranks(block: int, way: IntArray, need: IntArray) -> IntArray:
        of_block = kinds[block]
        found = np.zeros(len(way), dtype=np.int64)
        made = np.flatnonzero(way < len(of_block.capability))
        needs = of_block.needs[need[made]]
        regions, column = np.unique(options.need_region[needs], return_inverse=True)
        ways = options.ways(int(options.need_product[of_block.needs[0]]), regions)
        at = np.searchsorted(ways.capability, of_block.capability[way[made]])
        found[made] = options.capabilities.tie_ranks(ways.capability[at], ways.distance_rank(at, column))
        return found

    return ranks


def _moves(kinds: Sequence[_Kinds], holds: Holds) -> Ranks:
    """Rank 1 what is not made where the line that holds a need is made; to stay short is to have moved."""

    def ranks(block: int, way: IntArray, need: IntArray) -> IntArray:
        of_block = kinds[block]
        held = holds.capability[of_block.needs[need]]
        made = np.append(of_block.capability, NOT_HELD)[way]
        return np.where(held == NOT_HELD, 0, made != held)

    return ranks


def soonest_buckets(options: Options) -> IntArray:
    """Tell by when each need can be had, if it need not compete: when it is due, or as little later as can be.

    Shapes: (n_needs,)
    """
    soonest = options.need_bucket.copy()
    patient = np.flatnonzero(options.need_latest_bucket > options.need_bucket)
    for product, at in runs(options.need_product[patient]):
        needs = patient[at]
        ways, first, n_starts = options.reach(product, needs)
        arrival = np.where(n_starts > 0, first + ways.offset_buckets, 0)
        arrives = np.where(n_starts > 0, arrival, options.need_latest_bucket[needs]).min(
            axis=0, initial=options.horizon.horizon_buckets
        )
        soonest[needs] = np.clip(arrives, soonest[needs], options.need_latest_bucket[needs])
    return soonest


_NOTHING = np.empty(0, dtype=np.int64)
