"""Which way is an instance solved: whole in HiGHS, or by prices where it is large?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.lines import share_out
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.programme import Programme, build_programme, to_highs
from pullplan.engine.assignment.share_limits import assign_within_shares
from pullplan.engine.assignment.slices import SharedShortfall, Shortages
from pullplan.engine.assignment.stages import (
    FEASIBILITY_TOLERANCE,
    Proof,
    Search,
    close,
    column_values,
    open_search,
    prove,
    run,
    solve,
    typical_scale,
)
from pullplan.engine.model import TIERS, ShortfallStage, Tier
from pullplan.engine.options import (
    Options,
    Solution,
    StageMeasure,
    StagePrices,
    needs_by_rank,
    shortfall_weight,
    slice_edges,
    stage_measures,
)

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
        priced = assign_within_shares(options, lambda within: assign_by_prices(within, progress))
        if priced is not None:
            return priced
    return assign_whole(options, progress)


def assign_whole(options: Options, progress: Callable[[str, float], None] | None = None) -> Solution:
    """Solve the stages one after the other over every option at once.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    programme = build_programme(options)
    search = open_search(to_highs(programme), programme.first_capacity_row)
    ranks = _ranks(programme)
    in_time = stage_measures(options, [])
    if programme.n_columns > 0:
        lateness, cost, _ = in_time
        _start_near_the_end(search, programme, ranks, lateness, cost)
    n_stages = len(ranks) + len(in_time)
    shared, stage_prices = [], []
    for k, rank in enumerate(ranks):
        if progress is not None:
            progress(ShortfallStage(tier=rank.tier, rank=rank.rank).measure, k / n_stages)
        of_rank = SharedShortfall(search, rank.shortages)
        of_rank.prove()
        shared.append(of_rank)
        for stage in of_rank.stages:
            name = stage.name(rank.tier, rank.rank, options.parameters.share_slices)
            stage_prices.append(_prices(programme, name, search.proofs[stage.proof]))
    capacity_savings = np.zeros(options.capacities.available.shape)
    for k, measure in enumerate(in_time, start=len(ranks)):
        if progress is not None:
            progress(measure.name, k / n_stages)
        proof = prove(search, programme.column_cost(measure))
        close(search, proof)
        if measure.name.startswith("cost:"):
            capacity_savings = _by_capacity(programme, proof.row_savings)
        stage_prices.append(_prices(programme, measure.name, proof))
    if programme.n_columns > 0:
        solve(search, _distance_ranks(programme, search.n_columns))
    columns = np.zeros(search.n_columns) if search.columns is None else search.columns
    for of_rank in shared:
        columns[of_rank.columns[0]] = of_rank.short_units(columns)
    lines, units, shortfall_units = share_out(programme, columns[: programme.n_columns])
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


@dataclass(frozen=True)
class _Rank:
    tier: Tier
    rank: int
    shortages: Shortages


def _ranks(programme: Programme) -> list[_Rank]:
    """Gather what may stay short by tier and rank, in the order in which they are served."""
    options = programme.options
    has_option = np.zeros(len(options.needs), dtype=bool)
    has_option[options.option_need] = True
    weight = np.where(has_option, shortfall_weight(options), 0.0)
    return [
        _Rank(
            TIERS[tier],
            rank,
            Shortages(
                column=programme.first_shortage + needs,
                row=needs,
                weight=weight[needs],
                edges=slice_edges(options, needs) / programme.unit_scale,
            ),
        )
        for (tier, rank), needs in needs_by_rank(options).items()
    ]


def _prices(programme: Programme, name: str, proof: Proof) -> StagePrices:
    return StagePrices(
        measure=name, capacity=_by_capacity(programme, proof.row_prices), multipliers=proof.multipliers
    )


def _distance_ranks(programme: Programme, n_columns: int) -> FloatArray:
    ranks = np.zeros(n_columns)
    of_shipments = programme.options.option_distance_rank[programme.shipment_option]
    ranks[: len(of_shipments)] = of_shipments
    return ranks


def _start_near_the_end(
    search: Search, programme: Programme, ranks: Sequence[_Rank], lateness: StageMeasure, cost: StageMeasure
) -> None:
    """Solve one weighted sum for a basis from which every stage is short work; nothing else is taken from it."""
    weighed = np.zeros(programme.n_columns)
    for weight, rank in zip(np.geomspace(*SHORTFALL_WEIGHTS, len(ranks)).tolist(), ranks, strict=True):
        weighed[rank.shortages.column] = weight * rank.shortages.weight / typical_scale(rank.shortages.weight)
    for weight, measure in ((LATENESS_WEIGHT, lateness), (1.0, cost)):
        of_measure = programme.column_cost(measure)
        weighed += weight * of_measure / typical_scale(of_measure)
    search.highs.setOptionValue("dual_feasibility_tolerance", STARTING_TOLERANCE)
    status = run(search.highs, weighed)
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
