"""Does what is said to serve a shortfall serve it, at no other need's expense, and is none of it too much?"""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.engine.instances import networks
from tests.engine.oracle import is_close, optimum_by_stage
from tests.engine.planned import plan_of
from tests.engine.test_forcing import MONDAY, two_towns

from pullplan.engine.explanation import find_remedies
from pullplan.engine.model import (
    CapacityException,
    Need,
    Plan,
    PlanningFacts,
    Remedy,
    Resource,
    Shortfall,
)
from pullplan.engine.options import build_options


def with_remedy(facts: PlanningFacts, product_code: str, remedy: Remedy, share: float = 1.0) -> PlanningFacts:
    """Give the node a share of what the remedy says that it lacks: in facts of one-day buckets."""
    node_code = remedy.node_code
    online = tuple(
        msgspec.structs.replace(n, status="online")
        if remedy.brings_online and n.node_code == node_code
        else n
        for n in facts.nodes
    )
    able = msgspec.structs.replace(
        facts,
        nodes=online,
        capabilities=tuple(
            msgspec.structs.replace(c, qualified=True)
            if remedy.qualifies and (c.node_code, c.product_code) == (node_code, product_code)
            else c
            for c in facts.capabilities
        ),
    )
    capacities = build_options(able, []).capacities
    extra = {(e.resource_code, e.bucket): share * e.amount for e in remedy.extra_capacity}
    kinds = {r.resource_code: r.kind for r in facts.resources if r.node_code == node_code}
    resources, exceptions = [], []
    for key, of_row in zip(capacities.keys, capacities.calendar.tolist(), strict=True):
        code = key.resource_code
        if key.node_code != node_code or code is None:
            continue
        kind = kinds.get(code, "renewed")
        resources.append(Resource(node_code=node_code, resource_code=code, kind=kind, capacity_per_day=0.0))
        exceptions += [
            CapacityException(
                node_code=node_code,
                resource_code=code,
                from_date=MONDAY + timedelta(days=bucket),
                until_date=MONDAY + timedelta(days=bucket + 1),
                capacity_per_day=there + extra.get((code, bucket), 0.0),
            )
            for bucket, there in enumerate(of_row)
        ]
    return msgspec.structs.replace(
        able,
        # What a degraded node has left is what its calendar says by now.
        nodes=tuple(
            msgspec.structs.replace(n, status="online", capacity_share=1.0) if n.node_code == node_code else n
            for n in able.nodes
        ),
        resources=(*(r for r in able.resources if r.node_code != node_code), *resources),
        capacity_exceptions=(
            *(e for e in able.capacity_exceptions if e.node_code != node_code),
            *exceptions,
        ),
    )


def measured(
    facts: PlanningFacts, plan: Plan, shortfall: Shortfall, remedy: Remedy, share: float
) -> list[float]:
    """Let an independent programme force the units, with a share of the remedy in the facts: what it misses, then every stage."""
    (whole,) = [need for need in plan.needs if need.need_id == shortfall.need_id]
    there = sum(
        a.units for a in plan.assignments if (a.need_id, a.node_code) == (whole.need_id, remedy.node_code)
    )
    units = min(whole.units, there + shortfall.units)
    must = msgspec.structs.replace(whole, need_id=0, tier="order", rank=-1, units=units)
    left = msgspec.structs.replace(whole, units=whole.units - units)
    return optimum_by_stage(
        with_remedy(facts, whole.product_code, remedy, share),
        [*(left if need is whole else need for need in plan.needs), must],
        ["shortfall:order:-1", *(stage.measure for stage in plan.stages)],
        only_node={0: remedy.node_code},
        slice_units={whole.need_id: whole.units / facts.parameters.share_slices},
    )


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_a_remedy_serves_the_need_and_makes_no_stage_worse_before_one_better_and_less_of_it_does_not(
    network: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = network
    plan = plan_of(facts, needs)
    assume(plan.shortfalls)
    shortfall = plan.shortfalls[0]
    for remedy in find_remedies(facts, plan, shortfall):
        missed, *values = measured(facts, plan, shortfall, remedy, 1.0)
        assert missed <= 1e-6 * shortfall.units
        for stage, value in zip(remedy.stages, values, strict=True):
            assert is_close(stage.forced_value, value, share=1e-5)
        short = [stage for stage in remedy.stages if stage.measure.startswith("shortfall")]
        first = next(stage for stage in short if stage.is_worse or stage.extra < -1e-9 * shortfall.units)
        assert first.extra < 0  # where that serves a need before it better still, a later stage may give way
        if remedy.extra_capacity and not (remedy.brings_online or remedy.qualifies):
            less = measured(facts, plan, shortfall, remedy, 0.5)[: len(short) + 1]
            assert (
                max(one - whole for one, whole in zip(less, [missed, *values], strict=False))
                > 1e-9 * shortfall.units
            )


def test_a_full_node_needs_as_much_more_as_is_short() -> None:
    facts, needs = two_towns(west_has_only_near=True)
    plan = plan_of(facts, needs)
    (shortfall,) = plan.shortfalls
    (remedy,) = find_remedies(facts, plan, shortfall)
    (oven,) = remedy.extra_capacity
    assert (remedy.node_code, oven.resource_code, oven.bucket) == ("NEAR", "oven", 0)
    assert oven.amount == pytest.approx(1.0)
    assert {s.measure: pytest.approx(s.extra) for s in remedy.stages} == {
        "shortfall:order:0": -1.0,
        "shortfall:order:1": 0.0,
        "lateness_unit_buckets": 0.0,
        "cost:nearest": 20.0,
        "earliness_unit_buckets": 0.0,
    }


def test_a_node_that_is_down_or_not_qualified_would_serve_without_more_hours() -> None:
    facts, needs = two_towns()
    off = msgspec.structs.replace(
        facts,
        nodes=tuple(msgspec.structs.replace(n, status="offline") for n in facts.nodes),
        capabilities=tuple(
            msgspec.structs.replace(c, qualified=c.node_code == "NEAR") for c in facts.capabilities
        ),
    )
    plan = plan_of(off, needs[:1])
    (shortfall,) = plan.shortfalls
    assert shortfall.reason == "offline"
    told = [
        (r.node_code, r.brings_online, r.qualifies, r.extra_capacity)
        for r in find_remedies(off, plan, shortfall)
    ]
    assert told == [("NEAR", True, False, ()), ("FAR", True, True, ())]


def test_what_no_node_makes_has_no_remedy() -> None:
    facts, needs = two_towns()
    unknown = msgspec.structs.replace(facts, capabilities=())
    plan = plan_of(unknown, needs)
    assert [find_remedies(unknown, plan, shortfall) for shortfall in plan.shortfalls] == [(), ()]


def test_remedies_are_told_the_least_costly_first() -> None:
    facts, needs = two_towns()
    small = tuple(msgspec.structs.replace(r, capacity_per_day=1.0) for r in facts.resources)
    full = msgspec.structs.replace(facts, resources=small)
    plan = plan_of(full, needs)
    for shortfall in plan.shortfalls:
        remedies = find_remedies(full, plan, shortfall)
        assert [r.node_code for r in remedies] == ["NEAR", "FAR"]
        near, far = ([s.extra for s in r.stages if s.measure == "cost:nearest"] for r in remedies)
        assert near < far
