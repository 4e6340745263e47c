import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.instances import iowa_facts

from pullplan.engine import plan as planning
from pullplan.engine.model import (
    Assignment,
    DailyUnits,
    ForecastFacts,
    Horizon,
    Need,
    Order,
    Plan,
    PlanningFacts,
    PullPolicy,
    ResourceLoad,
    Shortfall,
)
from pullplan.engine.plan import add_up, make_plan, snapshot_hash

GOLDEN = Path(__file__).parent.parent / "golden"


def with_orders(facts: PlanningFacts, needs: list[Need]) -> PlanningFacts:
    """Turn given needs into orders due in their first bucket, make to order."""
    orders = tuple(
        Order(
            external_id=str(need.need_id),
            product_code=need.product_code,
            region_code=need.region_code,
            ordered_units=need.units,
            due_date=facts.horizon.as_of_date,
        )
        for need in needs
    )
    return msgspec.structs.replace(facts, orders=orders, policies=(PullPolicy(policy="make_to_order"),))


@pytest.mark.parametrize("case", range(12))
def test_iowa_weeks_posted_as_orders_reach_the_reference(shared: Path, case: int):
    week = json.loads((shared / "conformance" / "allocation.json").read_text())["iowa_weeks"]["cases"][case]
    facts, needs = iowa_facts(
        shared / "data" / "iowa_spirits",
        [date.fromisoformat(week["week"])],
        capacity_factor=week["capacity_factor"],
        node_out=week["node_out"],
    )
    figures = make_plan(with_orders(facts, needs)).figures
    assert figures.n_needs == week["needs"]
    assert figures.needs_units == pytest.approx(week["demand_units"], rel=1e-9)
    assert figures.shortfall_units == pytest.approx(week["short_units"], rel=1e-6, abs=1e-6)
    assert figures.unit_km == pytest.approx(week["unit_km"], rel=1e-6)


def golden_facts(name: str) -> PlanningFacts:
    return msgspec.json.decode((GOLDEN / name / "facts.json").read_bytes(), type=PlanningFacts)


def in_another_order(facts: PlanningFacts, data: st.DataObject) -> PlanningFacts:
    shuffled = {
        name: tuple(data.draw(st.permutations(value), label=name))
        for name in facts.__struct_fields__
        if isinstance(value := getattr(facts, name), tuple)
    }
    return msgspec.structs.replace(facts, **shuffled)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_facts_in_any_order_make_the_same_plan(data: st.DataObject):
    facts = golden_facts("full_node_spills_to_the_next")
    plan, other = make_plan(facts), make_plan(in_another_order(facts, data))
    assert (other.snapshot_hash, other.plan_hash) == (plan.snapshot_hash, plan.plan_hash)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(1, 20), st.booleans())
def test_a_hash_is_that_of_the_whole_encoding_though_it_is_taken_piece_by_piece(
    n_orders: int, at_once: int, with_forecast: bool
):
    facts = golden_facts("orders_use_up_the_forecast_and_a_buffer_is_built")
    orders = tuple(
        Order(
            external_id=str(i),
            product_code="A",
            region_code="B",
            ordered_units=i / 3,
            due_date=date(2024, 1, 1),
        )
        for i in range(n_orders)
    )
    facts = msgspec.structs.replace(facts, orders=orders, consumption_pairs=(("A", "B"),) * (n_orders % 3))
    if not with_forecast:
        facts = msgspec.structs.replace(facts, forecast=None)
    lines = (orders, (), facts.nodes, facts.lanes * 17)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "LINES_AT_ONCE", at_once)
        for content in (facts, lines):
            encoded = msgspec.msgpack.encode(content, order="deterministic")
            assert planning._sha256(content) == hashlib.sha256(encoded).hexdigest()


def test_daily_units_in_another_order_are_the_same_snapshot():
    def facts(*turn: int) -> ForecastFacts:
        days = DailyUnits(
            product_codes=tuple("AAB"[i] for i in turn),
            region_codes=tuple("NSN"[i] for i in turn),
            days=(date(2024, 1, 1),) * len(turn),
            units=tuple((1.0, 2.0, 3.0)[i] for i in turn),
        )
        return ForecastFacts(horizon=Horizon(as_of_date=date(2024, 2, 1)), n_steps=8, consumption=days)

    assert snapshot_hash(facts(0, 1, 2)) == snapshot_hash(facts(2, 0, 1))
    assert snapshot_hash(facts(0, 1, 2)) != snapshot_hash(facts(0, 1))


def changed(facts: PlanningFacts, **change: Any) -> PlanningFacts:
    [first, *rest] = facts.orders
    return msgspec.structs.replace(facts, orders=(msgspec.structs.replace(first, **change), *rest))


@pytest.mark.parametrize(
    "change", [{"ordered_units": 70.0 + 1e-9}, {"priority": 1}, {"due_date": date(2024, 1, 4)}]
)
def test_any_change_of_the_facts_is_another_snapshot(change: dict[str, Any]):
    facts = golden_facts("full_node_spills_to_the_next")
    assert snapshot_hash(changed(facts, **change)) != snapshot_hash(facts)


def test_the_plan_hash_names_what_is_planned_and_not_why():
    facts = golden_facts("full_node_spills_to_the_next")
    plan = make_plan(facts)
    renamed, more = make_plan(changed(facts, external_id="Z")), make_plan(changed(facts, ordered_units=71.0))
    assert renamed.snapshot_hash != plan.snapshot_hash
    assert renamed.plan_hash == plan.plan_hash
    assert more.plan_hash != plan.plan_hash


def test_progress_tells_every_step_in_order():
    heard: list[str] = []
    make_plan(golden_facts("full_node_spills_to_the_next"), lambda step, _done_share: heard.append(step))
    assert heard[:2] == ["netting", "assigning"]
    assert heard[-1] == "explaining"
    assert {"assigning: shortfall", "assigning: cost"} <= set(heard)


# --- figures -------------------------------------------------------------------------------------------------


def line(need_id: int, arrival_bucket: int, units: float, distance_km: float, rank: int) -> Assignment:
    return Assignment(
        assignment_id=need_id,
        need_id=need_id,
        node_code="MILL",
        start_bucket=0,
        arrival_bucket=arrival_bucket,
        units=units,
        started_units=units,
        distance_km=distance_km,
        cost_per_unit=distance_km,
        distance_rank=rank,
    )


def need(need_id: int, bucket: int, units: float) -> Need:
    return Need(
        need_id=need_id,
        product_code="BREAD",
        region_code="NORTH",
        bucket=bucket,
        tier="order",
        units=units,
        latest_bucket=3,
    )


def test_figures_add_up_what_the_lines_say():
    def load(resource_code: str, capacity: float, used: float, **more: Any) -> ResourceLoad:
        return ResourceLoad(
            node_code="MILL", resource_code=resource_code, bucket=0, capacity=capacity, used=used, **more
        )

    figures = add_up(
        needs=(need(1, 1, 10.0), need(2, 2, 30.0)),
        assignments=(line(1, 3, 10.0, 5.0, 1), line(2, 0, 20.0, 8.0, 2)),
        shortfalls=(Shortfall(shortfall_id=1, need_id=2, units=10.0, reason="at_capacity", detail="full"),),
        loads=(load("hours", 40.0, 30.0), load("flour", 1000.0, 1.0, kind="stored")),
    )
    assert (figures.needs_units, figures.assigned_units, figures.shortfall_units) == (40.0, 30.0, 10.0)
    assert figures.served_share == 0.75
    assert figures.nearest_share == pytest.approx(1 / 3)
    assert (figures.unit_km, figures.km_per_unit) == (210.0, 7.0)
    assert figures.late_unit_buckets == 10.0 * 2
    assert figures.early_unit_buckets == 20.0 * 2
    assert figures.capacity_use_share == 0.75  # flour is stored: what it offers is not an amount per bucket
    assert (figures.n_needs, figures.n_assignments, figures.n_shortfalls) == (2, 2, 1)


def test_shares_of_nothing_are_none():
    figures = add_up((), (), (), ())
    assert (figures.served_share, figures.nearest_share, figures.km_per_unit) == (None, None, None)
    assert figures.capacity_use_share is None


def test_a_plan_survives_being_encoded():
    plan = make_plan(golden_facts("full_node_spills_to_the_next"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=Plan) == plan
