"""Are the options of a need exactly the ways that could serve it?"""

import dataclasses
from datetime import date, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import MONDAY, networks
from tests.engine.oracle import ways_to_serve

from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    ReleasedWork,
    Resource,
)
from pullplan.engine.options import CapacityKey, OptionRows, build_options, shortfall_weight, stage_measures

FACTS = PlanningFacts(
    horizon=Horizon(as_of_date=MONDAY, bucket="week", horizon_buckets=4),
    parameters=PlanParameters(lanes="given_only"),
    products=(
        Product(product_code="P", weight_kg=2.0, value_per_unit=5.0, holding_cost_per_unit_per_day=0.1),
    ),
    regions=(Region(region_code="R"),),
    nodes=(Node(node_code="A"), Node(node_code="B")),
    resources=(
        Resource(node_code="A", resource_code="hours", capacity_per_day=10.0),
        Resource(node_code="A", resource_code="resin", kind="stored", capacity_per_day=1.0, on_hand=30.0),
        Resource(node_code="B", resource_code="hours", capacity_per_day=10.0),
    ),
    capabilities=(
        Capability(node_code="A", product_code="P", unit_cost=3.0, use_per_unit={"hours": 0.5, "resin": 2.0}),
        Capability(
            node_code="B",
            product_code="P",
            unit_cost=4.0,
            make_lead_time_days=1,
            use_per_unit={"hours": 0.25},
        ),
    ),
    lanes=(
        Lane(node_code="A", region_code="R", distance_km=100.0, transit_days=0, freight_cost_per_unit=1.0),
        Lane(node_code="B", region_code="R", distance_km=50.0, transit_days=0, freight_cost_per_unit=1.0),
    ),
)
NEED = Need(need_id=1, product_code="P", region_code="R", bucket=2, tier="order", units=10.0, latest_bucket=3)


def released(start: date, units: float) -> ReleasedWork:
    return ReleasedWork(
        work_order_id="W",
        product_code="P",
        region_code="R",
        node_code="A",
        units=units,
        start_date=start,
        arrival_date=start + timedelta(days=7),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_options_are_the_ways_that_plain_loops_find(network: tuple[PlanningFacts, list[Need]]) -> None:
    facts, needs = network
    options = build_options(facts, needs)
    found = [
        (
            needs[options.option_need[o]].need_id,
            options.capabilities.rows[options.option_capability[o]].node_code,
            int(options.option_start_bucket[o]),
            int(options.option_late_buckets[o]),
            int(options.option_early_buckets[o]),
            float(options.option_cost[o]),
        )
        for o in range(len(options.option_need))
    ]
    expected = [
        (w.need.need_id, w.capability.node_code, w.start, w.late, w.early, w.cost)
        for w in ways_to_serve(facts, needs)
    ]
    # Amounts are whole or halves, so that costs are equal and not only close.
    assert found == sorted(expected)
    assert options.mean_cost == pytest.approx(np.mean([w[-1] for w in expected]) if expected else 0.0)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.data())
def test_some_needs_and_named_options_are_told_as_among_all(
    network: tuple[PlanningFacts, list[Need]], data: st.DataObject
) -> None:
    options = build_options(*network)
    whole = options.rows
    needs = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(options.needs)))))), dtype=np.int64)
    some = np.flatnonzero(np.isin(whole.need, needs))
    turned = some[::-1]
    rows = options.rows_of(needs)
    named = options.rows_at(whole.need[turned], whole.capability[turned], whole.start_bucket[turned])
    for field in dataclasses.fields(OptionRows):
        of_all = getattr(whole, field.name)
        assert getattr(rows, field.name).tolist() == of_all[some].tolist()
        assert getattr(named, field.name).tolist() == of_all[turned].tolist()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_a_distance_rank_counts_the_nearer_nodes_that_could_serve(
    network: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = network
    # As late as can be, so that every node with a way has an option.
    longer = msgspec.structs.replace(facts.horizon, horizon_buckets=8)
    late = [msgspec.structs.replace(need, latest_bucket=7) for need in needs]
    options = build_options(msgspec.structs.replace(facts, horizon=longer), late)
    places: dict[int, set[tuple[float, int]]] = {}
    rows = options.rows
    for need, km, node in zip(rows.need.tolist(), rows.distance_km, options.option_node, strict=True):
        places.setdefault(need, set()).add((float(km), int(node)))
    for o, need in enumerate(rows.need.tolist()):
        own = (float(rows.distance_km[o]), int(options.option_node[o]))
        assert rows.distance_rank[o] == 1 + sum(place < own for place in places[need])


def test_a_weekly_option_arrives_in_the_week_of_its_last_day_plus_lead_time() -> None:
    options = build_options(FACTS, [NEED])
    nodes = [options.nodes[n].node_code for n in options.option_node]
    starts = options.option_start_bucket.tolist()
    assert list(zip(nodes, starts, options.option_arrival_bucket.tolist(), strict=True)) == [
        ("A", 0, 0),
        ("A", 1, 1),
        ("A", 2, 2),
        ("A", 3, 3),
        ("B", 0, 1),
        ("B", 1, 2),
        ("B", 2, 3),
    ]


def test_nothing_starts_before_the_bucket_of_the_earliest_start() -> None:
    parameters = msgspec.structs.replace(FACTS.parameters, earliest_start_date=date(2021, 3, 17))
    options = build_options(msgspec.structs.replace(FACTS, parameters=parameters), [NEED])
    assert sorted(options.option_start_bucket.tolist()) == [2, 2, 3]


def test_landed_cost_adds_unit_cost_freight_and_holding_for_days_early() -> None:
    parameters = msgspec.structs.replace(FACTS.parameters, objective="landed_cost")
    options = build_options(msgspec.structs.replace(FACTS, parameters=parameters), [NEED])
    assert options.option_cost.tolist() == pytest.approx([5.4, 4.7, 4.0, 4.0, 5.7, 5.0, 5.0])


def test_weighed_distance_multiplies_by_weight() -> None:
    parameters = msgspec.structs.replace(FACTS.parameters, weigh_distance=True)
    options = build_options(msgspec.structs.replace(FACTS, parameters=parameters), [NEED])
    assert set(options.option_cost.tolist()) == {200.0, 100.0}


def test_distance_ranks_skip_nodes_that_cannot_serve() -> None:
    options = build_options(FACTS, [NEED])
    assert set(zip(options.option_node.tolist(), options.option_distance_rank.tolist(), strict=True)) == {
        (0, 2),
        (1, 1),
    }
    offline = (Node(node_code="A"), Node(node_code="B", status="offline"))
    assert set(
        build_options(msgspec.structs.replace(FACTS, nodes=offline), [NEED]).option_distance_rank.tolist()
    ) == {1}


def test_released_work_takes_its_capacity_in_its_start_bucket() -> None:
    work = (released(MONDAY + timedelta(days=8), 60.0),)
    capacities = build_options(msgspec.structs.replace(FACTS, released_work=work), []).capacities
    at = {key: row for row, key in enumerate(capacities.keys)}
    assert capacities.available[at[CapacityKey("A", "hours")]].tolist() == [70.0, 40.0, 70.0, 70.0]
    assert capacities.available[at[CapacityKey("B", "hours")]].tolist() == [70.0] * 4
    # 37 on hand and arriving, 44 a week later: 120 are taken then, so nothing may be used before or then.
    assert capacities.calendar[at[CapacityKey("A", "resin")]].tolist() == [37.0, 7.0, 7.0, 7.0]
    assert capacities.available[at[CapacityKey("A", "resin")]].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_released_work_reserves_of_a_store_what_it_needs_later() -> None:
    work = (released(MONDAY + timedelta(days=8), 15.0),)
    capacities = build_options(msgspec.structs.replace(FACTS, released_work=work), []).capacities
    row = capacities.keys.index(CapacityKey("A", "resin"))
    assert np.cumsum(capacities.available[row]).tolist() == [14.0, 14.0, 21.0, 28.0]


def test_released_work_of_the_past_or_of_unknown_capability_takes_nothing() -> None:
    past = released(MONDAY - timedelta(days=1), 60.0)
    foreign = msgspec.structs.replace(released(MONDAY, 60.0), node_code="Z")
    capacities = build_options(msgspec.structs.replace(FACTS, released_work=(past, foreign)), []).capacities
    assert not capacities.released_use.any()


def test_a_resource_that_the_node_does_not_have_has_no_capacity() -> None:
    resources = tuple(r for r in FACTS.resources if r.resource_code != "resin")
    capacities = build_options(msgspec.structs.replace(FACTS, resources=resources), []).capacities
    assert not capacities.available[capacities.keys.index(CapacityKey("A", "resin"))].any()


@pytest.mark.parametrize(("measure", "weight"), [("value", 5.0), ("units", 1.0), ("resource_hours", 0.25)])
def test_shortfall_is_weighed_as_the_parameters_say(measure: str, weight: float) -> None:
    parameters = msgspec.structs.replace(FACTS.parameters, shortfall_measure=measure)
    options = build_options(msgspec.structs.replace(FACTS, parameters=parameters), [NEED])
    assert shortfall_weight(options).tolist() == [weight]


def test_a_product_without_value_is_not_left_short_for_nothing() -> None:
    free = msgspec.structs.replace(FACTS.products[0], product_code="Q", value_per_unit=0.0)
    need = msgspec.structs.replace(NEED, need_id=2, product_code="Q")
    options = build_options(msgspec.structs.replace(FACTS, products=(*FACTS.products, free)), [NEED, need])
    assert shortfall_weight(options).tolist() == [5.0, 5.0]


def test_stages_are_tiers_then_ranks_then_lateness_cost_and_earliness() -> None:
    needs = [
        msgspec.structs.replace(NEED, tier=tier, rank=rank)
        for tier, rank in (("buffer", 0), ("order", 2), ("order", -1), ("forecast", 0))
    ]
    assert [measure.name for measure in stage_measures(build_options(FACTS, needs))] == [
        "shortfall:order:-1",
        "shortfall:order:2",
        "shortfall:forecast:0",
        "shortfall:buffer:0",
        "lateness_unit_buckets",
        "cost:nearest",
        "earliness_unit_buckets",
    ]
