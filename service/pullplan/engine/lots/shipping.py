"""Who gets what from the orders of one product, within what room, and what does that cost?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.flow import Flow
from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.room import Room
from pullplan.engine.lots.ways import Table

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NEVER_SHARE = 0.5
"""What a unit that the relaxation leaves short counts, of one that it serves."""
WHOLE = 1 - 1e-9
"""Of a size: so much of it is all of it."""
LEAST_SAVING_SHARE = 1e-9
"""Of what all needs cost: a smaller saving is not worth a change."""


class Shipping:
    """A product's orders with what each makes, within room, and what that costs."""

    def __init__(
        self,
        problem: Problem,
        table: Table,
        free: FloatArray,
        prices: FloatArray,
        closed: BoolArray | None,
    ) -> None:
        options, rules, orders = problem.options, problem.rules, problem.orders
        self._problem, self._table = problem, table
        capability, start = orders.capability[table.order], orders.start[table.order]
        self._sizes = rules.of(capability)
        self._room = Room(options, rules, capability, start, free)
        self._most = np.append(self._sizes.down(self._room.most), np.inf)
        if closed is not None:
            self._most[:-1][closed] = 0.0
        every = np.arange(len(capability))
        self._unit_price = np.append((options.capabilities.use[capability] @ prices)[every, start], 0.0)
        self._fixed = np.append((rules.setup[capability] @ prices)[every, start], 0.0)
        self._surplus = np.append(orders.surplus_cost[table.order], 0.0) + self._unit_price
        self._least = np.append(np.zeros(len(every)) if problem.make_minimum else self._sizes.minimum, 0.0)
        """What an order must serve at least."""
        self._target = np.append(np.maximum(self._sizes.minimum, self._sizes.multiple), 0.0)
        self._allowance = float(self._sizes.multiple.max(initial=0.0))
        """Of surplus."""
        short = problem.weights.short[table.need] * np.where(table.is_left_short, NEVER_SHARE, 1.0)
        short += table.leaving_cost
        cost = np.concatenate([table.cost + self._unit_price[:-1, None], short[None]])
        self._flow = Flow(cost, table.units)
        self._is_held = np.zeros(len(self._most), dtype=bool)
        """Orders that may stay below their target."""
        self._is_open = self._most > 0
        self._may_begin = (
            (self._target == 0) & (self._fixed == 0) & ~rules.has_setup[np.append(capability, 0)]
        )
        """Orders that may be of any size."""
        self._nothing = np.zeros(len(self._most))
        self._work = 0
        self._least_saving = LEAST_SAVING_SHARE * self._flow.value()

    @property
    def _made(self) -> FloatArray:
        return self._flow.made

    @property
    def _is_made(self) -> BoolArray:
        is_made = self._made > self._flow.dust
        is_made[-1] = True
        return is_made

    def _receivers(self, giver: int) -> tuple[FloatArray, FloatArray]:
        """Tell what open orders may still make."""
        left = np.append(self._room.left(self._made[:-1], self._most[:-1], giver), np.inf)
        return np.where(self._is_open, left, 0.0), self._nothing

    def _givers(self, _taker: int) -> tuple[FloatArray, FloatArray]:
        """Tell what orders may give up, and what that costs of those that then have a surplus."""
        is_above = self._made > self._target / WHOLE
        is_settled = self._is_held | (self._made >= self._target * WHOLE)
        lower = np.where(is_above, self._target, self._least * is_settled)
        spare = np.where(self._is_open, np.maximum(0.0, self._made - lower), 0.0)
        return spare, np.where(is_settled & ~is_above, self._surplus, 0.0)

    def _make_room(self) -> None:
        for at in np.flatnonzero(self._made > self._most).tolist():
            self._flow.push(at, float(self._made[at] - self._most[at]), self._receivers)
        at, units = self._room.overload(self._made[:-1])
        while at >= 0:
            self._flow.push(at, min(units, float(self._made[at])), self._receivers)
            at, units = self._room.overload(self._made[:-1])

    def _cost(self) -> float:
        """Add up what needs, setups, and the surplus of orders below their target cost."""
        is_made = self._is_open & self._is_made
        below = np.flatnonzero(is_made & (self._made < self._target))
        missing = self._target[below] - self._made[below]
        excess = max(0.0, float(missing.sum()) - self._allowance)
        surplus = float(missing @ self._surplus[below]) + excess * self._problem.weights.excess
        return self._flow.total + float(self._fixed[is_made].sum()) + surplus

    def _sized(self, size: FloatArray) -> Sized:
        table, flow = self._table, self._flow
        at, column = np.nonzero(flow.amount[:-1])
        units = flow.amount[at, column]
        short = flow.amount[-1]
        surplus = np.maximum(0.0, size - flow.made[:-1])
        value = flow.value() - float(self._unit_price @ flow.made)
        value += float((self._surplus - self._unit_price)[:-1] @ surplus)
        value += self._problem.weights.excess * max(0.0, float(surplus.sum()) - self._allowance)
        return Sized(
            order=table.order,
            size=size,
            line_need=table.need[column],
            line_order=table.order[at],
            line_units=units,
            value=value,
            short_units=float(short[~table.is_left_short].sum()),
            moved_units=float(
                (table.units[table.staying] - flow.amount[table.stays_in, table.staying]).sum()
            ),
            n_chains=flow.n_chains,
        )
