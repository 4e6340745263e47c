"""At which prices would needs that choose softly fill capacity just so?

Every need spreads over its ways with weights exp(−(cost + price · use) / temperature), and every way over its starts
alike: the dual of the assignment becomes smooth and strictly concave where capacity binds, so that Newton's steps on a
few hundred prices converge in a handful of looks at all needs. As the temperature falls, its prices become the
assignment's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.near_pairs import NearPairs, list_near
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.sharding import Held

FloatArray = npt.NDArray[np.float64]
FloatArray32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TOLERANCE = 1e-3
"""Of the mean capacity: the completion makes capacity hold exactly."""
MOST_LOOKS = 80
LONGEST_STEP = 1e5
"""Of the temperature: where too little capacity is there, prices would rise without end."""
MISFIT_WORTH = 0.01
"""Of units × temperature: where capacity is nearly too little, prices are so high that what seems a small misfit is
worth a lot."""
SHORTEST_STEP = 2.0**-20
OVERSHOT_SHARE = 0.2
"""A step may pass the top by so much of the slope that it began with."""
NEARLY_USED_UP = 0.97
"""Of a limit: prices look at what is nearer to it, since it may bind when all choose sharply."""


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
class Look:
    """The smoothed dual at some prices: its slope (use, less capacity where that is counted) and curvature.

    Of shards by resource and start: (n_resources, n_starts), (n_priced_resources × n_starts, the same).
    """

    slope: FloatArray
    curvature: FloatArray


@dataclass(frozen=True)
class Top:
    """Where a climb ended."""

    prices: FloatArray
    """(n_rows,)"""
    slope: FloatArray
    """(n_rows,): use less capacity."""
    fits: bool


@dataclass(frozen=True)
class PriceSearch:
    """Shards that are looked at, the market whose capacity they compete for, who watches, and what has a price."""

    held: Held
    market: Market
    watch: Watch
    is_priced: BoolArray
    """(n_resources,): prices of others, limits all, are 0."""

    @property
    def priced_rows(self) -> BoolArray:
        """Tell which rows are priced: (n_rows,)."""
        return np.repeat(self.is_priced, self.market.n_starts)

    @cached_property
    def priced_market(self) -> Market:
        """Leave out what is not priced."""
        return self.market.within(self.is_priced)

    def pricing(self, is_broken: BoolArray) -> "PriceSearch":
        """Price these as well: (n_resources,)."""
        return (
            self if self.is_priced[is_broken].all() else replace(self, is_priced=self.is_priced | is_broken)
        )

    def pricing_limits(self, slope: FloatArray) -> "PriceSearch":
        """Price limits that are used up, or nearly so, as well."""
        market = self.market
        if market.is_limit is None:
            return self
        over, limit = market.by_start(slope)[:, -1], market.by_start(market.capacity).sum(axis=1)
        return self.pricing(market.is_limit & (over > (NEARLY_USED_UP - 1) * limit))

    def settle(self, prices: FloatArray, width: float, early_weight: float = 0.0) -> None:
        """Add up, where they are held, the needs that are further from a tie than `width` at these prices."""
        self.held.prepare(
            settle, start_prices(self.market, prices), width, early_weight, numbered(self.is_priced)
        )

    def count_soft(self, width: float) -> int:
        """Count the needs whose second way is dearer by no more than a width."""
        return sum(self.held.look(count_soft, width))


def count_soft(shard: Settled | NearPairs, width: float) -> int:
    """Count a shard's needs whose second way is dearer by no more than a width."""
    return shard.count_soft(width)


def sum_units(shard: Settled | NearPairs) -> float:
    """Add up the units of all needs of a shard."""
    return shard.sum_units()


def numbered(is_priced: BoolArray) -> IntArray:
    """Number what is priced; −1: not priced."""
    return np.where(is_priced, np.cumsum(is_priced) - 1, -1)


def settle(
    shard: Sequence[Block], by_start: FloatArray, width: float, early_weight: float, number: IntArray
) -> Settled | NearPairs:
    """Ready a shard for looks near some prices, a bucket early costing so much."""
    near = list_near(shard, by_start, width, number)
    if near is not None:
        return near
    found = [search_block(block.weighed(early_weight), by_start, width, number) for block in shard]
    margin = np.concatenate([np.empty(0), *(of_block for _, of_block in found)])
    return Settled([block for block, _ in found], int(number.max() + 1) * by_start.shape[1], margin)


def search_block(
    block: Block,
    by_start: FloatArray,
    width: float,
    number: IntArray,
) -> tuple[SearchBlock, FloatArray]:
    """Round a block to float32 and settle what is further from a tie than `width`.

    Says as well by how much the second way is dearer: (n_open_needs,).
    """
    centre = block.start_prices(by_start).min(axis=2)
    priced, units, due = block.with_start(centre), block.units, block.due
    best, need = priced.argmin(axis=0), np.arange(len(due))
    priced -= priced[best, need]
    is_open = (priced <= width).sum(axis=0) > 1
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


def find_prices(
    search: PriceSearch,
    start: FloatArray,
    temperature: Temperature,
    most_looks: int = MOST_LOOKS,
) -> Top:
    """Climb to the smoothed dual's top; say as well whether use fits capacity there.

    Prices are by row: of a store, of what is used up to each bucket.

    Raises: SearchStoppedError with the prices by then.
    """
    market, prices, priced = search.market, start, search.priced_rows
    typical_capacity = float(np.abs(market.capacity[priced]).mean())
    total_units = sum(search.held.look(sum_units))
    look = _look(search, prices, temperature)
    n_looks = 1
    while True:
        free = priced & (market.is_full | (prices > 0) | (look.slope > 0))
        excess = np.where(free, look.slope, 0.0)
        is_worth_little = abs(float(prices @ excess)) <= MISFIT_WORTH * temperature.of_ways * total_units
        if is_worth_little and np.abs(excess).max(initial=0.0) <= TOLERANCE * typical_capacity:
            return Top(prices, look.slope, fits=True)
        longest = LONGEST_STEP * max(temperature.of_ways, temperature.of_starts)
        direction = _newton_direction(look, free, priced, longest)
        step = 1.0
        while True:
            if n_looks >= most_looks or step < SHORTEST_STEP:
                return Top(prices, look.slope, fits=False)
            trial = prices + step * direction
            trial = np.where(market.is_full, trial, np.maximum(0.0, trial))
            try:
                seen = _look(search, trial, temperature)
            except SearchStoppedError:
                raise SearchStoppedError(prices) from None
            n_looks += 1
            # The dual is concave: along a step its slope only falls, and says by its sign where the top is.
            rise, fall = float(look.slope @ (trial - prices)), float(seen.slope @ (trial - prices))
            if fall >= -OVERSHOT_SHARE * rise:
                break
            step *= min(0.7, max(0.1, rise / (rise - fall)))
        prices, look = trial, seen


def _newton_direction(look: Look, free: BoolArray, priced: BoolArray, longest: float) -> FloatArray:
    """Solve for Newton's step, damped so that no price moves further than `longest`."""
    direction = np.zeros(len(free))
    among = free[priced]
    curvature, slope = look.curvature[np.ix_(among, among)], look.slope[free]
    steepest = float(np.linalg.norm(slope))
    ridge = 1e-6 * float(np.trace(curvature)) / len(slope) + steepest / longest
    curvature.flat[:: len(slope) + 1] += ridge
    direction[free] = np.linalg.solve(curvature, slope)
    return direction


def _look(search: PriceSearch, prices: FloatArray, temperature: Temperature) -> Look:
    """Add up what is seen in the shards, in their order.

    Raises: SearchStoppedError with the prices.
    """
    if search.watch.should_stop():
        raise SearchStoppedError(prices)
    market = search.market
    by_start = start_prices(market, prices)
    slope = -market.by_start(market.capacity.astype(np.float64))
    n_priced = int(search.is_priced.sum()) * market.n_starts
    curvature = np.zeros((n_priced, n_priced))
    for seen in search.held.look(look_at_shard, by_start, temperature):
        slope += seen.slope
        curvature += seen.curvature
    return _of_stores(search, slope, curvature)


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


def start_prices(market: Market, prices: FloatArray) -> FloatArray:
    """Price what is used by work of each start: of a store, a start takes of every later row.

    Shapes: (n_resources × n_starts,) → (n_resources, n_starts)
    """
    by_start = market.by_start(prices)
    if market.is_stored is None:
        return by_start
    arriving = np.cumsum(by_start[:, ::-1], axis=1)[:, ::-1]
    return np.where(market.is_stored[:, None], arriving, by_start)


def row_prices(market: Market, by_start: FloatArray) -> FloatArray:
    """Turn prices of starts back into prices of rows, at least 0 where a row need not be full.

    Shapes: (n_resources, n_starts) → (n_resources × n_starts,)
    """
    prices = market.of_rows(by_start)
    return np.where(market.is_full, prices, np.maximum(0.0, prices))


def _of_stores(search: PriceSearch, slope: FloatArray, curvature: FloatArray) -> Look:
    """Add up over the starts that take of a store's row."""
    is_stored = search.market.is_stored
    if is_stored is None or not is_stored.any():
        return Look(slope.ravel(), curvature)
    slope = np.where(is_stored[:, None], np.cumsum(slope, axis=1), slope)
    is_stored, n_starts = is_stored[search.is_priced], slope.shape[1]
    of_starts = curvature.reshape(len(is_stored), n_starts, len(is_stored), n_starts)
    of_starts[is_stored] = np.cumsum(of_starts[is_stored], axis=1)
    of_starts[:, :, is_stored] = np.cumsum(of_starts[:, :, is_stored], axis=3)
    return Look(slope.ravel(), of_starts.reshape(curvature.shape))


def look_at(
    search: SearchBlock, by_start: FloatArray, temperature: Temperature
) -> tuple[FloatArray, FloatArray]:
    """Let one block's needs choose softly: what they use, and how that changes with prices.

    Shapes: (n_rows_of_block, n_starts), (n_priced_rows_of_block × n_starts, the same)
    """
    block, use = search.block, search.use
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
    return block.use.T @ started, _by_row(use, by_start)


def _spread_over_starts(spread: FloatArray, share: FloatArray) -> FloatArray:
    """Spread what ways take from each other over the starts that lose it.

    Shapes: (n_dues, n_ways, n_ways), (n_ways, n_dues, n_starts) → (n_ways, n_dues, n_ways × n_starts)
    """
    n_ways, n_dues, _ = share.shape
    over_starts = np.swapaxes(spread, 0, 1)[..., None] * np.swapaxes(share, 0, 1)
    return over_starts.reshape(n_ways, n_dues, -1)


def _by_row(use: FloatArray, by_start: FloatArray) -> FloatArray:
    """Turn way × start by way × start into row by row: (n_rows_of_block × n_starts, the same)."""
    n_ways, n_starts, _, _ = by_start.shape
    n_rows = use.shape[1]
    if n_ways == n_rows and np.count_nonzero(use) == np.count_nonzero(np.diagonal(use)):
        own = np.diagonal(use)
        by_start *= own[:, None, None, None]
        by_start *= own[:, None]
        return by_start.reshape(n_rows * n_starts, -1)
    row, way = np.nonzero(use.T)
    amount = use[way, row]
    taken = by_start[way] * amount[:, None, None, None]
    taken = taken[:, :, way] * amount[:, None]
    if len(row) > n_rows:
        first = np.searchsorted(row, np.arange(n_rows))
        taken = np.add.reduceat(np.add.reduceat(taken, first, axis=0), first, axis=2)
    return taken.reshape(n_rows * n_starts, -1)


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
