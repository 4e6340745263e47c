"""What do needs choose among near a tie, where all start in one bucket? Pairs of need and way, whatever their blocks.

Most needs are far from a tie: what they take is added up once. The ways that the others choose among are few, and are
looked at all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CELLS_A_BLOCK = 5_000
"""Ways × needs: as long as these take, a look at a block takes besides."""
CHOICES_A_CELL = 2
"""Ways × ways of a need: in a list they take half as long as one way × need takes in a table."""


@dataclass(frozen=True)
class NearPairs:
    """The ways that open needs choose among, need by need."""

    cost: FloatArray
    """(n_pairs,): by how much each is dearer than its need's cheapest, at prices that are taken off again."""
    way: IntArray
    """(n_pairs,)"""
    use: csr_array
    """(n_ways, n_resources)"""
    first: IntArray
    """(n_needs,): every need's first pair."""
    units: FloatArray
    """(n_needs,)"""
    margin: FloatArray
    """(n_needs,): by how much the second way of each is dearer."""
    number: IntArray
    """(n_resources,): of what is priced; −1: not priced."""
    settled_units: FloatArray
    """(n_ways,): of needs that are far from a tie."""

    def count_soft(self, width: float) -> int:
        """Count the needs whose second way is dearer by no more than a width."""
        return int((self.margin <= width).sum())

    def sum_units(self) -> float:
        """Add up the units of all needs."""
        return float(self.settled_units.sum() + self.units.sum())

    @cached_property
    def need(self) -> IntArray:
        """Number every pair's need: (n_pairs,)."""
        return np.repeat(np.arange(len(self.first)), np.diff(self.first, append=len(self.cost)))

    @cached_property
    def units_of_pair(self) -> FloatArray:
        """Tell what each pair's need is: (n_pairs,)."""
        return self.units[self.need]

    @cached_property
    def way_of_use(self) -> IntArray:
        """Tell whose each entry of `use` is: (n_used,)."""
        return np.repeat(np.arange(self.use.shape[0]), np.diff(self.use.indptr))

    @cached_property
    def choices(self) -> "_Choices":
        """List what gives way to what."""
        return _Choices.of(self.use[:, self.number >= 0], self.way, self.first)

    def look(self, by_start: FloatArray, temperature: float) -> tuple[FloatArray, FloatArray]:
        """Let needs choose softly at some prices: what they use, and how that changes with what is priced.

        Shapes: (n_resources, 1) → (n_resources, 1), (n_priced, n_priced)
        """
        n_ways, n_resources = self.use.shape
        made, curvature = self.settled_units, np.zeros((self.choices.n_rows,) * 2)
        if len(self.first):
            weights = self._weights(by_start, temperature)
            soft = weights * self.units_of_pair
            made = made + np.bincount(self.way, soft, n_ways)
            curvature = self.choices.look(weights, soft)
            curvature /= temperature
        slope = np.bincount(self.use.indices, self.use.data * made[self.way_of_use], n_resources)
        return slope[:, None], curvature

    def _weights(self, by_start: FloatArray, temperature: float) -> FloatArray:
        """Spread every need over its ways: (n_pairs,)."""
        priced = self.cost + (self.use @ by_start[:, 0])[self.way]
        weights = np.minimum.reduceat(priced, self.first)[self.need]
        weights -= priced
        weights /= temperature
        np.exp(weights, out=weights)
        weights /= np.add.reduceat(weights, self.first)[self.need]
        return weights


@dataclass(frozen=True)
class _Choices:
    """Which two pairs are of one need, and which rows two ways take of: added up by ways first, as these are fewer."""

    one: IntArray
    """(n_twos,): a pair."""
    other: IntArray
    """(n_twos,): another of its need."""
    ways: IntArray
    """(n_twos,): which two ways they are, numbered."""
    way: IntArray
    """(n_pairs,)"""
    of_ways: IntArray
    """(n_entries,): two ways that both use something, those that are one way twice after all others."""
    use: FloatArray
    """(n_entries,): what one unit of the one uses × what one of the other does."""
    rows: IntArray
    """(n_entries,): where the rows that they use stand in the flattened curvature."""
    n_two_ways: int
    n_ways: int
    n_rows: int

    @staticmethod
    def of(use: csr_array, way: IntArray, first: IntArray) -> "_Choices":
        n_of_need = np.diff(first, append=len(way))
        ones, others = [_NOTHING], [_NOTHING]
        for n in np.unique(n_of_need).tolist():
            begin = first[n_of_need == n][:, None]
            one, other = _twos(n)
            ones.append((begin + one).ravel())
            others.append((begin + other).ravel())
        one, other = np.concatenate(ones), np.concatenate(others)
        n_ways, n_rows = use.shape
        # A need's pairs are by way, and its ways of one block.
        after = way[other] - way[one]
        n_after = int(after.max(initial=0)) + 1
        at = way[one] * n_after + after
        two_ways = np.flatnonzero(np.bincount(at, minlength=n_ways * n_after))
        number = np.empty(n_ways * n_after, dtype=np.int64)
        number[two_ways] = np.arange(len(two_ways))
        one_way, to_other = np.divmod(np.append(two_ways, np.arange(n_ways) * n_after), n_after)
        other_way = one_way + to_other
        n_used = np.diff(use.indptr)
        n_entries = n_used[one_way] * n_used[other_way]
        of_ways = np.repeat(np.arange(len(n_entries)), n_entries)
        place = np.arange(len(of_ways)) - np.repeat(np.cumsum(n_entries) - n_entries, n_entries)
        by_one, by_other = np.divmod(place, n_used[other_way][of_ways])
        at_one, at_other = use.indptr[one_way][of_ways] + by_one, use.indptr[other_way][of_ways] + by_other
        return _Choices(
            one=one,
            other=other,
            ways=number[at],
            way=way,
            of_ways=of_ways,
            use=use.data[at_one] * use.data[at_other],
            rows=use.indices[at_one].astype(np.int64) * n_rows + use.indices[at_other],
            n_two_ways=len(two_ways),
            n_ways=n_ways,
            n_rows=n_rows,
        )

    def look(self, weights: FloatArray, soft: FloatArray) -> FloatArray:
        """Say how use of one row falls as the price of another rises, times the temperature: (n_rows, n_rows).

        `weights` (n_pairs,) spread every need over its ways, `soft` are they × units.
        """
        two_ways = np.bincount(self.ways, weights[self.one] * soft[self.other], self.n_two_ways)
        # Half of what leaves a way, as the sum of both orders follows.
        own = np.bincount(self.way, soft * (1.0 - weights), self.n_ways) / 2
        falls = np.concatenate([-two_ways, own])
        flat = np.bincount(self.rows, falls[self.of_ways] * self.use, self.n_rows**2)
        by_rows = flat.reshape(self.n_rows, self.n_rows)
        return by_rows + by_rows.T


def list_near(
    blocks: Sequence[Block], by_start: FloatArray, width: float, number: IntArray, moving: FloatArray
) -> NearPairs | None:
    """List the ways within a width of each need's cheapest; None where a table of all is looked at sooner.

    Where a way or the cheapest uses what may yet cost more or less, by `moving`, the width is so much wider.
    Shapes: (n_resources, 1), (n_resources,), (n_resources,)
    """
    if any(block.timing is not None for block in blocks):
        return None
    use = _use_of_ways(blocks, len(by_start))
    price = use @ by_start[:, 0]
    units = np.concatenate([np.empty(0), *(block.units for block in blocks)])
    way, need, above = _near(blocks, price, width, use @ moving)
    n_near = np.bincount(need, minlength=len(units))
    if float((n_near**2).sum()) > CHOICES_A_CELL * sum(block.cost.size + CELLS_A_BLOCK for block in blocks):
        return None
    is_open = n_near[need] > 1
    alone = ~is_open
    settled = np.bincount(way[alone], units[need[alone]], len(price))
    by_need = np.flatnonzero(is_open)[np.argsort(need[is_open], kind="stable")]
    opened = np.flatnonzero(n_near > 1)
    first = np.cumsum(n_near[opened]) - n_near[opened]
    return NearPairs(
        cost=above[by_need] - price[way[by_need]],
        way=way[by_need],
        use=use,
        first=first,
        units=units[opened],
        margin=_second(above[by_need], first),
        number=number,
        settled_units=settled,
    )


def _near(
    blocks: Sequence[Block], price: FloatArray, width: float, moving: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Find each need's ways within a width of its cheapest, and by how much they are dearer.

    Ways and needs are numbered block by block: (n_ways,), (n_ways,) → thrice (n_pairs,)
    """
    ways, needs, aboves = [_NOTHING], [_NOTHING], [np.empty(0)]
    first_way = first_need = 0
    for block in blocks:
        n_ways, n_needs = block.cost.shape
        above = block.cost + price[first_way : first_way + n_ways, None]
        above -= above.min(axis=0)
        of_block = moving[first_way : first_way + n_ways]
        if of_block.any():
            at = np.flatnonzero(above <= width + of_block[above.argmin(axis=0)] + of_block[:, None])
        else:
            at = np.flatnonzero(above <= width)
        way, need = np.divmod(at, n_needs)
        way += first_way
        need += first_need
        ways.append(way)
        needs.append(need)
        aboves.append(above.ravel()[at])
        first_way += n_ways
        first_need += n_needs
    return np.concatenate(ways), np.concatenate(needs), np.concatenate(aboves)


def _second(above: FloatArray, first: IntArray) -> FloatArray:
    """Tell by how much the second way of each need is dearer than its first: (n_pairs,), (n_needs,) → (n_needs,)."""
    if len(first) == 0:
        return np.empty(0)
    n_cheapest = np.add.reduceat((above == 0).astype(np.int64), first)
    next_dearer = np.minimum.reduceat(np.where(above > 0, above, np.inf), first)
    return np.where(n_cheapest > 1, 0.0, next_dearer)


def _use_of_ways(blocks: Sequence[Block], n_resources: int) -> csr_array:
    """Stack what every block's ways use: (n_ways, n_resources)."""
    used = [np.nonzero(block.use) for block in blocks]
    n_ways = np.array([len(block.use) for block in blocks])
    first_way = np.cumsum(n_ways) - n_ways
    way = [first + of_block for first, (of_block, _) in zip(first_way, used, strict=True)]
    resource = [block.rows[row] for block, (_, row) in zip(blocks, used, strict=True)]
    amount = [block.use[at] for block, at in zip(blocks, used, strict=True)]
    at = np.concatenate([_NOTHING, *way]), np.concatenate([_NOTHING, *resource])
    return csr_array((np.concatenate([np.empty(0), *amount]), at), shape=(int(n_ways.sum()), n_resources))


@cache
def _twos(n: int) -> tuple[IntArray, IntArray]:
    """Take every two of so many."""
    return np.triu_indices(n, 1)


_NOTHING = np.empty(0, dtype=np.int64)
