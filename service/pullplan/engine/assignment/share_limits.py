"""Which share limits does pricing have to know? Few of them bind: only those that a plan without them would break."""

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.completing import Completion

BoolArray = npt.NDArray[np.bool_]

OVER_SHARE = 1e-9
"""Of a limit: what is over by less is rounding."""
MOST_ROWS = 4_000
"""Newton's steps look at every pair of rows."""
MOST_LIMITS = 600
"""Prices of more take longer to find than HiGHS takes for the whole programme."""


def too_many(market: Market, is_priced: BoolArray) -> bool:
    """Tell whether prices of so many are better not looked for: (n_resources,)."""
    n_limits = 0 if market.is_limit is None else int((market.is_limit & is_priced).sum())
    return n_limits > MOST_LIMITS or int(is_priced.sum()) * market.n_starts > MOST_ROWS


def never_broken(market: Market) -> BoolArray:
    """Name what has a price from the start: all but limits, (n_resources,)."""
    if market.is_limit is None:
        return np.ones(len(market.capacity) // market.n_starts, dtype=bool)
    return ~market.is_limit


def broken_limits(market: Market, lines: Completion, is_priced: BoolArray) -> BoolArray:
    """Name the limits that lines break, which kept to the others: (n_resources,).

    A plan that is best without some limits and keeps to them is best with them: their prices are 0.
    """
    if market.is_limit is None:
        return ~is_priced
    n_ways = np.array([len(block.use) for block in market.blocks])
    block = np.searchsorted(market.first_need, lines.need, side="right") - 1
    # To stay short is the way after the last.
    made = lines.way < n_ways[block]
    way = (np.cumsum(n_ways) - n_ways)[block[made]] + lines.way[made]
    used = market.batches.use.T @ np.bincount(way, lines.units[made], int(n_ways.sum()))
    limit = market.by_start(market.capacity).sum(axis=1)
    broken: BoolArray = ~is_priced & (used > limit * (1 + OVER_SHARE))
    return broken
