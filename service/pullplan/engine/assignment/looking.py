"""What do the needs of a shard that choose softly use at some prices, and how does that change with prices?

Every need spreads over its ways with weights exp(−(cost + price · use) / temperature), and every way over its starts
alike. Needs that are far from a tie are added up once; the others are looked at block by block, in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block
from pullplan.engine.assignment.near_pairs import NearPairs, list_near

FloatArray = npt.NDArray[np.float64]
FloatArray32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Temperature:
    """How softly needs choose among ways, and ways among starts: in the unit of cost."""

    of_ways: float
    of_starts: float


@dataclass(frozen=True)
class SearchBlock:
    """A block as far as the search looks at it: in float32, settled needs added up."""

    block: Block
    cost: FloatArray32
    """(n_ways, n_open_needs): above the cheapest way at the centre's prices."""
    centre: FloatArray
    """(n_ways, n_dues): the price of the best start that `cost` counts already."""
    units: FloatArray32
    cut: Sequence[slice]
    """Open needs by due bucket."""
    settled_units: FloatArray
    """(n_dues, n_ways): of needs that are far from a tie."""
    use: FloatArray
    """(n_ways, n_priced_rows_of_block): of what is priced alone."""
    entries: IntArray
    """Where the block's priced rows × rows stand in the flattened curvature."""

    @cached_property
    def use_by_row(self) -> csr_array:
        """Turn `use` round: most ways use few rows."""
        return csr_array(self.use.T)


@dataclass(frozen=True)
class Settled:
    """A shard as far as the search looks at it."""

    blocks: Sequence[SearchBlock]
    n_rows: int
    """That are priced."""
    margin: FloatArray
    """(n_open_needs,): by how much the second way of each is dearer."""

    def count_soft(self, width: float) -> int:
        """Count the needs whose second way is dearer by no more than a width."""
        return int((self.margin <= width).sum())

    def sum_units(self) -> float:
        """Add up the units of all needs."""
        return sum(float(block.units.sum() + block.settled_units.sum()) for block in self.blocks)


@dataclass(frozen=True)
class Vicinity:
    """Around which prices are looks to be readied, and how far around?"""

    by_start: FloatArray
    """(n_resources, n_starts)"""
    width: float
    """Needs that are further from a tie are settled."""
    moving: FloatArray
    """(n_resources,): by how much more than `width` tells a price may yet move, so that needs must be free to leave what
    takes of it, and to come."""
    early_weight: float
    """What a bucket early costs."""


@dataclass(frozen=True)
class Look:
    """The smoothed dual at some prices: its slope (use, less capacity where that is counted) and curvature.

    Of shards by resource and start: (n_resources, n_starts), (n_priced_resources × n_starts, the same).
    """

    slope: FloatArray
    curvature: FloatArray


def count_soft(shard: Settled | NearPairs, width: float) -> int:
    """Count a shard's needs whose second way is dearer by no more than a width."""
    return shard.count_soft(width)


def sum_units(shard: Settled | NearPairs) -> float:
    """Add up the units of all needs of a shard."""
    return shard.sum_units()


def settle(shard: Sequence[Block], near: Vicinity, number: IntArray) -> Settled | NearPairs:
    """Ready a shard for looks near some prices."""
    by_start = near.by_start
    listed = list_near(shard, by_start, near.width, number, near.moving)
    if listed is not None:
        return listed
    found = [
        search_block(block.weighed(near.early_weight), by_start, near.width, number, near.moving)
        for block in shard
    ]
    margin = np.concatenate([np.empty(0), *(of_block for _, of_block in found)])
    return Settled([block for block, _ in found], int(number.max() + 1) * by_start.shape[1], margin)


def search_block(
    block: Block,
    by_start: FloatArray,
    width: float,
    number: IntArray,
    moving: FloatArray,
) -> tuple[SearchBlock, FloatArray]:
    """Round a block to float32 and settle what is further from a tie than `width`.

    Says as well by how much the second way is dearer: (n_open_needs,).
    """
    centre = block.start_prices(by_start).min(axis=2)
    priced, units, due = block.with_start(centre), block.units, block.due
    best, need = priced.argmin(axis=0), np.arange(len(due))
    priced -= priced[best, need]
    slack = block.use @ moving[block.rows]
    is_open = (priced <= width + slack[best] + slack[:, None]).sum(axis=0) > 1
    settled, n_batches = ~is_open, centre.size
    settled_units = np.bincount(due[settled] * len(centre) + best[settled], units[settled], n_batches).astype(
        np.float64
    )
    priced = priced[:, is_open]
    margin = np.partition(priced, 1, axis=0)[1] if len(centre) > 1 else np.empty(0)
    ends = np.searchsorted(due[is_open], np.arange(block.n_dues + 1)).tolist()
    n_starts, of_rows = by_start.shape[1], number[block.rows]
    priced_rows = of_rows >= 0
    rows = (of_rows[priced_rows][:, None] * n_starts + np.arange(n_starts)).ravel()
    n_rows = int(number.max() + 1) * n_starts
    return SearchBlock(
        block=block,
        cost=priced.astype(np.float32),
        centre=np.where(np.isfinite(centre), centre, 0.0),
        units=units[is_open].astype(np.float32),
        cut=[slice(*of_due) for of_due in pairwise(ends)],
        settled_units=settled_units.reshape(block.n_dues, len(centre)),
        use=block.use[:, priced_rows],
        entries=(rows[:, None] * n_rows + rows).ravel(),
    ), margin


def look_at_shard(shard: Settled | NearPairs, by_start: FloatArray, temperature: Temperature) -> Look:
    """Let a shard's needs choose softly at some prices: what they use, and how that changes."""
    if isinstance(shard, NearPairs):
        return Look(*shard.look(by_start, temperature.of_ways))
    slope = np.zeros(by_start.shape)
    curvature = np.zeros(shard.n_rows**2)
    for block in shard.blocks:
        of_block_slope, of_block_curvature = look_at(block, by_start, temperature)
        slope[block.block.rows] += of_block_slope
        curvature[block.entries] += of_block_curvature.ravel()
    return Look(slope, curvature.reshape(shard.n_rows, shard.n_rows))


def look_at(
    search: SearchBlock, by_start: FloatArray, temperature: Temperature
) -> tuple[FloatArray, FloatArray]:
    """Let one block's needs choose softly: what they use, and how that changes with prices.

    Shapes: (n_rows_of_block, n_starts), (n_priced_rows_of_block × n_starts, the same)
    """
    block, use = search.block, search.use
    if block.timing is None:
        return _look_at_one_start(search, by_start, temperature.of_ways)
    price, share = _soft_starts(block, by_start, temperature.of_starts)
    n_ways, n_dues, n_starts = share.shape
    price32, cold = (price - search.centre).astype(np.float32), np.float32(-1.0 / temperature.of_ways)
    weights = np.empty_like(search.cost)
    for due, needs in enumerate(search.cut):
        np.add(search.cost[:, needs], price32[:, due : due + 1], out=weights[:, needs])
    weights -= weights.min(axis=0, initial=np.inf)
    weights *= cold
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=0)
    made = search.settled_units.copy()
    spread = np.empty((n_dues, n_ways, n_ways))
    for due, needs in enumerate(search.cut):
        of_due, units = weights[:, needs], search.units[needs]
        made[due] += of_due @ units
        spread[due] = (of_due * units) @ of_due.T
    started = (made.T[:, None, :] @ share)[:, 0]
    # What gives way to another way: only open needs do.
    spread *= -1.0 / temperature.of_ways
    way = np.arange(n_ways)
    spread[:, way, way] += (made - search.settled_units) / temperature.of_ways
    if n_starts == 1:
        return block.use.T @ started, use.T @ spread.sum(axis=0) @ use
    # And what gives way to another start.
    spread[:, way, way] -= made / temperature.of_starts
    by_start = np.swapaxes(share, 1, 2) @ _spread_over_starts(spread, share)
    by_start = by_start.reshape(n_ways, n_starts, n_ways, n_starts)
    start = np.arange(n_starts)
    by_start[way[:, None], start, way[:, None], start] += started / temperature.of_starts
    return block.use.T @ started, _by_row(search.use_by_row, by_start)


def _look_at_one_start(
    search: SearchBlock, by_start: FloatArray, temperature: float
) -> tuple[FloatArray, FloatArray]:
    """Do what `look_at` does where there is one bucket: such looks are many and small, and each operation counts."""
    use, rows = search.block.use, search.block.rows
    price = (use @ by_start[rows] - search.centre).astype(np.float32)
    weights = search.cost + price
    weights -= weights.min(axis=0, initial=np.inf)
    weights *= np.float32(-1.0 / temperature)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=0)
    made = (weights @ search.units).astype(np.float64)
    spread = ((weights * search.units) @ weights.T).astype(np.float64)
    spread *= -1.0 / temperature
    spread.flat[:: len(made) + 1] += made / temperature
    used = use.T @ (made + search.settled_units[0])[:, None]
    return used, search.use.T @ spread @ search.use


def _spread_over_starts(spread: FloatArray, share: FloatArray) -> FloatArray:
    """Spread what ways take from each other over the starts that lose it.

    Shapes: (n_dues, n_ways, n_ways), (n_ways, n_dues, n_starts) → (n_ways, n_dues, n_ways × n_starts)
    """
    n_ways, n_dues, _ = share.shape
    over_starts = np.swapaxes(spread, 0, 1)[..., None] * np.swapaxes(share, 0, 1)
    return over_starts.reshape(n_ways, n_dues, -1)


def _by_row(use_by_row: csr_array, by_start: FloatArray) -> FloatArray:
    """Turn way × start by way × start, either side of which is the other's, into row by row.

    Shapes: (n_ways, n_starts, n_ways, n_starts) → (n_rows_of_block × n_starts, the same)
    """
    n_ways, n_starts, _, _ = by_start.shape
    n_rows = use_by_row.shape[0]
    if n_ways == n_rows == use_by_row.nnz and (use_by_row.indices == np.arange(n_ways)).all():
        own = use_by_row.data  # a row for each way, and a way for each row
        by_start *= own[:, None, None, None]
        by_start *= own[:, None]
        return by_start.reshape(n_rows * n_starts, -1)
    of_rows = (use_by_row @ by_start.reshape(n_ways, -1)).reshape(n_rows * n_starts, n_ways * n_starts)
    of_both: FloatArray = use_by_row @ of_rows.T.reshape(n_ways, -1)
    return of_both.reshape(n_rows * n_starts, -1)


def _soft_starts(block: Block, by_start: FloatArray, temperature: float) -> tuple[FloatArray, FloatArray]:
    """Let every way choose its start softly: the price that it then has, and how it spreads over starts.

    Shapes: (n_ways, n_dues), (n_ways, n_dues, n_starts)
    """
    priced = block.start_prices(by_start)
    least = priced.min(axis=2, keepdims=True)
    reachable = np.isfinite(least)
    share = np.exp(np.where(reachable, priced - np.where(reachable, least, 0.0), 0.0) * (-1.0 / temperature))
    total = share.sum(axis=2, keepdims=True)
    share /= total
    price: FloatArray = (least - temperature * np.log(total))[:, :, 0]
    return price, share
