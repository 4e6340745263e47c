"""How does an instance of one bucket go through the prices on capacity, and its plan come back as lines?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.pricing import PricedPlan, price
from pullplan.engine.assignment.programme import largest_use
from pullplan.engine.errors import AssignmentFailedError
from pullplan.engine.model import TIERS
from pullplan.engine.options import (
    Options,
    Solution,
    StageMeasure,
    StagePrices,
    needs_by_rank,
    shortfall_weight,
    stage_measures,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

METHOD = "prices on capacity by Newton's steps, near ties completed exactly in HiGHS"
TIE_BREAK = "none: of equally good plans the solver's, the same for the same facts"


@dataclass(frozen=True)
class _Layout:
    """The market of some options, and the scale of its rows."""

    market: Market
    """Its blocks are the groups of the options' needs."""
    row_scale: FloatArray


def assign_by_prices(
    options: Options, progress: Callable[[str, float], None] | None = None
) -> Solution | None:
    """Assign through prices; None where time matters (an option starts later, is early or late) or prices fail."""
    if len(options.needs) == 0:
        return None
    measures = stage_measures(options)
    needs_of = needs_by_rank(options)
    layout = _lay_out(options, needs_of.values())
    if layout is None:
        return None
    if progress is not None:
        progress(measures[0].name, 0.0)
    try:
        plan = price(layout.market, len(needs_of))
    except AssignmentFailedError:
        return None
    if plan is None:
        return None
    if progress is not None:
        for k, measure in enumerate(measures[1:], start=1):
            progress(measure.name, k / len(measures))
    need, capability, units, shortfall_units = _lines(options, layout, plan)
    return Solution(
        need=need,
        capability=capability,
        start_bucket=np.zeros_like(need),
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=_stage_prices(options, list(needs_of), measures[-3:], layout, plan),
        capacity_savings=_by_capacity(options, layout, np.maximum(0.0, plan.lines.row_prices)),
        method=METHOD,
        tie_break=TIE_BREAK,
    )


def _lay_out(options: Options, needs_by_stage: Iterable[IntArray]) -> _Layout | None:
    """Lay the market out; None where an option starts later than in bucket 0, is early or late, or there is none."""
    row_scale = largest_use(options)
    weight = shortfall_weight(options)
    stage = np.zeros(len(options.needs), dtype=np.int64)
    for number, of_stage in enumerate(needs_by_stage):
        stage[of_stage] = number
    blocks = []
    for group in options.groups:
        ways, first, n_starts = options.reach(group.product, group.needs)
        is_way = n_starts > 0
        if (is_way & ((first + n_starts > 1) | (ways.offset_buckets != group.bucket))).any():
            return None
        use = (options.capabilities.use[ways.capability] / row_scale).toarray()
        rows = np.flatnonzero(use.any(axis=0))
        blocks.append(
            Block(
                cost=np.where(is_way, ways.route_cost, np.inf),
                units=options.need_units[group.needs],
                rows=rows,
                use=use[:, rows],
                stage=stage[group.needs],
                shortfall_weight=float(weight[group.needs[0]]),
                slice_units=options.need_slice_units[group.needs],
            )
        )
    market = Market(
        blocks=blocks,
        capacity=options.capacities.available[:, 0] / row_scale,
        is_full=np.zeros(len(row_scale), dtype=bool),
        n_slices=options.parameters.share_slices,
    )
    if not any(np.isfinite(block.cost).any() for block in blocks):
        return None
    return _Layout(market, row_scale)


def _lines(
    options: Options, layout: _Layout, plan: PricedPlan
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Read the plan's lines as needs, ascending, capabilities and units, and as what stays short of every need."""
    groups, first_need = options.groups, layout.market.first_need
    need_of = np.concatenate([group.needs for group in groups])
    first_capability = np.array(
        [options.capabilities.of_product[group.product][:1].sum() for group in groups]
    )
    n_ways = np.array([len(block.use) for block in layout.market.blocks])
    block = np.searchsorted(first_need, plan.lines.need, side="right") - 1
    need = need_of[plan.lines.need]
    is_short = plan.lines.way == n_ways[block]
    shortfall_units = np.zeros(len(need_of))
    shortfall_units[need[is_short]] = plan.lines.units[is_short]
    made = ~is_short
    # A product's capabilities follow each other.
    capability = first_capability[block[made]] + plan.lines.way[made]
    order = np.lexsort((capability, need[made]))
    return need[made][order], capability[order], plan.lines.units[made][order], shortfall_units


def _stage_prices(
    options: Options,
    ranks: Sequence[tuple[int, int]],
    in_time: Sequence[StageMeasure],
    layout: _Layout,
    plan: PricedPlan,
) -> tuple[StagePrices, ...]:
    """Gather every stage's proof; lateness and earliness are 0 whatever is done, which prices of 0 prove."""
    found = []
    for (tier, rank), stages in zip(ranks, plan.shortage.stages, strict=True):
        for stage in stages:
            proof = plan.shortage.proofs[stage.proof]
            name = stage.name(TIERS[tier], rank, options.parameters.share_slices)
            found.append(
                StagePrices(name, _by_capacity(options, layout, proof.row_prices), proof.multipliers)
            )
    for k, measure in enumerate(in_time, start=len(found)):
        prices, multipliers = np.zeros(len(layout.row_scale)), np.zeros(k)
        if measure is in_time[-2]:
            prices = plan.cost_prices
            multipliers[: len(plan.cost_multipliers)] = plan.cost_multipliers
        found.append(StagePrices(measure.name, _by_capacity(options, layout, prices), multipliers))
    return tuple(found)


def _by_capacity(options: Options, layout: _Layout, row_prices: FloatArray) -> FloatArray:
    prices = np.zeros(options.capacities.available.shape)
    # Everything starts in bucket 0: what is there then is all that it can use.
    prices[:, 0] = row_prices / layout.row_scale
    return prices
