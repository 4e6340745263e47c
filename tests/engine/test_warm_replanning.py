"""Does a plan that is kept make the next one cheap, and never another?"""

from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.engine.instances import regional_network
from tests.engine.replanned import as_orders, stability_of

from pullplan.engine.checker import check
from pullplan.engine.model import (
    Capability,
    Horizon,
    Node,
    Order,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
)
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, Warm, laid, replan

FREE, HELD, DEAR = Churn(), Churn(budget_units=0.0), Churn(budget_units=60.0, least_saving_per_unit=5.0)


def roomy(seed: int, n_buckets: int = 3) -> PlanningFacts:
    """Draw a network in which everything can be served."""
    facts = as_orders(*regional_network(seed, load=0.7, tiers=["order"], n_buckets=n_buckets))
    return msgspec.structs.replace(
        facts,
        resources=tuple(
            msgspec.structs.replace(r, capacity_per_day=1.5 * r.capacity_per_day) for r in facts.resources
        ),
    )


def nudged(facts: PlanningFacts, seed: int) -> PlanningFacts:
    """Let one order come, one go, one change, or one move by a day."""
    chance = np.random.default_rng(seed)
    orders = list(facts.orders)
    at = int(chance.integers(len(orders)))
    match seed % 4:
        case 0:
            orders.append(
                msgspec.structs.replace(orders[at], external_id=f"new-{seed}", ordered_units=23.0, priority=1)
            )
        case 1:
            del orders[at]
        case 2:
            orders[at] = msgspec.structs.replace(orders[at], ordered_units=orders[at].ordered_units * 1.7)
        case _:
            due = facts.horizon.as_of_date + timedelta(
                days=int(chance.integers(facts.horizon.horizon_buckets))
            )
            orders[at] = msgspec.structs.replace(orders[at], due_date=due)
    return msgspec.structs.replace(facts, orders=tuple(orders))


@pytest.mark.parametrize(("seed", "churn"), [(0, FREE), (1, HELD), (0, DEAR)])
def test_a_plan_that_is_made_warm_is_the_one_that_is_made_cold(seed: int, churn: Churn) -> None:
    facts = roomy(seed)
    warm, n_near = Warm.of(facts, make_plan(facts)), 0
    for step in range(4):
        now = nudged(facts, 100 * seed + step)
        plan, after = warm.replan(now, churn)
        assert plan == replan(now, facts, warm.plan, churn)
        assert check(now, plan, warm.plan, facts.horizon).findings == ()
        assert all(abs(stage.gap) < 1e-7 for stage in plan.stages)
        n_near += after.kept is not None
        facts, warm = now, after
    assert n_near > 0


@pytest.mark.parametrize("seed", range(2))
def test_a_plan_that_looks_at_few_needs_is_as_good_as_a_whole_one(seed: int) -> None:
    facts = roomy(seed)
    warm = Warm.of(facts, make_plan(facts))
    for step in range(4):
        facts = nudged(facts, 100 * seed + step)
        plan, warm = warm.replan(facts, FREE)
        whole = make_plan(facts)
        assert plan.figures.n_needs == whole.figures.n_needs
        assert [stage.measure for stage in plan.stages] == [stage.measure for stage in whole.stages]
        for stage, best in zip(plan.stages, whole.stages, strict=True):
            assert stage.value == pytest.approx(best.value, rel=1e-6, abs=1e-6), stage


def weekly(seed: int) -> PlanningFacts:
    """Draw 500 orders of 20 products over three weeks from a Monday on: what is due this week and a day away is late."""
    chance, monday = np.random.default_rng(seed), date(2026, 11, 23)

    def place() -> dict[str, Any]:
        return {"latitude": float(chance.uniform(44, 52)), "longitude": float(chance.uniform(0, 15))}

    products, nodes = [f"P{p:02}" for p in range(20)], [f"N{n:02}" for n in range(12)]
    regions = tuple(Region(region_code=f"R{r:02}", **place()) for r in range(25))
    pairs = [(product, region.region_code) for product in products for region in regions]
    units = 1 + chance.gamma(1, 20, len(pairs))
    hours_per_day = float(units.sum()) * 1.25 * 1.25 / len(nodes) / 14
    return PlanningFacts(
        horizon=Horizon(as_of_date=monday, bucket="week", horizon_buckets=4),
        parameters=PlanParameters(),
        products=tuple(Product(product_code=code) for code in products),
        regions=regions,
        nodes=tuple(Node(node_code=code, **place()) for code in nodes),
        resources=tuple(
            Resource(node_code=code, resource_code="hours", kind="renewed", capacity_per_day=hours_per_day)
            for code in nodes
        ),
        capabilities=tuple(
            Capability(
                node_code=node, product_code=product, use_per_unit={"hours": float(chance.uniform(0.5, 2))}
            )
            for product in products
            for node in nodes
            if chance.random() < 0.35
        ),
        policies=(PullPolicy(policy="make_to_order"),),
        orders=tuple(
            Order(
                external_id=f"{product}-{region}",
                product_code=product,
                region_code=region,
                ordered_units=float(n),
                due_date=monday + timedelta(days=int(chance.integers(7, 21))),
            )
            for (product, region), n in zip(pairs, units, strict=True)
        ),
    )


def test_a_change_is_proven_beside_orders_that_were_late_before_it() -> None:
    facts, chance = weekly(1), np.random.default_rng(2)
    warm, n_late_beside = Warm.of(facts, make_plan(facts)), 0
    for step in range(12):
        new = msgspec.structs.replace(
            facts.orders[int(chance.integers(500))],
            external_id=f"new-{step}",
            due_date=facts.horizon.as_of_date + timedelta(days=int(chance.integers(1, 21))),
        )
        now = msgspec.structs.replace(facts, orders=(*facts.orders, new))
        plan, after = warm.replan(now, FREE)
        assert check(now, plan, warm.plan, facts.horizon).findings == ()
        n_late_beside += after.kept is not None and warm.plan.figures.late_unit_buckets > 0
        facts, warm = now, after
    assert n_late_beside > 0


def test_only_what_must_move_does() -> None:
    facts = roomy(1)
    parent = make_plan(facts)
    now = nudged(facts, 4)
    plan, _ = Warm.of(facts, parent).replan(now, FREE)
    was = {line.assignment_id: line for line in parent.assignments}
    told_anew = [line for line in plan.assignments if line is not was.get(line.assignment_id)]
    assert len(told_anew) < len(plan.assignments) / 4
    assert stability_of(plan).held_units == pytest.approx(parent.figures.assigned_units)


def test_margins_decide_how_much_is_read_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = roomy(0)
    parent, n_near = make_plan(facts), 0
    warm = Warm.of(facts, parent)
    for step in range(4):
        now = nudged(facts, 100 + step)
        monkeypatch.setattr(laid, "MARGINS_FROM_NEEDS", len(parent.needs) * 2)
        without = replan(now, facts, parent, DEAR)
        monkeypatch.setattr(laid, "MARGINS_FROM_NEEDS", 0)
        monkeypatch.setattr(laid, "MOST_NEAR_SHARE", 1.0)
        parent, warm = warm.replan(now, DEAR)
        assert parent == without
        n_near += warm.kept is not None and len(warm.kept.margins) > 0
        facts = now
    assert n_near > 0


def test_where_room_is_short_nearby_others_make_some() -> None:
    facts = roomy(2, n_buckets=1)
    parent = make_plan(facts)
    full = max(parent.loads, key=lambda load: load.used / max(load.capacity, 1e-9))
    line = max((a for a in parent.assignments if a.node_code == full.node_code), key=lambda a: a.units)
    need = next(need for need in parent.needs if need.need_id == line.need_id)
    orders = tuple(
        msgspec.structs.replace(order, ordered_units=2.5 * order.ordered_units)
        if (order.product_code, order.region_code) == (need.product_code, need.region_code)
        else order
        for order in facts.orders
    )
    now = msgspec.structs.replace(facts, orders=orders)
    plan, _ = Warm.of(facts, parent).replan(now, FREE)
    whole = make_plan(now)
    for stage, best in zip(plan.stages, whole.stages, strict=True):
        assert stage.value == pytest.approx(best.value, rel=1e-6, abs=1e-6), stage
    assert check(now, plan, parent, facts.horizon).findings == ()
