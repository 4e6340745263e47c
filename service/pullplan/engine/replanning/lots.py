"""Which orders of the parent can stay as whole lots, and what is made of a re-plan's relaxation?

A re-plan's relaxation keeps to the churn, and whole lots move more than it does. So orders are sized twice. Once nothing
moves but what the relaxation moves: that keeps to any budget. Once moving has a price, as in the relaxation, whatever is
moved: where the budget allows it, the better of both is the plan.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pullplan.engine.lots import Kept, LotPlan, cut_into_lots, stays_in_whole_lots
from pullplan.engine.options import Options
from pullplan.engine.replanning.near import Looked
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.proving import prove_held
from pullplan.engine.replanning.searching import moved_units
from pullplan.engine.replanning.standing import Parent, Standing

LEAST_PRICE_SHARE = 1e-6
"""Of the mean cost: what a moved unit saves at least, so that nothing moves for nothing."""
AS_GOOD_SHARE = 1e-9
"""Of a stage's value: two plans that differ by less are as good."""


def release_broken_orders(options: Options, standing: Standing, parent: Parent) -> Standing:
    """Release lines whose orders can't stay as whole lots, or whose surplus and setups no longer fit."""
    rows = standing.rows
    stays = stays_in_whole_lots(options, rows.capability, rows.start_bucket, standing.units)
    if stays.all():
        return standing
    is_settled = standing.is_settled.copy()
    is_settled[rows.need[~stays]] = False
    gone = [parent.lines[at].assignment_id for at in standing.line[~stays].tolist()]
    return replace(
        standing,
        rows=rows[stays],
        units=standing.units[stays],
        line=standing.line[stays],
        is_settled=is_settled,
        released_assignment_ids=tuple(sorted((*standing.released_assignment_ids, *gone))),
    )


def cut_into_orders(looked: Looked, churn: Churn, tell: Callable[[float], None]) -> Looked:
    """Turn a relaxation into orders of whole lots that keep to the churn; as it is where nobody has lot rules."""
    options, standing, relaxed = looked.options, looked.standing, looked.proven
    fixed = _cut(looked, np.inf, tell)
    if fixed is None:
        return looked
    best, moved = fixed, moved_units(options, standing, fixed.solution)
    if churn.budget_units != 0:
        cost_stage = len(relaxed.stages) - 2
        price = max(relaxed.churn_prices[cost_stage], LEAST_PRICE_SHARE * (options.mean_cost or 1.0))
        freer = _cut(looked, price, tell)
        moved_freely = 0.0 if freer is None else moved_units(options, standing, freer.solution)
        is_within = churn.budget_units is None or moved_freely <= churn.budget_units
        saving = churn.least_saving_per_unit * (moved - moved_freely)
        if freer is not None and is_within and _is_better(freer, best, cost_stage, saving):
            best, moved = freer, moved_freely
    proven = prove_held(
        options,
        standing,
        relaxed.solution,
        relaxed.churn_prices,
        relaxed.moved_units,
        with_lots=(best.values, moved),
    )
    return replace(looked, proven=proven, lots=best)


def _cut(looked: Looked, price: float, tell: Callable[[float], None]) -> LotPlan | None:
    options, standing, relaxation = looked.options, looked.standing, looked.proven.solution
    rows = standing.rows
    kept = Kept.of(
        *(rows.need, rows.capability, rows.start_bucket, standing.units),
        options=options,
        relaxation=relaxation,
        price=price,
    )
    return cut_into_lots(options, relaxation, lambda search: tell(search.done_share), kept=kept)


def _is_better(one: LotPlan, other: LotPlan, cost_stage: int, saving: float) -> bool:
    """Compare plans stage by stage; `saving` is what the one saves in the cost stage by moving less."""
    for k, (value, than) in enumerate(zip(one.values, other.values, strict=True)):
        less = than - value + (saving if k == cost_stage else 0.0)
        if abs(less) > AS_GOOD_SHARE * max(abs(value), abs(than)):
            return less > 0
    return False
