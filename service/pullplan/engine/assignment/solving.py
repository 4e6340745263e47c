"""Which way is an instance solved: whole in HiGHS, or by prices where it is large?"""

from collections.abc import Callable, Sequence

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.lines import share_out
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.programme import Programme, build_programme, to_highs
from pullplan.engine.assignment.stages import (
    FEASIBILITY_TOLERANCE,
    Search,
    close,
    column_values,
    open_search,
    prove,
    run,
    solve,
    typical_scale,
)
from pullplan.engine.options import Options, Solution, StagePrices, stage_measures

FloatArray = npt.NDArray[np.float64]

PRICED_FROM_NEEDS = 3_000
"""Below, HiGHS takes the whole programme within a second."""
SHORTFALL_WEIGHTS = (1e9, 1e7)
LATENESS_WEIGHT = 1e4
"""Of the sum that the search starts from, the cost's being 1: with less, real networks need as long again for the
stages (measured: 40 regions × 10 products × 18 nodes × 8 weeks, 10 s instead of 5 s)."""
STARTING_TOLERANCE = 1e-6
METHOD = "one linear programme in HiGHS, stage by stage"
TIE_BREAK = "after every stage, the least Σ units × rank(distance_km, node_code)"


def assign(options: Options, progress: Callable[[str, float], None] | None = None) -> Solution:
    """Serve the needs stage by stage: least shortfall by tier and rank, lateness, cost, earliness.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    if len(options.needs) >= PRICED_FROM_NEEDS:
        priced = assign_by_prices(options, progress)
        if priced is not None:
            return priced
    return assign_whole(options, progress)


def assign_whole(options: Options, progress: Callable[[str, float], None] | None = None) -> Solution:
    """Solve the stages one after the other over every option at once.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    programme = build_programme(options)
    measures = stage_measures(options)
    search = open_search(to_highs(programme), programme.first_capacity_row)
    stage_prices = []
    capacity_savings = np.zeros(options.capacities.available.shape)
    if programme.n_columns > 0:
        _start_near_the_end(search, [programme.column_cost(measure) for measure in measures[:-1]])
    for k, measure in enumerate(measures):
        if progress is not None:
            progress(measure.name, k / len(measures))
        proof = prove(search, programme.column_cost(measure))
        close(search, proof)
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
        solve(search, _distance_ranks(programme))
    columns = np.zeros(programme.n_columns) if search.columns is None else search.columns
    lines, units, shortfall_units = share_out(programme, columns)
    need, capability, start_bucket = lines
    return Solution(
        need=need,
        capability=capability,
        start_bucket=start_bucket,
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


def _start_near_the_end(search: Search, costs: Sequence[FloatArray]) -> None:
    """Solve one weighted sum for a basis from which every stage is short work; nothing else is taken from it."""
    weights = [*np.geomspace(*SHORTFALL_WEIGHTS, len(costs) - 2), LATENESS_WEIGHT, 1.0]
    scaled = [weight * cost / typical_scale(cost) for weight, cost in zip(weights, costs, strict=True)]
    search.highs.setOptionValue("dual_feasibility_tolerance", STARTING_TOLERANCE)
    status = run(search.highs, np.sum(scaled, axis=0))
    search.highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    if status == highspy.HighsModelStatus.kOptimal:
        search.columns = column_values(search.highs)
    else:
        search.highs.clearSolver()


def _by_capacity(programme: Programme, row_prices: FloatArray) -> FloatArray:
    """Turn row prices into prices of a unit of capacity; of a store, what arrives counts in every later row.

    Shapes: (n_resources × n_buckets,) → (n_resources, n_buckets)
    """
    capacities = programme.options.capacities
    prices = (row_prices / programme.row_scale).reshape(capacities.available.shape)
    arriving = np.cumsum(prices[:, ::-1], axis=1)[:, ::-1]
    return np.where(capacities.is_stored[:, None], arriving, prices)
