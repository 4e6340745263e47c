"""How is one stage proved inside what the earlier ones proved?

A stage's optimum is met by a feasible plan exactly where every column with a positive reduced cost stays empty and
every capacity with a positive price stays full. So "no worse than the earlier stages" is kept by closing those
columns and rows: the next stage starts from the basis that it has, and no earlier value enters as a number.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.programme import power_of_two
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.errors import AssignmentFailedError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FEASIBILITY_TOLERANCE = 1e-9
"""Of one mean need, and of a stage's mean measure."""
CLOSED_ABOVE = 1e-8
"""A reduced cost or price above this (of the stage's mean measure) is positive; what is smaller may cost a later
stage's plan that much, relative to the earlier stage's value."""
STEPS_A_WORD = 256
"""Of the simplex method, between two words to the watch."""


@dataclass(frozen=True)
class Proof:
    """A solved stage: prices per capacity row (≥ 0) and reduced costs of columns, in the stage's measure.

    A reduced cost is positive where a column is empty, negative where it is at its upper bound.
    """

    value: float
    row_prices: FloatArray
    row_savings: FloatArray
    """What one more unit of capacity would save in this stage alone, the earlier ones being kept."""
    columns: IntArray
    """Those whose reduced cost is not 0, ascending."""
    reduced_costs: FloatArray
    """Of those."""
    multipliers: FloatArray
    closes: BoolArray
    """Which of those stay as they are, empty or at their upper bounds, in every later stage."""
    closes_rows: IntArray


@dataclass
class Search:
    """The model inside HiGHS and what the stages so far have closed."""

    highs: highspy.Highs
    first_capacity_row: int
    row_upper: FloatArray
    column_upper: FloatArray
    column_is_closed: BoolArray
    row_is_closed: BoolArray
    columns: FloatArray | None = None
    proofs: list[Proof] = field(default_factory=list)

    @property
    def n_columns(self) -> int:
        """Count the columns."""
        return len(self.column_upper)


def lp_of(matrix: csr_array, lower: FloatArray, upper: FloatArray) -> highspy.HighsLp:
    """Write rows down for HiGHS: columns ≥ 0, without costs."""
    matrix.sort_indices()
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_ = np.zeros(lp.num_col_)
    lp.col_lower_ = np.zeros(lp.num_col_)
    lp.col_upper_ = np.full(lp.num_col_, highspy.kHighsInf)
    lp.row_lower_ = lower
    lp.row_upper_ = upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    return lp


def open_search(lp: highspy.HighsLp, first_capacity_row: int, watch: Watch | None = None) -> Search:
    """Hand a programme without costs to HiGHS; the rows from `first_capacity_row` on are capacities.

    The watch is asked at every step of the simplex method whether to go on.
    """
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    highs.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.passModel(lp)
    if watch is not None:
        highs.cbSimplexInterrupt += partial(_step, watch)
    return Search(
        highs=highs,
        first_capacity_row=first_capacity_row,
        row_upper=np.array(lp.row_upper_)[first_capacity_row:],
        column_upper=np.array(lp.col_upper_),
        column_is_closed=np.zeros(lp.num_col_, dtype=bool),
        row_is_closed=np.zeros(lp.num_row_ - first_capacity_row, dtype=bool),
    )


def _step(watch: Watch, event: Any) -> None:
    if watch.should_stop(tell_every=STEPS_A_WORD):
        event.interrupt()


def typical_scale(costs: FloatArray) -> float:
    """Take the geometric mean of what costs anything, as values of products may span many orders."""
    return power_of_two(float(np.exp2(np.log2(costs[costs > 0]).mean()))) if (costs > 0).any() else 1.0


def prove(search: Search, costs: FloatArray) -> Proof:
    """Minimise one stage, or see that its value is 0 already; columns beyond `costs` cost nothing."""
    scale = typical_scale(costs)
    costs = np.pad(costs, (0, search.n_columns - len(costs)))
    if _is_nothing(search, costs, scale):
        return prove_nothing(search, costs)
    scaled_prices, scaled_reduced = solve(search, costs / scale)
    if _is_nothing(search, costs, scale):
        return prove_nothing(search, costs)
    raw_prices, raw_reduced = scaled_prices * scale, scaled_reduced * scale
    prices, reduced_costs, multipliers = combine(search.proofs, raw_prices, raw_reduced)
    limit = CLOSED_ABOVE * scale
    # By the stage's own duals: what earlier proofs add where nothing is closed yet is rounding, however multiplied.
    closes = (np.abs(raw_reduced) > limit) & ~search.column_is_closed
    reduced_costs = np.where(closes & (raw_reduced * reduced_costs <= 0), raw_reduced, reduced_costs)
    columns = np.flatnonzero(reduced_costs)
    return Proof(
        value=0.0 if search.columns is None else float(costs @ search.columns),
        row_prices=prices,
        row_savings=np.maximum(0.0, raw_prices),
        columns=columns,
        reduced_costs=reduced_costs[columns],
        multipliers=multipliers,
        closes=closes[columns],
        closes_rows=np.flatnonzero((raw_prices > limit) & ~search.row_is_closed),
    )


def prove_nothing(search: Search, costs: FloatArray) -> Proof:
    """Prove a value of 0 by prices of 0: what costs anything stays empty."""
    no_prices = np.zeros(len(search.row_upper))
    columns = np.flatnonzero(costs)
    return Proof(
        value=0.0,
        row_prices=no_prices,
        row_savings=no_prices,
        columns=columns,
        reduced_costs=costs[columns],
        multipliers=np.zeros(len(search.proofs)),
        closes=~search.column_is_closed[columns],
        closes_rows=np.empty(0, dtype=np.int64),
    )


def _is_nothing(search: Search, costs: FloatArray, scale: float) -> bool:
    if search.columns is None:
        return not costs.any()
    return float(costs @ search.columns) <= FEASIBILITY_TOLERANCE * scale


def solve(search: Search, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Run HiGHS from where it stands; return capacity row prices and reduced costs.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    highs = search.highs
    status = run(highs, costs)
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInterrupt):
        # A basis can be numerically unlucky; without one HiGHS presolves and starts afresh.
        highs.clearSolver()
        status = run(highs, costs)
    if status == highspy.HighsModelStatus.kInterrupt:
        raise SearchStoppedError
    if status != highspy.HighsModelStatus.kOptimal:
        raise AssignmentFailedError(
            f"the solver ended with {highs.modelStatusToString(status)}, not an optimum"
        )
    search.columns = column_values(highs)
    return row_prices(search), np.array(highs.getSolution().col_dual)


def row_prices(search: Search) -> FloatArray:
    """Read the prices of the capacity rows where HiGHS stands."""
    return -np.array(search.highs.getSolution().row_dual)[search.first_capacity_row :]


def best_so_far(search: Search) -> FloatArray | None:
    """Read the columns where a stopped HiGHS stands, if they are a plan; else those of the last proved stage."""
    if search.highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        return column_values(search.highs)
    return search.columns


def run(highs: highspy.Highs, costs: FloatArray) -> highspy.HighsModelStatus:
    highs.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
    highs.run()
    return highs.getModelStatus()


def column_values(highs: highspy.Highs) -> FloatArray:
    values: FloatArray = np.maximum(0.0, np.array(highs.getSolution().col_value))
    return values


def combine(
    proofs: list[Proof], prices: FloatArray, reduced: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Add as much of each earlier proof as makes every price ≥ 0, and every reduced cost of a closed column right.

    What an earlier stage closed may be worth opening for this one alone: the multiplier of that stage is what
    keeping it closed costs. Later stages first, so that multipliers of shortfall stay small.
    """
    multipliers = np.zeros(len(proofs))
    reduced = reduced.copy()
    for j in reversed(range(len(proofs))):
        earlier = proofs[j]
        closed = earlier.columns[earlier.closes]
        share = max(
            _largest_ratio(-reduced[closed], earlier.reduced_costs[earlier.closes]),
            _largest_ratio(-prices[earlier.closes_rows], earlier.row_prices[earlier.closes_rows]),
        )
        if share > 0:
            prices = prices + share * earlier.row_prices
            reduced[earlier.columns] += share * earlier.reduced_costs
            multipliers[j] += share
            multipliers[:j] += share * earlier.multipliers
    return np.maximum(0.0, prices), reduced, multipliers


def _largest_ratio(over: FloatArray, under: FloatArray) -> float:
    return float((over / under).max(initial=0.0))


def close(search: Search, proof: Proof) -> None:
    """Keep every later stage inside this one's optimum."""
    search.proofs.append(proof)
    _close_columns(search, proof.columns[proof.closes], proof.reduced_costs[proof.closes])
    search.row_is_closed[proof.closes_rows] = True
    first = search.first_capacity_row
    for row in proof.closes_rows:
        full = float(search.row_upper[row])
        search.highs.changeRowBounds(int(first + row), full, full)


def close_alike(search: Search, like: IntArray, columns: IntArray) -> None:
    """Let the last proof count columns as it counts those in `like`, and keep them like those in later stages."""
    last = search.proofs[-1]
    at = np.minimum(np.searchsorted(last.columns, like), max(0, len(last.columns) - 1))
    counted = last.columns[at] == like if len(last.columns) else np.zeros(len(like), dtype=bool)
    columns, at = columns[counted], at[counted]
    joined = np.append(last.columns, columns)
    order = np.argsort(joined, kind="stable")
    search.proofs[-1] = replace(
        last,
        columns=joined[order],
        reduced_costs=np.append(last.reduced_costs, last.reduced_costs[at])[order],
        closes=np.append(last.closes, last.closes[at])[order],
    )
    closed = last.closes[at]
    _close_columns(search, columns[closed], last.reduced_costs[at][closed])


def _close_columns(search: Search, columns: IntArray, reduced_costs: FloatArray) -> None:
    at = np.where(reduced_costs > 0, 0.0, search.column_upper[columns])
    search.column_is_closed[columns] = True
    search.highs.changeColsBounds(len(columns), columns.astype(np.int32), at, at)


def add_columns(search: Search, rows: IntArray, like: IntArray, upper: FloatArray) -> IntArray:
    """Add a column with a 1 in each of `rows`, as those in `like` are, empty where those are closed; number them."""
    n = len(rows)
    upper = np.where(search.column_is_closed[like], 0.0, upper)
    search.highs.addCols(
        n, np.zeros(n), np.zeros(n), upper, n, np.arange(n), rows.astype(np.int32), np.ones(n)
    )
    added = search.n_columns + np.arange(n)
    search.column_upper = np.append(search.column_upper, upper)
    search.column_is_closed = np.append(search.column_is_closed, search.column_is_closed[like])
    if search.columns is not None:
        search.columns = np.append(search.columns, np.zeros(n))
    return added
