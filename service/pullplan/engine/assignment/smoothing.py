"""At which prices would needs that choose softly fill capacity just so?

Every need spreads over its ways with weights exp(−(cost + price · use) / temperature): the dual of the assignment
becomes smooth and strictly concave where capacity binds, so that Newton's steps on a few hundred prices converge in a
handful of looks at all needs. As the temperature falls, its prices become the assignment's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.sharding import Held
from pullplan.engine.assignment.watching import SearchStoppedError, Watch

FloatArray = npt.NDArray[np.float64]
FloatArray32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_STEPS = 40
LONGEST_STEP = 1e5
"""Of the temperature: where too little capacity is there, prices would rise without end."""
MISFIT_WORTH = 0.01
"""Of units × temperature: where capacity is nearly too little, prices are so high that what seems a small misfit is
worth a lot."""
SMALLEST_STEP = 2.0**-12
SUFFICIENT_INCREASE = 1e-4


@dataclass(frozen=True)
class SearchBlock:
    """A block in float32, as far as the search looks at it."""

    cost: FloatArray32
    units: FloatArray32
    rows: IntArray
    use: FloatArray
    entries: IntArray
    """Where the block's rows × rows stand in the flattened curvature."""


@dataclass(frozen=True)
class Look:
    """The smoothed dual at some prices: its value, slope (use, less capacity where that is counted) and curvature."""

    value: float
    slope: FloatArray
    curvature: FloatArray


@dataclass(frozen=True)
class PriceSearch:
    """Shards that are looked at, the market whose capacity they compete for, and who watches."""

    held: Held
    units: float
    """Of all needs in the shards."""
    market: Market
    watch: Watch


def search_blocks(market: Market, blocks: Iterable[Block], sample_every: int = 1) -> list[SearchBlock]:
    """Round blocks to float32, taking each n-th need."""
    n_rows = len(market.capacity)
    return [
        SearchBlock(
            np.ascontiguousarray(block.cost[:, ::sample_every], dtype=np.float32),
            block.units[::sample_every].astype(np.float32),
            np.ascontiguousarray(block.rows),
            np.ascontiguousarray(block.use),
            (block.rows[:, None] * n_rows + block.rows).ravel(),
        )
        for block in blocks
    ]


def units_of(blocks: Iterable[SearchBlock]) -> float:
    """Add up all needs' units."""
    return sum(float(block.units.sum()) for block in blocks)


def find_prices(
    search: PriceSearch, start: FloatArray, temperature: float, tolerance: float
) -> tuple[FloatArray, bool]:
    """Climb to the smoothed dual's top; say as well whether use fits capacity there to within `tolerance`.

    Raises: SearchStoppedError with the prices by then.
    """
    market = search.market
    typical_capacity = float(np.abs(market.capacity).mean())
    prices = start
    look = _look(search, prices, temperature)
    for _ in range(MOST_STEPS):
        free = market.is_full | (prices > 0) | (look.slope > 0)
        excess = np.where(free, look.slope, 0.0)
        is_worth_little = abs(float(prices @ excess)) <= MISFIT_WORTH * temperature * search.units
        if is_worth_little and np.abs(excess).max(initial=0.0) <= tolerance * typical_capacity:
            return prices, True
        direction = _newton_direction(look, free, LONGEST_STEP * temperature)
        stepped = _climb(search, (prices, look), direction, temperature)
        if stepped is None:
            return prices, False
        prices, look = stepped
    return prices, False


def _newton_direction(look: Look, free: BoolArray, longest: float) -> FloatArray:
    """Solve for Newton's step, damped so that no price moves further than `longest`."""
    direction = np.zeros(len(free))
    curvature, slope = look.curvature[np.ix_(free, free)], look.slope[free]
    steepest = float(np.linalg.norm(slope))
    ridge = 1e-6 * float(np.trace(curvature)) / len(slope) + steepest / longest
    direction[free] = np.linalg.solve(curvature + ridge * np.eye(len(slope)), slope)
    return direction


def _climb(
    search: PriceSearch, at: tuple[FloatArray, Look], direction: FloatArray, temperature: float
) -> tuple[FloatArray, Look] | None:
    """Halve the step until the dual rises enough."""
    prices, look = at
    step = 1.0
    while step >= SMALLEST_STEP:
        trial = prices + step * direction
        trial = np.where(search.market.is_full, trial, np.maximum(0.0, trial))
        seen = _look(search, trial, temperature)
        promised = float(look.slope @ (trial - prices))
        rounding = 1e-6 * abs(look.value)
        if seen.value >= look.value + SUFFICIENT_INCREASE * promised - rounding:
            return trial, seen
        step /= 2
    return None


def _look(search: PriceSearch, prices: FloatArray, temperature: float) -> Look:
    """Add up what is seen in the shards, in their order.

    Raises: SearchStoppedError with the prices.
    """
    if search.watch.should_stop():
        raise SearchStoppedError(prices)
    capacity = search.market.capacity
    value = -float(prices @ capacity)
    slope = -capacity.astype(np.float64)
    curvature = np.zeros((len(prices), len(prices)))
    for seen in search.held.look(look_at, prices, temperature):
        value += seen.value
        slope += seen.slope
        curvature += seen.curvature
    search.watch.note(bound=value)
    return Look(value, slope, curvature)


def look_at(shard: Sequence[SearchBlock], prices: FloatArray, temperature: float) -> Look:
    """Let a shard's needs choose softly at some prices: what they pay, what they use, and how that changes."""
    value = 0.0
    slope = np.zeros(len(prices))
    curvature = np.zeros(len(prices) ** 2)
    cold = np.float32(-1.0 / temperature)
    for block in shard:
        weights = block.cost + (block.use @ prices[block.rows]).astype(np.float32)[:, None]
        least = weights.min(axis=0)
        weights -= least
        weights *= cold
        np.exp(weights, out=weights)
        total = weights.sum(axis=0)
        value += float(block.units @ least) - temperature * float(block.units @ np.log(total))
        weights /= total
        made = (weights @ block.units).astype(np.float64)
        spread = (weights * -block.units) @ weights.T
        spread.flat[:: len(made) + 1] += made
        slope[block.rows] += made @ block.use
        curvature[block.entries] += (block.use.T @ spread @ block.use).ravel()
    return Look(value, slope, curvature.reshape(len(prices), len(prices)) / temperature)
