"""How are needs laid out for pricing? One table of ways × needs per product, nothing per option."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """Needs that choose among the same ways to make; a way uses capacity rows, whichever need it serves."""

    cost: FloatArray
    """(n_ways, n_needs): of one unit; infinite where this way can't serve this need."""
    units: FloatArray
    """(n_needs,)"""
    rows: IntArray
    """(n_rows_of_block,): capacity rows that any way uses, ascending."""
    use: FloatArray
    """(n_ways, n_rows_of_block)"""
    stage: IntArray
    """(n_needs,): the tier and rank, numbered in their order, in which a unit short of this need counts."""
    shortfall_weight: float
    """What one unit short adds to its stage."""
    slice_units: FloatArray | None = None
    """(n_needs,): of every slice but the first, where needs are not simply cut into equal ones."""

    def priced(self, row_prices: FloatArray) -> FloatArray:
        """Add the price of capacity to the cost: (n_ways, n_needs)."""
        priced: FloatArray = self.cost + (self.use @ row_prices[self.rows])[:, None]
        return priced


@dataclass(frozen=True)
class Market:
    """All needs and what they compete for: every need goes wholly to its ways, inside every row."""

    blocks: Sequence[Block]
    capacity: FloatArray
    """(n_rows,)"""
    is_full: BoolArray
    """(n_rows,): used up exactly, so that its price may have either sign."""
    n_slices: int = 1
    """Into so many every need is cut, so that equal ranks share what is short."""

    @property
    def first_need(self) -> IntArray:
        """Number every block's first need, and what would follow the last; needs are numbered block by block."""
        return np.cumsum([0, *(len(block.units) for block in self.blocks)], dtype=np.int64)
