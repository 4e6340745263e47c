"""Which needs must be opened, beyond those that changed, until no way of any need is cheaper?

The programme begins with the needs that changed. Its prices are held against every way of every need; where one is
cheaper than what a need has, the need is opened with it, and the programme is solved again, until nothing is cheaper.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.slices import SharedShortfall
from pullplan.engine.assignment.stages import close, open_search, prove, solve
from pullplan.engine.certificate import price_options
from pullplan.engine.model import ShortfallStage
from pullplan.engine.options import OptionRows, Options, Solution, StageMeasure, stage_measures
from pullplan.engine.replanning.programme import (
    DUST_SHARE,
    Churn,
    Opened,
    lines_of,
    named_rows,
    open_needs,
    row_numbers,
)
from pullplan.engine.replanning.proving import Proven, prove_held
from pullplan.engine.replanning.settling import with_settled
from pullplan.engine.replanning.standing import Standing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[str, float], None]

CLOSED_GAP = 1e-10
"""Of a stage's value, or of the measure of one mean need: what is left is rounding."""
CHEAPER_BY = 1e-9
"""Of what a unit of the mean need measures in the stage: what is cheaper by less is as dear."""
METHOD = "one linear programme in HiGHS over the needs that changed or had a cheaper way, stage by stage"
TIE_BREAK = "after every stage, the fewest units that are made elsewhere than in the parent"


def search(
    options: Options, standing: Standing, is_open: BoolArray, churn: Churn, progress: Progress | None = None
) -> Proven:
    """Find the best plan of all that keep to the churn, and prove it over every option.

    Shapes: is_open (n_needs,): those that the programme begins with; others are settled.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    held = row_numbers(options, standing.rows)
    is_open = is_open | ~standing.is_settled
    of_changed = options.rows_of(np.flatnonzero(~standing.is_settled))
    has_option = standing.is_settled.copy()
    has_option[of_changed.need] = True
    moves = row_numbers(options, of_changed)
    while True:
        # What a held line makes, others of its need may make more of.
        moves = np.union1d(moves, held[is_open[standing.rows.need]])
        opened = open_needs(options, standing, is_open, named_rows(options, moves), churn)
        proven, proofs = _solve(opened, standing, is_open, has_option, progress)
        measures = stage_measures(options, proven.solution.stage_names)
        if _is_closed(proven, measures):
            return proven
        worse_off = _needs_with_a_cheaper_way(
            *(opened, standing, is_open, measures), proven=proven, proofs=proofs
        )
        cheaper = np.setdiff1d(_cheaper_options(options, measures, proven, worse_off), moves)
        needs = np.flatnonzero(np.any(worse_off, axis=0))
        if len(cheaper) == 0 and is_open[needs].all():
            return proven
        moves = np.union1d(moves, cheaper)
        is_open[needs] = True


def _is_closed(proven: Proven, measures: Sequence[StageMeasure]) -> bool:
    return all(
        stage.gap_absolute <= CLOSED_GAP * max(abs(stage.value), measure.one_mean_need)
        for stage, measure in zip(proven.stages, measures, strict=True)
    )


def _solve(
    opened: Opened,
    standing: Standing,
    is_open: BoolArray,
    has_option: BoolArray,
    progress: Progress | None,
) -> tuple[Proven, list[FloatArray]]:
    """Solve all stages; also tell the reduced costs of the moves in each of them."""
    options = opened.options
    highs = open_search(opened.to_highs(), opened.first_capacity_row)
    names: list[str] = []
    shared = []
    for tier, rank, shortages in opened.shortages(has_option):
        if progress is not None:
            progress(ShortfallStage(tier=tier, rank=rank).measure, 0.0)
        of_rank = SharedShortfall(highs, shortages)
        of_rank.prove()
        shared.append(of_rank)
        names += [stage.name(tier, rank, options.parameters.share_slices) for stage in of_rank.stages]
    savings = np.zeros(options.capacities.available.shape)
    for measure in stage_measures(options, []):
        if progress is not None:
            progress(measure.name, 0.5)
        proof = prove(highs, opened.column_cost(measure))
        close(highs, proof)
        names.append(measure.name)
        if measure.name.startswith("cost:"):
            savings = opened.by_capacity(proof.row_savings)
    solve(highs, np.pad(opened.move_cost, (0, highs.n_columns - opened.n_columns)))
    columns = np.zeros(highs.n_columns) if highs.columns is None else highs.columns
    for of_rank in shared:
        columns[of_rank.columns[0]] = of_rank.short_units(columns)
    (need, capability, start, units), short = lines_of(opened, standing, is_open, columns)
    found = [opened.stage_proof(name, proof) for name, proof in zip(names, highs.proofs, strict=True)]
    found = with_settled(options, found, *_settled(standing, is_open))
    solution = Solution(
        need=need,
        capability=capability,
        start_bucket=start,
        units=units,
        shortfall_units=short,
        stage_prices=tuple(stage.prices for stage in found),
        capacity_savings=savings,
        method=METHOD,
        tie_break=TIE_BREAK,
    )
    moved = moved_units(options, standing, solution)
    proven = prove_held(options, standing, solution, [stage.churn_price for stage in found], moved)
    return proven, [stage.reduced_costs for stage in found]


def _settled(standing: Standing, is_open: BoolArray) -> tuple[OptionRows, BoolArray]:
    """Take the held lines of needs that are not open, and those needs."""
    settled = ~is_open[standing.rows.need]
    return standing.rows[settled], ~is_open


def moved_units(options: Options, standing: Standing, solution: Solution) -> float:
    """Add up the held units that their line, as it now is, does not cover."""
    rows = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    numbers, held = row_numbers(options, rows), row_numbers(options, standing.rows)
    if len(numbers) == 0:
        return standing.held_units
    place = np.minimum(np.searchsorted(numbers, held), len(numbers) - 1)
    gone = standing.units - np.where(numbers[place] == held, solution.units[place], 0.0)
    return float(gone[gone > DUST_SHARE * options.need_units[standing.rows.need]].sum())


def _needs_with_a_cheaper_way(
    opened: Opened,
    standing: Standing,
    is_open: BoolArray,
    measures: Sequence[StageMeasure],
    *,
    proven: Proven,
    proofs: Sequence[FloatArray],
) -> FloatArray:
    """Tell how far above its cheapest way each need's price in the programme is, in each stage; 0 where it has that.

    Shapes: (n_stages, n_needs)
    """
    options, moves = opened.options, opened.moves
    excess = np.zeros((len(measures), len(options.needs)))
    stage_prices = proven.solution.stage_prices
    mean_units = float(options.need_units.mean()) if len(options.needs) else 1.0
    for k, (measure, reduced, of_stage) in enumerate(zip(measures, proofs, proven.bounded, strict=True)):
        above = proven.held_prices[k] - of_stage.least_cover[standing.rows.need]
        np.maximum.at(excess[k], standing.rows.need, above - proven.churn_prices[k])
        excess[k, is_open] = 0.0
        priced = price_options(options, measures[: k + 1], stage_prices[k], moves)
        in_programme = priced - of_stage.cheapest[moves.need] - reduced
        np.maximum.at(excess[k], moves.need, in_programme)
        excess[k, excess[k] <= CHEAPER_BY * measure.one_mean_need / mean_units] = 0.0
    return excess


def _cheaper_options(
    options: Options, measures: Sequence[StageMeasure], proven: Proven, excess: FloatArray
) -> IntArray:
    """Number the options that are cheaper, in any stage, than their need's price in the programme."""
    needs = np.flatnonzero(np.any(excess, axis=0))
    rows = options.rows_of(needs)
    is_cheaper = np.zeros(len(rows.need), dtype=bool)
    for k, of_stage in enumerate(proven.bounded):
        priced = price_options(options, measures[: k + 1], proven.solution.stage_prices[k], rows)
        above = priced - of_stage.cheapest[rows.need]
        is_cheaper |= above < excess[k, rows.need] * (1 - CHEAPER_BY)
    return row_numbers(options, rows)[is_cheaper]
