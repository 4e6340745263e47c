"""How is the programme solved stage by stage, each stage inside what the earlier ones proved?

A stage's optimum is met by a feasible plan exactly where every column with a positive reduced cost stays empty and
every capacity with a positive price stays full. So "no worse than the earlier stages" is kept by closing those
columns and rows: the next stage starts from the basis that it has, and no earlier value enters as a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.lines import share_out
from pullplan.engine.assignment.programme import (
    Programme,
    build_programme,
    capacity_rhs,
    power_of_two,
    to_highs,
)
from pullplan.engine.errors import AssignmentFailedError
from pullplan.engine.options import Options, Solution, StageMeasure, StagePrices, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEASIBILITY_TOLERANCE = 1e-9
"""Of one mean need, and of a stage's mean measure."""
CLOSED_ABOVE = 1e-8
"""A reduced cost or price above this (of the stage's mean measure) is positive; what is smaller may cost a later
stage's plan that much, relative to the earlier stage's value."""
SHORTFALL_WEIGHTS = (1e9, 1e7)
LATENESS_WEIGHT = 1e4
"""Of the sum that the search starts from, the cost's being 1: with less, real networks need as long again for the
stages (measured: 40 regions × 10 products × 18 nodes × 8 weeks, 10 s instead of 5 s)."""
STARTING_TOLERANCE = 1e-6
METHOD = "one linear programme in HiGHS, stage by stage"
TIE_BREAK = "after every stage, the least Σ units × rank(distance_km, node_code)"


@dataclass(frozen=True)
class _Proof:
    """A solved stage: prices per capacity row and reduced costs per column, all ≥ 0, in the stage's measure."""

    row_prices: FloatArray
    row_savings: FloatArray
    """What one more unit of capacity would save in this stage alone, the earlier ones being kept."""
    reduced_costs: FloatArray
    multipliers: FloatArray
    closes_columns: IntArray
    closes_rows: IntArray


@dataclass
class _Search:
    """The model inside HiGHS and what the stages so far have closed."""

    programme: Programme
    highs: highspy.Highs
    row_upper: FloatArray
    column_is_closed: npt.NDArray[np.bool_]
    row_is_closed: npt.NDArray[np.bool_]
    columns: FloatArray | None = None
    proofs: list[_Proof] = field(default_factory=list)


def assign(options: Options, progress: Callable[[str, float], None] | None = None) -> Solution:
    """Serve the needs stage by stage: least shortfall by tier and rank, lateness, cost, earliness.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    programme = build_programme(options)
    measures = stage_measures(options)
    search = _open(programme)
    stage_prices = []
    capacity_savings = np.zeros(options.capacities.available.shape)
    if programme.n_columns > 0:
        _start_near_the_end(search, measures)
    for k, measure in enumerate(measures):
        if progress is not None:
            progress(measure.name, k / len(measures))
        proof = _prove(search, programme.column_cost(measure))
        _close(search, proof)
        if measure.name.startswith("cost:"):
            capacity_savings = _by_capacity(programme, proof.row_savings)
        stage_prices.append(
            StagePrices(
                measure=measure.name,
                capacity=_by_capacity(programme, proof.row_prices),
                multipliers=proof.multipliers,
            )
        )
    if programme.n_columns > 0:
        _solve(search, _distance_ranks(programme))
    columns = np.zeros(programme.n_columns) if search.columns is None else search.columns
    option_index, units, shortfall_units = share_out(programme, columns)
    return Solution(
        option_index=option_index,
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=tuple(stage_prices),
        capacity_savings=capacity_savings,
        method=METHOD,
        tie_break=TIE_BREAK,
    )


def _distance_ranks(programme: Programme) -> FloatArray:
    ranks = np.zeros(programme.n_columns)
    of_shipments = programme.options.option_distance_rank[programme.shipment_option]
    ranks[: len(of_shipments)] = of_shipments
    return ranks


def _open(programme: Programme) -> _Search:
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", 0)
    highs.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    highs.passModel(to_highs(programme))
    capacity = capacity_rhs(programme)
    return _Search(
        programme=programme,
        highs=highs,
        row_upper=capacity,
        column_is_closed=np.zeros(programme.n_columns, dtype=bool),
        row_is_closed=np.zeros(len(capacity), dtype=bool),
    )


def _start_near_the_end(search: _Search, measures: Sequence[StageMeasure]) -> None:
    """Solve one weighted sum for a basis from which every stage is short work; nothing else is taken from it."""
    costs = [search.programme.column_cost(measure) for measure in measures[:-1]]
    weights = [*np.geomspace(*SHORTFALL_WEIGHTS, len(costs) - 2), LATENESS_WEIGHT, 1.0]
    scaled = [weight * cost / _scale(cost) for weight, cost in zip(weights, costs, strict=True)]
    search.highs.setOptionValue("dual_feasibility_tolerance", STARTING_TOLERANCE)
    status = _run(search.highs, np.sum(scaled, axis=0))
    search.highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    if status == highspy.HighsModelStatus.kOptimal:
        search.columns = _column_values(search.highs)
    else:
        search.highs.clearSolver()


def _scale(costs: FloatArray) -> float:
    """Take the geometric mean of what costs anything, as values of products may span many orders."""
    return power_of_two(float(np.exp2(np.log2(costs[costs > 0]).mean()))) if (costs > 0).any() else 1.0


def _prove(search: _Search, costs: FloatArray) -> _Proof:
    """Minimise one stage, or see that its value is 0 already, which prices of 0 prove."""
    scale = _scale(costs)
    if not costs.any() or (
        search.columns is not None and float(costs @ search.columns) <= FEASIBILITY_TOLERANCE * scale
    ):
        raw_prices, raw_reduced = np.zeros(len(search.row_upper)), costs
    else:
        scaled_prices, scaled_reduced = _solve(search, costs / scale)
        raw_prices, raw_reduced = scaled_prices * scale, scaled_reduced * scale
    prices, reduced_costs, multipliers = _combine(search.proofs, raw_prices, raw_reduced)
    limit = CLOSED_ABOVE * scale
    # By the stage's own duals: what earlier proofs add where nothing is closed yet is rounding, however multiplied.
    return _Proof(
        row_prices=prices,
        row_savings=np.maximum(0.0, raw_prices),
        reduced_costs=reduced_costs,
        multipliers=multipliers,
        closes_columns=np.flatnonzero((raw_reduced > limit) & ~search.column_is_closed),
        closes_rows=np.flatnonzero((raw_prices > limit) & ~search.row_is_closed),
    )


def _solve(search: _Search, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Run HiGHS from where it stands; return capacity row prices and reduced costs."""
    highs = search.highs
    status = _run(highs, costs)
    if status != highspy.HighsModelStatus.kOptimal:
        # A basis can be numerically unlucky; without one HiGHS presolves and starts afresh.
        highs.clearSolver()
        status = _run(highs, costs)
    if status != highspy.HighsModelStatus.kOptimal:
        raise AssignmentFailedError(
            f"the solver ended with {highs.modelStatusToString(status)}, not an optimum"
        )
    search.columns = _column_values(highs)
    solution = highs.getSolution()
    row_duals = np.array(solution.row_dual)[search.programme.first_capacity_row :]
    return -row_duals, np.array(solution.col_dual)


def _run(highs: highspy.Highs, costs: FloatArray) -> highspy.HighsModelStatus:
    highs.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
    highs.run()
    return highs.getModelStatus()


def _column_values(highs: highspy.Highs) -> FloatArray:
    values: FloatArray = np.maximum(0.0, np.array(highs.getSolution().col_value))
    return values


def _combine(
    proofs: list[_Proof], prices: FloatArray, reduced: FloatArray
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


def _close(search: _Search, proof: _Proof) -> None:
    """Keep every later stage inside this one's optimum."""
    search.proofs.append(proof)
    search.column_is_closed[proof.closes_columns] = True
    search.row_is_closed[proof.closes_rows] = True
    columns = proof.closes_columns.astype(np.int32)
    empty = np.zeros(len(columns))
    search.highs.changeColsBounds(len(columns), columns, empty, empty)
    first = search.programme.first_capacity_row
    for row in proof.closes_rows:
        full = float(search.row_upper[row])
        search.highs.changeRowBounds(int(first + row), full, full)


def _by_capacity(programme: Programme, row_prices: FloatArray) -> FloatArray:
    """Turn row prices into prices of a unit of capacity; of a store, what arrives counts in every later row.

    Shapes: (n_resources × n_buckets,) → (n_resources, n_buckets)
    """
    capacities = programme.options.capacities
    prices = (row_prices / programme.row_scale).reshape(capacities.available.shape)
    arriving = np.cumsum(prices[:, ::-1], axis=1)[:, ::-1]
    return np.where(capacities.is_stored[:, None], arriving, prices)
