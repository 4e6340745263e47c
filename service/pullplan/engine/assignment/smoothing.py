"""At which prices would needs that choose softly fill capacity just so?

Needs spread over their ways, and ways over their starts, as softly as a temperature says: the dual of the assignment
becomes smooth and strictly concave where capacity binds, so that Newton's steps on a few hundred prices converge in a
handful of looks at all needs. As the temperature falls, its prices become the assignment's.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.looking import (
    Look,
    Temperature,
    Vicinity,
    count_soft,
    look_at_shard,
    settle,
    sum_units,
)
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.sharding import Held

FloatArray = npt.NDArray[np.float64]
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
FAR_WIDTHS = 2.0
MOVING_WIDTHS = (20.0, 80.0, 320.0)
"""Of what is settled: where a sample's price of something scarce is far from what all pay, settled needs would let it rise without end."""
NEARLY_USED_UP = 0.97
"""Of a limit: prices look at what is nearer to it, since it may bind when all choose sharply."""


@dataclass(frozen=True)
class Top:
    """Where a climb ended."""

    prices: FloatArray
    """(n_rows,)"""
    slope: FloatArray
    """(n_rows,): use less capacity."""
    fits: bool
    left: BoolArray | None = None
    """(n_rows,): whose prices left what they were to be within; None: nobody's did."""


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

    def settle(
        self,
        prices: FloatArray,
        width: float,
        early_weight: float = 0.0,
        moving: FloatArray | None = None,
    ) -> None:
        """Add up, where they are held, the needs that are further from a tie than `width` at these prices; see `Vicinity`."""
        by_start = start_prices(self.market, prices)
        moving = np.zeros(len(by_start)) if moving is None else moving
        near = Vicinity(by_start, width, moving, early_weight)
        self.held.prepare(settle, near, numbered(self.is_priced))

    def count_soft(self, width: float) -> int:
        """Count the needs whose second way is dearer by no more than a width."""
        return sum(self.held.look(count_soft, width))


def numbered(is_priced: BoolArray) -> IntArray:
    """Number what is priced; −1: not priced."""
    return np.where(is_priced, np.cumsum(is_priced) - 1, -1)


def find_prices(
    search: PriceSearch,
    start: FloatArray,
    temperature: Temperature,
    most_looks: int = MOST_LOOKS,
    within: tuple[FloatArray, FloatArray] | None = None,
) -> Top:
    """Climb to the smoothed dual's top; say as well whether use fits capacity there.

    Prices are by row: of a store, of what is used up to each bucket. Who leaves what they should be `within`, (n_rows,) each, stops there.

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
        if within is not None:
            left = (prices < within[0]) | (prices > within[1])
            if left.any():
                return Top(np.clip(prices, *within), look.slope, fits=False, left=left)


def follow_prices(
    search: PriceSearch,
    centre: FloatArray,
    ahead: FloatArray,
    soft: Temperature,
    *,
    most_looks: int,
    width: float,
) -> Top:
    """Climb from `ahead`; where a price goes far beyond what was settled at `centre`, settle less of what it decides."""
    market = search.market
    width_of_row = width / np.where(market.most_used > 0, market.most_used, np.inf)
    far = FAR_WIDTHS * width_of_row
    top = find_prices(search, ahead, soft, most_looks, (centre - far, centre + far))
    is_moving = np.zeros(len(centre), dtype=bool)
    for widths in MOVING_WIDTHS:
        if top.left is None:
            break
        is_moving |= top.left
        moving = np.where(is_moving, widths * width_of_row, 0.0)
        search.settle(top.prices, width, moving=moving)
        far = np.maximum(moving, FAR_WIDTHS * width_of_row)
        top = find_prices(search, top.prices, soft, most_looks, (top.prices - far, top.prices + far))
    return top


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
