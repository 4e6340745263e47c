"""Which way is an instance solved: whole in HiGHS, or by prices where it is large?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.holds import Holds
from pullplan.engine.assignment.lines import share_out
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.programme import Programme, build_programme, to_highs
from pullplan.engine.assignment.slices import ProvedSlices, SharedShortfall, Shortages
from pullplan.engine.assignment.stages import (
    FEASIBILITY_TOLERANCE,
    Search,
    best_so_far,
    close,
    column_values,
    open_search,
    prove,
    row_prices,
    run,
    solve,
    typical_scale,
)
from pullplan.engine.assignment.stopping import NO_TIE_BREAK, STOPPED, prove_simply, serve_short
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.model import TIERS, SearchProgress, ShortfallStage, Tier
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
from pullplan.engine.sharding import Spread, here

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRICED_FROM_NEEDS = 3_000
"""Below, HiGHS takes the whole programme within a second."""
SHORTFALL_WEIGHTS = (1e9, 1e7)
LATENESS_WEIGHT = 1e4
"""Of the sum that the search starts from, the cost's being 1: with less, real networks need as long again for the
stages (measured: 40 regions × 10 products × 18 nodes × 8 weeks, 10 s instead of 5 s)."""
STARTING_TOLERANCE = 1e-6
METHOD = "one linear programme in HiGHS, stage by stage"
TIE_BREAK = "after every stage, the least Σ units × rank(distance_km, node_code)"


def assign(
    options: Options,
    progress: Callable[[SearchProgress], None] | None = None,
    warm_prices: FloatArray | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    spread: Spread = here,
) -> Solution:
    """Serve the needs stage by stage: least shortfall by tier and rank, lateness, cost, earliness.

    `progress` hears how far the search is. `should_stop` is asked again and again; once it says so, the solution is the
    best that was found by then, with prices that prove valid, if wide, bounds. `spread` lends workers to the search; how
    many there are changes nothing in the solution.
    `warm_prices` (n_resources, n_buckets), those of the cost stage of a plan for nearly the same facts, spare a large
    instance most of the search; what is proved does not depend on them.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = Watch(progress, should_stop)
    if len(options.needs) >= PRICED_FROM_NEEDS:
        priced = assign_by_prices(options, watch, warm_prices, spread=spread)
        if priced is not None:
            return priced
    return assign_whole(options, watch)


def assign_held(
    options: Options,
    holds: Holds,
    progress: Callable[[SearchProgress], None] | None = None,
    warm_prices: FloatArray | None = None,
) -> Solution | None:
    """Serve the needs as `assign` does, by plans alone that hold what has to stay; None where prices don't settle.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    return assign_by_prices(options, Watch(progress), warm_prices, holds=holds)


def assign_whole(options: Options, watch: Watch | None = None) -> Solution:
    """Solve the stages one after the other over every option at once.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    programme = build_programme(options)
    state = _State(
        programme=programme,
        search=open_search(to_highs(programme), programme.first_capacity_row, watch),
        ranks=_ranks(programme),
        in_time=stage_measures(options, []),
    )
    try:
        _solve_stages(state, watch)
    except SearchStoppedError:
        return _stopped(state)
    (need, capability, start_bucket), units, shortfall_units = state.lines(state.search.columns)
    return Solution(
        need=need,
        capability=capability,
        start_bucket=start_bucket,
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=tuple(state.proved()),
        capacity_savings=state.capacity_savings(),
        method=METHOD,
        tie_break=TIE_BREAK,
    )


@dataclass
class _State:
    """What is known while the stages are solved."""

    programme: Programme
    search: Search
    ranks: "Sequence[_Rank]"
    in_time: Sequence[StageMeasure]
    """The stages after shortfall."""
    shared: list[SharedShortfall] = field(default_factory=list)
    """Of the ranks so far; the last may be proved in part."""
    n_in_time: int = 0
    """So many stages after shortfall are proved."""
    mixture: "_Mixture | None" = None

    def proved(self) -> list[StagePrices]:
        """Gather the stages that are proved, with what proves them."""
        n_slices = self.programme.options.parameters.share_slices
        proofs = [
            (stage.name(rank.tier, rank.rank, n_slices), self.search.proofs[stage.proof])
            for rank, of_rank in zip(self.ranks, self.shared, strict=False)
            for stage in of_rank.stages
        ]
        if self.n_in_time:
            measures, in_time = self.in_time[: self.n_in_time], self.search.proofs[-self.n_in_time :]
            proofs += [(m.name, proof) for m, proof in zip(measures, in_time, strict=True)]
        return [
            StagePrices(name, _by_capacity(self.programme, proof.row_prices), proof.multipliers)
            for name, proof in proofs
        ]

    def unproved(self) -> list[str]:
        """Name the other stages, which follow those; slices are joined as far as they can be."""
        n_slices = self.programme.options.parameters.share_slices
        names = []
        for number, rank in enumerate(self.ranks):
            stages = self.shared[number].stages if number < len(self.shared) else []
            if not stages:
                names.append(ShortfallStage(tier=rank.tier, rank=rank.rank).measure)
            elif stages[-1].last < n_slices:
                rest = ProvedSlices(stages[-1].last + 1, n_slices, proof=-1)
                names.append(rest.name(rank.tier, rank.rank, n_slices))
        return names + [measure.name for measure in self.in_time[self.n_in_time :]]

    def weight_of(self, name: str) -> float:
        """Tell what one unit of a stage's measure weighed in the sum that was solved first; 0 where it was not."""
        if self.mixture is None:
            return 0.0
        stage = ShortfallStage.read(name)
        if stage is None:
            return self.mixture.in_time[[measure.name for measure in self.in_time].index(name)]
        ranks = [(rank.tier, rank.rank) for rank in self.ranks]
        return self.mixture.ranks[ranks.index((stage.tier, stage.rank))]

    def capacity_savings(self) -> FloatArray:
        """Say what one more unit of each capacity would save in the cost stage, if that is proved."""
        for measure, proof in zip(
            self.in_time[: self.n_in_time], self.search.proofs[-self.n_in_time :], strict=False
        ):
            if measure.name.startswith("cost:"):
                return _by_capacity(self.programme, proof.row_savings)
        return np.zeros(self.programme.options.capacities.available.shape)

    def lines(self, columns: FloatArray | None) -> tuple[IntArray, FloatArray, FloatArray]:
        """Cut columns into lines, slices added up again."""
        columns = np.zeros(self.search.n_columns) if columns is None else columns.copy()
        for of_rank in self.shared:
            columns[of_rank.columns[0]] = of_rank.short_units(columns)
        return share_out(self.programme, columns[: self.programme.n_columns])


def _solve_stages(state: _State, watch: Watch) -> None:
    """Raises: SearchStoppedError, AssignmentFailedError."""
    programme, search = state.programme, state.search
    n_stages = len(state.ranks) + len(state.in_time)
    watch.begin(state.unproved()[0], 0.0)
    if programme.n_columns > 0:
        state.mixture = _start_near_the_end(state)
    for k, rank in enumerate(state.ranks):
        watch.begin(ShortfallStage(tier=rank.tier, rank=rank.rank).measure, k / n_stages)
        of_rank = SharedShortfall(search, rank.shortages)
        state.shared.append(of_rank)
        of_rank.prove()
        _note(
            watch,
            programme,
            sum(search.proofs[s.proof].value * (s.last - s.first + 1) for s in of_rank.stages),
        )
    for k, measure in enumerate(state.in_time, start=len(state.ranks)):
        watch.begin(measure.name, k / n_stages)
        close(search, prove(search, programme.column_cost(measure)))
        state.n_in_time += 1
        _note(watch, programme, search.proofs[-1].value)
    if programme.n_columns > 0:
        solve(search, _tie_ranks(programme, search.n_columns))


def _note(watch: Watch, programme: Programme, value: float) -> None:
    watch.note(value=value * programme.unit_scale, bound=value * programme.unit_scale)


def _stopped(state: _State) -> Solution:
    """Take the plan where HiGHS stands, serve what is short and has room, and prove what can be proved."""
    options = state.programme.options
    columns = best_so_far(state.search)
    made: tuple[IntArray, FloatArray, FloatArray]
    if columns is None:
        made = np.empty((3, 0), dtype=np.int64), np.empty(0), options.need_units
    else:
        made = state.lines(columns)
    (need, capability, start_bucket), units, shortfall_units = serve_short(options, *made)
    proved = state.proved()
    names = [*(prices.measure for prices in proved), *state.unproved()]
    measures = stage_measures(options, names)
    weights = np.array([state.weight_of(name) for name in names])
    no_prices = np.zeros(options.capacities.available.shape)
    found = dict(enumerate(proved))
    for k in range(len(proved), len(names)):
        # Of slices that are joined, the first alone is bounded: prices of the whole would be far too high.
        if weights[k] > 0 and measures[k].n_joined == 1 and state.mixture is not None:
            capacity = state.mixture.capacity / weights[k]
            found[k] = StagePrices(names[k], capacity, weights[:k] / weights[k])
    simply = {k: [no_prices] for k in range(len(names)) if k not in found}
    found |= zip(simply, prove_simply(options, measures, simply, shortfall_units), strict=True)
    return Solution(
        need=need,
        capability=capability,
        start_bucket=start_bucket,
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=tuple(found[k] for k in range(len(names))),
        capacity_savings=state.capacity_savings(),
        method=METHOD + STOPPED,
        tie_break=NO_TIE_BREAK,
        is_complete=False,
    )


@dataclass(frozen=True)
class _Mixture:
    """A solved sum of stages, each times its weight: at its prices every stage in it has a bound."""

    ranks: Sequence[float]
    in_time: Sequence[float]
    """0 for what is not in the sum."""
    capacity: FloatArray
    """(n_resources, n_buckets): its prices."""


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


def _tie_ranks(programme: Programme, n_columns: int) -> FloatArray:
    options = programme.options
    of_options = options.capabilities.tie_ranks(options.option_capability, options.option_distance_rank)
    ranks = np.zeros(n_columns)
    ranks[: len(programme.shipment_option)] = of_options[programme.shipment_option]
    return ranks


def _start_near_the_end(state: _State) -> _Mixture | None:
    """Solve one weighted sum for a basis from which every stage is short work; its prices serve where time is short.

    Raises: SearchStoppedError.
    """
    search, programme = state.search, state.programme
    lateness, cost, _ = state.in_time
    of_ranks, of_time = [], []
    weighed = np.zeros(programme.n_columns)
    for weight, rank in zip(
        np.geomspace(*SHORTFALL_WEIGHTS, len(state.ranks)).tolist(), state.ranks, strict=True
    ):
        of_ranks.append(weight / typical_scale(rank.shortages.weight))
        weighed[rank.shortages.column] = of_ranks[-1] * rank.shortages.weight
    for weight, measure in ((LATENESS_WEIGHT, lateness), (1.0, cost)):
        of_measure = programme.column_cost(measure)
        of_time.append(weight / typical_scale(of_measure))
        weighed += of_time[-1] * of_measure
    search.highs.setOptionValue("dual_feasibility_tolerance", STARTING_TOLERANCE)
    status = run(search.highs, weighed)
    search.highs.setOptionValue("dual_feasibility_tolerance", FEASIBILITY_TOLERANCE)
    if status == highspy.HighsModelStatus.kInterrupt:
        raise SearchStoppedError
    if status != highspy.HighsModelStatus.kOptimal:
        search.highs.clearSolver()
        return None
    search.columns = column_values(search.highs)
    prices = _by_capacity(programme, np.maximum(0.0, row_prices(search)))
    return _Mixture(of_ranks, [*of_time, 0.0], prices)


def _by_capacity(programme: Programme, row_prices: FloatArray) -> FloatArray:
    """Turn row prices into prices of a unit of capacity; of a store, what arrives counts in every later row.

    Shapes: (n_resources × n_buckets,) → (n_resources, n_buckets)
    """
    capacities = programme.options.capacities
    prices = (row_prices / programme.row_scale).reshape(capacities.available.shape)
    arriving = np.cumsum(prices[:, ::-1], axis=1)[:, ::-1]
    return np.where(capacities.is_stored[:, None], arriving, prices)
