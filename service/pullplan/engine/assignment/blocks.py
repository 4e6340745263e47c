"""How are needs laid out for pricing? One table of ways × needs per product, nothing per option.

A *way* is a capability together with how many buckets its goods travel; when it starts is not in the table. What
starting early costs depends on way, due bucket and start bucket alone, so the best start is found once for all needs
of a block that are due in one bucket.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Ranks = Callable[[int, IntArray, IntArray], IntArray]
"""Of a block by its number, some of its ways and for each a need (by its place in the block): their ranks."""


TYPICAL_BLOCKS = 100


@dataclass(frozen=True)
class Timing:
    """When may the needs of a block be started, and what does that add to their cost?"""

    due: IntArray
    """(n_needs,): which of the block's due buckets each need has, ascending."""
    start_cost: FloatArray
    """(n_ways, n_dues, n_starts): of one unit that starts then; infinite where it may not."""
    early_buckets: FloatArray
    """(n_ways, n_dues, n_starts): how long one unit waits from arrival to due; 0 where it may not start."""
    late_buckets: FloatArray
    """(n_ways, n_dues, n_starts): how long one unit is overdue when it arrives; 0 where it may not start."""

    def weighed(self, early_weight: float) -> "Timing":
        """Let a bucket early cost so much."""
        return replace(self, start_cost=self.start_cost + early_weight * self.early_buckets)

    def with_short_way(self) -> "Timing":
        """Let staying short be the last way: it has one start, which costs nothing."""
        nothing = np.zeros((1, *self.start_cost.shape[1:]))
        once = np.where(np.arange(nothing.shape[2]) == 0, nothing, np.inf)
        return Timing(
            due=self.due,
            start_cost=np.concatenate([self.start_cost, once]),
            early_buckets=np.concatenate([self.early_buckets, nothing]),
            late_buckets=np.concatenate([self.late_buckets, nothing]),
        )


@dataclass(frozen=True)
class Block:
    """Needs that choose among the same ways to make; a way uses resources, whichever need it serves."""

    cost: FloatArray
    """(n_ways, n_needs): of one unit; infinite where this way can't serve this need."""
    units: FloatArray
    """(n_needs,)"""
    rows: IntArray
    """(n_rows_of_block,): resources that any way uses, ascending."""
    use: FloatArray
    """(n_ways, n_rows_of_block)"""
    stage: IntArray
    """(n_needs,): the tier and rank, numbered in their order, in which a unit short of this need counts."""
    shortfall_weight: float
    """What one unit short adds to its stage."""
    slice_units: FloatArray | None = None
    """(n_needs,): of every slice but the first, where needs are not simply cut into equal ones."""
    timing: Timing | None = None
    """None where there is one bucket."""

    def within(self, number: IntArray) -> "Block":
        """Keep the resources that have a number, by their numbers (−1: none)."""
        kept = number[self.rows] >= 0
        return replace(self, rows=number[self.rows][kept], use=self.use[:, kept])

    @property
    def n_dues(self) -> int:
        """Count the due buckets that are told apart."""
        return 1 if self.timing is None else self.timing.start_cost.shape[1]

    @property
    def due_cut(self) -> IntArray:
        """Say where the needs of each due bucket begin, and where the last ends: (n_dues + 1,)."""
        if self.timing is None:
            return np.array([0, len(self.units)])
        return np.searchsorted(self.timing.due, np.arange(self.n_dues + 1))

    @property
    def due(self) -> IntArray:
        """Tell every need's due bucket: (n_needs,)."""
        return np.zeros(len(self.units), dtype=np.int64) if self.timing is None else self.timing.due

    @property
    def least_late(self) -> FloatArray:
        """Count the buckets that each need is late where it may only come as soon as it can: (n_needs,)."""
        if self.timing is None:
            return np.zeros(len(self.units))
        of_due: FloatArray = self.timing.late_buckets.max(axis=(0, 2), initial=0.0)
        return of_due[self.timing.due]

    def sample(self, offset: int, every: int) -> "Block":
        """Take every so-manieth need of each due bucket, the first of them by its offset."""
        of_dues = pairwise(self.due_cut.tolist())
        taken = np.concatenate([_NO_NUMBERS, *(np.arange(*of_due)[offset::every] for of_due in of_dues)])
        return replace(
            self,
            cost=self.cost[:, taken],
            units=self.units[taken],
            stage=self.stage[taken],
            slice_units=None,
            timing=None if self.timing is None else replace(self.timing, due=self.timing.due[taken]),
        )

    def start_prices(self, by_start: FloatArray) -> FloatArray:
        """Add the price of capacity to the cost of every start: (n_ways, n_dues, n_starts).

        `by_start` are prices of what work takes that starts then: (n_resources, n_starts).
        """
        of_capacity: FloatArray = (self.use @ by_start[self.rows])[:, None, :]
        return of_capacity if self.timing is None else of_capacity + self.timing.start_cost

    def weighed(self, early_weight: float) -> "Block":
        """Let a bucket early cost so much."""
        if self.timing is None or early_weight == 0:
            return self
        return replace(self, timing=self.timing.weighed(early_weight))

    def priced(self, by_start: FloatArray) -> FloatArray:
        """Add the best start's price to the cost: (n_ways, n_needs)."""
        return self.with_start(self.start_prices(by_start).min(axis=2))

    def with_start(self, start_price: FloatArray) -> FloatArray:
        """Add what each way's start costs for each due bucket to the cost: (n_ways, n_dues) → (n_ways, n_needs)."""
        if self.timing is None:
            return self.cost + start_price
        priced: FloatArray = self.cost + start_price[:, self.timing.due]
        return priced


@dataclass(frozen=True)
class Market:
    """All needs and what they compete for: every need goes wholly to its ways, inside every row.

    A row is a resource in a start bucket. What a stored resource does not use stays for the next bucket, so that its
    prices never rise with time; `capacity` is what arrives.
    """

    blocks: Sequence[Block]
    capacity: FloatArray
    """(n_resources × n_starts,)"""
    is_full: BoolArray
    """(n_resources × n_starts,): used up exactly, a store all that came until then, so that its price may have either sign."""
    n_slices: int = 1
    """Into so many every need is cut, so that equal ranks share what is short."""
    n_starts: int = 1
    is_stored: BoolArray | None = None
    """(n_resources,); None where there is one bucket, in which all the same."""
    ranks: Ranks | None = None
    """Of equally good plans the one with the least Σ units × rank is taken; None: any will do."""
    has_later_ways: bool = False
    """Some need could be served later than by any of these ways and starts."""
    is_limit: BoolArray | None = None
    """(n_resources,): a limit of one product, of which few bind; None where there is none."""

    @cached_property
    def first_need(self) -> IntArray:
        """Number every block's first need, and what would follow the last; needs are numbered block by block."""
        return np.cumsum([0, *(len(block.units) for block in self.blocks)], dtype=np.int64)

    @cached_property
    def batches(self) -> "Batches":
        """List every way × due bucket, block by block."""
        return Batches.of(self)

    @cached_property
    def most_used(self) -> FloatArray:
        """Take what one unit takes of each resource by the way that takes most: (n_resources,)."""
        most = np.zeros(len(self.capacity) // self.n_starts)
        for block in self.blocks:
            most[block.rows] = np.maximum(most[block.rows], block.use.max(axis=0, initial=0.0))
        return most

    @cached_property
    def typical_cost(self) -> float:
        """Take the mean cost of some blocks' ways; 1 where all are free."""
        some = self.blocks[:: max(1, len(self.blocks) // TYPICAL_BLOCKS)]
        finite = [block.cost[np.isfinite(block.cost)] for block in some]
        n_costs = sum(len(costs) for costs in finite)
        return sum(float(np.abs(costs).sum()) for costs in finite) / max(1, n_costs) or 1.0

    def within(self, is_kept: BoolArray) -> "Market":
        """Keep some resources alone, and no limit as one that hardly binds: (n_resources,)."""
        if self.is_limit is None:
            return self
        number = np.where(is_kept, np.cumsum(is_kept) - 1, -1)
        kept_rows = np.repeat(is_kept, self.n_starts)
        return replace(
            self,
            blocks=[block.within(number) for block in self.blocks],
            capacity=self.capacity[kept_rows],
            is_full=self.is_full[kept_rows],
            is_stored=None if self.is_stored is None else self.is_stored[is_kept],
            is_limit=None,
        )

    def with_early_weight(self, early_weight: float) -> "Market":
        """Let a bucket early cost so much."""
        return replace(self, blocks=[block.weighed(early_weight) for block in self.blocks])

    def by_start(self, rows: FloatArray) -> FloatArray:
        """Lay rows out as (n_resources, n_starts)."""
        return rows.reshape(-1, self.n_starts)

    def up_to_start(self, rows: FloatArray) -> FloatArray:
        """Add up what a store gets until each start; of other resources rows stay as they are: (n_rows,) → the same."""
        if self.is_stored is None:
            return rows
        by_start = self.by_start(rows)
        return np.where(self.is_stored[:, None], np.cumsum(by_start, axis=1), by_start).ravel()

    def of_rows(self, start_prices: FloatArray) -> FloatArray:
        """Turn prices of starts into those of rows, of a store by how they fall: (n_resources, n_starts) → (n_rows,)."""
        if self.is_stored is None:
            return start_prices.ravel()
        falling = -np.diff(start_prices, axis=1, append=0.0)
        return np.where(self.is_stored[:, None], falling, start_prices).ravel()


@dataclass(frozen=True)
class Batches:
    """Every block's ways × due buckets: what has the same starts to choose from, whichever region it is for."""

    first: IntArray
    """(n_blocks + 1,): every block's first batch, and what would follow the last; way × n_dues + due within."""
    way: IntArray
    """(n_batches,): a row of `use`."""
    use: csr_array
    """(ways of all blocks, n_resources): what one unit takes."""
    start_cost: FloatArray
    """(n_batches, n_starts)"""
    early_buckets: FloatArray
    """(n_batches, n_starts)"""
    late_buckets: FloatArray
    """(n_batches, n_starts)"""

    @staticmethod
    def of(market: "Market") -> "Batches":
        blocks = market.blocks
        n_resources = len(market.capacity) // market.n_starts
        n_ways = np.array([len(block.use) for block in blocks], dtype=np.int64)
        n_dues = np.array([block.n_dues for block in blocks], dtype=np.int64)
        used = [np.nonzero(block.use) for block in blocks]
        first_way = np.cumsum([0, *n_ways])
        way = [first + of_block for first, (of_block, _) in zip(first_way, used, strict=False)]
        resource = [block.rows[row] for block, (_, row) in zip(blocks, used, strict=True)]
        amount = [block.use[at] for block, at in zip(blocks, used, strict=True)]
        at = np.concatenate([_NO_NUMBERS, *way]), np.concatenate([_NO_NUMBERS, *resource])

        def of_starts(name: str) -> FloatArray:
            nothing = (np.zeros((len(block.use), 1, market.n_starts)) for block in blocks)
            found = (
                none if block.timing is None else getattr(block.timing, name)
                for block, none in zip(blocks, nothing, strict=True)
            )
            return np.concatenate([of_block.reshape(-1, market.n_starts) for of_block in found])

        return Batches(
            first=np.cumsum([0, *(n_ways * n_dues)]),
            way=np.repeat(np.arange(first_way[-1]), np.repeat(n_dues, n_ways)),
            use=csr_array((np.concatenate([np.empty(0), *amount]), at), shape=(first_way[-1], n_resources)),
            start_cost=of_starts("start_cost"),
            early_buckets=of_starts("early_buckets"),
            late_buckets=of_starts("late_buckets"),
        )

    def prices(self, by_start: FloatArray, early_weight: float = 0.0) -> FloatArray:
        """Price every start of every batch, a bucket early weighing so much: (n_batches, n_starts)."""
        priced: FloatArray = (self.use @ by_start)[self.way] + self.start_cost
        return priced + early_weight * self.early_buckets if early_weight else priced


_NO_NUMBERS = np.empty(0, dtype=np.int64)
