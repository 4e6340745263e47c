"""How does an instance go through the prices on capacity, and its plan come back as lines?"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.holds import Holds
from pullplan.engine.assignment.layout import Layout, lay_out, soonest_buckets
from pullplan.engine.assignment.pricing import HELD_COOLING, WARM_COOLING, PricedPlan, price, price_short
from pullplan.engine.assignment.slices import ProvedSlices
from pullplan.engine.assignment.smoothing import start_prices
from pullplan.engine.assignment.stopping import NO_TIE_BREAK, STOPPED, measured, prove_simply, serve_short
from pullplan.engine.assignment.watching import SearchStoppedError, Watch
from pullplan.engine.errors import AssignmentFailedError
from pullplan.engine.model import TIERS
from pullplan.engine.options import (
    Options,
    Solution,
    StageMeasure,
    StagePrices,
    needs_by_rank,
    stage_measures,
)
from pullplan.engine.sharding import Spread, here

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

METHOD = "prices on capacity by Newton's steps, near ties completed exactly in HiGHS"
FEWEST_MOVES = "after every stage, the fewest units that are made at another node than in the parent"
ANY_BY_PRICE = "none: of equally good plans that move as little, any"
NOTHING_EARLY = 1e-9
"""Of one mean need: the solver's rounding, of which prices of 0 prove enough."""
TIE_BREAK = "after every stage, the least Σ units × rank(distance_km, node_code)"


def assign_by_prices(
    options: Options,
    watch: Watch | None = None,
    warm_prices: FloatArray | None = None,
    *,
    spread: Spread = here,
    holds: Holds | None = None,
) -> Solution | None:
    """Assign through prices; None where they don't settle.

    `warm_prices` (n_resources, n_buckets) prove the cost of a plan for nearly the same facts. Needs stay where `holds`
    says as far as it says, and where that is free, as far as the plan is as good.
    """
    if len(options.needs) == 0:
        return None
    measures = stage_measures(options)
    needs_of = needs_by_rank(options)
    layout = lay_out(options, needs_of.values(), soonest_buckets(options), holds)
    if layout is None:
        return None
    watch = watch or Watch()
    for k, measure in enumerate(measures[:-1]):
        watch.begin(measure.name, k / len(measures))  # shortfall and lateness are proved with the cost
    if warm_prices is not None:
        warm_prices = warm_prices[:, : layout.market.n_starts] * layout.row_scale[:, None]
        n_stay_rows = len(layout.market.capacity) // layout.market.n_starts - len(layout.row_scale)
        if holds is not None and n_stay_rows:
            warm_prices = np.pad(warm_prices, ((0, n_stay_rows), (0, 0)), constant_values=holds.churn_price)
    try:
        plan = price(
            *(layout.market, len(needs_of), warm_prices),
            watch=watch,
            spread=spread,
            warm_cooling=WARM_COOLING if holds is None or holds.is_free else HELD_COOLING,
        )
        if plan is None:
            layout = lay_out(options, needs_of.values(), options.need_latest_bucket, holds) or layout
            plan = price_short(layout.market, len(needs_of), watch=watch, spread=spread)
    except AssignmentFailedError:
        return None
    except SearchStoppedError as stopped:
        return _stopped(options, measures, layout, stopped.row_prices)
    if plan is None:
        return None
    watch.begin(measures[-1].name, 1 - 1 / len(measures))
    lines, units, shortfall_units = _lines(options, layout, plan)
    return Solution(
        need=lines[0],
        capability=lines[1],
        start_bucket=lines[2],
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=_stage_prices(options, list(needs_of), measures[-3:], layout, plan),
        capacity_savings=_by_capacity(
            options, layout, np.maximum(0.0, _of_all(plan, plan.lines.cost.solved.by_start))
        ),
        method=METHOD,
        tie_break=_tie_break(holds),
    )


def _tie_break(holds: Holds | None) -> str:
    if holds is None:
        return TIE_BREAK
    return FEWEST_MOVES if holds.is_free else ANY_BY_PRICE


def _stopped(
    options: Options,
    measures: Sequence[StageMeasure],
    layout: Layout,
    row_prices: Sequence[FloatArray],
) -> Solution:
    """Let needs take their best options with room, prices by now counted or not, and prove what these prices prove."""
    tried = [
        _by_capacity(options, layout, start_prices(layout.market, np.maximum(0.0, prices)))
        for prices in row_prices
    ]
    nothing = np.empty((3, 0), dtype=np.int64), np.empty(0), options.need_units
    plans = [serve_short(options, *nothing, prices=prices) for prices in (*tried, None)]
    made, units, shortfall_units = min(plans, key=lambda plan: measured(options, measures, *plan))
    need, capability, start_bucket = made
    cost = len(measures) - 2
    free = np.zeros(options.capacities.available.shape)
    by_stage = {k: [free, *tried] if k == cost else [free] for k in range(len(measures))}
    proved = prove_simply(options, measures, by_stage, shortfall_units)
    return Solution(
        need=need,
        capability=capability,
        start_bucket=start_bucket,
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=tuple(proved),
        capacity_savings=proved[cost].capacity,
        method=METHOD + STOPPED,
        tie_break=NO_TIE_BREAK,
        is_complete=False,
    )


def _lines(options: Options, layout: Layout, plan: PricedPlan) -> tuple[IntArray, FloatArray, FloatArray]:
    """Read the plan's lines as needs, capabilities and start buckets, ascending, and what stays short of every need.

    Shapes: (3, n_lines), (n_lines,), (n_needs,)
    """
    market, lines = layout.market, plan.lines
    n_ways = np.array([len(capability) for capability in layout.capability])
    first_way = np.cumsum([0, *n_ways])
    block = np.searchsorted(market.first_need, lines.need, side="right") - 1
    need = layout.need[lines.need]
    # To stay short is the way after the last.
    is_short = lines.way == n_ways[block]
    shortfall_units = options.need_units.copy()
    shortfall_units[layout.need] = 0.0
    shortfall_units[need[is_short]] = lines.units[is_short]
    made = ~is_short
    capability = np.concatenate(layout.capability)[first_way[block[made]] + lines.way[made]]
    found = np.stack([need[made], capability, lines.start[made]])
    order = np.lexsort(found[::-1])
    return found[:, order], lines.units[made][order], shortfall_units


def _stage_prices(
    options: Options,
    ranks: Sequence[tuple[int, int]],
    in_time: Sequence[StageMeasure],
    layout: Layout,
    plan: PricedPlan,
) -> tuple[StagePrices, ...]:
    """Gather every stage's proof; what is 0 already is proved by prices of 0."""
    market, shortage, lines = plan.market, plan.shortage, plan.lines
    nothing = np.zeros_like(plan.cost.by_start)
    found: list[tuple[str, FloatArray, FloatArray]] = []
    for k, (tier, rank) in enumerate(ranks):
        served = [ProvedSlices(1, market.n_slices, k)]
        for stage in served if shortage is None else shortage.stages[k]:
            name = stage.name(TIERS[tier], rank, market.n_slices)
            prices, multipliers = nothing, np.zeros(len(found))
            if shortage is not None:
                proof = shortage.proofs[stage.proof]
                prices, multipliers = start_prices(market, proof.row_prices), proof.multipliers
            found.append((name, prices, multipliers))
    lateness, cost, earliness = in_time
    found.append((lateness.name, plan.lateness.by_start, plan.lateness.multipliers))
    found.append((cost.name, plan.cost.by_start, plan.cost.multipliers))
    prices, multipliers = nothing, np.zeros(len(found))
    if lines.early.value > NOTHING_EARLY * earliness.one_mean_need:
        # What is early was made small in a sum with the cost.
        of_cost = 1.0 / lines.early.solved.early_weight
        prices = of_cost * plan.early.by_start
        multipliers = of_cost * np.append(plan.early.multipliers, 1.0)
    found.append((earliness.name, prices, multipliers))
    cost_at = len(found) - 2
    worth = layout.worth_of_staying
    worths = [*[0.0] * cost_at, worth, worth * float(multipliers[cost_at])]
    return tuple(
        StagePrices(
            name,
            _by_capacity(options, layout, of_all),
            multipliers,
            churn=worth + float(of_all[len(layout.row_scale) :, :1].sum()),
        )
        for (name, prices, multipliers), worth in zip(found, worths, strict=True)
        for of_all in (_of_all(plan, prices),)
    )


def _of_all(plan: PricedPlan, by_start: FloatArray) -> FloatArray:
    """Say of limits that have no price that one more unit of them is worth nothing."""
    of_all = np.zeros((len(plan.is_priced), by_start.shape[1]))
    of_all[plan.is_priced] = by_start
    return of_all


def _by_capacity(options: Options, layout: Layout, by_start: FloatArray) -> FloatArray:
    prices = np.zeros(options.capacities.available.shape)
    prices[:, : layout.market.n_starts] = by_start[: len(prices)] / layout.row_scale[:, None]
    return prices
