"""Do re-plans keep to whole lots, to their budget and to what did not change, and prove what they say?"""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.planned import changed
from tests.engine.replanned import shaken, stability_of
from tests.engine.test_lots import MONDAY, busy, network, orders_of, planned, ruled_networks

from pullplan.engine.checker import check
from pullplan.engine.model import Order, Plan, PlanningFacts
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, replan


def replanned(facts: PlanningFacts, before: PlanningFacts, parent: Plan, churn: Churn) -> Plan:
    """Re-plan, and hold the plan to the checker and its parent."""
    plan = replan(facts, before, parent, churn)
    assert check(facts, plan, parent, before.horizon).findings == ()
    return plan


def with_order(facts: PlanningFacts, product: str, region: str, day: int, units: float) -> PlanningFacts:
    new = Order(
        external_id="new",
        product_code=product,
        region_code=region,
        ordered_units=units,
        due_date=MONDAY + timedelta(days=day),
        priority=5,
    )
    return msgspec.structs.replace(facts, orders=(*facts.orders, new))


@pytest.mark.parametrize("churn", [Churn(), Churn(budget_units=0.0), Churn(least_saving_per_unit=3.0)])
def test_where_nothing_has_changed_every_line_and_order_stays(churn: Churn):
    facts = busy()
    parent = planned(facts)
    plan = replanned(facts, facts, parent, churn)
    assert stability_of(plan).moved_units == 0.0
    assert plan.assignments == parent.assignments
    assert plan.production_orders == parent.production_orders


def test_an_order_that_shrinks_below_its_minimum_is_released_and_others_stay():
    rules = {"minimum_lot_units": 40.0}
    facts = network(
        [("OAT", "ULM", 0, 50.0), ("RYE", "BONN", 0, 15.0), ("RYE", "ULM", 0, 25.0)],
        {("A", "OAT"): rules, ("A", "RYE"): rules},
        distance_km={("A", "ULM"): 5.0, ("A", "BONN"): 6.0},
        capacity={"A": 200.0},
    )
    parent = planned(facts)
    assert orders_of(parent) == [("A", 0, 50.0, 0.0), ("A", 0, 40.0, 0.0)]
    less = msgspec.structs.replace(facts, orders=tuple(o for o in facts.orders if o.region_code == "ULM"))
    plan = replanned(less, facts, parent, Churn(budget_units=0.0))
    assert [(o.production_order_id, o.product_code) for o in plan.production_orders] == [(1, "OAT")]
    (rye,) = [
        need.need_id for need in parent.needs if (need.product_code, need.region_code) == ("RYE", "ULM")
    ]
    (line,) = [line.assignment_id for line in parent.assignments if line.need_id == rye]
    assert stability_of(plan).released_assignment_ids == (line,)
    assert stability_of(plan).moved_units == 0.0
    assert [(s.units, s.reason) for s in plan.shortfalls] == [(25.0, "lot_rule")]


def test_a_new_order_takes_what_a_held_order_has_left_over():
    facts = network(
        [("RYE", "ULM", 0, 42.0)],
        {("A", "RYE"): {"lot_multiple_units": 50.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 50.0},
    )
    parent = planned(facts)
    plan = replanned(with_order(facts, "RYE", "ULM", 0, 8.0), facts, parent, Churn(budget_units=0.0))
    assert orders_of(plan) == [("A", 0, 50.0, 0.0)]
    assert plan.shortfalls == ()


def test_surplus_keeps_its_room_from_what_has_no_lots():
    """The relaxation gives the room of held surplus to others: only lots tell that it is taken."""
    facts = network(
        [("OAT", "ULM", 0, 42.0)],
        {("A", "OAT"): {"lot_multiple_units": 50.0}, ("A", "RYE"): {}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 60.0},
    )
    parent = planned(facts)
    more = msgspec.structs.replace(
        with_order(facts, "RYE", "ULM", 0, 18.0),
        products=(*facts.products, msgspec.structs.replace(facts.products[0], product_code="RYE")),
    )
    plan = replanned(more, facts, parent, Churn(budget_units=0.0))
    assert orders_of(plan) == [("A", 0, 50.0, 8.0)]
    assert [(s.units, s.reason) for s in plan.shortfalls] == [(8.0, "lot_rule")]
    assert (stability_of(plan).moved_units, stability_of(plan).held_units) == (0.0, 42.0)


def test_the_checker_counts_what_moves_with_lots():
    facts = busy()
    parent = planned(facts)
    more = with_order(facts, "RYE", "BONN", 2, 30.0)
    plan = replanned(more, facts, parent, Churn(budget_units=40.0))
    for field, value in (
        ("moved_units", 1e3),
        ("relaxation_moved_units", -1.0),
        ("churn_budget_units", -5.0),
    ):
        wrong = changed(plan, stability=msgspec.structs.replace(stability_of(plan), **{field: value}))
        found = check(more, wrong, parent, facts.horizon).findings
        assert "stability_wrong" in {finding.code for finding in found}, field


@given(
    ruled_networks(), st.integers(0, 1000), st.sampled_from([0.0, 20.0, None]), st.sampled_from([0.0, 2.0])
)
@settings(max_examples=5, deadline=None)
def test_any_change_gets_whole_lots_within_the_churn(
    facts: PlanningFacts, seed: int, budget: float | None, saving: float
):
    parent = make_plan(facts)
    now = shaken(facts, seed)
    churn = Churn(budget_units=budget, least_saving_per_unit=saving)
    plan = replanned(now, facts, parent, churn)
    assert plan == replan(now, facts, parent, churn), "the same change makes the same plan"
    stability = stability_of(plan)
    if stability.moved_units <= (stability.relaxation_moved_units or 0.0):
        assert max(abs(stage.gap) for stage in plan.stages) <= 1e-7


@pytest.mark.long
@given(ruled_networks(), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_replan_that_may_move_all_is_as_good_as_a_plan_anew(facts: PlanningFacts, seed: int):
    now = shaken(facts, seed)
    plan, anew = replanned(now, facts, make_plan(facts), Churn()), make_plan(now)
    if plan.figures.lots is None or abs(plan.figures.shortfall_units - anew.figures.shortfall_units) > 1e-6:
        return
    assert plan.stages[-2].value <= 1.05 * anew.stages[-2].value + 1e-6
