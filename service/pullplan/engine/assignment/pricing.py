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
from pullplan.engine.assignment.looking import Temperature
from pullplan.engine.assignment.sampling import (
    EVEN_SAMPLES,
    GROWING_SAMPLES,
    SETTLED_WIDTHS,
    Path,
    search_samples,
    some,
)
from pullplan.engine.assignment.share_limits import broken_limits, never_broken, too_many
from pullplan.engine.assignment.shortage import Shortage, least_shortage
from pullplan.engine.assignment.smoothing import (
    PriceSearch,
    find_prices,
    follow_prices,
    row_prices,
    start_prices,
)
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.sharding import Spread, cut, here

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

WIDTH_BLOCKS = 100
"""Of so many is measured how far apart costs are."""
QUICK_COOLING = (1 / 300, 1 / 900, 1 / 3_000, 1 / 30_000)
"""From one temperature alone the next prices are not told ahead: a third of it is in reach, a tenth often was not."""
QUICK_LOOKS = 40
"""At each temperature: more are needed where prices of all are far from a sample's."""
SCARCE_WORTH = 0.8
"""Of the spread of costs, what capacity is worth for each unit: above, prices of all are far from a sample's. Measured
over three seeds: 0.05 to 0.08 at 1.25 × mean use, 0.4 to 0.5 at 0.95, 1.2 at 0.90, 4 at 0.85."""
SCARCE_COOLING = (1 / 30, 1 / 300, 1 / 3_000, 1 / 30_000)
SEASONAL_COOLING = (1 / 30, *np.geomspace(1 / 100, 1e-5, 7).tolist())
"""Starts that compete make the dual stiffer."""
LIMITED_COOLING = tuple(np.geomspace(1 / 10, 1e-5, 14).tolist())
"""A limit that is found to bind where all is cold already makes Newton's steps short."""
CAREFUL_COOLING = tuple(np.geomspace(10.0, 1e-4, 12).tolist())
"""Temperatures, of the spread of costs."""
EVEN_SHARE = 1e-12
"""Of the mean cost: ways that differ by less cost the same."""
WARM_COOLING = tuple(np.geomspace(1 / 300, 1e-5, 6).tolist())
HELD_COOLING = tuple(np.geomspace(1 / 10, 1e-5, 9).tolist())
"""Where the price of staying is hardly known, other prices move as it is found."""
SOFT_WIDTHS = 10.0
"""Of the temperature: what ties within so much is still spread softly, and must be open in the completion."""
START_COOLING = tuple(np.geomspace(1.0, 1e-3, 7).tolist())
"""Temperatures of starts, of the early weight."""
MOST_ROUNDS = 20
"""Limits that a plan breaks have prices in the next."""


@dataclass(frozen=True)
class Weights:
    """What proves a stage: the price of capacity, and what one unit of each earlier stage's measure weighs."""

    by_start: FloatArray
    """(n_resources, n_starts)"""
    multipliers: FloatArray


@dataclass(frozen=True)
class PricedPlan:
    """Who takes what, what the shortfall stages proved, and what proves the others."""

    market: Market
    """With those limits alone that have prices."""
    is_priced: BoolArray
    """(n_resources,): which the market has."""
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
    warm_cooling: Sequence[float] = WARM_COOLING,
) -> PricedPlan | None:
    """Serve every need at the least cost; None where prices don't settle, as not all can be served by these ways.

    `warm_prices` (n_resources, n_starts) are those of a plan for nearly the same, `warm_cooling` the temperatures from them
    on, of the spread of costs.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    # Where every need has one way, only starts compete: any temperature will do.
    width = _spread(market.blocks) or 1.0
    with _held(market, watch, spread) as held:
        found = _search_quickly(held, warm_prices, warm_cooling, width)
        for _ in range(MOST_ROUNDS):
            if found is None:
                return None
            search = found.search
            try:
                lines = complete(search.priced_market, found.priced, found.early_weight, watch=watch)
            except SearchStoppedError:
                raise SearchStoppedError(row_prices(market, found.by_start)) from None
            if lines is None:
                return None
            broken = broken_limits(market, lines, search.is_priced)
            if not broken.any():
                return _all_served(search.priced_market, search.is_priced, lines, n_stages)
            search, prices = search.pricing(broken), row_prices(market, found.by_start)
            found = _cool_to_starts(search, prices, width, WARM_COOLING)
    return None


def price_short(
    market: Market, n_stages: int, *, watch: Watch | None = None, spread: Spread = here
) -> PricedPlan | None:
    """Serve as much as can be served, as little late as can be, at the least cost; None where prices don't settle.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    is_priced = never_broken(market)
    for _ in range(MOST_ROUNDS):
        within = market.within(is_priced)
        if too_many(market, is_priced):
            return None
        try:
            plan = _price_short(within, is_priced, n_stages, watch or Watch(), spread)
        except SearchStoppedError as stopped:
            told = [_with_all_rows(market, is_priced, prices) for prices in stopped.row_prices]
            raise SearchStoppedError(*told) from None
        if plan is None:
            return None
        broken = broken_limits(market, plan.lines, is_priced)
        if not broken.any():
            return plan
        is_priced = is_priced | broken
    return None


def _with_all_rows(market: Market, is_priced: BoolArray, row_prices: FloatArray) -> FloatArray:
    """Say of rows that are not priced that they are worth nothing."""
    of_all = np.zeros(len(market.capacity))
    of_all[np.repeat(is_priced, market.n_starts)] = row_prices
    return of_all


def _price_short(
    market: Market, is_priced: BoolArray, n_stages: int, watch: Watch, spread: Spread
) -> PricedPlan | None:
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
    joined = join_parts(market, left, lines)
    return PricedPlan(market, is_priced, joined, shortage, lateness, cost, early)


def _all_served(market: Market, is_priced: BoolArray, lines: Completion, n_stages: int) -> PricedPlan:
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
    return PricedPlan(market, is_priced, lines, None, lateness, weights(lines.cost), weights(lines.early))


def _least_multipliers(market: Market, worth: FloatArray, n_stages: int) -> FloatArray:
    """Say what a stage of shortfall must weigh, so that no need is better left short: (n_needs,) → (n_stages,)."""
    multipliers = np.zeros(n_stages)
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        of_block = worth[first : first + len(block.units)]
        np.maximum.at(multipliers, block.stage, of_block / block.shortfall_weight)
    return multipliers


@dataclass(frozen=True)
class _Found:
    """Good prices, what a bucket early weighed, and who found them."""

    search: PriceSearch
    by_start: FloatArray
    """(n_resources, n_starts)"""
    early_weight: float

    @property
    def priced(self) -> FloatArray:
        """Leave out what is not priced: (n_priced_resources, n_starts)."""
        return self.by_start[self.search.is_priced]


def _search_quickly(
    search: PriceSearch, warm_prices: FloatArray | None, warm_cooling: Sequence[float], width: float
) -> _Found | None:
    """Cool samples down, then all needs, then their starts; None where capacity seems too little, or nearly so."""
    market = search.market
    if warm_prices is not None:
        warm = search.pricing(warm_prices.any(axis=1))
        found = _cool_to_starts(warm, row_prices(market, warm_prices), width, warm_cooling)
        if found is not None:
            return found
    cooling: Sequence[float] = SEASONAL_COOLING
    if market.is_limit is not None:
        cooling = LIMITED_COOLING
    elif market.n_starts == 1:
        prices = search_samples(market, width, GROWING_SAMPLES, search.watch)
        if prices is not None and not _is_scarce(market, prices, width):
            found = _cool_to_starts(search, prices, width, QUICK_COOLING, is_quick=True)
            if found is not None:
                return found
        cooling = SCARCE_COOLING
    prices = search_samples(market, width, EVEN_SAMPLES, search.watch)
    return None if prices is None else _cool_to_starts(search, prices, width, cooling)


def _is_scarce(market: Market, prices: FloatArray, width: float) -> bool:
    """Tell by a sample's prices, (n_rows,), whether capacity is worth much beside what ways are told apart by."""
    units = sum(float(block.units.sum()) for block in market.blocks)
    return float(prices @ market.capacity) > SCARCE_WORTH * width * units


@contextmanager
def _held(market: Market, watch: Watch, spread: Spread) -> Iterator[PriceSearch]:
    """Cut a market into shards and hand them out."""
    with spread(cut(market.blocks, [block.cost.size for block in market.blocks])) as held:
        yield PriceSearch(held, market, watch, never_broken(market))


def _cool_to_starts(
    search: PriceSearch,
    prices: FloatArray,
    width: float,
    cooling: Sequence[float],
    *,
    is_quick: bool = False,
) -> _Found | None:
    path = Path(search.market)
    cooled = _cool(search, prices, [width * share for share in cooling], path, is_quick=is_quick)
    if not cooled.fits:
        return None
    if search.market.n_starts == 1:
        return _Found(cooled.search, search.market.by_start(cooled.prices), 0.0)
    return _cool_starts(cooled)


def _search_carefully(market: Market, watch: Watch, spread_over: Spread) -> tuple[FloatArray, float]:
    """Cool what the least shortage leaves undecided, slowly: it is little, and no sample of it would fit."""
    width = _spread(market.blocks)
    prices = np.zeros(len(market.capacity))
    if width == 0 and market.n_starts == 1:
        return market.by_start(prices), 0.0
    with _held(market, watch, spread_over) as search:
        cooling = [(width or 1.0) * share for share in CAREFUL_COOLING]
        path = Path(market)
        # So hot that cost hardly counts, prices fall as the temperature does.
        path.add(prices, 0.0)
        cooled = _cool(search, prices, cooling, path)
        if not cooled.fits:
            # Unless capacity is just enough: then some rise as others fall.
            cooled = _cool(search, prices, cooling, Path(market))
        if market.n_starts == 1:
            return market.by_start(cooled.prices), 0.0
        found = _cool_starts(cooled)
        if found is None:
            return start_prices(market, cooled.prices), cooled.early_weight
        return found.by_start, found.early_weight


@dataclass(frozen=True)
class _Cooled:
    search: PriceSearch
    prices: FloatArray
    """(n_rows,)"""
    temperature: float
    fits: bool
    """Use keeps within capacity."""

    @property
    def early_weight(self) -> float:
        """Say what a bucket early may weigh: little beside what ways are told apart by."""
        return self.temperature / 4


def _cool(
    search: PriceSearch,
    prices: FloatArray,
    temperatures: Sequence[float],
    path: Path,
    *,
    is_quick: bool = False,
) -> _Cooled:
    """Lower the temperature until no more needs are soft than the completion takes, and limits that bind are priced."""
    n_needs = int(search.market.first_need[-1])
    last, fits, grew = np.inf, True, False
    for temperature in temperatures:
        if too_many(search.market, search.is_priced):
            return _Cooled(search, prices, last, fits=False)
        soft_width = 0.0 if last == np.inf else SOFT_WIDTHS * last
        width = max(SETTLED_WIDTHS * temperature, soft_width)
        search.settle(prices, width)
        n_soft = n_needs if last == np.inf else search.count_soft(soft_width)
        search.watch.note(needs_settled=n_needs - n_soft)
        if not fits or (last < np.inf and not grew and n_soft <= needs_to_open(search.priced_market)):
            break
        ahead, soft = path.ahead(prices, temperature), Temperature(temperature, temperature)
        try:
            if is_quick:
                top = follow_prices(search, prices, ahead, soft, most_looks=QUICK_LOOKS, width=width)
            else:
                top = find_prices(search, ahead, soft)
        except SearchStoppedError as stopped:
            raise SearchStoppedError(*stopped.row_prices, prices) from None
        prices, fits, last = top.prices, top.fits, temperature
        path.add(prices, temperature)
        wider = search.pricing_limits(top.slope)
        search, grew = wider, wider is not search
    return _Cooled(search, prices, last, fits)


def _cool_starts(cooled: _Cooled) -> _Found | None:
    """Let a bucket early weigh a little, and cool starts until no more batches are soft than the completion takes."""
    search, prices, temperature = cooled.search, cooled.prices, cooled.temperature
    market = search.market
    n_open = batches_to_open(search.priced_market)
    early_weight = cooled.early_weight
    of_starts = temperature
    for share in START_COOLING:
        margin = margin_of_starts(market.batches.prices(start_prices(market, prices), early_weight))
        if (margin <= SOFT_WIDTHS * of_starts).sum() <= n_open:
            break
        of_starts = share * early_weight
        search.settle(prices, SETTLED_WIDTHS * temperature, early_weight)
        top = find_prices(search, prices, Temperature(temperature, of_starts))
        if not top.fits:
            return None
        prices = top.prices
    return _Found(search, start_prices(market, prices), early_weight)


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
