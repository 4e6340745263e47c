"""How is what was found written down as a plan that keeps its parent's words?"""

from collections.abc import Sequence

import msgspec

from pullplan.engine.certificate import capacity_prices
from pullplan.engine.errors import PinInfeasibleError
from pullplan.engine.explanation import resource_loads
from pullplan.engine.model import (
    Assignment,
    Need,
    Plan,
    PlanningFacts,
    ProductionOrder,
    Shortfall,
    Stability,
)
from pullplan.engine.netting import refuse_broken_pins
from pullplan.engine.plan import add_up, add_up_lots, hash_in_order, plan_hash
from pullplan.engine.replanning.near import Looked
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.searching import moved_units


def write_down(
    facts: PlanningFacts,
    needs: Sequence[Need],
    parent: Plan,
    looked: Looked,
    free: Looked | None,
    *,
    churn: Churn,
    told: tuple[Sequence[Assignment], tuple[Shortfall, ...]],
) -> Plan:
    """Write a plan of facts in canonical order down: `told`, of the needs that were looked at, and the parent's lines of all others.

    `free` is the best plan that holds nothing, where it is another one.

    Raises: PinInfeasibleError where a pin can't be kept.
    """
    options, proven, lots = looked.options, looked.proven, looked.lots
    lines, shortfalls = told
    _refuse_broken_pins(facts, needs, shortfalls, churn)
    others = looked.others
    assignments = tuple(lines) if others is None else others.among(looked.parent.lines, lines)
    stability = Stability(
        parent_plan_hash=parent.plan_hash,
        churn_budget_units=churn.budget_units,
        least_saving_per_unit=churn.least_saving_per_unit,
        held_units=looked.standing.held_units + (0.0 if others is None else others.units),
        moved_units=proven.moved_units
        if lots is None
        else moved_units(options, looked.standing, lots.solution),
        relaxation_moved_units=None if lots is None else proven.moved_units,
        released_assignment_ids=looked.standing.released_assignment_ids,
        churn_prices=proven.churn_prices,
        free_stages=() if free is None else free.proven.stages,
        free_prices=() if free is None else capacity_prices(free.options, free.proven.solution),
    )
    prices = capacity_prices(options, proven.solution)
    loads = resource_loads(options, looked.solution, lots)
    figures = add_up(needs, assignments, shortfalls, loads)
    orders: tuple[ProductionOrder, ...] = ()
    if lots is not None:
        orders = _keep_numbers(lots.production_orders, parent.production_orders, looked.parent.shift)
        figures = msgspec.structs.replace(figures, lots=add_up_lots(orders, proven.stages))
    return Plan(
        method=proven.solution.method if lots is None else f"{proven.solution.method}; {lots.method}",
        reproducible=True,
        snapshot_hash=hash_in_order(facts),
        plan_hash=plan_hash(
            needs, assignments, shortfalls, prices, proven.stages, orders=orders, stability=stability
        ),
        needs=tuple(needs),
        assignments=assignments,
        shortfalls=shortfalls,
        stages=proven.stages,
        prices=prices,
        loads=loads,
        figures=figures,
        tie_break=proven.solution.tie_break,
        stability=stability,
        production_orders=orders,
    )


def _refuse_broken_pins(
    facts: PlanningFacts, needs: Sequence[Need], shortfalls: Sequence[Shortfall], churn: Churn
) -> None:
    """Name the budget too, where it may be what keeps a pin's place taken.

    Raises: PinInfeasibleError
    """
    try:
        refuse_broken_pins(facts, needs, shortfalls)
    except PinInfeasibleError as refused:
        if churn.budget_units is None:
            raise
        raise PinInfeasibleError(
            f"{refused}. Of the parent's lines only {churn.budget_units:.9g} units may move (churn_budget_units): "
            "with more, or without a budget, there may be room"
        ) from refused


def _keep_numbers(
    orders: Sequence[ProductionOrder], before: Sequence[ProductionOrder], shift: int
) -> tuple[ProductionOrder, ...]:
    """Give every order the number that it has in the parent; a new one, the next after the parent's last."""
    number_of = {
        (order.product_code, order.node_code, order.start_bucket + shift): order.production_order_id
        for order in before
    }
    last = max(number_of.values(), default=0)
    numbered = []
    for order in orders:
        number = number_of.get((order.product_code, order.node_code, order.start_bucket))
        if number is None:
            number = last = last + 1
        numbered.append(msgspec.structs.replace(order, production_order_id=number))
    return tuple(sorted(numbered, key=lambda order: order.production_order_id))
