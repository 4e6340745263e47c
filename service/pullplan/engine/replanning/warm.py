"""What is the plan now that one need of a million has changed? From what is kept of it, without a look at the others.

Kept are the prices, what the needs that are plainly decided cost and use in sum, and how far each of them is from
choosing another way, in order. The needs that nearly tie are in no sum: they are a small programme, to which a need that
changes is added. When prices then move, a decided need could only choose another way if it is no further from that than
prices moved on its ways: those alone are looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.completing import Completion
from pullplan.engine.assignment.stages import column_values, lp_of, open_search, solve

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NEAR_NEEDS = 300
"""So many needs that are nearest to another way are always in the programme."""
CHEAPER_BY = 1e-12
"""Of a need's price: what is cheaper by less is as dear."""


@dataclass(frozen=True)
class WarmPlan:
    """The needs that were looked at, with their lines by need, and the proof of the whole plan."""

    need: IntArray
    way: IntArray
    units: FloatArray
    row_prices: FloatArray
    value: float
    bound: float
    n_needs_read: int
    n_rounds: int


class WarmMarket:
    """A planned market, ready for changes of single needs; its blocks' units are changed in place."""

    def __init__(self, market: Market, plan: Completion) -> None:
        """Sum the decided needs up: the one look at all of them.

        Every need must be served and no row full by decree: capacity is ample.
        """
        self._market = market
        self._first = market.first_need
        self._prices = np.maximum(0.0, plan.cost.solved.by_start[:, 0])
        n_needs = int(self._first[-1])
        self._way = np.zeros(n_needs, dtype=np.int32)
        self._margin = np.full(n_needs, np.inf)
        lines = np.bincount(plan.need, minlength=n_needs)
        for block, first in zip(market.blocks, self._first.tolist(), strict=False):
            priced = block.priced(self._prices[:, None])
            way, need = priced.argmin(axis=0), np.arange(priced.shape[1])
            least = priced[way, need]
            priced[way, need] = np.inf
            self._way[first + need] = way
            self._margin[first + need] = priced.min(axis=0) - least
        self._margin[lines > 1] = 0.0
        self._order = np.argsort(self._margin, kind="stable")
        self._sorted_margin = self._margin[self._order]
        self._open = set(self._order[: min(NEAR_NEEDS, n_needs)].tolist())
        self._open |= set(np.flatnonzero(lines > 1).tolist())
        self._left = market.capacity.copy()
        self._cost = self._least = 0.0
        is_decided = np.ones(n_needs, dtype=bool)
        is_decided[list(self._open)] = False
        for block, first in zip(market.blocks, self._first.tolist(), strict=False):
            decided = np.flatnonzero(is_decided[first : first + len(block.units)])
            way, units = self._way[first + decided], block.units[decided]
            used = np.bincount(way, units, len(block.use)) @ block.use
            cost = float(block.cost[way, decided] @ units)
            self._left[block.rows] -= used
            self._cost += cost
            self._least += cost + float(used @ self._prices[block.rows])

    def change(self, need: int, units: float) -> WarmPlan:
        """Give a need other units, and serve all as cheaply as can be.

        Raises: AssignmentFailedError where capacity is no longer enough, or HiGHS ends without an optimum.
        """
        self._decide_anew([need])
        b = int(np.searchsorted(self._first, need, side="right")) - 1
        self._market.blocks[b].units[need - self._first[b]] = units
        n_read, n_rounds = 0, 0
        while True:
            n_rounds += 1
            plan = self._solve()
            again = self._undecided(plan.row_prices)
            n_read += len(again)
            dearer = [other for other in again if self._has_cheaper(other, plan.row_prices)]
            if not dearer:
                return WarmPlan(
                    **{**vars(plan), "n_needs_read": n_read + len(self._open), "n_rounds": n_rounds}
                )
            self._decide_anew(dearer)

    # --- sums of the decided ---------------------------------------------------------------------------------------

    def _place(self, need: int) -> tuple[int, int]:
        b = int(np.searchsorted(self._first, need, side="right")) - 1
        return b, need - int(self._first[b])

    def _count(self, need: int, sign: float) -> None:
        """Add a decided need to the sums, or take it out."""
        b, at = self._place(need)
        block, way = self._market.blocks[b], int(self._way[need])
        units = sign * float(block.units[at])
        cost = float(block.cost[way, at])
        self._left[block.rows] -= units * block.use[way]
        self._cost += units * cost
        self._least += units * (cost + float(block.use[way] @ self._prices[block.rows]))

    def _decide_anew(self, needs: Iterable[int]) -> None:
        for need in needs:
            if need not in self._open:
                self._count(need, -1.0)
                self._open.add(need)

    # --- the programme of the others -------------------------------------------------------------------------------

    def _solve(self) -> WarmPlan:
        needs = sorted(self._open)
        cost, rows, columns, values, owner, ways = [], [], [], [], [], []
        n_needs, n_columns = len(needs), 0
        units = np.zeros(n_needs)
        for i, need in enumerate(needs):
            b, at = self._place(need)
            block = self._market.blocks[b]
            way = np.flatnonzero(np.isfinite(block.cost[:, at]))
            units[i] = block.units[at]
            of_way, row = np.nonzero(block.use[way])
            cost.append(block.cost[way, at])
            rows += [np.full(len(way), i), n_needs + block.rows[row]]
            columns += [n_columns + np.arange(len(way)), n_columns + of_way]
            values += [np.ones(len(way)), block.use[way][of_way, row]]
            owner.append(np.full(len(way), need))
            ways.append(way)
            n_columns += len(way)
        costs = np.concatenate(cost)
        scale = float(units.mean()) or 1.0
        matrix = csr_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(n_needs + len(self._left), n_columns),
        )
        lower = np.append(units, np.full(len(self._left), -np.inf)) / scale
        search = open_search(lp_of(matrix, lower, np.append(units, self._left) / scale), n_needs)
        raw_prices, _ = solve(search, costs)
        prices = np.maximum(0.0, raw_prices)
        made = column_values(search.highs) * scale
        priced = costs + np.concatenate(
            [self._use(need, way) @ prices for need, way in zip(needs, ways, strict=True)]
        )
        first = np.cumsum([0, *(len(way) for way in ways)])[:-1]
        least = np.minimum.reduceat(priced, first)
        # What decided needs pay moves with the prices of what they use, as long as none of them chooses otherwise.
        used = self._market.capacity - self._left
        bound = float(
            units @ least + self._least + (prices - self._prices) @ used - prices @ self._market.capacity
        )
        keep = made > 0
        return WarmPlan(
            need=np.concatenate(owner)[keep],
            way=np.concatenate(ways)[keep],
            units=made[keep],
            row_prices=prices,
            value=self._cost + float(costs @ made),
            bound=bound,
            n_needs_read=0,
            n_rounds=0,
        )

    def _use(self, need: int, way: IntArray) -> FloatArray:
        block = self._market.blocks[self._place(need)[0]]
        use = np.zeros((len(way), len(self._left)))
        use[:, block.rows] = block.use[way]
        return use

    # --- who could choose otherwise ---------------------------------------------------------------------------------

    def _undecided(self, prices: FloatArray) -> list[int]:
        """List the decided needs that are no further from another way than prices moved on their ways."""
        moved = prices - self._prices
        spread = np.array([np.ptp(block.use @ moved[block.rows]) for block in self._market.blocks])
        end = int(np.searchsorted(self._sorted_margin, spread.max(initial=0.0), side="right"))
        near = self._order[:end]
        of_block = np.searchsorted(self._first, near, side="right") - 1
        near = near[self._margin[near] <= spread[of_block]]
        return [need for need in near.tolist() if need not in self._open]

    def _has_cheaper(self, need: int, prices: FloatArray) -> bool:
        b, at = self._place(need)
        block = self._market.blocks[b]
        priced = block.cost[:, at] + block.use @ prices[block.rows]
        own = float(priced[self._way[need]])
        return bool(priced.min() < own - CHEAPER_BY * abs(own))
