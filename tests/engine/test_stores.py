"""Is what lies finished at nodes sent before anything is made, where that is no dearer, and never more than lies there?"""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from bench.lotting import small_instance
from bench.whole_lots import best_with_lots
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import networks
from tests.engine.planned import changed, plan_of, within_the_rules

from pullplan.engine.assignment import assign
from pullplan.engine.checker import check
from pullplan.engine.lots import cut_into_lots
from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Node,
    NodeStock,
    Order,
    Plan,
    PlanningFacts,
    PlanParameters,
    Product,
    ProductionOrder,
    PullPolicy,
    Region,
    Resource,
)
from pullplan.engine.netting import keep_books, reference_lead_days
from pullplan.engine.options import build_options
from pullplan.engine.plan import make_plan
from pullplan.engine.stores import STORE, with_stores

MONDAY = date(2024, 1, 1)
SMALL, MIDDLE, LEAST = (1, 40, 1, 8), (4, 10, 1, 6), (2, 12, 1, 5)
"""Products, regions, buckets, nodes."""


def facts_of(ordered: float, stock: dict[str, float], **parameters: Any) -> PlanningFacts:
    """MILL is 10 km away and makes BREAD for 3.5, YARD is 40 km away and makes it for 1.0."""
    nodes = {"MILL": (10.0, 3.5), "YARD": (40.0, 1.0)}
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, horizon_buckets=3),
        parameters=PlanParameters(**parameters),
        products=(Product(product_code="BREAD"),),
        regions=(Region(region_code="NORTH"),),
        nodes=tuple(Node(node_code=code) for code in nodes),
        resources=tuple(
            Resource(node_code=code, resource_code="hours", capacity_per_day=100.0) for code in nodes
        ),
        capabilities=tuple(
            Capability(node_code=code, product_code="BREAD", unit_cost=cost, use_per_unit={"hours": 1.0})
            for code, (_, cost) in nodes.items()
        ),
        lanes=tuple(
            Lane(
                node_code=code,
                region_code="NORTH",
                distance_km=km,
                transit_days=0,
                freight_cost_per_unit=km / 10.0,
            )
            for code, (km, _) in nodes.items()
        ),
        policies=(PullPolicy(policy="make_to_order"),),
        orders=(
            Order(
                external_id="O",
                product_code="BREAD",
                region_code="NORTH",
                ordered_units=ordered,
                due_date=MONDAY + timedelta(weeks=1),
            ),
        ),
    )
    return with_stores(
        facts, [NodeStock(node_code=code, product_code="BREAD", units=n) for code, n in stock.items()]
    )


def units_by_node(plan: Plan) -> dict[str, float]:
    units: dict[str, float] = defaultdict(float)
    for line in plan.assignments:
        units[line.node_code] += line.units
    return dict(units)


def test_what_lies_at_the_nearest_node_is_sent_before_it_makes_anything():
    facts = facts_of(10.0, {"MILL": 4.0})
    plan = make_plan(facts)
    assert units_by_node(plan) == {STORE + "MILL": 4.0, "MILL": 6.0}
    assert check(facts, plan).findings == ()
    ledger = keep_books(facts, plan).ledger
    assert (ledger.from_node_stock_units, ledger.assigned_units) == ([4.0], [6.0])
    [made] = [line for line in plan.assignments if line.node_code == "MILL"]
    assert [(passed.node_code, passed.cause) for passed in made.passed_over] == [
        (STORE + "MILL", "at_capacity")
    ]
    # No node is nearer than the one that sends of its stock and makes the rest.
    assert [line.distance_rank for line in plan.assignments] == [1, 1]
    assert plan.figures.nearest_share == 1.0
    for rank, is_wrong in ((2, False), (3, True)):  # Stores counted in plans of before.
        told = tuple(
            msgspec.structs.replace(line, distance_rank=rank) if line is made else line
            for line in plan.assignments
        )
        codes = {finding.code for finding in check(facts, changed(plan, assignments=told)).findings}
        assert ("rank_wrong" in codes) == is_wrong


@pytest.mark.parametrize(("objective", "sent_from"), [("nearest", "MILL"), ("landed_cost", STORE + "YARD")])
def test_stock_far_away_is_sent_only_where_that_is_cheaper(objective: Any, sent_from: str):
    # From YARD a unit costs 4.0, made at MILL 3.5 and 1.0 for its way, made at YARD 5.0.
    facts = facts_of(10.0, {"YARD": 10.0}, objective=objective)
    assert units_by_node(make_plan(facts)) == {sent_from: 10.0}
    dearer = msgspec.structs.replace(
        facts,
        lanes=tuple(
            msgspec.structs.replace(lane, freight_cost_per_unit=4.6)
            if lane.node_code == STORE + "YARD"
            else lane
            for lane in facts.lanes
        ),
    )
    assert units_by_node(make_plan(dearer)) == {"MILL": 10.0}


def test_nothing_is_sent_from_a_node_that_is_down():
    facts = facts_of(10.0, {"MILL": 4.0})
    bare = msgspec.structs.replace(
        facts, nodes=(Node(node_code="MILL", status="offline"), Node(node_code="YARD"))
    )
    stock = [NodeStock(node_code="MILL", product_code="BREAD", units=4.0)]
    assert units_by_node(make_plan(with_stores(bare, stock))) == {"YARD": 10.0}


def test_what_is_sent_counts_for_no_share_and_sets_no_lead_time():
    facts = facts_of(12.0, {"MILL": 4.0}, largest_share=0.5)
    plan = make_plan(facts)
    units = units_by_node(plan)
    assert units[STORE + "MILL"] == pytest.approx(4.0)
    assert max(units["MILL"], units["YARD"]) <= 6.0 + 1e-9
    assert sum(units.values()) == pytest.approx(12.0)
    assert check(facts, plan).findings == ()
    slow = tuple(
        c if c.node_code.startswith(STORE) else msgspec.structs.replace(c, make_lead_time_days=5)
        for c in facts.capabilities
    )
    assert reference_lead_days(msgspec.structs.replace(facts, capabilities=slow)) == {("BREAD", "NORTH"): 5}


@pytest.mark.parametrize(
    ("ordered", "there", "node", "objective", "sent_units"),
    [
        (22.0, 10.0, "MILL", "nearest", 10.0),
        # What is sent leaves 11 lots of 4 to be made: any more of it would leave a surplus of one of them.
        (47.53, 6.08, "MILL", "landed_cost", 3.53),
        (2.8, 2.8, "YARD", "landed_cost", 2.8),
    ],
)
def test_lots_are_of_what_is_made_and_what_is_sent_is_no_order(
    ordered: float, there: float, node: str, objective: Any, sent_units: float
):
    facts = facts_of(ordered, {node: there}, objective=objective, make_minimum=True)
    products = (Product(product_code="BREAD", minimum_lot_units=3.0, lot_multiple_units=4.0),)
    facts = msgspec.structs.replace(facts, products=products)
    plan = make_plan(facts)
    assert check(facts, plan).findings == ()
    assert {order.node_code for order in plan.production_orders} <= {"MILL", "YARD"}
    units = units_by_node(plan)
    assert sum(units.values()) == pytest.approx(ordered)
    assert units[STORE + node] == pytest.approx(sent_units)
    sent = [line for line in plan.assignments if line.node_code == STORE + node]
    order = ProductionOrder(
        production_order_id=99,
        product_code="BREAD",
        node_code=STORE + node,
        start_bucket=sent[0].start_bucket,
        units=sent[0].units,
        n_lots=1,
        lot_units=sent[0].units,
    )
    found = check(facts, changed(plan, production_orders=(*plan.production_orders, order))).findings
    assert "order_malformed" in {finding.code for finding in found}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.lists(st.floats(0.0, 60.0).map(lambda n: round(n, 2)), min_size=12, max_size=12))
def test_no_more_is_sent_than_lies_there_and_the_checker_says_so(network: Any, amounts: list[float]):
    facts, needs = within_the_rules(*network)
    places = [(c.node_code, c.product_code) for c in facts.capabilities]
    stock = {place: units for place, units in zip(places, amounts, strict=False) if units > 0}
    facts = with_stores(
        facts, [NodeStock(node_code=n, product_code=p, units=units) for (n, p), units in stock.items()]
    )
    plan = plan_of(facts, needs)
    assert check(facts, plan).findings == ()
    product = {need.need_id: need.product_code for need in needs}
    sent: dict[tuple[str, str], float] = defaultdict(float)
    for line in plan.assignments:
        if line.node_code.startswith(STORE):
            sent[line.node_code.removeprefix(STORE), product[line.need_id]] += line.units
    for place, units in sent.items():
        assert units <= stock[place] * (1 + 1e-9)
    overdrawn = next((line for line in plan.assignments if line.node_code.startswith(STORE)), None)
    if overdrawn is not None:
        place = overdrawn.node_code.removeprefix(STORE), product[overdrawn.need_id]
        less = [
            msgspec.structs.replace(r, on_hand=sent[place] / 2)
            if (r.node_code, r.resource_code) == (STORE + place[0], place[1])
            else r
            for r in facts.resources
        ]
        found = check(msgspec.structs.replace(facts, resources=tuple(less)), changed(plan)).findings
        assert "over_capacity" in {finding.code for finding in found}


@pytest.mark.parametrize("seed", range(3))
def test_lots_beside_stores_cost_what_the_best_orders_of_all_cost(seed: int):
    # Together the rest of all products just fits: who sends what from stock decides whether lots can be made.
    facts, needs = small_instance(seed, (SMALL, MIDDLE, LEAST)[seed % 3])
    chance = np.random.default_rng(seed)
    units: dict[str, float] = defaultdict(float)
    for need in needs:
        units[need.product_code] += need.units
    stock = [
        NodeStock(
            node_code=c.node_code,
            product_code=c.product_code,
            units=round(float(chance.gamma(1.0, 0.15) * units[c.product_code]), 2),
        )
        for c in facts.capabilities
        if chance.random() < 0.5
    ]
    facts = with_stores(facts, stock)
    best = best_with_lots(facts, needs, seconds=20.0, gap=1e-4)
    options = build_options(facts, needs)
    lots = cut_into_lots(options, assign(options))
    assert lots is not None
    assert best.is_proven
    assert float(lots.solution.shortfall_units.sum()) == pytest.approx(best.short_units, abs=1e-6)
    if best.short_units < 1e-6:  # else whose needs are short decides what the rest costs
        assert best.bound * (1 - 1e-9) <= lots.values[-2] <= best.cost * (1 + 5e-4)
