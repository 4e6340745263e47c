"""How does an instance of one bucket go through the prices on capacity, and its plan come back as lines?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.pricing import PricedPlan, price
from pullplan.engine.assignment.programme import largest_use
from pullplan.engine.errors import AssignmentFailedError
from pullplan.engine.options import Options, Solution, StageMeasure, StagePrices, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BLOCK_NEEDS = 4_096
"""At most: what bounds the memory of a look at a block."""
METHOD = "prices on capacity by Newton's steps, near ties completed exactly in HiGHS"
TIE_BREAK = "none: of equally good plans the solver's, the same for the same facts"


@dataclass(frozen=True)
class _Layout:
    """The market of some options, and the way back."""

    market: Market
    need: IntArray
    """(n_needs,): the need of options that each of the market's is."""
    option: Sequence[IntArray]
    """By block, (n_ways, n_needs): the option of each cell; −1 where there is none."""
    row_scale: FloatArray


def assign_by_prices(
    options: Options, progress: Callable[[str, float], None] | None = None
) -> Solution | None:
    """Assign through prices; None where time matters (an option starts later, is early or late) or prices fail."""
    late_or_early = options.option_late_buckets.any() or options.option_early_buckets.any()
    if len(options.option_need) == 0 or options.option_start_bucket.any() or late_or_early:
        return None
    measures = stage_measures(options)
    shortfalls = [measure for measure in measures if measure.name.startswith("shortfall:")]
    layout = _lay_out(options, shortfalls, measures[-2])
    if progress is not None:
        progress(measures[0].name, 0.0)
    try:
        plan = price(layout.market, len(shortfalls))
    except AssignmentFailedError:
        return None
    if plan is None:
        return None
    if progress is not None:
        for k, measure in enumerate(measures[1:], start=1):
            progress(measure.name, k / len(measures))
    option_index, units, shortfall_units = _lines(layout, plan)
    return Solution(
        option_index=option_index,
        units=units,
        shortfall_units=shortfall_units,
        stage_prices=_stage_prices(options, measures, layout, plan),
        capacity_savings=_by_capacity(options, layout, np.maximum(0.0, plan.lines.row_prices)),
        method=METHOD,
        tie_break=TIE_BREAK,
    )


def _lay_out(options: Options, shortfalls: Sequence[StageMeasure], cost: StageMeasure) -> _Layout:
    row_scale = largest_use(options)
    weights = np.stack([measure.by_shortfall for measure in shortfalls])
    stage = weights.argmax(axis=0)
    blocks, needs, cells = [], [], []
    option_cost = cost.by_option
    first_option = np.searchsorted(options.option_need, np.arange(len(options.needs) + 1))
    for p in range(len(options.products)):
        of_product = np.flatnonzero(options.need_product == p)
        for first in range(0, len(of_product), BLOCK_NEEDS):
            need = of_product[first : first + BLOCK_NEEDS]
            option = _option_table(options, options.capabilities.of_product[p], need, first_option)
            use = (options.capabilities.use[options.capabilities.of_product[p]] / row_scale).toarray()
            rows = np.flatnonzero(use.any(axis=0))
            blocks.append(
                Block(
                    cost=np.where(option >= 0, option_cost[option], np.inf),
                    units=options.need_units[need],
                    rows=rows,
                    use=use[:, rows],
                    stage=stage[need],
                    shortfall_weight=float(weights[:, need[0]].max()),
                )
            )
            needs.append(need)
            cells.append(option)
    market = Market(
        blocks=blocks,
        capacity=options.capacities.available[:, 0] / row_scale,
        is_full=np.zeros(len(row_scale), dtype=bool),
    )
    return _Layout(market, np.concatenate(needs), cells, row_scale)


def _option_table(
    options: Options, capabilities: IntArray, need: IntArray, first_option: IntArray
) -> IntArray:
    """Find the options of needs of one product: (n_capabilities, n_needs), −1 where there is none."""
    table = np.full((len(capabilities), len(need)), -1, dtype=np.int64)
    n_options = first_option[need + 1] - first_option[need]
    column = np.repeat(np.arange(len(need)), n_options)
    option = np.arange(len(column)) + np.repeat(
        first_option[need] - np.cumsum(n_options) + n_options, n_options
    )
    table[np.searchsorted(capabilities, options.option_capability[option]), column] = option
    return table


def _lines(layout: _Layout, plan: PricedPlan) -> tuple[IntArray, FloatArray, FloatArray]:
    """Read the plan's lines as options, ascending, and as what stays short of every need."""
    market = layout.market
    first_need = market.first_need
    block_of_line = np.searchsorted(first_need, plan.lines.need, side="right") - 1
    n_ways = np.array([len(block.use) for block in market.blocks])
    is_short = plan.lines.way == n_ways[block_of_line]
    shortfall_units = np.zeros(len(layout.need))
    shortfall_units[layout.need[plan.lines.need[is_short]]] = plan.lines.units[is_short]
    need, way, units = (of[~is_short] for of in (plan.lines.need, plan.lines.way, plan.lines.units))
    cut = np.searchsorted(need, first_need)
    option = np.concatenate(
        [
            cells[way[cut[b] : cut[b + 1]], need[cut[b] : cut[b + 1]] - first_need[b]]
            for b, cells in enumerate(layout.option)
        ]
    )
    order = np.argsort(option, kind="stable")
    return option[order], units[order], shortfall_units


def _stage_prices(
    options: Options, measures: Sequence[StageMeasure], layout: _Layout, plan: PricedPlan
) -> tuple[StagePrices, ...]:
    """Gather every stage's proof; lateness and earliness are 0 whatever is done, which prices of 0 prove."""
    found = []
    proofs = plan.shortage.proofs
    for k, measure in enumerate(measures):
        prices, multipliers = np.zeros(len(layout.row_scale)), np.zeros(k)
        if k < len(proofs):
            prices, multipliers = proofs[k].row_prices, proofs[k].multipliers
        elif k == len(measures) - 2:
            prices = plan.cost_prices
            multipliers[: len(proofs)] = plan.cost_multipliers
        found.append(StagePrices(measure.name, _by_capacity(options, layout, prices), multipliers))
    return tuple(found)


def _by_capacity(options: Options, layout: _Layout, row_prices: FloatArray) -> FloatArray:
    prices = np.zeros(options.capacities.available.shape)
    # Everything starts in bucket 0: what is there then is all that it can use.
    prices[:, 0] = row_prices / layout.row_scale
    return prices
