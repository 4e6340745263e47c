"""At which prices does every need's cheapest way fill capacity just so, and who then takes what?

Source: the planning model, section 6.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.completing import (
    Completion,
    Proved,
    batches_to_open,
    complete,
    margin_of_starts,
    needs_to_open,
)
from pullplan.engine.assignment.leaving import join_parts, market_left, prove_left
from pullplan.engine.assignment.sampling import SAMPLE_COOLING, TOLERANCE, Path, search_sample, some
from pullplan.engine.assignment.sharding import Spread, cut, here
from pullplan.engine.assignment.shortage import Shortage, least_shortage
from pullplan.engine.assignment.smoothing import (
    PriceSearch,
    Temperature,
    find_prices,
    row_prices,
    start_prices,
)
from pullplan.engine.assignment.watching import SearchStoppedError, Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WIDTH_BLOCKS = 400
"""Of so many is measured how far apart costs are."""
QUICK_COOLING = (1 / 300, 1 / 3_000, 1 / 30_000)
SEASONAL_COOLING = tuple(np.geomspace(1 / 100, 1e-5, 7).tolist())
"""Starts that compete make the dual stiffer."""
CAREFUL_COOLING = tuple(np.geomspace(10.0, 1e-4, 12).tolist())
"""Temperatures, of the spread of costs."""
SETTLED_WIDTHS = 40.0
"""Of the temperature: a need whose second way is dearer by more takes its first, whatever else happens."""
EVEN_SHARE = 1e-12
"""Of the mean cost: ways that differ by less cost the same."""
WARM_COOLING = tuple(np.geomspace(1 / 300, 1e-5, 6).tolist())
SOFT_WIDTHS = 10.0
"""Of the temperature: what ties within so much is still spread softly, and must be open in the completion."""
START_COOLING = tuple(np.geomspace(1.0, 1e-3, 7).tolist())
"""Temperatures of starts, of the early weight."""
MOST_ROWS = 4_000
"""Newton's steps look at every pair of rows."""


@dataclass(frozen=True)
class Weights:
    """What proves a stage: the price of capacity, and what one unit of each earlier stage's measure weighs."""

    by_start: FloatArray
    """(n_resources, n_starts)"""
    multipliers: FloatArray


@dataclass(frozen=True)
class PricedPlan:
    """Who takes what, what the shortfall stages proved, and what proves the others."""

    lines: Completion
    shortage: Shortage | None
    """None where nothing stays short that could be served."""
    lateness: Weights
    cost: Weights
    early: Weights
    """Of cost and a little of what is early, as these were made small in one sum."""


def price(
    market: Market,
    n_stages: int,
    warm_prices: FloatArray | None = None,
    *,
    watch: Watch | None = None,
    spread: Spread = here,
) -> PricedPlan | None:
    """Serve every need at the least cost; None where prices don't settle, as not all can be served by these ways.

    `warm_prices` (n_resources, n_starts) are those of a plan for nearly the same.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    if len(market.capacity) > MOST_ROWS:
        return None
    found = _search_quickly(market, warm_prices, watch, spread)
    lines = None if found is None else complete(market, *found, watch=watch)
    return None if lines is None else _all_served(market, lines, n_stages)


def price_short(
    market: Market, n_stages: int, *, watch: Watch | None = None, spread: Spread = here
) -> PricedPlan | None:
    """Serve as much as can be served, as little late as can be, at the least cost; None where prices don't settle.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    if len(market.capacity) > MOST_ROWS:
        return None
    shortage = least_shortage(market, n_stages, watch)
    left = market_left(market, shortage)
    lines = complete(left.market, *_search_carefully(left.market, watch, spread), watch=watch)
    if lines is None:
        return None
    cost, early = (
        Weights(*prove_left(market, left, shortage, proved.solved)) for proved in (lines.cost, lines.early)
    )
    of_lateness = shortage.proofs[-1]
    lateness = Weights(start_prices(market, of_lateness.row_prices), of_lateness.multipliers)
    return PricedPlan(join_parts(market, left, lines), shortage, lateness, cost, early)


def _all_served(market: Market, lines: Completion, n_stages: int) -> PricedPlan:
    """Prove a plan that serves every need as soon as it could be served if it need not compete.

    To be short, or later, is free of cost: what weighs against it need only be enough.
    """
    least_late = np.concatenate([block.least_late for block in market.blocks])

    def weights(proved: Proved) -> Weights:
        of_lateness = float(proved.need_price.max(initial=0.0)) if market.has_later_ways else 0.0
        worth = proved.need_price + of_lateness * least_late
        of_shortfall = _least_multipliers(market, worth, n_stages)
        return Weights(proved.solved.by_start, np.append(of_shortfall, of_lateness))

    free = np.zeros_like(lines.cost.solved.by_start)
    lateness = Weights(free, _least_multipliers(market, least_late, n_stages))
    return PricedPlan(lines, None, lateness, weights(lines.cost), weights(lines.early))


def _least_multipliers(market: Market, worth: FloatArray, n_stages: int) -> FloatArray:
    """Say what a stage of shortfall must weigh, so that no need is better left short: (n_needs,) → (n_stages,)."""
    multipliers = np.zeros(n_stages)
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        of_block = worth[first : first + len(block.units)]
        np.maximum.at(multipliers, block.stage, of_block / block.shortfall_weight)
    return multipliers


def _search_quickly(
    market: Market, warm_prices: FloatArray | None, watch: Watch, spread_over: Spread
) -> tuple[FloatArray, float] | None:
    """Cool a sample down, then all needs, then their starts; None where capacity seems too little, or nearly so.

    Finds prices of starts and what a bucket early weighed.
    """
    # Where every need has one way, only starts compete: any temperature will do.
    spread = _spread(market.blocks) or 1.0
    with _held(market, watch, spread_over) as search:
        if warm_prices is not None:
            found = _cool_to_starts(search, row_prices(market, warm_prices), spread, WARM_COOLING)
            if found is not None:
                return found
        prices = search_sample(market, spread, watch)
        if prices is None:
            return None
        cooling = QUICK_COOLING if market.n_starts == 1 else SEASONAL_COOLING
        return _cool_to_starts(search, prices, spread, (SAMPLE_COOLING[-1], *cooling))


@contextmanager
def _held(market: Market, watch: Watch, spread: Spread) -> Iterator[PriceSearch]:
    """Cut a market into shards and hand them out."""
    with spread(cut(market.blocks, [block.cost.size for block in market.blocks])) as held:
        yield PriceSearch(held, market, watch)


def _cool_to_starts(
    search: PriceSearch, prices: FloatArray, spread: float, cooling: Sequence[float]
) -> tuple[FloatArray, float] | None:
    market = search.market
    prices, temperature, fits = _cool(search, prices, [spread * share for share in cooling])
    if not fits:
        return None
    if market.n_starts == 1:
        return market.by_start(prices), 0.0
    return _cool_starts(search, prices, temperature)


def _search_carefully(market: Market, watch: Watch, spread_over: Spread) -> tuple[FloatArray, float]:
    """Cool what the least shortage leaves undecided, slowly: it is little, and no sample of it would fit."""
    spread = _spread(market.blocks)
    prices = np.zeros(len(market.capacity))
    if spread == 0 and market.n_starts == 1:
        return market.by_start(prices), 0.0
    with _held(market, watch, spread_over) as search:
        cooling = [(spread or 1.0) * share for share in CAREFUL_COOLING]
        prices, temperature, _ = _cool(search, prices, cooling)
        if market.n_starts == 1:
            return market.by_start(prices), 0.0
        return _cool_starts(search, prices, temperature) or (start_prices(market, prices), 0.0)


def _cool(
    search: PriceSearch, prices: FloatArray, temperatures: Sequence[float]
) -> tuple[FloatArray, float, bool]:
    """Lower the temperature until no more needs are soft than the completion takes; say whether use fits capacity."""
    n_open, n_needs = needs_to_open(search.market), int(search.market.first_need[-1])
    path, last, fits = Path(search.market), np.inf, True
    for temperature in temperatures:
        search.settle(prices, SETTLED_WIDTHS * temperature)
        n_soft = n_needs if last == np.inf else search.count_soft(SOFT_WIDTHS * last)
        search.watch.note(needs_settled=n_needs - n_soft)
        if not fits or (last < np.inf and n_soft <= n_open):
            break
        ahead, soft = path.ahead(prices, temperature), Temperature(temperature, temperature)
        try:
            prices, fits = find_prices(search, ahead, soft, TOLERANCE)
        except SearchStoppedError as stopped:
            raise SearchStoppedError(*stopped.row_prices, prices) from None
        path.add(prices, temperature)
        last = temperature
    return prices, last, fits


def _cool_starts(
    search: PriceSearch, prices: FloatArray, temperature: float
) -> tuple[FloatArray, float] | None:
    """Let a bucket early weigh a little, and cool starts until no more batches are soft than the completion takes."""
    market = search.market
    n_open = batches_to_open(market)
    early_weight = temperature / 4
    of_starts = temperature
    for share in START_COOLING:
        margin = margin_of_starts(market.batches.prices(start_prices(market, prices), early_weight))
        if (margin <= SOFT_WIDTHS * of_starts).sum() <= n_open:
            break
        of_starts = share * early_weight
        search.settle(prices, SETTLED_WIDTHS * temperature, early_weight)
        prices, fits = find_prices(search, prices, Temperature(temperature, of_starts), TOLERANCE)
        if not fits:
            return None
    return start_prices(market, prices), early_weight


def _spread(blocks: Sequence[Block]) -> float:
    """Take how much dearer the mean way is than the cheapest, in the mean."""
    above = costs = n_needs = 0.0
    for block in some(blocks, WIDTH_BLOCKS):
        finite = np.isfinite(block.cost)
        reachable = finite.any(axis=0)
        cost = np.where(finite, block.cost, 0.0)[:, reachable].sum(axis=0) / finite[:, reachable].sum(axis=0)
        above += float((cost - block.cost[:, reachable].min(axis=0)).sum()) if reachable.any() else 0.0
        costs += float(cost.sum())
        n_needs += float(reachable.sum())
    return above / n_needs if above > EVEN_SHARE * costs else 0.0
