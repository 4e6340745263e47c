"""Which orders are likely to be made, of how many units, and what is room worth to them?

Of few needs a linear programme of all orders tells, in which shares of an order may be made and a need be served by an
order only as far as that is made: near to what whole lots cost (the strong formulation of lot sizing; Pochet and
Wolsey: Production Planning by Mixed Integer Programming, 2006). Of many needs, the relaxation tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import block_array, coo_array, csr_array, diags_array, eye_array

from pullplan.engine.assignment.stages import lp_of
from pullplan.engine.lots.problem import Problem
from pullplan.engine.lots.shipping import NEVER_SHARE
from pullplan.engine.lots.ways import Table
from pullplan.engine.options import Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

UNKNOWN_SHARE = 0.5
"""Of an order of which nothing is known."""


@dataclass(frozen=True)
class Hint:
    """What is known of all orders before they are sized."""

    size: FloatArray
    """(n_orders,): units."""
    made_share: FloatArray
    """(n_orders,): 0 is probably not made, 1 is."""
    prices: FloatArray
    """(n_resources, n_buckets): what a unit of room is worth."""


def hint_of_relaxation(problem: Problem, relaxation: Solution) -> Hint:
    """Take orders to be of what the relaxation makes."""
    orders = problem.orders
    own = np.isin(problem.options.need_product[relaxation.need], problem.rules.products)
    at = orders.number(relaxation.capability[own], relaxation.start_bucket[own])
    n_orders = len(orders.capability)
    size = np.bincount(at, weights=relaxation.units[own], minlength=n_orders)
    return Hint(size, np.full(n_orders, UNKNOWN_SHARE), relaxation.capacity_savings)


def hint_of_programme(problem: Problem, tables: Sequence[Table], free: FloatArray) -> Hint:
    """Solve the programme of shares of orders of all products with lot rules.

    Shapes: `free` (n_resources, n_buckets), what their orders together may take
    """
    programme = lay_out(problem, tables, free)
    highs = programme.handed_over()
    highs.run()
    found = highs.getSolution()
    size, share = np.zeros((2, len(problem.orders.capability)))
    size[programme.order], share[programme.order] = programme.sizes_and_shares(np.array(found.col_value))
    price = np.maximum(0.0, -np.array(found.row_dual)[-free.size :].reshape(free.shape))
    stored = problem.options.capacities.is_stored
    # What a store holds, it holds until the end of any bucket from then on.
    price[stored] = np.cumsum(price[stored][:, ::-1], axis=1)[:, ::-1]
    return Hint(size, share, price)


@dataclass(frozen=True)
class Programme:
    """All orders of some products, each made or not, and who gets their units.

    Columns: what serves whom, what stays short, units and share of every order. The last rows are of capacity.
    """

    order: IntArray
    """(n_orders,): positions among all orders."""
    taken: csr_array
    """(n_orders, n_cells): which cells take of which order."""
    matrix: csr_array
    lower: FloatArray
    upper: FloatArray
    cost: FloatArray
    column_upper: FloatArray

    @property
    def first_size(self) -> int:
        """Say where the columns of orders' units begin."""
        return len(self.cost) - 2 * len(self.order)

    def sizes_and_shares(self, columns: FloatArray) -> FloatArray:
        """Read units and shares of orders: (2, n_orders)."""
        return columns[self.first_size : self.first_size + 2 * len(self.order)].reshape(2, -1)

    def handed_over(self) -> highspy.Highs:
        """Hand it to HiGHS."""
        lp = lp_of(self.matrix, self.lower, self.upper)
        lp.col_cost_, lp.col_upper_ = self.cost, self.column_upper
        highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
        highs.silent()
        highs.setOptionValue("threads", 1)
        highs.passModel(lp)
        return highs


def lay_out(problem: Problem, tables: Sequence[Table], free: FloatArray) -> Programme:
    """Write the programme down.

    Shapes: `free` (n_resources, n_buckets), what orders together may take
    """
    orders, rules = problem.orders, problem.rules
    order, cell_order, cell_column, cost, column_units, short = _join(problem, tables)
    n_orders, n_cells, n_columns = len(order), len(cost), len(column_units)
    capability = orders.capability[order]
    sizes = rules.of(capability)
    target = np.maximum(sizes.minimum, sizes.multiple)
    least = np.zeros(n_orders) if problem.make_minimum else sizes.minimum
    wanted = np.bincount(cell_order, weights=column_units[cell_column], minlength=n_orders)
    room, room_of_setup, there = _room(problem, capability, orders.start[order], free)
    every_cell, every_order, one = np.arange(n_cells), eye_array(n_orders), np.ones(n_cells)
    taken = csr_array((one, (cell_order, every_cell)), shape=(n_orders, n_cells))
    served = csr_array((one, (cell_column, every_cell)), shape=(n_columns, n_cells))
    made = csr_array((column_units[cell_column], (every_cell, cell_order)), shape=(n_cells, n_orders))
    matrix = block_array(
        [
            [served, eye_array(n_columns), None, None],
            [taken, None, -every_order, None],
            [-taken, None, None, diags_array(least)],
            [None, None, -every_order, diags_array(target)],
            [None, None, every_order, diags_array(-sizes.up(np.maximum(wanted, target)))],
            [eye_array(n_cells), None, None, -made],
            [None, None, room, room_of_setup],
        ],
        format="csr",
    )
    upper = np.concatenate([column_units, np.zeros(matrix.shape[0] - n_columns - len(there)), there])
    lower = np.full(len(upper), -highspy.kHighsInf)
    lower[:n_columns] = column_units
    surplus = orders.surplus_cost[order]
    return Programme(
        order=order,
        taken=taken,
        matrix=matrix,
        lower=lower,
        upper=upper,
        cost=np.concatenate([cost - surplus[cell_order], short, surplus, np.zeros(n_orders)]),
        column_upper=np.concatenate([np.full(n_cells + n_columns + n_orders, np.inf), np.ones(n_orders)]),
    )


def _join(
    problem: Problem, tables: Sequence[Table]
) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
    """List orders; of all cells order, column and cost; of all columns units and what a unit short counts."""
    cells = [np.nonzero(np.isfinite(table.cost)) for table in tables]
    first_order = np.cumsum([0, *(len(table.order) for table in tables)])
    first_column = np.cumsum([0, *(len(table.units) for table in tables)])
    short = [
        problem.weights.short[table.need] * np.where(table.is_left_short, NEVER_SHARE, 1.0)
        + table.leaving_cost
        for table in tables
    ]
    return (
        np.concatenate([table.order for table in tables]),
        np.concatenate([at + first for (at, _), first in zip(cells, first_order[:-1], strict=True)]),
        np.concatenate([column + first for (_, column), first in zip(cells, first_column[:-1], strict=True)]),
        np.concatenate([table.cost[cell] for table, cell in zip(tables, cells, strict=True)]),
        np.concatenate([table.units for table in tables]),
        np.concatenate(short),
    )


def _room(
    problem: Problem, capability: IntArray, start: IntArray, free: FloatArray
) -> tuple[csr_array, csr_array, FloatArray]:
    """Lay out what orders take by unit and by setup, up to each bucket of a store, and what there is.

    Shapes: twice (n_resources × n_buckets, n_orders), (n_resources × n_buckets,)
    """
    stored, n_buckets = problem.options.capacities.is_stored, free.shape[1]

    def by_bucket(use: csr_array) -> csr_array:
        of = use[capability].tocoo()
        first, resource = start[of.row], of.col.astype(np.int64)
        count = np.where(stored[resource], n_buckets - first, 1)
        later = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        row = np.repeat(resource * n_buckets + first, count) + later
        entries = (np.repeat(of.data, count), (row, np.repeat(of.row, count)))
        return csr_array(coo_array(entries, shape=(free.size, len(capability))))

    there = np.where(stored[:, None], np.cumsum(free, axis=1), free)
    return by_bucket(problem.options.capabilities.use), by_bucket(problem.rules.setup), there.ravel()
