"""How soon is a plan re-planned when a node goes down, and how much longer does that take than to plan from scratch?

    python -m bench.outage PRODUCTS

measures one instance in a process of its own, on one thread, in seconds of processor time.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
from bench.apart import measured_apart
from bench.facts import facts_of
from bench.figure import figure
from bench.instances import N_NODES, reference_instance

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, replan

PRODUCTS = 200
"""× 300 regions: 60,000 needs."""
LOST = 7
"""Of the nodes, by position."""
BUDGET_SHARE = 1 / 3
"""Of the units that the best plan moves."""
CLOSED_GAP = 1e-8


def node_offline() -> list[dict[str, Any]]:
    """Take one node of 50 off: the best plan, and the best of those that move no more than a budget, beside a plan anew."""
    found = measured_apart("bench.outage", PRODUCTS)
    name = f"one node of {N_NODES} offline, {found['needs']:,.0f} needs: re-plan"
    return [
        figure(
            f"{name}{said}",
            found[which] / found["anew"],
            "× plan anew",
            reference=found["anew"],
            must="<= 3",
            reached=found[which] <= 3 * found["anew"],
        )
        for which, said in (("free", ""), ("within", f" within {found['budget']:,.0f} units moved"))
    ]


def measure(n_products: int) -> dict[str, float]:
    """Plan an instance, take a node off, and plan it anew and from its parent."""
    before = facts_of(reference_instance(n_products, capacity_factor=1.25))
    now = _without(before, before.nodes[LOST].node_code)
    parent = make_plan(before)
    anew, seconds_anew = _timed(lambda: make_plan(now))
    free, seconds_free = _timed(lambda: replan(now, before, parent, Churn()))
    budget = BUDGET_SHARE * (free.stability.moved_units if free.stability is not None else 0.0)
    within, seconds_within = _timed(lambda: replan(now, before, parent, Churn(budget)))
    gap = max(stage.gap for plan in (anew, free, within) for stage in plan.stages)
    if gap > CLOSED_GAP:
        raise RuntimeError(f"a gap of {gap}")
    return {
        "needs": anew.figures.n_needs,
        "budget": budget,
        "anew": seconds_anew,
        "free": seconds_free,
        "within": seconds_within,
    }


def _without(facts: PlanningFacts, node_code: str) -> PlanningFacts:
    nodes = tuple(
        msgspec.structs.replace(node, status="offline") if node.node_code == node_code else node
        for node in facts.nodes
    )
    return msgspec.structs.replace(facts, nodes=nodes)


def _timed(make: Callable[[], Plan]) -> tuple[Plan, float]:
    begun = time.process_time()
    plan = make()
    return plan, time.process_time() - begun


def main() -> None:
    print(json.dumps(measure(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
