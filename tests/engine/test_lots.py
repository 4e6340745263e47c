"""Are orders cut into lots as planners expect, along time, feasible, and no dearer than need be?"""

import math
from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
import pytest
from bench.whole_lots import best_with_lots
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.planned import changed

from pullplan.engine.checker import check
from pullplan.engine.errors import LotRulesContradictoryError
from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Node,
    Order,
    Plan,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
)
from pullplan.engine.plan import make_plan

MONDAY = date(2026, 4, 13)
RULES = ("minimum_lot_units", "lot_multiple_units", "maximum_lot_units")


def network(
    orders: Sequence[tuple[str, str, int, float]],
    capabilities: Mapping[tuple[str, str], Mapping[str, object]],
    *,
    distance_km: Mapping[tuple[str, str], float],
    capacity: Mapping[str, float],
    n_buckets: int = 1,
    products: Mapping[str, Mapping[str, float]] | None = None,
    **parameters: object,
) -> PlanningFacts:
    """Lay out daily buckets, one resource `hours` a node of which every unit takes 1, orders by day."""
    codes = sorted({product for product, *_ in orders})
    return PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=n_buckets),
        parameters=msgspec.convert(
            {"late_buckets": 0, "shortfall_measure": "units"} | parameters, PlanParameters
        ),
        products=tuple(
            msgspec.convert({"product_code": code} | dict((products or {}).get(code, {})), Product)
            for code in codes
        ),
        regions=tuple(Region(region_code=code) for code in sorted({region for _, region in distance_km})),
        nodes=tuple(Node(node_code=code) for code in capacity),
        resources=tuple(
            Resource(node_code=code, resource_code="hours", capacity_per_day=hours)
            for code, hours in capacity.items()
        ),
        capabilities=tuple(
            msgspec.convert(
                {"node_code": node, "product_code": product, "use_per_unit": {"hours": 1.0}} | dict(rules),
                Capability,
            )
            for (node, product), rules in capabilities.items()
        ),
        lanes=tuple(
            Lane(node_code=node, region_code=region, distance_km=km, transit_days=0)
            for (node, region), km in distance_km.items()
        ),
        policies=(PullPolicy(policy="make_to_order"),),
        orders=tuple(
            Order(
                external_id=f"{i}",
                product_code=product,
                region_code=region,
                ordered_units=units,
                due_date=date.fromordinal(MONDAY.toordinal() + day),
            )
            for i, (product, region, day, units) in enumerate(orders)
        ),
    )


def planned(facts: PlanningFacts) -> Plan:
    """Make a plan, and hold it to the checker."""
    plan = make_plan(facts)
    assert check(facts, plan).findings == ()
    return plan


def orders_of(plan: Plan) -> list[tuple[str, int, float, float]]:
    return [(o.node_code, o.start_bucket, o.units, o.surplus_units) for o in plan.production_orders]


def test_ten_a_day_for_eight_days_at_a_multiple_of_a_hundred_is_one_order():
    facts = network(
        [("RYE", "ULM", day, 10.0) for day in range(8)],
        {("A", "RYE"): {"lot_multiple_units": 100.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
        n_buckets=8,
    )
    plan = planned(facts)
    assert orders_of(plan) == [("A", 0, 100.0, 20.0)]
    assert plan.production_orders[0].surplus_region_code == "ULM"
    assert plan.shortfalls == ()
    assert [a.start_bucket for a in plan.assignments] == [0] * 8
    assert plan.figures.lots is not None
    assert plan.figures.lots.surplus_units == 20.0


def test_a_maximum_splits_an_order_into_lots_as_equal_as_the_multiple_allows():
    facts = network(
        [("RYE", "ULM", 0, 350.0)],
        {("A", "RYE"): {"lot_multiple_units": 10.0, "minimum_lot_units": 100.0, "maximum_lot_units": 150.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
    )
    (order,) = planned(facts).production_orders
    assert (order.units, order.n_lots, order.lot_units) == (350.0, 2, 120.0)
    assert (order.n_smaller_lots, order.smaller_lot_units) == (1, 110.0)


def test_sizes_that_no_number_of_lots_adds_up_to_are_not_made():
    # One lot makes 100 to 120, two make 200 to 240: of 160 wanted, 120 are made and 40 stay short.
    facts = network(
        [("RYE", "ULM", 0, 160.0)],
        {("A", "RYE"): {"minimum_lot_units": 100.0, "maximum_lot_units": 120.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
    )
    plan = planned(facts)
    assert orders_of(plan) == [("A", 0, 120.0, 0.0)]
    assert [(s.units, s.reason) for s in plan.shortfalls] == [(40.0, "lot_rule")]
    assert "A (minimum 100, maximum 120)" in plan.shortfalls[0].detail


NEAR_AND_FAR: dict[tuple[str, str], float] = {("NEAR", "ULM"): 10.0, ("FAR", "ULM"): 70.0}


def test_where_a_minimum_exceeds_all_that_is_left_the_order_goes_to_another_node():
    facts = network(
        [("RYE", "ULM", 0, 40.0)],
        {("NEAR", "RYE"): {"minimum_lot_units": 100.0}, ("FAR", "RYE"): {"minimum_lot_units": 30.0}},
        distance_km=NEAR_AND_FAR,
        capacity={"NEAR": 500.0, "FAR": 500.0},
    )
    plan = planned(facts)
    assert orders_of(plan) == [("FAR", 0, 40.0, 0.0)]
    (line,) = plan.assignments
    assert [(p.node_code, p.cause) for p in line.passed_over] == [("NEAR", "lot_rule")]
    cost = plan.stages[-2]
    assert (cost.lower_bound, cost.relaxation_value, cost.value) == pytest.approx((400.0, 400.0, 2800.0))
    assert cost.gap == pytest.approx(0.0)
    # Of the measure of one mean need, 40 units × 40 km, as that is more than the relaxation's 400.
    assert cost.price_of_lots == pytest.approx(2400 / 1600)


def test_or_is_a_shortfall_unless_the_minimum_is_to_be_made():
    facts = network(
        [("RYE", "ULM", 0, 40.0)],
        {("A", "RYE"): {"minimum_lot_units": 100.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
    )
    plan = planned(facts)
    assert plan.production_orders == ()
    assert [(s.units, s.reason) for s in plan.shortfalls] == [(40.0, "lot_rule")]
    willing = msgspec.structs.replace(
        facts, parameters=msgspec.structs.replace(facts.parameters, make_minimum=True)
    )
    plan = planned(willing)
    assert orders_of(plan) == [("A", 0, 100.0, 60.0)]
    assert plan.shortfalls == ()


def test_a_capability_overrules_its_product_and_zero_means_no_rule():
    facts = network(
        [("RYE", "ULM", 0, 42.0)],
        {("NEAR", "RYE"): {}, ("FAR", "RYE"): {"lot_multiple_units": 0.0}},
        distance_km=NEAR_AND_FAR,
        capacity={"NEAR": 45.0, "FAR": 500.0},
        products={"RYE": {"lot_multiple_units": 20.0}},
    )
    # NEAR makes two lots of 20, as it has no room for a third; FAR makes just what is left.
    assert orders_of(planned(facts)) == [("FAR", 0, 2.0, 0.0), ("NEAR", 0, 40.0, 0.0)]


def test_a_setup_is_counted_once_for_an_order():
    facts = network(
        [("OAT", "ULM", 0, 30.0), ("RYE", "ULM", 0, 60.0)],
        {
            (node, product): {"setup_use_per_order": {"hours": 8.0}}
            for node in ("NEAR", "FAR")
            for product in ("OAT", "RYE")
        },
        distance_km=NEAR_AND_FAR,
        capacity={"NEAR": 100.0, "FAR": 100.0},
    )
    # 30 + 60 + twice 8 are more than 100: 6 units of one product have to be set up for at FAR as well.
    plan = planned(facts)
    load = {load.node_code: load.used for load in plan.loads}
    assert load == pytest.approx({"NEAR": 100.0, "FAR": 14.0})
    assert plan.stages[-2].value == pytest.approx(84 * 10 + 6 * 70)


def test_rules_that_no_lot_can_keep_to_are_named():
    facts = network(
        [("RYE", "ULM", 0, 160.0)],
        {("A", "RYE"): {"maximum_lot_units": 50.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
        products={"RYE": {"minimum_lot_units": 100.0}},
    )
    with pytest.raises(LotRulesContradictoryError, match="RYE at A"):
        make_plan(facts)


def test_without_lot_rules_a_plan_says_nothing_of_lots():
    facts = network(
        [("RYE", "ULM", 0, 160.0)],
        {("A", "RYE"): {}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
    )
    plan = planned(facts)
    assert plan.production_orders == ()
    assert plan.figures.lots is None
    assert {stage.relaxation_value for stage in plan.stages} == {None}


def test_where_capacity_is_short_a_minimum_lot_takes_its_room_from_others():
    # 102 hours for 120 + 16: equal shares would be 90 and 12, but no lot of 12 may be made.
    facts = network(
        [("OAT", "BONN", 0, 120.0), ("RYE", "BONN", 0, 16.0)],
        {("A", "OAT"): {"lot_multiple_units": 5.0}, ("A", "RYE"): {"minimum_lot_units": 15.0}},
        distance_km={("A", "BONN"): 11.0},
        capacity={"A": 102.0},
    )
    plan = planned(facts)
    assert sum(a.units for a in plan.assignments) == pytest.approx(101.0)
    assert {s.need_id: s.units for s in plan.shortfalls} == {1: pytest.approx(35.0)}


def test_what_one_product_takes_of_a_store_in_advance_another_does_not_take_again():
    # A hundred arrive each day. What is made on the second day of more than that is of the first day's.
    facts = network(
        [("OAT", "BONN", 1, 110.0), ("RYE", "BONN", 1, 100.0)],
        {("A", "OAT"): {"lot_multiple_units": 10.0}, ("A", "RYE"): {"lot_multiple_units": 10.0}},
        distance_km={("A", "BONN"): 11.0},
        capacity={"A": 100.0},
        n_buckets=2,
    )
    stored = tuple(msgspec.structs.replace(resource, kind="stored") for resource in facts.resources)
    plan = planned(msgspec.structs.replace(facts, resources=stored))
    assert sum(order.units for order in plan.production_orders) == 200.0


# --- mutations and random networks ----------------------------------------------------------------------------


def busy() -> PlanningFacts:
    """Two products at two nodes over three days, with every rule and a setup."""
    return network(
        [
            ("OAT", "ULM", 0, 37.0), ("OAT", "BONN", 1, 21.0), ("OAT", "ULM", 2, 18.0),
            ("RYE", "ULM", 0, 55.0), ("RYE", "BONN", 1, 48.0), ("RYE", "BONN", 2, 30.0),
        ],
        {
            (node, product): {
                "lot_multiple_units": 10.0, "minimum_lot_units": 20.0, "maximum_lot_units": 60.0,
                "setup_use_per_order": {"hours": 3.0},
            }
            for node in ("A", "B")
            for product in ("OAT", "RYE")
        },
        distance_km={("A", "ULM"): 10.0, ("A", "BONN"): 60.0, ("B", "ULM"): 70.0, ("B", "BONN"): 5.0},
        capacity={"A": 90.0, "B": 80.0},
        n_buckets=3,
    )  # fmt: skip


def _with_order(plan: Plan, **changes: object) -> Plan:
    first, *others = plan.production_orders
    return changed(plan, production_orders=(msgspec.structs.replace(first, **changes), *others))


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (lambda p: _with_order(p, units=p.production_orders[0].units + 10), "lot_wrong"),
        (lambda p: _with_order(p, lot_units=p.production_orders[0].lot_units + 1), "lot_wrong"),
        (lambda p: _with_order(p, lot_units=p.production_orders[0].units / 3, n_lots=3), "lot_wrong"),
        (lambda p: _with_order(p, surplus_units=p.production_orders[0].surplus_units + 5), "order_wrong"),
        (lambda p: _with_order(p, start_bucket=9), "order_malformed"),
        (lambda p: _with_order(p, node_code="NOWHERE"), "order_malformed"),
        (lambda p: changed(p, production_orders=p.production_orders[1:]), "order_wrong"),
        (lambda p: changed(p, production_orders=(*p.production_orders, p.production_orders[0])), "order_malformed"),
        (lambda p: changed(p, stages=tuple(msgspec.structs.replace(s, relaxation_value=s.value - 1) for s in p.stages)), "below_bound"),
        (lambda p: changed(p, stages=tuple(msgspec.structs.replace(s, price_of_lots=0.5) for s in p.stages)), "gap_wrong"),
        (lambda p: changed(p, stages=tuple(msgspec.structs.replace(s, relaxation_value=None) for s in p.stages)), "stages_wrong"),
        (lambda p: changed(p, figures=msgspec.structs.replace(p.figures, lots=None)), "figure_wrong"),
    ],
)  # fmt: skip
def test_the_checker_finds_an_order_that_was_changed(mutate, code):
    facts = busy()
    plan = planned(facts)
    assert plan.production_orders
    assert code in {finding.code for finding in check(facts, mutate(plan)).findings}


def test_the_checker_counts_setups_and_surplus_as_capacity_taken():
    facts = busy()
    plan = planned(facts)
    dearer = msgspec.structs.replace(
        facts,
        capabilities=tuple(
            msgspec.structs.replace(c, setup_use_per_order={"hours": 60.0}) for c in facts.capabilities
        ),
    )
    assert "over_capacity" in {finding.code for finding in check(dearer, plan).findings}


def test_surplus_that_need_not_be_made_is_found():
    facts = network(
        [("RYE", "ULM", 0, 42.0)],
        {("A", "RYE"): {"lot_multiple_units": 10.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
    )
    plan = planned(facts)
    (order,) = plan.production_orders
    assert (order.units, order.surplus_units) == (50.0, 8.0)
    more = _with_order(plan, units=60.0, lot_units=60.0, surplus_units=18.0)
    assert "surplus_wrong" in {finding.code for finding in check(facts, more).findings}


def two_days(*units: float) -> tuple[PlanningFacts, Plan]:
    """Plan what is due on each of some days, at a multiple of ten; an order for each day is made of it."""
    facts = network(
        [("RYE", "ULM", day, wanted) for day, wanted in enumerate(units)],
        {("A", "RYE"): {"lot_multiple_units": 10.0}},
        distance_km={("A", "ULM"): 5.0},
        capacity={"A": 500.0},
        n_buckets=len(units),
    )
    return facts, planned(facts)


def rounded_each(plan: Plan) -> Plan:
    """Make every need's units in the bucket in which they are due, each order rounded up alone."""
    (line, *_), (order, *_) = plan.assignments, plan.production_orders
    lines, orders = [], []
    for number, need in enumerate(plan.needs, 1):
        size = 10.0 * math.ceil(need.units / 10)
        lines.append(
            msgspec.structs.replace(
                line, assignment_id=number, need_id=need.need_id, units=need.units, started_units=need.units,
                start_bucket=need.bucket, arrival_bucket=need.bucket,
            )
        )  # fmt: skip
        orders.append(
            msgspec.structs.replace(
                order, production_order_id=number, start_bucket=need.bucket, units=size, lot_units=size,
                surplus_units=size - need.units, surplus_region_code="ULM" if size > need.units else None,
            )
        )  # fmt: skip
    return changed(plan, assignments=tuple(lines), production_orders=tuple(orders))


@pytest.mark.parametrize("units", [(42.0, 42.0), (45.0, 45.0), (41.0, 47.0, 42.0)])
def test_a_lot_is_needless_that_earlier_orders_have_left_over(units: tuple[float, ...]):
    facts, plan = two_days(*units)
    assert sum(order.units for order in plan.production_orders) == 10 * math.ceil(sum(units) / 10)
    found = check(facts, rounded_each(plan)).findings
    assert any("it could be of 40 units instead of 50" in of.detail for of in found)


@pytest.mark.parametrize("units", [(46.0, 45.0), (47.0, 46.0)])
def test_a_lot_is_needed_where_others_have_less_left_over(units: tuple[float, ...]):
    facts, plan = two_days(*units)
    found = check(facts, rounded_each(plan)).findings
    assert not [of.detail for of in found if of.code == "surplus_wrong"]


amounts = st.integers(1, 60).map(float)


@st.composite
def ruled_networks(draw: st.DrawFn) -> PlanningFacts:
    """Draw up to 3 nodes, 2 products, 2 regions and 3 days, all capable, every kind of rule."""
    n_buckets = draw(st.integers(1, 3))
    nodes = ["A", "B", "C"][: draw(st.integers(1, 3))]
    orders = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["OAT", "RYE"]), st.sampled_from(["ULM", "BONN"]),
                st.integers(0, n_buckets - 1), amounts,
            ),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    rules = st.fixed_dictionaries(
        {
            "lot_multiple_units": st.sampled_from([None, 5.0, 20.0]),
            "minimum_lot_units": st.sampled_from([None, 15.0, 40.0]),
            "maximum_lot_units": st.sampled_from([None, 40.0, 60.0]),
            "setup_use_per_order": st.sampled_from([{}, {"hours": 4.0}]),
            "unit_cost": st.integers(1, 9).map(float),
            "yield_share": st.sampled_from([1.0, 1.0, 0.8]),
        }
    )
    facts = network(
        orders,
        {
            (node, product): draw(rules)
            for node in nodes
            for product in sorted({order[0] for order in orders})
        },
        distance_km={
            (node, region): float(draw(st.integers(1, 90))) for node in nodes for region in ("ULM", "BONN")
        },
        capacity={node: float(draw(st.integers(20, 150))) for node in nodes},
        n_buckets=n_buckets,
        late_buckets=draw(st.integers(0, 2)),
        make_minimum=draw(st.booleans()),
        largest_share=draw(st.sampled_from([None, None, 0.6])),
        objective=draw(st.sampled_from(["nearest", "landed_cost"])),
    )
    stored = draw(st.sets(st.sampled_from(nodes), max_size=1))
    return msgspec.structs.replace(
        facts,
        resources=tuple(
            msgspec.structs.replace(resource, kind="stored") if resource.node_code in stored else resource
            for resource in facts.resources
        ),
    )


@pytest.mark.parametrize("n_networks", [12, pytest.param(60, marks=pytest.mark.long)])
def test_any_network_gets_a_feasible_certified_plan_of_whole_lots(n_networks: int):
    @given(ruled_networks())
    @settings(max_examples=n_networks, deadline=None)
    def hold(facts: PlanningFacts) -> None:
        plan = planned(facts)
        for stage in plan.stages:
            assert abs(stage.gap) <= 1e-7
        if plan.figures.lots is not None:
            first = plan.stages[0]
            assert first.value >= (first.relaxation_value or 0.0) - 1e-6

    hold()


@given(ruled_networks())
@settings(max_examples=5, deadline=None)
def test_the_same_facts_make_the_same_plan_of_lots(facts: PlanningFacts):
    assert make_plan(facts) == make_plan(facts)


def test_small_networks_lose_little_to_the_best_orders():
    """As an independent formulation finds them, taken together: a lot is a large part of a small network."""
    short, best_short, costs = 0.0, 0.0, []

    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(ruled_networks())
    def compare(facts: PlanningFacts) -> None:
        nonlocal short, best_short
        facts = msgspec.structs.replace(
            facts,
            parameters=msgspec.structs.replace(
                facts.parameters,
                late_buckets=0,
                make_minimum=False,
                objective="landed_cost",
                largest_share=None,
            ),
            resources=tuple(msgspec.structs.replace(r, kind="renewed") for r in facts.resources),
            capabilities=tuple(
                msgspec.structs.replace(c, maximum_lot_units=None, setup_use_per_order={}, yield_share=1.0)
                for c in facts.capabilities
            ),
        )
        plan = planned(facts)
        if not plan.needs:
            return
        best = best_with_lots(facts, plan.needs, seconds=20.0, gap=1e-6)
        short += plan.figures.shortfall_units
        best_short += best.short_units
        if abs(plan.figures.shortfall_units - best.short_units) <= 1e-4:
            costs.append((plan.stages[-2].value, best.cost))

    compare()
    assert len(costs) >= 10
    assert short <= 1.02 * best_short + 1e-4
    assert sum(cost for cost, _ in costs) <= 1.02 * sum(best for _, best in costs)
    assert max(cost / best for cost, best in costs if best > 0) <= 1.15
