"""How is one stage proved inside what the earlier ones proved?

A stage's optimum is met by a feasible plan exactly where every column with a positive reduced cost stays empty and
every capacity with a positive price stays full. So "no worse than the earlier stages" is kept by closing those
columns and rows: the next stage starts from the basis that it has, and no earlier value enters as a number.
"""

from dataclasses import dataclass, field

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.programme import power_of_two
from pullplan.engine.errors import AssignmentFailedError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEASIBILITY_TOLERANCE = 1e-9
"""Of one mean need, and of a stage's mean measure."""
CLOSED_ABOVE = 1e-8
"""A reduced cost or price above this (of the stage's mean measure) is positive; what is smaller may cost a later
stage's plan that much, relative to the earlier stage's value."""


@dataclass(frozen=True)
class Proof:
    """A solved stage: prices per capacity row and reduced costs per column, all ≥ 0, in the stage's measure."""

    row_prices: FloatArray
    row_savings: FloatArray
    """What one more unit of capacity would save in this stage alone, the earlier ones being kept."""
    reduced_costs: FloatArray
    multipliers: FloatArray
    closes_columns: IntArray
    closes_rows: IntArray


@dataclass
class Search:
    """The model inside HiGHS and what the stages so far have closed."""

    highs: highspy.Highs
    first_capacity_row: int
    row_upper: FloatArray
    column_is_closed: npt.NDArray[np.bool_]
    row_is_closed: npt.NDArray[np.bool_]
    columns: FloatArray | None = None
    proofs: list[Proof] = field(default_factory=list)


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


def open_search(lp: highspy.HighsLp, first_capacity_row: int) -> Search:
    """Hand a programme without costs to HiGHS; the rows from `first_capacity_row` on are capacities."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    highs.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.passModel(lp)
    return Search(
        highs=highs,
        first_capacity_row=first_capacity_row,
        row_upper=np.array(lp.row_upper_)[first_capacity_row:],
        column_is_closed=np.zeros(lp.num_col_, dtype=bool),
        row_is_closed=np.zeros(lp.num_row_ - first_capacity_row, dtype=bool),
    )


def typical_scale(costs: FloatArray) -> float:
    """Take the geometric mean of what costs anything, as values of products may span many orders."""
    return power_of_two(float(np.exp2(np.log2(costs[costs > 0]).mean()))) if (costs > 0).any() else 1.0


def prove(search: Search, costs: FloatArray) -> Proof:
    """Minimise one stage, or see that its value is 0 already, which prices of 0 prove."""
    scale = typical_scale(costs)
    if not costs.any() or (
        search.columns is not None and float(costs @ search.columns) <= FEASIBILITY_TOLERANCE * scale
    ):
        raw_prices, raw_reduced = np.zeros(len(search.row_upper)), costs
    else:
        scaled_prices, scaled_reduced = solve(search, costs / scale)
        raw_prices, raw_reduced = scaled_prices * scale, scaled_reduced * scale
    prices, reduced_costs, multipliers = combine(search.proofs, raw_prices, raw_reduced)
    limit = CLOSED_ABOVE * scale
    # By the stage's own duals: what earlier proofs add where nothing is closed yet is rounding, however multiplied.
    return Proof(
        row_prices=prices,
        row_savings=np.maximum(0.0, raw_prices),
        reduced_costs=reduced_costs,
        multipliers=multipliers,
        closes_columns=np.flatnonzero((raw_reduced > limit) & ~search.column_is_closed),
        closes_rows=np.flatnonzero((raw_prices > limit) & ~search.row_is_closed),
    )


def solve(search: Search, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Run HiGHS from where it stands; return capacity row prices and reduced costs."""
    highs = search.highs
    status = run(highs, costs)
    if status != highspy.HighsModelStatus.kOptimal:
        # A basis can be numerically unlucky; without one HiGHS presolves and starts afresh.
        highs.clearSolver()
        status = run(highs, costs)
    if status != highspy.HighsModelStatus.kOptimal:
        raise AssignmentFailedError(
            f"the solver ended with {highs.modelStatusToString(status)}, not an optimum"
        )
    search.columns = column_values(highs)
    solution = highs.getSolution()
    row_duals = np.array(solution.row_dual)[search.first_capacity_row :]
    return -row_duals, np.array(solution.col_dual)


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
    """Add as much of each earlier proof as makes every price and reduced cost ≥ 0.

    What an earlier stage closed may be worth opening for this one alone: the multiplier of that stage is what
    keeping it closed costs. Later stages first, so that multipliers of shortfall stay small.
    """
    multipliers = np.zeros(len(proofs))
    for j in reversed(range(len(proofs))):
        earlier = proofs[j]
        share = max(
            _largest_ratio(-reduced, earlier.reduced_costs, earlier.closes_columns),
            _largest_ratio(-prices, earlier.row_prices, earlier.closes_rows),
        )
        if share > 0:
            prices = prices + share * earlier.row_prices
            reduced = reduced + share * earlier.reduced_costs
            multipliers[j] += share
            multipliers[:j] += share * earlier.multipliers
    return np.maximum(0.0, prices), reduced, multipliers


def _largest_ratio(over: FloatArray, under: FloatArray, at: IntArray) -> float:
    return float((over[at] / under[at]).max(initial=0.0))


def close(search: Search, proof: Proof) -> None:
    """Keep every later stage inside this one's optimum."""
    search.proofs.append(proof)
    search.column_is_closed[proof.closes_columns] = True
    search.row_is_closed[proof.closes_rows] = True
    columns = proof.closes_columns.astype(np.int32)
    empty = np.zeros(len(columns))
    search.highs.changeColsBounds(len(columns), columns, empty, empty)
    first = search.first_capacity_row
    for row in proof.closes_rows:
        full = float(search.row_upper[row])
        search.highs.changeRowBounds(int(first + row), full, full)
