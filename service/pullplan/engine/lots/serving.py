"""Who gets what the orders of a product make, and what is left over?

The orders' units being given, products have nothing in common any more. What the relaxation serves is served first,
then what it left short; then least lateness, least cost, surplus included, and least earliness, one after the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.errors import AssignmentFailedError
from pullplan.engine.lots.sizing import FEASIBILITY_TOLERANCE, Problem
from pullplan.engine.lots.ways import Columns, Rows, Ways, add_flow

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DUST_SHARE = 1e-8
"""Lines and shortages below this share of their need are the solver's rounding."""
CLOSED_ABOVE = 1e-7
"""A reduced cost above this share of a stage's largest cost keeps its column as it is in later stages."""
SLACK_SHARE = 1e-9
"""Of an order: so far may what it serves be below its minimum, as sizes keep to it within the solver's tolerance."""


@dataclass(frozen=True)
class Served:
    """Lines, and what stays short of every need of the ways."""

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    shortfall_units: FloatArray


def serve(problem: Problem, ways: Ways, size: FloatArray) -> Served:
    """Give out what orders make.

    Shapes: `size` (n_orders of `ways`,)

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    options, orders = problem.options, problem.orders
    units, wanted = options.need_units[ways.need], problem.units[ways.need]
    columns = Columns()
    shipments, starts = columns.block(len(ways.shipment_need)), columns.block(len(ways.start_batch))
    short, never = columns.block(len(ways.need)), columns.block(len(ways.need))
    surplus = columns.block(len(ways.order))
    rows = Rows()
    need, order = np.arange(len(ways.need)), np.arange(len(ways.order))
    add_flow(rows, ways, units, (shipments, starts), (np.append(need, need), np.append(short, never), 1.0))
    rows.add(len(order), size, size, (ways.start_order, starts, 1.0), (order, surplus, 1.0))
    upper = np.full(columns.n, highspy.kHighsInf)
    upper[short], upper[never] = wanted, units - wanted
    if not problem.make_minimum:
        minimum = problem.rules.minimum[orders.capability[ways.order]]
        upper[surplus] = np.maximum(0.0, size - minimum) + SLACK_SHARE * size
    weight = problem.weights.short[ways.need]
    stages = (
        ((short, weight),),
        ((never, weight),),
        ((starts, ways.start_late),),
        (
            (shipments, ways.shipment_cost),
            (starts, ways.start_holding),
            (surplus, orders.surplus_cost[ways.order]),
        ),
        (
            (starts, ways.start_early),
            (surplus, orders.surplus_early_buckets[ways.order]),
        ),
    )
    costs = []
    for terms in stages:
        cost = np.zeros(columns.n)
        for column, measure in terms:
            cost[column] = measure
        costs.append(cost)
    found = _one_after_the_other(rows.to_lp(costs[0], np.zeros(columns.n), upper), costs)
    shortfall = found[short] + found[never]
    return _cut_lines(problem, ways, found[shipments], found[starts], shortfall)


def _one_after_the_other(lp: highspy.HighsLp, costs: Iterable[FloatArray]) -> FloatArray:
    """Minimise every cost inside the optimum of those before; all rows are equations, all costs ≥ 0."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy's class has an untyped constructor
    highs.silent()
    for option, value in (
        ("threads", 1),
        ("random_seed", 0),
        ("primal_feasibility_tolerance", FEASIBILITY_TOLERANCE),
        ("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    every = np.arange(lp.num_col_, dtype=np.int32)
    columns: FloatArray | None = None
    for cost in costs:
        largest = float(cost.max(initial=0.0))
        if largest == 0:
            continue
        scaled = cost / largest
        if columns is not None and float(scaled @ columns) == 0:
            closed = np.flatnonzero(scaled > 0)
        else:
            highs.changeColsCost(len(every), every, scaled)
            highs.run()
            if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                status = highs.modelStatusToString(highs.getModelStatus())
                raise AssignmentFailedError(f"giving out lots ended with {status}, not an optimum")
            solution = highs.getSolution()
            columns = np.array(solution.col_value)
            closed = np.flatnonzero(np.abs(np.array(solution.col_dual)) > CLOSED_ABOVE)
        highs.changeColsBounds(len(closed), closed.astype(np.int32), columns[closed], columns[closed])
    return np.zeros(lp.num_col_) if columns is None else np.maximum(0.0, columns)


def _cut_lines(
    problem: Problem, ways: Ways, shipments: FloatArray, starts: FloatArray, shortfall: FloatArray
) -> Served:
    """Join shipments to starts batch by batch, those of earlier needs taking what is started earlier."""
    options = problem.options
    shipment, start, units = _overlaps(ways.shipment_batch, shipments, ways.start_batch, starts)
    need = ways.shipment_need[shipment]
    need_units = options.need_units[ways.need]
    shortfall = np.where(shortfall > DUST_SHARE * need_units, shortfall, 0.0)
    keep = units > DUST_SHARE * need_units[need]
    shipment, start, units, need = shipment[keep], start[keep], units[keep], need[keep]
    served = np.bincount(need, weights=units, minlength=len(need_units))
    shortfall = np.where(served > 0, shortfall, need_units)
    # The largest line of a need takes its rounding, so that every need adds up exactly.
    by_size = np.lexsort((units, need))
    largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
    units[largest] += (need_units - shortfall - served)[need[largest]]
    return Served(
        need=ways.need[need],
        capability=ways.shipment_capability[shipment],
        start_bucket=problem.orders.start[ways.order[ways.start_order[start]]],
        units=units,
        shortfall_units=shortfall,
    )


def _overlaps(
    left_group: IntArray, left: FloatArray, right_group: IntArray, right: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Lay amounts of both sides end to end within every group, and cut where either ends.

    Shapes: (n_pieces,) positions on the left and on the right, (n_pieces,) amounts
    """
    pieces = []
    rights: dict[int, list[tuple[int, float]]] = {}
    for r in np.flatnonzero(right > 0).tolist():
        rights.setdefault(int(right_group[r]), []).append((r, float(right[r])))
    for at in np.flatnonzero(left > 0).tolist():
        missing = float(left[at])
        supply = rights.get(int(left_group[at]), [])
        while missing > 0 and supply:
            r, there = supply[0]
            given = min(missing, there)
            pieces.append((at, r, given))
            missing -= given
            if there <= given:
                supply.pop(0)
            else:
                supply[0] = (r, there - given)
    left_at, right_at, amounts = zip(*pieces, strict=True) if pieces else ((), (), ())
    return (
        np.array(left_at, dtype=np.int64),
        np.array(right_at, dtype=np.int64),
        np.array(amounts, dtype=np.float64),
    )
