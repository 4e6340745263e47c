"""How is what was found written down as a plan that keeps its parent's words?"""

from collections.abc import Sequence

from pullplan.engine.certificate import capacity_prices
from pullplan.engine.explanation import resource_loads
from pullplan.engine.model import Assignment, Need, Plan, PlanningFacts, Shortfall, Stability
from pullplan.engine.netting import refuse_broken_pins
from pullplan.engine.plan import add_up, hash_in_order, plan_hash
from pullplan.engine.replanning.near import Looked
from pullplan.engine.replanning.programme import Churn


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
    options, proven = looked.options, looked.proven
    lines, shortfalls = told
    refuse_broken_pins(facts, needs, shortfalls)
    others = looked.others
    assignments = tuple(lines) if others is None else others.among(looked.parent.lines, lines)
    stability = Stability(
        parent_plan_hash=parent.plan_hash,
        churn_budget_units=churn.budget_units,
        least_saving_per_unit=churn.least_saving_per_unit,
        held_units=looked.standing.held_units + (0.0 if others is None else others.units),
        moved_units=proven.moved_units,
        released_assignment_ids=looked.standing.released_assignment_ids,
        churn_prices=proven.churn_prices,
        free_stages=() if free is None else free.proven.stages,
        free_prices=() if free is None else capacity_prices(free.options, free.proven.solution),
    )
    prices = capacity_prices(options, proven.solution)
    loads = resource_loads(options, proven.solution)
    return Plan(
        method=proven.solution.method,
        reproducible=True,
        snapshot_hash=hash_in_order(facts),
        plan_hash=plan_hash(needs, assignments, shortfalls, prices, proven.stages, stability=stability),
        needs=tuple(needs),
        assignments=assignments,
        shortfalls=shortfalls,
        stages=proven.stages,
        prices=prices,
        loads=loads,
        figures=add_up(needs, assignments, shortfalls, loads),
        tie_break=proven.solution.tie_break,
        stability=stability,
    )
