"""What is the first unit of capacity worth where there is none: on a day off, at a resource that a node lacks?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.near_ties import Solved, uses

FloatArray = npt.NDArray[np.float64]


def price_absent(market: Market, solved: Solved, need_price: FloatArray) -> FloatArray:
    """Price rows without capacity just so high that no need would rather have what they lack.

    Any higher price would prove the same, and the search leaves some far higher; but only this one says what a first
    unit would save, and multipliers of earlier stages grow with it. A store that is empty in a bucket is left as it is:
    what is on hand elsewhere in time is priced with it.

    Shapes: `need_price` (n_needs,), what each need pays at these prices; returns (n_resources, n_starts)
    """
    by_start = solved.by_start
    is_absent = market.capacity.reshape(by_start.shape) == 0
    is_stored = np.zeros(len(by_start), dtype=bool) if market.is_stored is None else market.is_stored
    is_absent[is_stored] = is_absent[is_stored].all(axis=1, keepdims=True)
    if not is_absent.any():
        return by_start
    prices = np.where(is_absent, 0.0, by_start)
    start_prices = market.batches.prices(prices, solved.early_weight)
    over = _worth_of_batches(market, need_price)[:, None] - start_prices
    batch, start = np.nonzero(over > 0)
    place, row, use = uses(market, batch, start)
    lacks = np.flatnonzero(is_absent.ravel()[row])
    # Of several that are lacking at once, the first is enough.
    _, first = np.unique(place[lacks], return_index=True)
    entry = lacks[first]
    of_rows = prices.ravel()
    np.maximum.at(of_rows, row[entry], over[batch, start][place[entry]] / use[entry])
    priced = of_rows.reshape(by_start.shape)
    never = is_stored & is_absent[:, 0]
    priced[never] = np.maximum.accumulate(priced[never, ::-1], axis=1)[:, ::-1]
    return priced


def _worth_of_batches(market: Market, need_price: FloatArray) -> FloatArray:
    """Tell below which price of its start a batch would be cheaper to some need than what that has: (n_batches,)."""
    worth = []
    for block, first in zip(market.blocks, market.first_need.tolist(), strict=False):
        saved = need_price[first : first + len(block.units)] - block.cost
        of_block = [saved[:, block.due == due].max(axis=1, initial=-np.inf) for due in range(block.n_dues)]
        worth.append(np.stack(of_block, axis=1).ravel())
    return np.concatenate(worth)
