"""Of how many units should the orders of one product be, given room on every capacity and what it is worth?

First orders of any size: every need at its cheapest order, then what has no room there moves on. Then orders that are
too small are closed, raised or moved, one by one, whichever is cheapest. Last, all are rounded up, and multiples are
taken away again as long as others have the units left over.
"""

from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.shipping import WHOLE, Shipping
from pullplan.engine.lots.ways import Table

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Move = Callable[[], bool]
"""Changes orders, and tells whether that was possible."""

MOVES_AN_ORDER = 4
"""After so many an order, on average, orders below their target are closed."""
WORK_CELLS = 1_000_000
"""Of a product's table, looked at in all while trying to close and open orders: what bounds the time."""


def size_orders(
    problem: Problem, table: Table, free: FloatArray, prices: FloatArray, closed: BoolArray | None = None
) -> Sized:
    """Choose the sizes of all orders of a product, whatever its needs can't get being short.

    Shapes: `free` and `prices` (n_resources, n_buckets), a price being what a unit of room is worth to others;
    `closed` (n_orders of the table,) must not be made
    """
    return _Sizing(problem, table, free, prices, closed).run()


def fill_orders(problem: Problem, table: Table, free: FloatArray, size: FloatArray) -> Sized:
    """Serve a product's needs from orders of given sizes, smaller where there is no room, or where what is left over spares a lot.

    Shapes: `free` (n_resources, n_buckets), `size` (n_orders of the table,)
    """
    sizing = _Sizing(problem, table, free, np.zeros_like(free), size <= 0)
    return sizing.fill(size)


class _Sizing(Shipping):
    def run(self) -> Sized:
        """Begin with any sizes, end with whole lots."""
        self._make_room()
        self._legalise()
        self._improve()
        size = self._round()
        return self._sized(size)

    def fill(self, size: FloatArray) -> Sized:
        """Let orders make no more than given sizes, and no less than they must."""
        self._most = np.append(self._sizes.down(np.minimum(size, self._most[:-1])), np.inf)
        self._is_open = self._most > 0
        self._make_room()
        for order in np.flatnonzero(self._is_open & (self._made < self._least * WHOLE)).tolist():
            self._take_over(order, float(self._least[order] - self._made[order]))
            if self._made[order] < self._least[order] * WHOLE:
                self._close(order)
        return self._sized(self._trim(np.where(self._is_open, self._most, 0.0)))

    # --- which orders are made --------------------------------------------------------------------------------

    def _legalise(self) -> None:
        """Close, raise or move the orders that are below their targets, the emptiest first; in the end, only close."""
        start = np.append(self._problem.orders.start[self._table.order], 0)
        for step in count():
            self._is_open &= self._is_made
            below = self._is_open & (self._target > 0) & (self._made < self._target * WHOLE) & ~self._is_held
            at = np.flatnonzero(below)
            if len(at) == 0:
                return
            filled = self._made[at] / self._target[at]
            order = int(at[np.lexsort((-start[at], np.round(filled, 6)))[0]])
            moves: list[Move] = [partial(self._close, order)]
            if step < MOVES_AN_ORDER * len(self._most):
                moves += [partial(self._raise, order), *self._replacements(order)]
            self._take_best(moves)

    def _take_best(self, moves: list[Move], *, saving: float = -np.inf) -> bool:
        """Make the move after which all costs least, if one is possible that saves so much."""
        best, least = None, self._cost() - saving
        for move in moves:
            cost = self._tried(move)
            if cost < least:
                best, least = move, cost
        return best is not None and best()

    def _tried(self, move: Move) -> float:
        """Tell what all would cost after a move; ∞ where it is not possible."""
        then, is_open, is_held = self._flow.now, self._is_open.copy(), self._is_held.copy()
        cost = self._cost() if move() else np.inf
        self._flow.go_back(then)
        self._is_open, self._is_held = is_open, is_held
        self._work += self._flow.cost.size
        return cost

    def _close(self, order: int) -> bool:
        """Let other orders make what one makes; the last resort is to be short."""
        self._flow.push(order, float(self._made[order]), self._receivers)
        self._is_open[order] = self._is_held[order] = False
        return True

    def _raise(self, order: int) -> bool:
        """Let an order make what others make, as far as it must, and more where that is cheaper."""
        self._is_open[order] = True
        self._take_over(order, float(self._least[order] - self._made[order]))
        if self._made[order] < self._least[order] * WHOLE:
            return False
        # Less of its own surplus is worth as much.
        saved = float(self._surplus[order])
        self._take_over(order, float(self._target[order] - self._made[order]), worth=saved)
        self._is_held[order] = self._made[order] < self._target[order] * WHOLE
        if not self._is_held[order]:
            self._take_over(order, np.inf, worth=0.0)
        return True

    def _take_over(self, order: int, units: float, worth: float | None = None) -> None:
        """Let an order make what others have made, where a unit more is worth something as far as that pays."""
        units = min(units, float(self._receivers(-1)[0][order]))
        if worth is None:
            self._flow.pull(order, units, self._givers)
            return

        def ends(taker: int) -> tuple[FloatArray, FloatArray]:
            spare, cost = self._givers(taker)
            return spare, cost - worth

        self._flow.pull(order, units, ends, gain=True)

    def _replace(self, order: int, to: int) -> bool:
        """Make an order elsewhere."""
        if self._is_open[to]:
            return False
        self._is_open[to] = True
        return self._close(order) and self._raise(to)

    def _replacements(self, order: int) -> list[Move]:
        """Move to the order that is not made and could take another's needs at least cost, if there is one."""
        flow = self._flow
        needs = np.flatnonzero(flow.amount[order])
        closed = np.flatnonzero(~self._is_open & (self._most >= np.maximum(self._target, self._made[order])))
        if len(closed) == 0 or len(needs) == 0:
            return []
        cost = (flow.cost[np.ix_(closed, needs)] - flow.cost[order, needs]) @ flow.amount[order, needs]
        # One that starts earlier may also serve what is short.
        short = np.flatnonzero(flow.amount[-1])
        saved = np.minimum(0.0, flow.cost[np.ix_(closed, short)] - flow.cost[-1, short])
        cost += saved @ flow.amount[-1, short]
        best = int(cost.argmin())
        return [partial(self._replace, order, int(closed[best]))] if np.isfinite(cost[best]) else []

    def _improve(self) -> None:
        """Try to close, open and move orders as long as that saves something."""
        self._work = 0
        tried_in_vain = 0
        at = 0
        n_orders = len(self._most) - 1
        while n_orders and tried_in_vain < n_orders and self._work < WORK_CELLS:
            order = at % n_orders
            at += 1
            tried_in_vain += 1
            moves: list[Move] = []
            is_short = self._made[-1] > self._flow.dust
            if not self._is_open[order]:
                if self._most[order] >= self._target[order] and self._could_gain(order):
                    moves = [partial(self._raise, order)]
            elif is_short or self._made[order] <= self._target[order] / WHOLE or self._fixed[order] > 0:
                moves = [partial(self._close, order), *self._replacements(order)]
            if moves and self._take_best(moves, saving=self._least_saving):
                tried_in_vain = 0
            self._is_open &= self._is_made

    def _could_gain(self, order: int) -> bool:
        """Tell whether the first unit of an order that is not made would save anything."""
        avoided = float(self._surplus[order]) if self._least[order] < self._target[order] else 0.0
        return self._flow.first_cost(order, *self._givers(order)) < avoided - self._flow.rounding

    # --- whole lots -------------------------------------------------------------------------------------------

    def _round(self) -> FloatArray:
        """Round all up, then take away what can be spared."""
        self._leave_gaps()
        return self._trim(np.append(self._up(), np.inf))

    def _trim(self, size: FloatArray) -> FloatArray:
        """Take away what others have left over, those first that are least above a size; and what there is no room for."""
        is_free = np.append(self._sizes.multiple == 0, False)
        self._round_down_all(size, is_free)
        at, _ = self._room.overload(size[:-1])
        while at >= 0:
            self._reduce(at, size)
            at, _ = self._room.overload(size[:-1])
        self._settle(size, is_free)
        # What is left over lies elsewhere now, and may spare another lot there.
        while self._round_down_all(size, is_free):
            self._settle(size, is_free)
        return size[:-1]

    def _up(self) -> FloatArray:
        """Round up what orders make: (n_orders,)."""
        made = self._made[:-1]
        return self._sizes.up(np.where(made > self._flow.dust, made, 0.0))

    def _leave_gaps(self) -> None:
        """Make less, or more, of what no number of lots between minimum and maximum adds up to."""
        may_leave = np.maximum(self._sizes.multiple, 0 if self._least.any() else self._sizes.minimum)
        for attempt in range(2 * len(may_leave)):
            gap = np.flatnonzero(self._up() - self._made[:-1] > may_leave + self._flow.dust)
            if len(gap) == 0:
                return
            order = int(gap[0])
            below, above = (float(of(self._made[:-1])[order]) for of in (self._sizes.down, self._sizes.up))
            if attempt < len(may_leave):
                self._take_best([partial(self._lower, order, below), partial(self._lift, order, above)])
            else:
                self._leave_short(order, below)

    def _lower(self, order: int, size: float) -> bool:
        self._flow.push(order, float(self._made[order]) - size, self._receivers)
        self._is_open[order] = size > 0
        return True

    def _lift(self, order: int, size: float) -> bool:
        if size <= self._most[order]:
            self._take_over(order, size - float(self._made[order]))
        return bool(self._made[order] >= size * WHOLE)

    def _leave_short(self, order: int, size: float) -> None:
        """Make less, and let nobody make it instead."""
        nobody = np.append(np.zeros(len(self._most) - 1), np.inf)
        self._flow.push(order, float(self._made[order]) - size, lambda _giver: (nobody, self._nothing))

    def _round_down_all(self, size: FloatArray, is_free: BoolArray) -> bool:
        """Make orders of fewer multiples until none is left that can be; tell whether any was."""
        overhang = self._made[:-1] - self._sizes.down(self._made[:-1])
        by_overhang = np.argsort(overhang, kind="stable").tolist()
        is_changed = False
        while sum(self._round_down(order, size, is_free) for order in by_overhang):
            is_changed = True
        size[is_free] = self._up()[is_free[:-1]]
        return is_changed

    def _round_down(self, order: int, size: FloatArray, is_free: BoolArray) -> bool:
        """Make an order of one multiple less, or close it, if others have enough left over and that is cheaper."""
        surplus = max(0.0, float(size[order] - self._made[order]))
        if size[order] == 0 or (is_free[order] and surplus <= self._flow.dust):
            return False
        below = self._size_below(order, size[order])
        overhang = max(0.0, float(self._made[order]) - below)
        if self._takers(size, is_free, order)[0].sum() < overhang:
            return False
        excess = max(0.0, float(np.maximum(0.0, size - self._made)[:-1].sum()) - self._allowance)
        saved = surplus * float(self._surplus[order])
        saved += min(excess, surplus + overhang) * self._problem.weights.excess
        then = self._flow.now
        cost = self._flow.push(order, overhang, lambda giver: self._takers(size, is_free, giver))
        is_cheaper = cost < saved and self._made[order] <= below / WHOLE
        if is_cheaper:
            size[order] = below
        else:
            self._flow.go_back(then)
        return is_cheaper

    def _takers(
        self, size: FloatArray, is_free: BoolArray, giver: int, short: float = 0.0
    ) -> tuple[FloatArray, FloatArray]:
        """Tell what others may take over of one, and what that costs: what they have left over is saved, and goes first."""
        over = np.maximum(0.0, size - self._made)
        over[-1] = short
        may = np.append(self._room.left(self._made[:-1], self._most[:-1], giver), 0.0)
        grows = is_free & (self._is_open | self._may_begin) & (over <= self._flow.dust)
        left = np.where(grows, may, over)
        left[giver] = 0.0
        return left, np.where(grows, 0.0, -self._surplus)

    def _reduce(self, order: int, size: FloatArray) -> None:
        """Make an order smaller by force, whatever nobody has left over being short."""
        size[order] = self._size_below(order, size[order])
        nothing_free = np.zeros(len(size), dtype=bool)
        missing = max(0.0, float(self._made[order] - size[order]))
        self._flow.push(order, missing, lambda giver: self._takers(size, nothing_free, giver, short=np.inf))

    def _size_below(self, order: int, size: float) -> float:
        """Find the next smaller size of an order, for one without a multiple what it makes less a little."""
        sizes, step = self._sizes, float(self._sizes.multiple[order])
        units = np.zeros(len(sizes.multiple))
        units[order] = size - step if step > 0 else size / 2
        return float(sizes.down(np.maximum(units, 0.0))[order])

    def _settle(self, size: FloatArray, is_free: BoolArray) -> None:
        """Leave over what is cheapest to leave over."""
        cost = np.where(is_free | np.isinf(size), 0.0, self._surplus)

        def givers(taker: int) -> tuple[FloatArray, FloatArray]:
            spare = np.maximum(0.0, self._made - np.minimum(self._least, size))
            return np.where((size > 0) | is_free, spare, 0.0), cost - self._surplus[taker]

        leaves = (size[:-1] - self._made[:-1] > self._flow.dust) & ~is_free[:-1]
        for order in np.flatnonzero(leaves).tolist():
            self._flow.pull(order, float(size[order] - self._made[order]), givers, gain=True)
