"""Does every demanded unit come from exactly one place?"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_netting import (
    MONDAY,
    PAIR,
    counted,
    facts_of,
    forecast_of,
    order,
    pillow_facts,
    released,
    series,
    supply,
)

from pullplan.engine.model import (
    Capability,
    LeadSignal,
    Ledger,
    Node,
    Pin,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Resource,
)
from pullplan.engine.netting import keep_books
from pullplan.engine.plan import make_plan

MILL: dict[str, Any] = {
    "nodes": (Node(node_code="MILL", latitude=52.0, longitude=9.0),),
    "resources": (Resource(node_code="MILL", resource_code="hours", capacity_per_day=10.0),),
    "capabilities": (Capability(node_code="MILL", product_code="BREAD", use_per_unit={"hours": 1.0}),),
}
SOURCES = ("from_stock_units", "from_supply_units", "from_buffer_units", "assigned_units")


def reconciled(facts: PlanningFacts) -> Ledger:
    return keep_books(facts, make_plan(facts)).ledger


def short_units(ledger: Ledger) -> list[float]:
    return [sum(one.units for one in shortfalls) for shortfalls in ledger.shortfalls]


def lines(facts: PlanningFacts) -> list[tuple[Any, ...]]:
    """Tell of each line its bucket, tier and demand, what comes from stock, supply and buffer, what is made and short."""
    ledger = reconciled(facts)
    columns = (
        ledger.buckets,
        ledger.tiers,
        ledger.demanded_units,
        *(getattr(ledger, name) for name in SOURCES),
    )
    return list(zip(*columns, short_units(ledger), strict=True))


def lead(units: float, bucket: int = 0) -> LeadSignal:
    due = MONDAY + timedelta(weeks=bucket)
    return LeadSignal(external_id=f"L{bucket}", **PAIR, units=units, probability=0.5, due_date=due)


def test_stock_goes_out_before_supply_and_orders_before_leads():
    facts = facts_of(
        2,
        **MILL,
        stock=(counted(30.0),),
        open_supply=(supply(25.0),),
        orders=(order(40.0), order(10.0, 1)),
        lead_signals=(lead(40.0),),
    )
    assert lines(facts) == [
        (0, "order", 40.0, 30.0, 10.0, 0.0, 0.0, 0.0),
        (0, "lead", 20.0, 0.0, 15.0, 0.0, 5.0, 0.0),
        (1, "order", 10.0, 0.0, 0.0, 0.0, 10.0, 0.0),
    ]


def test_what_nobody_makes_is_short_for_its_reason():
    facts = facts_of(1, **MILL, orders=(order(100.0),), stock=(counted(20.0),))
    ledger = reconciled(facts)
    assert (ledger.from_stock_units, ledger.assigned_units) == ([20.0], [70.0])
    assert [(one.reason, one.units) for one in ledger.shortfalls[0]] == [("at_capacity", 10.0)]


def test_a_horizon_shorter_than_every_lead_time_serves_what_is_there_and_says_that_the_rest_is_too_late():
    slow = (Capability(node_code="MILL", product_code="BREAD", make_lead_time_days=30),)
    facts = facts_of(
        2, **MILL | {"capabilities": slow}, orders=(order(9.0), order(9.0, 1)), stock=(counted(10.0),)
    )
    ledger = reconciled(facts)
    assert (ledger.from_stock_units, ledger.assigned_units) == ([9.0, 1.0], [0.0, 0.0])
    assert [[(s.reason, s.units) for s in line] for line in ledger.shortfalls] == [[], [("too_late", 8.0)]]


def test_without_lead_time_what_is_due_today_is_made_today():
    assert lines(facts_of(1, **MILL, orders=(order(9.0),))) == [(0, "order", 9.0, 0.0, 0.0, 0.0, 9.0, 0.0)]


def test_stock_that_has_grown_too_old_serves_nobody():
    facts = facts_of(
        3,
        **MILL,
        products=(Product(product_code="BREAD", shelf_life_days=7),),
        stock=(counted(30.0),),
        open_supply=(supply(5.0, 1),),
        orders=(order(10.0), order(20.0, 2)),
    )
    assert lines(facts) == [
        (0, "order", 10.0, 10.0, 0.0, 0.0, 0.0, 0.0),
        (2, "order", 20.0, 0.0, 5.0, 0.0, 15.0, 0.0),
    ]


def test_an_echoed_work_order_is_supply_once():
    facts = facts_of(
        1,
        **MILL,
        orders=(order(40.0),),
        released_work=(released(12.0),),
        open_supply=(supply(9.0, work_order_id="W1"),),
    )
    assert lines(facts) == [(0, "order", 40.0, 0.0, 9.0, 0.0, 31.0, 0.0)]


def test_pinned_units_are_made_for_the_tier_that_they_were_pinned_of():
    pins = (Pin(**PAIR, due_date=MONDAY, node_code="MILL", units=25.0),)
    facts = facts_of(
        1, **MILL, parameters=PlanParameters(pins=pins), orders=(order(20.0),), lead_signals=(lead(30.0),)
    )
    assert lines(facts) == [
        (0, "order", 20.0, 0.0, 0.0, 0.0, 20.0, 0.0),
        (0, "lead", 15.0, 0.0, 0.0, 0.0, 15.0, 0.0),
    ]


def test_safety_stock_that_need_not_be_held_any_longer_is_told_apart():
    # Errors of one bucket's demand: ±2 in the next one, none afterwards.
    base_stock = PullPolicy(policy="base_stock", service_level_share=0.9, review_period_days=7)
    facts = facts_of(
        2,
        **MILL,
        policies=(base_stock,),
        forecast=forecast_of(series(10.0, 10.0, 10.0, errors=((0.0, 2.0, 0.0), (0.0, -2.0, 0.0)))),
    )
    (_, first, *_), (_, refill, units, *_), (_, second, _, _, _, from_buffer, made, _) = lines(facts)
    assert (first, refill, second) == ("forecast", "buffer", "forecast")
    assert from_buffer == pytest.approx(units)
    assert 0 < units < 10
    assert made == pytest.approx(10.0 - units)


def test_a_buffers_order_is_demanded_and_made_once():
    facts = pillow_facts()
    ledger = reconciled(facts)
    needs = make_plan(facts).needs
    of_buffer = [n for n, tier in zip(ledger.demanded_units, ledger.tiers, strict=True) if tier == "buffer"]
    assert sum(of_buffer) == pytest.approx(sum(n.units for n in needs if n.tier == "buffer"))


UNITS = st.floats(0, 200).map(lambda n: round(n, 3))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(UNITS, UNITS, UNITS, UNITS, st.floats(-40, 40)), min_size=1, max_size=4),
    st.floats(-50, 200).map(lambda n: round(n, 2)),
    st.integers(0, 21) | st.none(),
    st.floats(0, 1),
)
def test_every_unit_comes_from_exactly_one_place(
    buckets: Sequence[tuple[float, ...]], on_hand: float, shelf_life_days: int | None, pinned_share: float
):
    ordered, likely, received, forecast, missed = zip(*buckets, strict=True)
    facts = facts_of(
        len(buckets),
        **MILL,
        products=(Product(product_code="BREAD", shelf_life_days=shelf_life_days),),
        policies=(PullPolicy(policy="base_stock", review_period_days=7, consume_buckets_back=1),),
        forecast=forecast_of(
            series(*forecast, 0.0, 0.0, errors=((*missed, 0.0, 0.0), (0.0,) * (len(buckets) + 2)))
        ),
        orders=tuple(order(n, b) for b, n in enumerate(ordered)),
        lead_signals=tuple(lead(n, b) for b, n in enumerate(likely) if n),
        open_supply=tuple(supply(n, b) for b, n in enumerate(received)),
        released_work=(released(7.0),),
        stock=(counted(on_hand),),
    )
    due = make_plan(facts).needs
    if due and pinned_share * due[0].units > 1e-3 and due[0].units <= 50:
        day = MONDAY + timedelta(weeks=due[0].bucket)
        pin = Pin(**PAIR, due_date=day, node_code="MILL", units=pinned_share * due[0].units)
        facts = msgspec.structs.replace(facts, parameters=PlanParameters(pins=(pin,)))
    ledger = reconciled(facts)
    served = zip(*(getattr(ledger, name) for name in SOURCES), short_units(ledger), strict=True)
    for demanded, of_line in zip(ledger.demanded_units, served, strict=True):
        assert min(of_line) >= 0.0
        assert demanded == pytest.approx(sum(of_line), abs=2e-6)
    assert sum(ledger.from_stock_units) <= max(0.0, on_hand) + 1e-6
    assert sum(ledger.from_supply_units) <= sum(received) + 7.0 + 1e-6
    of_orders = sum(n for n, tier in zip(ledger.demanded_units, ledger.tiers, strict=True) if tier == "order")
    assert of_orders == pytest.approx(sum(ordered), abs=1e-5)
    refilled = 0.0
    for tier, demanded, from_buffer in zip(
        ledger.tiers, ledger.demanded_units, ledger.from_buffer_units, strict=True
    ):
        refilled += demanded if tier == "buffer" else -from_buffer
        assert refilled >= -1e-5
