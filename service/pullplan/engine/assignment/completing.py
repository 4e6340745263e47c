"""Which of the ways that nearly tie does each need take, so that capacity holds exactly and nothing is cheaper?

At good prices most needs have one way that is plainly the cheapest, and take it. The others are a small linear
programme over what those leave of capacity. Its prices are then held against every way of every need, in float64: what
is cheaper there joins the programme, until nothing is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.shortage import lp_of
from pullplan.engine.assignment.stages import open_search, solve

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_ROUNDS = 12
OPEN_NEEDS_PER_ROW = 30
FEWEST_OPEN_NEEDS = 500
MOST_OPEN_SHARE = 0.5
"""Where more than this share of the needs ties, the programme is hardly smaller than the whole one."""
CLOSED_GAP = 1e-10
"""Of the value: what is left is the programme's own rounding."""
OVERLOAD_SHARE = 1e-9
CEILING_WIDTHS = 10.0
DUST_SHARE = 1e-9
WAYS = 4096
"""More than any block has: a pair's number is need × WAYS + way."""


@dataclass(frozen=True)
class Completion:
    """One line per way that a need takes, by need, and the prices that prove it."""

    need: IntArray
    way: IntArray
    units: FloatArray
    row_prices: FloatArray
    value: float
    bound: float
    n_rounds: int
    n_open_needs: int


@dataclass(frozen=True)
class _Programme:
    """The solved programme of the open needs; `units` by pair."""

    units: FloatArray
    is_open: BoolArray
    """(n_needs,)"""
    row_prices: FloatArray
    overload: float
    value: float


def needs_to_open(market: Market) -> int:
    """Say how many needs the first programme is to have."""
    n_needs = int(market.first_need[-1])
    return min(n_needs, max(FEWEST_OPEN_NEEDS, OPEN_NEEDS_PER_ROW * len(market.capacity)))


def complete(market: Market, row_prices: FloatArray) -> Completion | None:
    """Turn good prices into an optimal plan; None where the prices leave too much open."""
    chosen, margin = cheapest_ways(market, row_prices)
    n_open = needs_to_open(market)
    good_prices = row_prices
    width = width_of(margin, n_open)
    pairs = _pairs_within(market, good_prices, width)
    for n_rounds in range(1, MOST_ROUNDS + 1):
        n_open_needs = len(np.unique(pairs // WAYS))
        if n_open_needs > max(n_open, MOST_OPEN_SHARE * len(margin)):
            return None
        programme = _solve(market, chosen, pairs, good_prices, CEILING_WIDTHS * (width or 1.0))
        bound, cheaper = _hold_against_all(market, programme, chosen, pairs)
        if programme.overload > OVERLOAD_SHARE * float(market.capacity.sum()):
            width *= 2
            cheaper = _pairs_within(market, good_prices, width)
        elif programme.value - bound <= CLOSED_GAP * abs(programme.value) or not len(cheaper):
            need, way, units = _lines(market, programme, chosen, pairs)
            return Completion(
                need, way, units, programme.row_prices, programme.value, bound, n_rounds, n_open_needs
            )
        pairs = np.union1d(pairs, cheaper)
    return None


def cheapest_ways(market: Market, row_prices: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find every need's cheapest way and by how much the next one is dearer."""
    chosen, margin = [], []
    for block in market.blocks:
        priced = block.priced(row_prices)
        way, need = priced.argmin(axis=0), np.arange(priced.shape[1])
        least = priced[way, need]
        priced[way, need] = np.inf
        chosen.append(way)
        margin.append(priced.min(axis=0) - least)
    return np.concatenate(chosen), np.concatenate(margin)


def width_of(margin: FloatArray, n_open: int) -> float:
    """Take the width at which so many needs tie; where fewer have a second way, the widest of theirs."""
    finite = margin[np.isfinite(margin)]
    if len(finite) == 0:
        return 0.0
    last = min(n_open, len(finite)) - 1
    return float(np.partition(finite, last)[last])


def _pairs_within(market: Market, row_prices: FloatArray, width: float) -> IntArray:
    found = [np.empty(0, dtype=np.int64)]
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        priced = block.priced(row_prices)
        near = priced <= priced.min(axis=0) + width
        near[:, near.sum(axis=0) < 2] = False
        way, need = np.nonzero(near)
        found.append((first + need) * WAYS + way)
    return np.sort(np.concatenate(found))


def _solve(
    market: Market, chosen: IntArray, pairs: IntArray, good_prices: FloatArray, trust: float
) -> _Programme:
    """Give every closed need what it chose and solve the rest; what a row is over or under may cost a price within `trust`."""
    first_need, n_rows, n_pairs = market.first_need, len(market.capacity), len(pairs)
    open_need, open_position = np.unique(pairs // WAYS, return_inverse=True)
    is_open = np.zeros(first_need[-1], dtype=bool)
    is_open[open_need] = True
    cut = np.searchsorted(pairs, first_need * WAYS)
    left, value = market.capacity.copy(), 0.0
    cost, open_units = np.empty(n_pairs), np.zeros(len(open_need))
    row, column, use = [n_rows_offset := np.empty(0, dtype=np.int64)], [n_rows_offset], [np.empty(0)]
    for b, block in enumerate(market.blocks):
        needs = slice(int(first_need[b]), int(first_need[b + 1]))
        fixed_units = np.where(is_open[needs], 0.0, block.units)
        way_of_fixed = chosen[needs]
        taken = np.where(fixed_units > 0, block.cost[way_of_fixed, np.arange(len(fixed_units))], 0.0)
        value += float(taken @ fixed_units)
        left[block.rows] -= np.bincount(way_of_fixed, fixed_units, len(block.use)) @ block.use
        of_block = slice(int(cut[b]), int(cut[b + 1]))
        need, way = pairs[of_block] // WAYS - needs.start, pairs[of_block] % WAYS
        cost[of_block] = block.cost[way, need]
        open_units[open_position[of_block]] = block.units[need]
        pair, resource = np.nonzero(block.use[way])
        row.append(len(open_need) + block.rows[resource])
        column.append(of_block.start + pair)
        use.append(block.use[way][pair, resource])
    scale = float(open_units.mean()) if len(open_units) else 1.0
    spare, full = np.arange(n_rows), np.flatnonzero(market.is_full)
    matrix = csr_array(
        (
            np.concatenate([np.ones(n_pairs), *use, -np.ones(n_rows), np.ones(len(full))]),
            (
                np.concatenate([open_position, *row, len(open_need) + spare, len(open_need) + full]),
                np.concatenate(
                    [np.arange(n_pairs), *column, n_pairs + spare, n_pairs + n_rows + np.arange(len(full))]
                ),
            ),
        ),
        shape=(len(open_need) + n_rows, n_pairs + n_rows + len(full)),
    )
    upper = np.concatenate([open_units, left]) / scale
    lower = np.concatenate([open_units, np.where(market.is_full, left, -np.inf)]) / scale
    search = open_search(lp_of(matrix, lower, upper), len(open_need))
    row_prices, _ = solve(search, np.concatenate([cost, good_prices + trust, trust - good_prices[full]]))
    assert search.columns is not None
    units = search.columns * scale
    return _Programme(
        units=units[:n_pairs],
        is_open=is_open,
        row_prices=np.where(market.is_full, row_prices, np.maximum(0.0, row_prices)),
        overload=float(units[n_pairs:].sum()),
        value=value + float(cost @ units[:n_pairs]),
    )


def _hold_against_all(
    market: Market, programme: _Programme, chosen: IntArray, pairs: IntArray
) -> tuple[float, IntArray]:
    """Bound the value by the prices over every way, and list the pairs that the programme lacks."""
    first_need = market.first_need
    cut = np.searchsorted(pairs, first_need * WAYS)
    bound = -float(programme.row_prices @ market.capacity)
    lacking = [np.empty(0, dtype=np.int64)]
    for b, block in enumerate(market.blocks):
        first = int(first_need[b])
        priced = block.priced(programme.row_prices)
        best, at = priced.argmin(axis=0), np.arange(len(block.units))
        least = priced[best, at]
        bound += float(least @ block.units)
        is_open = programme.is_open[first : first + len(at)]
        way_of_fixed = chosen[first : first + len(at)]
        have = np.where(is_open, np.inf, priced[way_of_fixed, at])
        of_block = pairs[cut[b] : cut[b + 1]]
        need, way = of_block // WAYS - first, of_block % WAYS
        np.minimum.at(have, need, priced[way, need])
        dearer = np.flatnonzero(have > least)
        opened = dearer[~is_open[dearer]]
        lacking += [(first + dearer) * WAYS + best[dearer], (first + opened) * WAYS + way_of_fixed[opened]]
    return bound, np.setdiff1d(np.concatenate(lacking), pairs)


def _lines(
    market: Market, programme: _Programme, chosen: IntArray, pairs: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """List who takes what: dust goes to the need's largest line, so that every need adds up."""
    need_units = np.concatenate([block.units for block in market.blocks])
    fixed = np.flatnonzero(~programme.is_open & (need_units > 0))
    need, way, units = pairs // WAYS, pairs % WAYS, programme.units
    keep = units > DUST_SHARE * need_units[need]
    need = np.concatenate([need[keep], fixed])
    way = np.concatenate([way[keep], chosen[fixed]])
    units = np.concatenate([units[keep], need_units[fixed]])
    by_size = np.lexsort((-way, units, need))
    largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
    units[largest] += (need_units - np.bincount(need, units, len(need_units)))[need[largest]]
    order = np.lexsort((way, need))
    return need[order], way[order], units[order]
