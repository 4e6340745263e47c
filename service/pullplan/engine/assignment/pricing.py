"""At which prices does every need's cheapest way fill capacity just so, and who then takes what?

Source: the planning model, section 6.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.completing import (
    WAYS,
    Completion,
    cheapest_ways,
    complete,
    needs_to_open,
    width_of,
)
from pullplan.engine.assignment.sharding import HeldHere, Spread, cut, here
from pullplan.engine.assignment.shortage import (
    Left,
    Shortage,
    least_shortage,
    market_left,
    nothing_short,
    prove_cost,
)
from pullplan.engine.assignment.smoothing import PriceSearch, find_prices, search_blocks, units_of
from pullplan.engine.assignment.watching import Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SAMPLE_BLOCKS = 60
WIDTH_BLOCKS = 400
"""Of so many is measured how far apart costs are."""
SAMPLE_NEEDS_PER_BLOCK = 20
SAMPLE_COOLING = (1.0, 1 / 3, 1 / 10, 1 / 30)
QUICK_COOLING = 1 / 300, 1 / 3_000, 1 / 30_000
CAREFUL_COOLING = np.geomspace(10.0, 1e-4, 12)
"""Temperatures, of the spread of costs."""
EVEN_SHARE = 1e-12
"""Of the mean cost: ways that differ by less cost the same."""
TOLERANCE = 1e-3
"""Of the mean capacity: the completion makes capacity hold exactly."""


@dataclass(frozen=True)
class PricedPlan:
    """Who takes what, what the shortfall stages proved, and what proves the cost."""

    lines: Completion
    shortage: Shortage
    cost_prices: FloatArray
    cost_multipliers: FloatArray


def price(
    market: Market, n_stages: int, watch: Watch | None = None, spread: Spread = here
) -> PricedPlan | None:
    """Serve as much as can be served at the least cost; None where prices don't settle.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    if all(np.isfinite(block.cost).any(axis=0).all() for block in market.blocks):
        nothing = nothing_short(market, n_stages)
        left = market_left(market, nothing)
        row_prices = _search_quickly(left.market, watch, spread)
        plan = None if row_prices is None else _complete(market, left, nothing, row_prices, watch)
        if plan is not None:
            return plan
    shortage = least_shortage(market, n_stages, watch)
    left = market_left(market, shortage)
    return _complete(market, left, shortage, _search_carefully(left.market, watch, spread), watch)


def _complete(
    market: Market, left: Left, shortage: Shortage, row_prices: FloatArray, watch: Watch
) -> PricedPlan | None:
    lines = complete(left.market, row_prices, watch)
    if lines is None:
        return None
    prices, multipliers = prove_cost(market, left, shortage, lines.row_prices)
    return PricedPlan(_join_parts(market, left, lines), shortage, prices, multipliers)


def _join_parts(market: Market, left: Left, lines: Completion) -> Completion:
    """Turn lines of what was left to decide into lines of whole needs; the way after a block's last is to stay short."""
    if len(left.need) == market.first_need[-1] and not left.short_units.any():
        return lines
    short = np.flatnonzero(left.short_units)
    n_ways = np.repeat([len(block.use) for block in market.blocks], np.diff(market.first_need))
    pair = np.concatenate([left.need[lines.need] * WAYS + lines.way, short * WAYS + n_ways[short]])
    pairs, at = np.unique(pair, return_inverse=True)
    units = np.bincount(at, np.append(lines.units, left.short_units[short]))
    return replace(lines, need=pairs // WAYS, way=pairs % WAYS, units=units)


def _search_quickly(market: Market, watch: Watch, spread_over: Spread) -> FloatArray | None:
    """Cool a sample down, then all needs; None where capacity seems too little, or nearly so."""
    undecided = _undecided(market)
    spread = _spread(undecided.blocks)
    if spread == 0:
        return np.zeros(len(market.capacity))
    prices = _search_sample(undecided, spread, watch)
    if prices is None:
        return None
    temperatures = spread * np.array([SAMPLE_COOLING[-1], *QUICK_COOLING])
    with _held(undecided, watch, spread_over) as search:
        prices, fits = _cool(search, prices, temperatures, needs_to_open(market))
    return prices if fits else None


def _search_carefully(market: Market, watch: Watch, spread_over: Spread) -> FloatArray:
    """Cool what the least shortage leaves undecided, slowly: it is little, and no sample of it would fit."""
    undecided = _undecided(market)
    spread = _spread(undecided.blocks)
    prices = np.zeros(len(market.capacity))
    if spread == 0:
        return prices
    with _held(undecided, watch, spread_over) as search:
        return _cool(search, prices, spread * CAREFUL_COOLING, needs_to_open(market))[0]


@contextmanager
def _held(market: Market, watch: Watch, spread: Spread) -> Iterator[PriceSearch]:
    """Cut a market into shards and hand them out."""
    blocks = search_blocks(market, market.blocks)
    with spread(cut(blocks, [block.cost.size for block in blocks])) as held:
        yield PriceSearch(held, units_of(blocks), market, watch)


def _cool(
    search: PriceSearch, prices: FloatArray, temperatures: FloatArray, n_open: int
) -> tuple[FloatArray, bool]:
    """Lower the temperature until no more needs are soft than the completion takes."""
    market = search.market
    some = replace(market, blocks=_some(market.blocks, WIDTH_BLOCKS))
    n_open = max(1, n_open * len(some.blocks) // len(market.blocks))
    fits = True
    for temperature in temperatures.tolist():
        prices, fits = find_prices(search, prices, temperature, TOLERANCE)
        _, margin = cheapest_ways(some, prices)
        search.watch.note(needs_settled=_settled(market, margin, temperature))
        if not fits or temperature <= width_of(margin, n_open):
            break
    return prices, fits


def _search_sample(market: Market, spread: float, watch: Watch) -> FloatArray | None:
    some = _some(market.blocks, SAMPLE_BLOCKS)
    most_needs = max(len(block.units) for block in some)
    sample = search_blocks(market, some, max(1, most_needs // SAMPLE_NEEDS_PER_BLOCK))
    share = sum(float(b.units.sum()) for b in sample) / sum(float(b.units.sum()) for b in market.blocks)
    of_sample = replace(market, capacity=market.capacity * share)
    prices = np.zeros(len(market.capacity))
    search = PriceSearch(HeldHere([sample]), units_of(sample), of_sample, watch)
    for cooling in SAMPLE_COOLING:
        prices, fits = find_prices(search, prices, cooling * spread, TOLERANCE)
        if not fits:
            return None
    return prices


def _settled(market: Market, margin: FloatArray, temperature: float) -> int:
    """Estimate from some how many needs are further from a tie than the temperature is wide."""
    share = float((margin > temperature).mean()) if len(margin) else 1.0
    return int(share * int(market.first_need[-1]))


def _undecided(market: Market) -> Market:
    """Take out the needs that have one way left, and the capacity that they use."""
    capacity = market.capacity.copy()
    blocks = []
    for block in market.blocks:
        is_way = np.isfinite(block.cost)
        decided = is_way.sum(axis=0) < 2
        if not decided.any():
            blocks.append(block)
            continue
        made = (is_way[:, decided] * block.units[decided]).sum(axis=1)
        capacity[block.rows] -= made @ block.use
        if not decided.all():
            kept = block.cost[:, ~decided], block.units[~decided], block.stage[~decided]
            blocks.append(replace(block, cost=kept[0], units=kept[1], stage=kept[2]))
    return replace(market, blocks=blocks, capacity=capacity)


def _some(blocks: Sequence[Block], n_blocks: int) -> Sequence[Block]:
    return blocks[:: max(1, len(blocks) // n_blocks)]


def _spread(blocks: Sequence[Block]) -> float:
    """Take how much dearer the mean way is than the cheapest, in the mean."""
    above = costs = n_needs = 0.0
    for block in _some(blocks, WIDTH_BLOCKS):
        finite = np.isfinite(block.cost)
        reachable = finite.any(axis=0)
        cost = np.where(finite, block.cost, 0.0)[:, reachable].sum(axis=0) / finite[:, reachable].sum(axis=0)
        above += float((cost - block.cost[:, reachable].min(axis=0)).sum()) if reachable.any() else 0.0
        costs += float(cost.sum())
        n_needs += float(reachable.sum())
    return above / n_needs if above > EVEN_SHARE * costs else 0.0
