"""Do regions send each other only what they need for nothing, and does the ledger show it at both ends?"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_netting import MONDAY, forecast_of, series

from pullplan.engine.checker import check
from pullplan.engine.model import (
    Capability,
    DailyUnits,
    Horizon,
    Node,
    OpenSupply,
    Order,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
    StockPosition,
)
from pullplan.engine.netting import keep_books, net, spare_stock
from pullplan.engine.plan import in_canonical_order, make_plan
from pullplan.engine.stores import REGION
from pullplan.engine.stores import with_pooled_regions as put_stores

HOMES = {"NORTH": 50.0, "SOUTH": 49.0, "WEST": 45.0}
"""By latitude: SOUTH is 111 km from NORTH, and WEST 556 km."""


def facts_of(
    orders: list[tuple[str, int, float]], stock: dict[str, float], mill: float = 50.5, **parameters: Any
) -> PlanningFacts:
    """MILL makes what is asked for, 56 km north of NORTH unless said otherwise; orders are (region, bucket, units)."""
    return PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, horizon_buckets=4),
        parameters=PlanParameters(**parameters),
        products=(Product(product_code="BREAD"),),
        regions=tuple(Region(region_code=code, latitude=at, longitude=9.0) for code, at in HOMES.items()),
        nodes=(Node(node_code="MILL", latitude=mill, longitude=9.0),),
        resources=(Resource(node_code="MILL", resource_code="hours", capacity_per_day=100.0),),
        capabilities=(
            Capability(node_code="MILL", product_code="BREAD", unit_cost=3.0, use_per_unit={"hours": 1.0}),
        ),
        policies=(PullPolicy(policy="make_to_order"),),
        orders=tuple(
            Order(
                external_id=f"O{n}",
                product_code="BREAD",
                region_code=region_code,
                ordered_units=units,
                due_date=MONDAY + timedelta(weeks=bucket),
            )
            for n, (region_code, bucket, units) in enumerate(orders)
        ),
        stock=tuple(
            StockPosition(
                product_code="BREAD",
                region_code=region_code,
                counted_at=datetime(2023, 12, 31, tzinfo=UTC),
                count_units=units,
            )
            for region_code, units in stock.items()
        ),
    )


def pooled(facts: PlanningFacts) -> PlanningFacts:
    return put_stores(facts, spare_stock(facts))


def units_by_node(facts: PlanningFacts) -> dict[str, float]:
    facts = in_canonical_order(facts)
    plan = make_plan(facts)
    assert check(facts, plan).findings == ()
    return {line.node_code: line.units for line in plan.assignments}


def test_what_a_neighbour_needs_for_nothing_is_sent_before_anything_is_made_farther_away():
    orders, stock = [("NORTH", 1, 50.0), ("SOUTH", 3, 10.0)], {"SOUTH": 40.0, "WEST": 90.0}
    facts = facts_of(orders, stock, mill=53.0, pool_regions_within_km=200.0)
    facts = pooled(facts)
    assert units_by_node(facts) == {REGION + "SOUTH": 30.0, "MILL": 20.0}
    ledger = keep_books(facts, make_plan(facts)).ledger
    rows = list(zip(ledger.region_codes, ledger.buckets, ledger.tiers, strict=True))
    north, left, south = (rows.index((r, b, "order")) for r, b in (("NORTH", 1), ("SOUTH", 1), ("SOUTH", 3)))
    assert len(rows) == 3
    assert (ledger.from_region_stock_units[north], ledger.assigned_units[north]) == (30.0, 20.0)
    assert (ledger.sent_to_regions_units[left], ledger.demanded_units[left]) == (30.0, 0.0)
    assert (ledger.from_stock_units[south], ledger.sent_to_regions_units[south]) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("mill", "parameters"),
    [
        (53.0, {}),
        (53.0, {"pool_regions_within_km": 100.0}),
        (50.5, {"pool_regions_within_km": 200.0}),
        # 111 km and nothing to pay for the bread are dearer than 56 km and 3.0 at this freight.
        (50.5, {"pool_regions_within_km": 200.0, "objective": "landed_cost", "freight_cost_per_kg_km": 1.0}),
    ],
)
def test_it_is_made_where_nobody_asks_for_stock_of_others_or_that_is_too_far_or_dearer(
    mill: float, parameters: Any
):
    facts = facts_of([("NORTH", 1, 20.0)], {"SOUTH": 40.0}, mill, **parameters)
    assert units_by_node(pooled(facts)) == {"MILL": 20.0}


def test_stock_that_costs_only_its_way_is_cheaper_than_what_is_made_nearby():
    facts = facts_of(
        [("NORTH", 1, 20.0)], {"SOUTH": 40.0}, objective="landed_cost", pool_regions_within_km=200.0
    )
    assert units_by_node(pooled(facts)) == {REGION + "SOUTH": 20.0}


def test_given_lanes_alone_do_not_keep_regions_from_their_neighbours():
    facts = facts_of([("NORTH", 1, 20.0)], {"SOUTH": 40.0}, lanes="given_only", pool_regions_within_km=200.0)
    assert units_by_node(pooled(facts)) == {REGION + "SOUTH": 20.0}


def test_what_is_still_to_come_is_not_sent():
    orders = [("NORTH", 1, 20.0), ("SOUTH", 0, 10.0)]
    facts = facts_of(orders, {"SOUTH": 14.0}, pool_regions_within_km=200.0)
    line = OpenSupply(external_id="S", product_code="BREAD", region_code="SOUTH", units=50.0, due_date=MONDAY)
    assert spare_stock(msgspec.structs.replace(facts, open_supply=(line,))) == {("BREAD", "SOUTH"): 4.0}


def test_who_is_left_with_just_its_minimum_is_not_filled_up_to_its_maximum():
    policy = PullPolicy(policy="minimum_maximum", minimum_stock_units=15.0, maximum_stock_units=40.0)
    for units in range(2_000, 30_000, 197):
        facts = facts_of([("WEST", 1, 7.3), ("WEST", 2, 0.17), ("WEST", 3, 2.41)], {"WEST": units / 100})
        parameters = PlanParameters(pool_regions_within_km=2000.0)
        facts = msgspec.structs.replace(facts, policies=(policy,), parameters=parameters)
        spare = spare_stock(facts).get(("BREAD", "WEST"), 0.0)
        [there] = facts.stock
        left = (msgspec.structs.replace(there, count_units=there.count_units - spare),)
        if spare > 0:
            assert [
                need for need in net(msgspec.structs.replace(facts, stock=left)) if need.region_code == "WEST"
            ] == []


POLICIES = st.sampled_from(
    [
        PullPolicy(policy="make_to_order"),
        PullPolicy(policy="base_stock", service_level_share=0.9),
        PullPolicy(policy="minimum_maximum", minimum_stock_units=15.0, maximum_stock_units=40.0),
        PullPolicy(policy="ddmrp_buffer"),
        PullPolicy(policy="do_not_produce"),
    ]
)


@st.composite
def books_of_regions(draw: st.DrawFn) -> PlanningFacts:
    """Draw stock, supply, orders, usage and forecasts of three regions that pull in any way there is."""
    amounts = st.floats(0.5, 60.0).map(lambda units: round(units, 2))
    places = st.sampled_from(sorted(HOMES))
    orders = draw(st.lists(st.tuples(places, st.integers(-1, 4), amounts), max_size=6))
    stock = draw(st.dictionaries(places, st.floats(-10.0, 300.0).map(lambda units: round(units, 2))))
    facts = facts_of(orders, stock, pool_regions_within_km=2000.0)
    due = st.integers(-2, 4).map(lambda bucket: MONDAY + timedelta(weeks=bucket, days=2))
    supply = draw(st.lists(st.tuples(places, due, amounts, st.booleans()), max_size=5))
    used = draw(st.lists(st.tuples(places, st.integers(1, 60), amounts), max_size=8))
    forecasts = draw(st.dictionaries(places, st.lists(amounts, min_size=8, max_size=8)))
    policies = draw(st.dictionaries(places, POLICIES))
    return msgspec.structs.replace(
        facts,
        products=(Product(product_code="BREAD", shelf_life_days=draw(st.sampled_from((None, 7, 15)))),),
        open_supply=tuple(
            OpenSupply(
                external_id=f"S{n}",
                product_code="BREAD",
                region_code=region_code,
                units=units,
                due_date=day,
                work_order_id=f"W{n}" if is_ours else None,
            )
            for n, (region_code, day, units, is_ours) in enumerate(supply)
        ),
        recent_consumption=DailyUnits(
            product_codes=("BREAD",) * len(used),
            region_codes=tuple(region_code for region_code, _, _ in used),
            days=tuple(MONDAY - timedelta(days=days) for _, days, _ in used),
            units=tuple(units for _, _, units in used),
        ),
        forecast=None
        if not forecasts
        else forecast_of(
            *(
                msgspec.structs.replace(
                    series(*means, errors=((1.0,) * 8, (-2.0,) * 8, (4.0,) * 8)), region_code=region_code
                )
                for region_code, means in forecasts.items()
            )
        ),
        policies=tuple(
            msgspec.structs.replace(policy, region_code=region_code)
            for region_code, policy in policies.items()
        ),
    )


@settings(max_examples=40, deadline=None)
@given(books_of_regions())
def test_without_its_spare_stock_a_region_needs_what_it_needed(facts: PlanningFacts):
    spare = spare_stock(facts)
    kept = tuple(
        msgspec.structs.replace(
            position,
            count_units=position.count_units - spare.get((position.product_code, position.region_code), 0.0),
        )
        for position in facts.stock
    )
    needs, without = net(facts), net(msgspec.structs.replace(facts, stock=kept))
    assert [(n.region_code, n.bucket, n.tier) for n in without] == [
        (n.region_code, n.bucket, n.tier) for n in needs
    ]
    assert [n.units for n in without] == pytest.approx([n.units for n in needs], abs=1e-6)
    assert {region_code for _, region_code in spare}.isdisjoint(n.region_code for n in needs)


@settings(max_examples=40, deadline=None)
@given(books_of_regions())
def test_every_unit_of_stock_is_given_out_once_and_what_leaves_arrives(facts: PlanningFacts):
    facts = in_canonical_order(pooled(facts))
    plan = make_plan(facts)
    assert check(facts, plan).findings == ()
    books = keep_books(facts, plan)
    ledger, terms = books.ledger, books.terms
    on_hand = dict(zip(terms.region_codes, terms.on_hand_units, strict=True))
    assert sum(ledger.sent_to_regions_units) == pytest.approx(sum(ledger.from_region_stock_units))
    for region_code, units in on_hand.items():
        at = [i for i, code in enumerate(ledger.region_codes) if code == region_code]
        given_out = sum(ledger.from_stock_units[i] + ledger.sent_to_regions_units[i] for i in at)
        assert given_out <= max(0.0, units) + 1e-6
    for i, demanded in enumerate(ledger.demanded_units):
        sources = [ledger.from_stock_units, ledger.from_supply_units, ledger.from_buffer_units]
        sources += [ledger.from_region_stock_units, ledger.assigned_units]
        short = sum(s.units for s in ledger.shortfalls[i])
        assert demanded == pytest.approx(sum(source[i] for source in sources) + short, abs=1e-6)
