"""What is the linear programme over the ways and starts that nearly tie, all else being decided?

Columns: *pairs* (open need × way), *starts* (open batch × start bucket), what a row is over, what it is under, and what
a store carries into the next bucket. Rows: open needs, open batches (what starts is what its needs take), and
rows of capacity. Work of a closed batch starts in its one bucket; a closed need takes its one way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market, Ranks
from pullplan.engine.assignment.programme import power_of_two
from pullplan.engine.assignment.stages import Search, column_values, lp_of, open_search, solve

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TIED = 1e-12
"""Of the mean cost: what is dearer by less costs the same."""
WAYS = 4096
"""More than any block has: a pair's number is need × WAYS + way."""
TYPICAL_COST = 2.0**10
"""What the mean cost becomes in the programme: the solver's tolerance is absolute, and a bucket early weighs little."""


@dataclass(frozen=True)
class Choice:
    """What every need and every batch takes at some prices, and what is open."""

    way: IntArray
    """(n_needs,): the cheapest."""
    start: IntArray
    """(n_batches,): the cheapest."""
    pairs: IntArray
    """need × WAYS + way of every open need, ascending."""
    starts: IntArray
    """batch × n_starts + start of every open batch, ascending."""


@dataclass(frozen=True)
class Solved:
    """An optimum of the programme."""

    pair_units: FloatArray
    start_units: FloatArray
    by_start: FloatArray
    """(n_resources, n_starts): prices of capacity."""
    misfit: float
    """What rows are over or under where a price has gone as far as it is trusted."""
    reduced_costs: FloatArray
    """Of every column."""
    early_weight: float
    """What a bucket early weighed, in cost."""


class NearTies:
    """The programme in HiGHS, to be solved for one measure after the other."""

    def __init__(self, market: Market, choice: Choice, good_prices: FloatArray, trust: float) -> None:
        """Give every closed need what it chose and write the rest down.

        What a row is over costs the good price and `trust` more, and what it is under is worth that much less than the
        good price: no price of the programme is further than `trust` from the good one, though few needs are open.

        Shapes: is_open (n_needs,), closed_units (n_batches,), batch_of_pair and start_of_pair (n_pairs,)
        """
        self.market, self.choice = market, choice
        ceiling, floor = good_prices.ravel() + trust, good_prices.ravel() - trust
        self.is_exact = _exact_rows(market)
        self.floor = np.where(self.is_exact, floor, np.maximum(0.0, floor))
        self.spare_cost = np.concatenate([ceiling, -self.floor])
        batches = market.batches
        self.is_open = np.zeros(len(choice.way), dtype=bool)
        self.is_open[choice.pairs // WAYS] = True
        self.is_open_batch = np.zeros(len(choice.start), dtype=bool)
        self.is_open_batch[choice.starts // market.n_starts] = True
        self.closed_units, self.closed_cost = _take_chosen(market, choice.way, ~self.is_open)
        self.batch_of_pair, self.pair_cost, units = _read_pairs(market, choice.pairs)
        self.start_of_pair = np.where(
            self.is_open_batch[self.batch_of_pair], -1, choice.start[self.batch_of_pair]
        )
        closed = np.flatnonzero(~self.is_open_batch & (self.closed_units > 0))
        self.closed_starts = closed, choice.start[closed]
        self.closed_cost += float(batches.start_cost[self.closed_starts] @ self.closed_units[closed])
        self.closed_early = float(batches.early_buckets[self.closed_starts] @ self.closed_units[closed])
        column, row, use = uses(market, *self.closed_starts)
        left = market.capacity - np.bincount(
            row, use * self.closed_units[closed][column], len(market.capacity)
        )
        self.total_units = float(sum(block.units.sum() for block in market.blocks))
        self.unit_scale = power_of_two(float(units.mean())) if len(units) else 1.0
        self.cost_scale = power_of_two(TYPICAL_COST / market.typical_cost)
        self.search = self._write(units, left)

    @property
    def n_pairs(self) -> int:
        """Count the pairs."""
        return len(self.choice.pairs)

    @property
    def n_ways_and_starts(self) -> int:
        """Count the columns that stand for work."""
        return self.n_pairs + len(self.choice.starts)

    def _write(self, units: FloatArray, left: FloatArray) -> Search:
        market, choice = self.market, self.choice
        batch, start = np.divmod(choice.starts, market.n_starts)
        open_batch, row_of_batch = np.unique(batch, return_inverse=True)
        number_of_batch = np.full(len(choice.start), -1)
        number_of_batch[open_batch] = np.arange(len(open_batch))
        _, row_of_need = np.unique(choice.pairs // WAYS, return_inverse=True)
        carried = _carried_rows(market)
        first_batch, first_row = len(units), len(units) + len(open_batch)
        first_spare = self.n_ways_and_starts
        first_under, first_carry = first_spare + len(left), first_spare + 2 * len(left)
        n_columns = first_carry + len(carried)
        joined = np.flatnonzero(self.start_of_pair < 0)
        direct = np.flatnonzero(self.start_of_pair >= 0)
        pair, pair_row, pair_use = uses(market, self.batch_of_pair[direct], self.start_of_pair[direct])
        begun, begun_row, begun_use = uses(market, batch, start)
        entries = [
            (np.ones(self.n_pairs), row_of_need, np.arange(self.n_pairs)),
            (-np.ones(len(joined)), first_batch + number_of_batch[self.batch_of_pair[joined]], joined),
            (np.ones(len(batch)), first_batch + row_of_batch, self.n_pairs + np.arange(len(batch))),
            (pair_use, first_row + pair_row, direct[pair]),
            (begun_use, first_row + begun_row, self.n_pairs + begun),
            (-np.ones(len(left)), first_row + np.arange(len(left)), first_spare + np.arange(len(left))),
            (np.ones(len(left)), first_row + np.arange(len(left)), first_under + np.arange(len(left))),
            (np.ones(len(carried)), first_row + carried, first_carry + np.arange(len(carried))),
            (-np.ones(len(carried)), first_row + carried + 1, first_carry + np.arange(len(carried))),
        ]
        value, row, column = (np.concatenate(of) for of in zip(*entries, strict=True))
        matrix = csr_array((value, (row, column)), shape=(first_row + len(left), n_columns))
        amounts = np.concatenate([units, self.closed_units[open_batch], left]) / self.unit_scale
        return open_search(lp_of(matrix, amounts, amounts), first_row)

    def solve(self, early_weight: float) -> Solved:
        """Minimise cost, and every bucket early at its weight.

        Raises: AssignmentFailedError where HiGHS ends without an optimum.
        """
        market = self.market
        start_cost = market.batches.start_cost + early_weight * market.batches.early_buckets
        begun = start_cost[self.batch_of_pair, np.maximum(0, self.start_of_pair)]
        pair_cost = self.pair_cost + np.where(self.start_of_pair >= 0, begun, 0.0)
        costs = [pair_cost, start_cost.ravel()[self.choice.starts], self.spare_cost]
        row_prices, reduced = self._run(np.concatenate(costs) * self.cost_scale)
        row_prices = row_prices / self.cost_scale
        return self._read(
            market.by_start(np.where(self.is_exact, row_prices, np.maximum(0.0, row_prices))),
            reduced / self.cost_scale,
            early_weight,
        )

    def prefer_low_ranks(self, solved: Solved) -> Solved:
        """Of equally good plans, take the one with the least Σ units × rank; nothing can be solved afterwards.

        What costs nothing more than the optimum's prices stays open, and only that.
        """
        if self.market.ranks is None or self.n_pairs == 0:
            return solved
        closed = np.flatnonzero(solved.reduced_costs > TIED * self.market.typical_cost).astype(np.int32)
        empty = np.zeros(len(closed))
        self.search.highs.changeColsBounds(len(closed), closed, empty, empty)
        self._run(self._ranks(self.market.ranks))
        return self._read(solved.by_start, solved.reduced_costs, solved.early_weight)

    def _ranks(self, ranks: Ranks) -> FloatArray:
        """Rank every pair: (n_pairs,)."""
        found = np.zeros(self.n_pairs)
        for b, _, of_block, need, way in by_block(self.market, self.choice.pairs):
            found[of_block] = ranks(b, way, need)
        return found

    def _run(self, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
        all_costs = np.zeros(len(self.search.column_is_closed))
        all_costs[: len(costs)] = costs
        return solve(self.search, all_costs)

    def _read(self, by_start: FloatArray, reduced_costs: FloatArray, early_weight: float) -> Solved:
        columns = column_values(self.search.highs) * self.unit_scale
        first_spare, n_rows = self.n_ways_and_starts, len(self.floor)
        over, under = columns[first_spare : first_spare + 2 * n_rows].reshape(2, -1)
        return Solved(
            pair_units=columns[: self.n_pairs],
            start_units=columns[self.n_pairs : first_spare],
            by_start=by_start,
            misfit=float(over.sum() + under[self.is_exact | (self.floor > 0)].sum()),
            reduced_costs=reduced_costs,
            early_weight=early_weight,
        )

    def value(self, solved: Solved) -> tuple[float, float]:
        """Add up what everything costs, and how many unit-buckets early it is."""
        batches = self.market.batches
        direct = self.start_of_pair >= 0
        at = self.batch_of_pair[direct], self.start_of_pair[direct]
        cost = self.closed_cost + float(self.pair_cost @ solved.pair_units)
        cost += float(batches.start_cost[at] @ solved.pair_units[direct])
        cost += float(batches.start_cost.ravel()[self.choice.starts] @ solved.start_units)
        early = self.closed_early + float(batches.early_buckets[at] @ solved.pair_units[direct])
        early += float(batches.early_buckets.ravel()[self.choice.starts] @ solved.start_units)
        return cost, early


def by_block(market: Market, pairs: IntArray) -> Iterator[tuple[int, Block, slice, IntArray, IntArray]]:
    """Cut pairs by block: its number, itself, where its pairs stand, and their needs (within it) and ways."""
    cut = np.searchsorted(pairs, market.first_need * WAYS)
    for b in np.flatnonzero(np.diff(cut)).tolist():
        of_block = slice(cut[b], cut[b + 1])
        need, way = np.divmod(pairs[of_block], WAYS)
        yield b, market.blocks[b], of_block, need - market.first_need[b], way


def _read_pairs(market: Market, pairs: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Find every pair's batch and cost, and what every open need is: (n_pairs,), (n_pairs,), (n_open_needs,)."""
    batch, cost = np.empty(len(pairs), dtype=np.int64), np.empty(len(pairs))
    units = [np.empty(0)]
    for b, block, of_block, need, way in by_block(market, pairs):
        batch[of_block] = market.batches.first[b] + way * block.n_dues + block.due[need]
        cost[of_block] = block.cost[way, need]
        units.append(block.units[np.unique(need)])
    return batch, cost, np.concatenate(units)


def _take_chosen(market: Market, chosen: IntArray, is_closed: BoolArray) -> tuple[FloatArray, float]:
    """Add up what closed needs take of every batch, and what their ways cost."""
    units_of_batch, cost = [np.empty(0)], 0.0
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        needs = np.flatnonzero(is_closed[first : first + len(block.units)])
        way, units = chosen[first + needs], block.units[needs]
        cost += float(block.cost[way, needs] @ units)
        batch = way * block.n_dues + block.due[needs]
        units_of_batch.append(np.bincount(batch, units, len(block.use) * block.n_dues))
    return np.concatenate(units_of_batch), cost


def uses(market: Market, batch: IntArray, start: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """List what each batch takes when started so: its place, the row, and how much of it one unit takes."""
    entries = market.batches.use[market.batches.way[batch]].tocoo()
    place, resource = (axis.astype(np.int64) for axis in entries.coords)
    return place, resource * market.n_starts + start[place], entries.data


def _exact_rows(market: Market) -> BoolArray:
    """Tell of which rows nothing may be left over: of a store, of what comes before a start by which all is used."""
    if market.is_stored is None:
        return market.is_full
    full = market.is_full.reshape(-1, market.n_starts)
    until = np.logical_or.accumulate(full[:, ::-1], axis=1)[:, ::-1]
    return np.where(market.is_stored[:, None], until, full).ravel()


def _carried_rows(market: Market) -> IntArray:
    """List the rows whose rest a store carries into the next."""
    if market.is_stored is None:
        return np.empty(0, dtype=np.int64)
    resource = np.flatnonzero(market.is_stored)
    rows = (resource[:, None] * market.n_starts + np.arange(market.n_starts - 1)).ravel()
    can_carry: IntArray = rows[~market.is_full[rows]]
    return can_carry
