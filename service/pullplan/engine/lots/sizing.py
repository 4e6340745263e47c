"""Of how many units should the orders of some products be, given room on every capacity and what it is worth?

A mixed-integer programme in HiGHS: an order is of a whole number of multiples, cut into a whole number of lots, serves
at least its minimum, and takes its setup.
"""

from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.rules import WHOLE_WITHIN, LotRules
from pullplan.engine.lots.ways import Columns, Orders, Rows, Ways, add_flow
from pullplan.engine.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FEASIBILITY_TOLERANCE = 1e-9
GAP = 1e-3
"""Of the programme's value: a smaller saving is not searched for."""
NEVER_SHARE = 0.5
"""What a unit that the relaxation leaves short counts, of one that it serves."""
QUICK_NODES, THOROUGH_NODES = 10, 20
"""Of the search tree."""


@dataclass(frozen=True)
class Weights:
    """What a unit of each measure counts in the one sum that sizes are chosen by.

    Far enough apart that a saving in a later measure never pays for an earlier one; the plan's stages are measured, not
    taken from here.
    """

    short: FloatArray
    """(n_needs,)"""
    lateness: float
    excess: float
    """Of surplus above one multiple a product."""
    earliness: float


@dataclass(frozen=True)
class Problem:
    """What stays the same whichever orders are sized."""

    options: Options
    rules: LotRules
    orders: Orders
    units: FloatArray
    """(n_needs,): what the relaxation serves of every need."""
    weights: Weights
    make_minimum: bool

    def use(self, order: IntArray, size: FloatArray) -> FloatArray:
        """Add up what orders take, setups included: (n_resources, n_buckets)."""
        capabilities = self.options.capabilities
        shape = (len(capabilities.rows), self.options.horizon.horizon_buckets)
        units, made = np.zeros(shape), np.zeros(shape)
        at = self.orders.capability[order], self.orders.start[order]
        units[at], made[at] = size, size > 0
        used: FloatArray = capabilities.use.T @ units + self.rules.setup.T @ made
        return used


@dataclass(frozen=True)
class Sized:
    """Orders with their units, and the sum that they were chosen by, without the worth of room."""

    order: IntArray
    size: FloatArray
    value: float
    shortage: float
    excess: float


def room_up_to(options: Options, room: FloatArray) -> FloatArray:
    """Lay out what the capacity rows allow: renewed by bucket, stored up to each bucket."""
    return np.where(options.capacities.is_stored[:, None], np.cumsum(room, axis=1), room)


def size_orders(
    problem: Problem,
    ways: Ways,
    room: FloatArray,
    prices: FloatArray,
    known: FloatArray,
    *,
    thorough: bool,
) -> Sized:
    """Choose the sizes of all orders of `ways`, whatever its needs can't get being short; no worse than `known`.

    Shapes: `room` and `prices` (n_resources, n_buckets), a price being what a unit of room is worth to others;
    `known` (n_orders of `ways`,) sizes that fit. `thorough`: with HiGHS's own searches in neighbourhoods, which take
    most of the time
    """
    return _Sizing(problem, ways, room, prices).solve(known, thorough=thorough)


class _Sizing:
    def __init__(self, problem: Problem, ways: Ways, room: FloatArray, prices: FloatArray) -> None:
        self._problem, self._ways, self._prices = problem, ways, prices
        options, rules, orders = problem.options, problem.rules, problem.orders
        self._up_to = np.maximum(0.0, room_up_to(options, room))
        self._capability = orders.capability[ways.order]
        self._start = orders.start[ways.order]
        self._products, self._product = np.unique(orders.product[ways.order], return_inverse=True)
        self._need_product = options.need_product[ways.need]
        self._minimum = rules.minimum[self._capability]
        self._multiple = rules.multiple[self._capability]
        self._maximum = rules.maximum[self._capability]
        self._unit = np.where(self._multiple > 0, self._multiple, 1.0)
        self._is_one = (self._minimum > 0) | rules.has_setup[self._capability]
        """An order either is, and then takes or serves something, or is not."""
        # Lots between minimum and maximum may leave sizes that no number of them adds up to.
        self._has_gaps = 2 * self._minimum > self._maximum + self._multiple
        columns = Columns()
        n_orders = len(ways.order)
        self._shipments = columns.block(len(ways.shipment_need))
        self._starts = columns.block(len(ways.start_batch))
        self._short, self._never = columns.block(len(ways.need)), columns.block(len(ways.need))
        self._size = columns.block(n_orders)
        self._made = columns.block(n_orders)
        self._lots = columns.block(n_orders)
        self._surplus = columns.block(n_orders)
        self._excess = columns.block(len(self._products))
        self._n_columns = columns.n
        self._most = self._most_units()

    def _most_units(self) -> FloatArray:
        """Bound each order by what its product could need of it and what the room allows."""
        options, ways = self._problem.options, self._ways
        total = np.bincount(
            np.searchsorted(self._products, self._need_product),
            weights=options.need_units[ways.need],
            minlength=len(self._products),
        )
        most = total[self._product] + np.maximum(self._multiple, self._minimum)
        for i, k, use in self._uses():
            if use > 0:
                most[i] = min(most[i], self._least_room(i, k) / use)
        whole = self._multiple * np.floor(most / self._unit + WHOLE_WITHIN)
        most = np.where(self._multiple > 0, whole, most)
        return np.where(most >= self._minimum * (1 - WHOLE_WITHIN), most, 0.0)

    def _uses(self) -> list[tuple[int, int, float]]:
        use = self._problem.options.capabilities.use[self._capability].tocoo()
        return list(zip(use.coords[0].tolist(), use.coords[1].tolist(), use.data.tolist(), strict=True))

    def _setups(self) -> list[tuple[int, int, float]]:
        use = self._problem.rules.setup[self._capability].tocoo()
        return list(zip(use.coords[0].tolist(), use.coords[1].tolist(), use.data.tolist(), strict=True))

    def _least_room(self, order: int, row: int) -> float:
        start = int(self._start[order])
        if self._problem.options.capacities.is_stored[row]:
            return float(self._up_to[row, start:].min())
        return float(self._up_to[row, start])

    def solve(self, known: FloatArray, *, thorough: bool) -> Sized:
        highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
        highs.silent()
        for option, value in (
            ("threads", 1),
            ("random_seed", 0),
            ("mip_rel_gap", GAP),
            ("mip_max_nodes", THOROUGH_NODES if thorough else QUICK_NODES),
            ("mip_feasibility_tolerance", FEASIBILITY_TOLERANCE),
            ("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE),
        ):
            highs.setOptionValue(option, value)
        if not thorough:
            for option in ("rins", "rens", "root_reduced_cost"):
                highs.setOptionValue(f"mip_heuristic_run_{option}", False)
        cost = self._cost()
        highs.passModel(self._lp(cost))
        whole = np.concatenate([self._size, self._made, self._lots])
        lots = np.ceil(known / self._maximum - WHOLE_WITHIN) * self._has_gaps
        values = np.concatenate([known / self._unit, self._is_one & (known > 0), lots])
        highs.setSolution(len(whole), whole.astype(np.int32), values)
        highs.run()
        columns = np.array(highs.getSolution().col_value)
        size = columns[self._size]
        size = np.where(self._multiple > 0, np.round(size), size) * self._unit
        size[self._is_one & (np.round(columns[self._made]) == 0)] = 0.0
        size[size < WHOLE_WITHIN * self._unit] = 0.0
        n_lots = np.maximum(1.0, np.ceil(size / self._maximum - WHOLE_WITHIN))
        size[size > 0] = np.clip(size, n_lots * self._minimum, n_lots * self._maximum)[size > 0]
        cost[self._size] = cost[self._made] = 0.0
        return Sized(
            order=self._ways.order,
            size=size,
            value=float(cost @ columns),
            shortage=float(columns[self._short].sum()),
            excess=float(columns[self._excess].sum()),
        )

    def _cost(self) -> FloatArray:
        problem, ways = self._problem, self._ways
        options, weights = problem.options, problem.weights
        at = np.arange(len(ways.order)), self._start
        cost = np.zeros(self._n_columns)
        cost[self._shipments] = ways.shipment_cost
        cost[self._starts] = (
            ways.start_holding + weights.lateness * ways.start_late + weights.earliness * ways.start_early
        )
        cost[self._short] = weights.short[ways.need]
        cost[self._never] = NEVER_SHARE * weights.short[ways.need]
        cost[self._size] = self._unit * (options.capabilities.use[self._capability] @ self._prices)[at]
        cost[self._made] = (problem.rules.setup[self._capability] @ self._prices)[at]
        cost[self._surplus] = problem.orders.surplus_cost[ways.order]
        cost[self._excess] = weights.excess
        return cost

    def _lp(self, cost: FloatArray) -> highspy.HighsLp:
        problem, ways = self._problem, self._ways
        units, wanted = problem.options.need_units[ways.need], problem.units[ways.need]
        need = np.arange(len(units))
        rows = Rows()
        add_flow(
            rows,
            ways,
            units,
            (self._shipments, self._starts),
            (np.append(need, need), np.append(self._short, self._never), 1.0),
        )
        self._add_sizes(rows)
        self._add_links(rows)
        self._add_capacities(rows)
        lower, upper = np.zeros(self._n_columns), np.full(self._n_columns, highspy.kHighsInf)
        upper[self._short], upper[self._never] = wanted, units - wanted
        upper[self._size] = self._most / self._unit
        upper[self._made] = self._is_one & (self._most > 0)
        upper[self._lots] = np.where(self._has_gaps, self._most / np.maximum(self._minimum, 1e-300), 0.0)
        upper[self._surplus] = np.maximum(self._multiple, self._minimum if problem.make_minimum else 0.0)
        lp = rows.to_lp(cost, lower, upper)
        is_whole = np.zeros(self._n_columns, dtype=bool)
        is_whole[self._size] = self._multiple > 0
        is_whole[self._made] = self._is_one
        is_whole[self._lots] = self._has_gaps
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[whole] for whole in is_whole.tolist()]
        return lp

    def _add_sizes(self, rows: Rows) -> None:
        """What is started and the surplus make the size; an order that is made keeps to its rules."""
        ways, size, made = self._ways, self._size, self._made
        n_orders = np.arange(len(size))
        rows.add(
            len(size),
            0.0,
            0.0,
            (ways.start_order, self._starts, 1.0),
            (n_orders, self._surplus, 1.0),
            (n_orders, size, -self._unit),
        )
        one = np.flatnonzero(self._is_one)
        at = np.arange(len(one))
        rows.add(len(one), -np.inf, 0.0, (at, size[one], self._unit[one]), (at, made[one], -self._most[one]))
        least = np.flatnonzero(self._minimum > 0)
        at = np.arange(len(least))
        serves = np.flatnonzero(self._minimum[ways.start_order] > 0)
        counted = (
            (at, size[least], self._unit[least])
            if self._problem.make_minimum
            else (np.searchsorted(least, ways.start_order[serves]), self._starts[serves], 1.0)
        )
        rows.add(len(least), 0.0, np.inf, counted, (at, made[least], -self._minimum[least]))
        gaps = np.flatnonzero(self._has_gaps)
        at = np.arange(len(gaps))
        size_of = (at, size[gaps], self._unit[gaps])
        rows.add(len(gaps), 0.0, np.inf, size_of, (at, self._lots[gaps], -self._minimum[gaps]))
        rows.add(len(gaps), -np.inf, 0.0, size_of, (at, self._lots[gaps], -self._maximum[gaps]))
        most_surplus = np.zeros(len(self._products))
        np.maximum.at(most_surplus, self._product, self._multiple)
        rows.add(
            len(most_surplus),
            -np.inf,
            most_surplus,
            (self._product, self._surplus, 1.0),
            (np.arange(len(most_surplus)), self._excess, -1.0),
        )

    def _add_links(self, rows: Rows) -> None:
        """No shipment, and no start, without its order: implied, but without it fractions of orders bound nothing."""
        ways = self._ways
        units = self._problem.options.need_units[ways.need]
        is_one = self._is_one[ways.start_order]
        n_batches = int(ways.start_batch.max(initial=-1)) + 1
        n_starts = np.bincount(ways.start_batch, minlength=n_batches)
        all_are = np.bincount(ways.start_batch, weights=is_one, minlength=n_batches) == n_starts
        linked = np.flatnonzero(all_are[ways.shipment_batch])
        batch = ways.shipment_batch[linked]
        by_batch = np.argsort(ways.start_batch, kind="stable")
        first = np.cumsum(n_starts) - n_starts
        row = np.repeat(np.arange(len(linked)), n_starts[batch])
        nth = np.arange(len(row)) - np.repeat(np.cumsum(n_starts[batch]) - n_starts[batch], n_starts[batch])
        made = self._made[ways.start_order[by_batch[np.repeat(first[batch], n_starts[batch]) + nth]]]
        rows.add(
            len(linked),
            -np.inf,
            0.0,
            (np.arange(len(linked)), self._shipments[linked], 1.0),
            (row, made, -np.repeat(units[ways.shipment_need[linked]], n_starts[batch])),
        )
        if n_starts.max(initial=0) > 1:
            of_batch = np.bincount(
                ways.shipment_batch, weights=units[ways.shipment_need], minlength=n_batches
            )
            start = np.flatnonzero(is_one)
            at, order = np.arange(len(start)), ways.start_order[start]
            most = np.minimum(of_batch[ways.start_batch[start]], self._most[order])
            rows.add(len(start), -np.inf, 0.0, (at, self._starts[start], 1.0), (at, self._made[order], -most))

    def _add_capacities(self, rows: Rows) -> None:
        is_stored = self._problem.options.capacities.is_stored
        n_buckets = self._up_to.shape[1]
        units = [(i, k, use * self._unit[i], int(self._size[i])) for i, k, use in self._uses()]
        setups = [(i, k, use, int(self._made[i])) for i, k, use in self._setups()]
        terms = [
            (k * n_buckets + b, column, use)
            for i, k, use, column in (*units, *setups)
            if use > 0
            for b in range(int(self._start[i]), n_buckets if is_stored[k] else int(self._start[i]) + 1)
        ]
        if not terms:
            return
        row, column, use = zip(*terms, strict=True)
        capacity, at = np.unique(np.array(row), return_inverse=True)
        scale = np.zeros(len(capacity))
        np.maximum.at(scale, at, np.array(use))
        limit = self._up_to.ravel()[capacity] / scale
        rows.add(len(capacity), -np.inf, limit, (at, np.array(column), np.array(use) / scale[at]))
