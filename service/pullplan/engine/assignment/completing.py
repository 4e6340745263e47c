"""Which of the ways that nearly tie does each need take, so that capacity holds exactly and nothing is cheaper?

At good prices most needs have one way that is plainly the cheapest, and take it. The others are a small linear
programme over what those leave of capacity. Its prices are then held against every way of every need, in float64: what
is cheaper there joins the programme, until nothing is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.stages import column_values, lp_of, open_search, solve
from pullplan.engine.assignment.watching import SearchStoppedError, Watch

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
MISFIT_SHARE = 1e-9
"""Of the mean capacity."""
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
    misfit: float
    """What rows are over or under where a price has gone as far as it is trusted."""
    value: float


def needs_to_open(market: Market) -> int:
    """Say how many needs the first programme is to have."""
    n_needs = int(market.first_need[-1])
    return min(n_needs, max(FEWEST_OPEN_NEEDS, OPEN_NEEDS_PER_ROW * len(market.capacity)))


def complete(market: Market, row_prices: FloatArray, watch: Watch | None = None) -> Completion | None:
    """Turn good prices into an optimal plan; None where the prices leave too much open.

    Raises: SearchStoppedError with the prices, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    chosen, margin = cheapest_ways(market, row_prices)
    n_open = needs_to_open(market)
    good_prices = row_prices
    width = width_of(margin, n_open)
    pairs = _pairs_within(market, good_prices, width)
    for n_rounds in range(1, MOST_ROUNDS + 1):
        if watch.should_stop():
            raise SearchStoppedError(good_prices)
        n_open_needs = len(np.unique(pairs // WAYS))
        if n_open_needs > max(n_open, MOST_OPEN_SHARE * len(margin)):
            return None
        programme = _solve(market, chosen, pairs, good_prices, CEILING_WIDTHS * (width or 1.0))
        bound, cheaper = _hold_against_all(market, programme, chosen, pairs)
        watch.note(value=programme.value, bound=bound, needs_settled=len(margin) - n_open_needs)
        if programme.misfit > MISFIT_SHARE * float(market.capacity.mean()):
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
    """Give every closed need what it chose and solve the rest.

    What a row is over costs the good price and `trust` more, and what it is under is worth that much less than the good
    price: no price of the programme is further than `trust` from the good one, though few needs are open.
    """
    is_open = np.zeros(market.first_need[-1], dtype=bool)
    is_open[pairs // WAYS] = True
    closed_value, left = _take_chosen(market, chosen, ~is_open)
    cost, units, uses = _open_columns(market, pairs)
    _, row_of_pair = np.unique(pairs // WAYS, return_inverse=True)
    n_needs, n_rows, n_pairs = len(units), len(left), len(pairs)
    pair, row = np.arange(n_pairs), np.arange(n_rows)
    entries = [
        (np.ones(n_pairs), row_of_pair, pair),
        (uses.data, n_needs + uses.coords[1], uses.coords[0]),
        (-np.ones(n_rows), n_needs + row, n_pairs + row),
        (np.ones(n_rows), n_needs + row, n_pairs + n_rows + row),
    ]
    value, at_row, column = (np.concatenate(of) for of in zip(*entries, strict=True))
    matrix = csr_array((value, (at_row, column)), shape=(n_needs + n_rows, n_pairs + 2 * n_rows))
    scale = float(units.mean()) if n_needs else 1.0
    amounts = np.append(units, left) / scale
    search = open_search(lp_of(matrix, amounts, amounts), n_needs)
    floor = np.where(market.is_full, good_prices - trust, np.maximum(0.0, good_prices - trust))
    row_prices, _ = solve(search, np.concatenate([cost, good_prices + trust, -floor]))
    columns = column_values(search.highs) * scale
    over, under = columns[n_pairs : n_pairs + n_rows], columns[n_pairs + n_rows :]
    return _Programme(
        units=columns[:n_pairs],
        is_open=is_open,
        row_prices=np.where(market.is_full, row_prices, np.maximum(0.0, row_prices)),
        misfit=float(over.sum() + under[market.is_full | (floor > 0)].sum()),
        value=closed_value + float(cost @ columns[:n_pairs]),
    )


def _take_chosen(market: Market, chosen: IntArray, is_closed: BoolArray) -> tuple[float, FloatArray]:
    """Add up what the closed needs cost, and what they leave of capacity."""
    value, left = 0.0, market.capacity.copy()
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        needs = np.flatnonzero(is_closed[first : first + len(block.units)])
        way, units = chosen[first + needs], block.units[needs]
        value += float(block.cost[way, needs] @ units)
        left[block.rows] -= np.bincount(way, units, len(block.use)) @ block.use
    return value, left


def _open_columns(market: Market, pairs: IntArray) -> tuple[FloatArray, FloatArray, coo_array]:
    """Write pairs as columns: their costs, their needs' units, and (n_pairs, n_rows) what they use."""
    first_need = market.first_need
    cut = np.searchsorted(pairs, first_need * WAYS)
    costs, units, uses = ([np.empty(0)] for _ in range(3))
    rows, columns = ([np.empty(0, dtype=np.int64)] for _ in range(2))
    for b in np.flatnonzero(np.diff(cut)).tolist():
        block = market.blocks[b]
        need, way = pairs[cut[b] : cut[b + 1]] // WAYS - first_need[b], pairs[cut[b] : cut[b + 1]] % WAYS
        costs.append(block.cost[way, need])
        units.append(block.units[np.unique(need)])
        pair, row = np.nonzero(block.use[way])
        uses.append(block.use[way][pair, row])
        rows.append(block.rows[row])
        columns.append(cut[b] + pair)
    at = np.concatenate(columns), np.concatenate(rows)
    use = coo_array((np.concatenate(uses), at), shape=(len(pairs), len(market.capacity)))
    return np.concatenate(costs), np.concatenate(units), use


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
    need, way, units = pairs // WAYS, pairs % WAYS, programme.units
    keep = units > DUST_SHARE * need_units[need]
    need, way, units = need[keep], way[keep], units[keep]
    by_size = np.lexsort((-way, units, need))
    largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
    units[largest] += (need_units - np.bincount(need, units, len(need_units)))[need[largest]]
    # An open need that is smaller than the solver's tolerance may have no line: it takes its cheapest way.
    closed = np.setdiff1d(np.arange(len(need_units)), need)
    need = np.concatenate([need, closed])
    order = np.argsort(need, kind="stable")
    way, units = np.concatenate([way, chosen[closed]]), np.concatenate([units, need_units[closed]])
    return need[order], way[order], units[order]
