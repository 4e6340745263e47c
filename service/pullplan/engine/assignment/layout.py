"""How do options become a market: which ways has each product, and when may they start to be in time?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market, Ranks, Timing
from pullplan.engine.assignment.programme import largest_use
from pullplan.engine.options import Options, shortfall_weight

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
    """(n_needs,): the need of options that each of the market's is."""
    capability: Sequence[IntArray]
    """By block, (n_ways,)."""
    row_scale: FloatArray
    """(n_resources,)"""


@dataclass(frozen=True)
class _Kinds:
    """One block's ways: capabilities told apart by how long their goods travel and when they may start."""

    needs: IntArray
    """Ordered by due bucket."""
    capability: IntArray
    offset_buckets: IntArray
    first_start: IntArray
    last_start: IntArray
    cost: FloatArray
    """(n_ways, n_needs); infinite where the way does not go there, or not in time."""

    def starts(self, due: IntArray, n_starts: int) -> BoolArray:
        """Tell when each way may start to be in time: (n_ways, n_dues, n_starts)."""
        last = np.minimum(self.last_start[:, None], due - self.offset_buckets[:, None])
        start = np.arange(n_starts)
        may_start: BoolArray = (start >= self.first_start[:, None, None]) & (start <= last[:, :, None])
        return may_start


def lay_out(options: Options, needs_by_stage: Iterable[IntArray]) -> Layout | None:
    """Lay out the market of what arrives in time; None where there is nothing of the kind."""
    kinds = [_kinds(options, needs) for needs in _needs_of_blocks(options)]
    last_starts = [
        np.minimum(k.last_start, options.need_bucket[k.needs].max() - k.offset_buckets).max(initial=-1)
        for k in kinds
    ]
    n_starts = int(max(last_starts, default=-1)) + 1
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
    market = Market(
        blocks=blocks,
        capacity=(capacities.available[:, :n_starts] / row_scale[:, None]).ravel(),
        is_full=np.zeros(len(row_scale) * n_starts, dtype=bool),
        n_slices=options.parameters.share_slices,
        n_starts=n_starts,
        is_stored=capacities.is_stored if n_starts > 1 else None,
        ranks=_ranks(options, kinds),
        has_late_ways=_has_late_ways(options),
    )
    need = np.concatenate([k.needs for k in kinds])
    return Layout(market, need, [k.capability for k in kinds], row_scale)


def _needs_of_blocks(options: Options) -> list[IntArray]:
    """Gather the needs by product, ordered by due bucket, so many at a time."""
    order = np.lexsort((options.need_bucket, options.need_product))
    product = options.need_product[order]
    ends = np.searchsorted(product, np.arange(len(options.products) + 1)).tolist()
    return [
        order[first : min(first + BLOCK_NEEDS, end)]
        for start, end in pairwise(ends)
        for first in range(start, end, BLOCK_NEEDS)
    ]


def _kinds(options: Options, needs: IntArray) -> _Kinds:
    regions, column = np.unique(options.need_region[needs], return_inverse=True)
    ways = options.ways(int(options.need_product[needs[0]]), regions)
    told_apart = np.stack(
        np.broadcast_arrays(ways.offset_buckets, ways.first_start_bucket, ways.last_start_bucket)
    )
    way, kind, goes = [], [], []
    for w, usable in enumerate(ways.usable):
        for of_kind in np.unique(told_apart[:, w, usable], axis=1).T:
            way.append(w)
            kind.append(of_kind)
            goes.append(usable & (told_apart[:, w] == of_kind[:, None]).all(axis=0))
    if not way:
        nothing = np.empty(0, dtype=np.int64)
        return _Kinds(needs, nothing, nothing, nothing, nothing, np.empty((0, len(needs))))
    offset, first, last = np.array(kind, dtype=np.int64).T
    due = options.need_bucket[needs]
    in_time = np.minimum(last[:, None], due - offset[:, None]) >= first[:, None]
    cost = np.where(np.array(goes), ways.route_cost[way], np.inf)[:, column]
    cost[~in_time] = np.inf
    return _Kinds(needs, ways.capability[way], offset, first, last, cost)


def _timing(options: Options, kinds: _Kinds, n_starts: int) -> Timing | None:
    """Say what every start costs; None where all can start in one bucket only, and none waits."""
    dues, due = np.unique(options.need_bucket[kinds.needs], return_inverse=True)
    may_start = kinds.starts(dues, n_starts)
    early = dues[:, None] - kinds.offset_buckets[:, None, None] - np.arange(n_starts)
    early_buckets = np.where(may_start, early, 0).astype(np.float64)
    if n_starts == 1 and not early_buckets.any():
        return None
    held = options.holding_cost_per_bucket[options.need_product[kinds.needs[0]]] * early_buckets
    return Timing(due=due, start_cost=np.where(may_start, held, np.inf), early_buckets=early_buckets)


def _ranks(options: Options, kinds: Sequence[_Kinds]) -> Ranks:
    """Rank nodes by distance to a need, ties by code; to stay short comes after all ways, and has rank 0."""

    def ranks(block: int, way: IntArray, need: IntArray) -> IntArray:
        of_block = kinds[block]
        found = np.zeros(len(way), dtype=np.int64)
        made = np.flatnonzero(way < len(of_block.capability))
        needs = of_block.needs[need[made]]
        regions, column = np.unique(options.need_region[needs], return_inverse=True)
        ways = options.ways(int(options.need_product[of_block.needs[0]]), regions)
        at = np.searchsorted(ways.capability, of_block.capability[way[made]])
        found[made] = ways.distance_rank(at, column)
        return found

    return ranks


def _has_late_ways(options: Options) -> bool:
    """Tell whether any need could be served later than it is due."""
    patient = np.flatnonzero(options.need_latest_bucket > options.need_bucket)
    for product in np.unique(options.need_product[patient]).tolist():
        needs = patient[options.need_product[patient] == product]
        ways = options.ways(product, options.need_region[needs])
        _, ever = ways.starts(options.need_latest_bucket[needs])
        _, in_time = ways.starts(options.need_bucket[needs])
        if (ever > in_time).any():
            return True
    return False
