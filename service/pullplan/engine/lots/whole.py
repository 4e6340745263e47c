"""Of how many units is every order best, where orders and needs are few? HiGHS's mixed-integer programme tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.stages import FEASIBILITY_TOLERANCE
from pullplan.engine.lots.hint import Programme, lay_out
from pullplan.engine.lots.problem import Problem
from pullplan.engine.lots.rules import Sizes
from pullplan.engine.lots.ways import Table

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_NODES = 500
"""Of the search tree: what bounds the time, the same everywhere."""
GAP_SHARE = 1e-4
"""Of what all units cost at their cheapest orders: nearer to the optimum need not be."""


@dataclass(frozen=True)
class Whole:
    """What HiGHS has found."""

    size: FloatArray
    """(n_all_orders,): units; of orders that may be of any size only nearly."""
    value: float
    """The sum that sizes are chosen by."""
    is_best: bool
    """But for the gap."""


def best_sizes(
    problem: Problem,
    tables: Sequence[Table],
    free: FloatArray,
    known: FloatArray,
    should_stop: Callable[[], bool],
) -> Whole | None:
    """Size all orders of products at once, beginning with sizes that are known; None where nothing is found, or it is stopped.

    Shapes: `free` (n_resources, n_buckets), what these orders together may take; `known` (n_all_orders,) units
    """
    programme = lay_out(problem, tables, free)
    highs = programme.handed_over()
    _WholeLots(problem, tables, programme, highs).begin_with(known)
    highs.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.setOptionValue("mip_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.setOptionValue("mip_max_nodes", MOST_NODES)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", GAP_SHARE * sum(map(_cheapest, tables)))
    stopped = []

    def ask(event: Any) -> None:
        if should_stop():
            stopped.append(True)
            event.interrupt()

    highs.cbMipInterrupt += ask
    highs.cbSimplexInterrupt += ask
    highs.run()
    if stopped or highs.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return None
    found, _ = programme.sizes_and_shares(np.array(highs.getSolution().col_value))
    sizes, size = problem.rules.of(problem.orders.capability[programme.order]), np.zeros_like(known)
    size[programme.order] = _without_rounding(sizes, found)
    is_best = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return Whole(size, float(highs.getInfo().objective_function_value), is_best)


def _cheapest(table: Table) -> float:
    """Add up what all units cost at their cheapest orders, those that no order can serve nothing."""
    least = table.cost.min(axis=0, initial=np.inf)
    return float(np.where(np.isfinite(least), least, 0.0) @ table.units)


def _without_rounding(sizes: Sizes, units: FloatArray) -> FloatArray:
    """Take away what HiGHS's tolerance adds to sizes, or takes from them."""
    multiple = np.where(sizes.multiple > 0, sizes.multiple, 1.0)
    whole = multiple * np.round(units / multiple)
    of_any_size = np.where(units > sizes.minimum / 2, np.maximum(units, sizes.minimum), 0.0)
    return np.where(sizes.multiple > 0, whole, of_any_size)


class _WholeLots:
    """Makes a programme of shares one of whole lots."""

    def __init__(
        self, problem: Problem, tables: Sequence[Table], programme: Programme, highs: highspy.Highs
    ) -> None:
        self._programme, self._highs = programme, highs
        self._sizes = problem.rules.of(problem.orders.capability[programme.order])
        of_minimum = self._sizes.minimum if problem.make_minimum else 0.0
        self._most_surplus = np.maximum(self._sizes.multiple, of_minimum)
        self._integers: dict[int, tuple[int, float]] = {}
        """Which columns are whole numbers: of which order, and for how many units they stand; 0: whether it is made."""
        for order in range(len(programme.order)):
            self._add_order(order)
        first = 0
        for table in tables:
            orders = np.arange(first, first + len(table.order))
            self._limit_surplus(orders, problem.weights.excess)
            first += len(table.order)

    def begin_with(self, size: FloatArray) -> None:
        """Tell HiGHS what is known to be possible."""
        of_order = size[self._programme.order]
        column = np.array(list(self._integers), dtype=np.int32)
        value = [
            np.ceil(of_order[order] / units - 1e-9) if units else float(of_order[order] > 0)
            for order, units in self._integers.values()
        ]
        self._highs.setSolution(len(column), column, np.array(value, dtype=np.float64))

    def _add_order(self, order: int) -> None:
        """Let an order be made or not, of so many multiples, in so many lots."""
        sizes = self._sizes
        size = self._programme.first_size + order
        made = size + len(self._programme.order)
        self._highs.changeColIntegrality(made, highspy.HighsVarType.kInteger)
        self._integers[made] = order, 0.0
        taken = self._programme.taken[[order]].indices.tolist()
        self._add_row([size, *taken], [1.0, *[-1.0] * len(taken)], 0.0, float(self._most_surplus[order]))
        multiple, maximum = float(sizes.multiple[order]), float(sizes.maximum[order])
        if multiple > 0:
            self._add_row([size, self._add_integer(order, multiple)], [1.0, -multiple], 0.0, 0.0)
        if np.isfinite(maximum):
            lots = self._add_integer(order, maximum)
            self._add_row([size, lots], [1.0, -maximum], -np.inf, 0.0)
            self._add_row([size, lots], [1.0, -float(sizes.minimum[order])], 0.0, np.inf)

    def _limit_surplus(self, orders: IntArray, excess_cost: float) -> None:
        """Let what a product has left over above its allowance cost more."""
        programme = self._programme
        excess = self._highs.getNumCol()
        self._highs.addCol(excess_cost, 0.0, np.inf, 0, np.empty(0, dtype=np.int32), np.empty(0))
        taken = programme.taken[orders].indices
        columns = [*(programme.first_size + orders).tolist(), *taken.tolist(), excess]
        signs = [*np.ones(len(orders)).tolist(), *(-np.ones(len(taken))).tolist(), -1.0]
        self._add_row(columns, signs, -np.inf, float(self._sizes.multiple[orders].max(initial=0.0)))

    def _add_integer(self, order: int, units: float) -> int:
        column: int = self._highs.getNumCol()
        self._highs.addCol(0.0, 0.0, np.inf, 0, np.empty(0, dtype=np.int32), np.empty(0))
        self._highs.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        self._integers[column] = order, units
        return column

    def _add_row(self, columns: list[int], values: list[float], lower: float, upper: float) -> None:
        index = np.array(columns, dtype=np.int32)
        self._highs.addRow(lower, upper, len(index), index, np.array(values))
