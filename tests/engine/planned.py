"""Plans of given needs, as make_plan would store them; and what becomes of a plan whose lines were changed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pullplan.engine import plan as planning
from pullplan.engine.assignment import assign
from pullplan.engine.certificate import capacity_prices, certify
from pullplan.engine.explanation import explain, resource_loads
from pullplan.engine.model import Need, Plan, PlanningFacts
from pullplan.engine.options import Options, Solution, build_options


def plan_of(facts: PlanningFacts, needs: Sequence[Need]) -> Plan:
    options = build_options(facts, needs)
    return stated(facts, options, assign(options))


def stated(facts: PlanningFacts, options: Options, solution: Solution) -> Plan:
    """Describe a solution truly, whatever it is worth."""
    assignments, shortfalls = explain(options, solution)
    loads = resource_loads(options, solution)
    plan = Plan(
        method=solution.method,
        reproducible=solution.is_complete,
        snapshot_hash=planning.snapshot_hash(facts),
        plan_hash="",
        needs=tuple(options.needs),
        assignments=assignments,
        shortfalls=shortfalls,
        stages=certify(options, solution),
        prices=capacity_prices(options, solution),
        loads=loads,
        figures=planning.add_up(options.needs, assignments, shortfalls, loads),
        tie_break=solution.tie_break,
    )
    return changed(plan)


def changed(plan: Plan, **changes: Any) -> Plan:
    """Change a plan and name it by what it now says, so that no hash gives it away."""
    plan = msgspec.structs.replace(plan, **changes)
    said = (plan.needs, plan.assignments, plan.shortfalls, plan.prices, plan.stages)
    named = planning.plan_hash(*said, orders=plan.production_orders, stability=plan.stability)
    return msgspec.structs.replace(plan, plan_hash=named)


def within_the_rules(facts: PlanningFacts, needs: Sequence[Need]) -> tuple[PlanningFacts, list[Need]]:
    """Let every need be as late as the parameters then say: as late as the latest of the given."""
    last = facts.horizon.horizon_buckets - 1
    late = max((need.latest_bucket - need.bucket for need in needs), default=0)
    parameters = msgspec.structs.replace(facts.parameters, late_buckets=late, forecast_late_buckets=late)
    return msgspec.structs.replace(facts, parameters=parameters), [
        msgspec.structs.replace(need, latest_bucket=min(need.bucket + late, last)) for need in needs
    ]
