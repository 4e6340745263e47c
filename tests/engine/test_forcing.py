"""Is the stated cost of forcing a node never above what forcing it costs, and exact where nothing else gives way?"""

from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.engine.instances import networks, regional_network
from tests.engine.oracle import is_close, optimum_by_stage

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import certify
from pullplan.engine.explanation import explain, solve_forced
from pullplan.engine.model import (
    Assignment,
    Capability,
    Forced,
    Horizon,
    Lane,
    Need,
    Node,
    PassedOver,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    Resource,
    Stage,
)
from pullplan.engine.options import build_options

small = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LITTLE = 1e-3
"""Of a line: so few units that hardly anything else has to move."""
Planned = tuple[tuple[Stage, ...], tuple[Assignment, ...]]


def planned(facts: PlanningFacts, needs: Sequence[Need]) -> Planned:
    options = build_options(facts, needs)
    solution = assign(options)
    return certify(options, solution), explain(options, solution)[0]


def confirmed_extra(
    network: tuple[PlanningFacts, list[Need]],
    plan: Planned,
    line: Assignment,
    passed: PassedOver,
    share: float,
) -> float | None:
    """Solve with a share of the line's units forced, beside what the node makes of that need already.

    Returns what the stage that `passed` speaks of grows by; None where an earlier stage grows or no plan can.
    """
    stages, lines = plan
    there = sum(x.units for x in lines if (x.need_id, x.node_code) == (line.need_id, passed.node_code))
    units = there + line.units * share
    forced = Forced(need_id=line.need_id, node_code=passed.node_code, units=units)
    missed, compared = solve_forced(*network, forced, {stage.measure: stage.value for stage in stages})
    if missed > 1e-9 * units:
        return None
    for stage, confirmed in zip(stages, compared, strict=True):
        assert confirmed.measure == stage.measure
        if stage.measure == passed.forcing_measure:
            return confirmed.extra
        assert confirmed.extra >= -rounding(stage)
        if confirmed.is_worse:
            return None
    raise AssertionError(passed)


def rounding(stage: Stage) -> float:
    return 1e-6 * max(1.0, abs(stage.value))


@small
@given(networks())
def test_forcing_a_node_never_costs_less_than_stated(network: tuple[PlanningFacts, list[Need]]) -> None:
    plan = planned(*network)
    stage_of = {stage.measure: stage for stage in plan[0]}
    for line in plan[1]:
        for passed in line.passed_over:
            if passed.forcing_cost is None:
                assert passed.cause in {"not_qualified", "offline", "no_lane", "too_late"}
                assert (passed.forcing_measure, passed.forcing_cost_per_unit) == (None, None)
                continue
            assert passed.forcing_cost >= 0
            assert passed.forcing_measure is not None
            extra = confirmed_extra(network, plan, line, passed, 1.0)
            if extra is not None:
                stage = stage_of[passed.forcing_measure]
                assert extra >= passed.forcing_cost - stage.gap_absolute - rounding(stage)


@pytest.mark.parametrize(
    ("seed", "load"),
    [(1, 0.7), pytest.param(0, 0.7, marks=pytest.mark.long), pytest.param(5, 1.4, marks=pytest.mark.long)],
)
def test_forcing_a_little_costs_exactly_what_is_stated_in_whatever_stage(seed: int, load: float) -> None:
    facts, needs = regional_network(seed, load=load, tiers=("order", "forecast"))
    parameters = msgspec.structs.replace(facts.parameters, share_slices=2)
    network = msgspec.structs.replace(facts, parameters=parameters), needs
    plan = planned(*network)
    stage_of = {stage.measure: stage for stage in plan[0]}
    costly = [(line, p) for line in plan[1] for p in line.passed_over if p.forcing_cost]
    sample = np.random.default_rng(seed).choice(len(costly), 8, replace=False).tolist()
    for line, passed in (costly[i] for i in sample):
        stated = passed.forcing_cost
        assert stated == pytest.approx(line.units * (passed.forcing_cost_per_unit or 0.0))
        extra = confirmed_extra(network, plan, line, passed, LITTLE)
        whole = confirmed_extra(network, plan, line, passed, 1.0)
        stage = stage_of[passed.forcing_measure or ""]
        assert extra == pytest.approx(stated * LITTLE, rel=1e-4, abs=1e-10 * abs(stage.value))
        assert whole is None or whole >= stated * (1 - 1e-6) - 1e-10 * abs(stage.value)


@small
@given(networks())
def test_a_forced_plan_is_what_an_independent_programme_finds_with_the_other_ways_taken_away(
    network: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = network
    stages, lines = planned(facts, needs)
    for line in lines[:2]:
        for passed in line.passed_over:
            if passed.forcing_cost is None:
                continue
            forced = Forced(need_id=line.need_id, node_code=passed.node_code, units=line.units)
            missed, compared = solve_forced(facts, needs, forced, {s.measure: s.value for s in stages})
            whole = needs[line.need_id - 1]
            must = msgspec.structs.replace(whole, need_id=0, tier="order", rank=-1, units=line.units)
            left = msgspec.structs.replace(whole, units=max(0.0, whole.units - line.units))
            split = [left if need is whole else need for need in needs]
            first, *rest = optimum_by_stage(
                facts,
                [*split, must],
                ["shortfall:order:-1", *(stage.measure for stage in stages)],
                only_node={0: passed.node_code},
                slice_units={whole.need_id: whole.units / facts.parameters.share_slices},
            )
            assert (missed > 1e-6) == (first > 1e-6)
            if missed == 0:
                values = [stage.forced_value for stage in compared]
                assert [is_close(v, e, share=1e-5) for v, e in zip(values, rest, strict=True)] == [
                    True
                ] * len(values)


# --- worked by hand ------------------------------------------------------------------------------------------

MONDAY = date(2021, 3, 1)


def two_towns(*, west_has_only_near: bool = False, late_buckets: int = 0) -> tuple[PlanningFacts, list[Need]]:
    """EAST needs 6, WEST 11, and comes first; NEAR makes 10 a day, FAR 20."""
    km = {("NEAR", "EAST"): 10.0, ("FAR", "EAST"): 50.0, ("NEAR", "WEST"): 20.0}
    if not west_has_only_near:
        km["FAR", "WEST"] = 90.0
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1 + late_buckets),
        parameters=PlanParameters(lanes="given_only", shortfall_measure="units", share_slices=1),
        products=(Product(product_code="LOAF"),),
        regions=(Region(region_code="EAST"), Region(region_code="WEST")),
        nodes=(Node(node_code="FAR"), Node(node_code="NEAR")),
        resources=(
            Resource(node_code="FAR", resource_code="oven", capacity_per_day=20.0),
            Resource(node_code="NEAR", resource_code="oven", capacity_per_day=10.0),
        ),
        capabilities=tuple(
            Capability(node_code=code, product_code="LOAF", use_per_unit={"oven": 1.0})
            for code in ("FAR", "NEAR")
        ),
        lanes=tuple(
            Lane(node_code=node, region_code=region, distance_km=distance_km, transit_days=0)
            for (node, region), distance_km in km.items()
        ),
    )
    needs = [
        Need(
            need_id=i + 1,
            product_code="LOAF",
            region_code=region,
            bucket=0,
            tier="order",
            rank=rank,
            units=units,
            latest_bucket=late_buckets,
        )
        for i, (region, rank, units) in enumerate([("EAST", 1, 6.0), ("WEST", 0, 11.0)])
    ]
    return facts, needs


def only_line_at_far(plan: Planned) -> Assignment:
    (line,) = [line for line in plan[1] if line.node_code == "FAR"]
    return line


def test_a_line_forced_to_a_full_node_costs_what_it_drives_away_less_what_it_saves() -> None:
    network = two_towns()
    plan = planned(*network)
    line = next(line for line in plan[1] if (line.need_id, line.node_code) == (1, "FAR"))
    (passed,) = line.passed_over
    # EAST would be 40 km nearer, and a unit of WEST 70 km farther.
    assert (passed.cause, passed.forcing_measure) == ("at_capacity", "cost:nearest")
    assert (passed.forcing_cost_per_unit, passed.forcing_cost) == pytest.approx((30.0, 180.0))
    assert confirmed_extra(network, plan, line, passed, 1.0) == pytest.approx(180.0)


def test_a_line_forced_to_a_full_node_that_leaves_others_short_says_so_before_any_distance() -> None:
    network = two_towns(west_has_only_near=True)
    plan = planned(*network)
    line = only_line_at_far(plan)
    (passed,) = line.passed_over
    assert passed.forcing_measure == "shortfall:order:0"
    assert (passed.forcing_cost_per_unit, passed.forcing_cost) == pytest.approx((1.0, 6.0))
    assert confirmed_extra(network, plan, line, passed, 1.0) == pytest.approx(6.0)


def test_a_line_forced_to_a_full_node_that_makes_others_late_says_so_before_any_distance() -> None:
    network = two_towns(west_has_only_near=True, late_buckets=1)
    plan = planned(*network)
    line = only_line_at_far(plan)
    (passed,) = line.passed_over
    assert passed.forcing_measure == "lateness_unit_buckets"
    assert (passed.forcing_cost_per_unit, passed.forcing_cost) == pytest.approx((1.0, 6.0))
    assert confirmed_extra(network, plan, line, passed, 1.0) == pytest.approx(6.0)


def test_what_a_small_line_adds_to_a_large_plan_is_told() -> None:
    facts, (east, west) = two_towns()
    tiny = msgspec.structs.replace(east, units=4e-5)
    filling = msgspec.structs.replace(west, units=10.0)
    pies = [
        msgspec.structs.replace(east, need_id=3 + n, product_code="PIE", units=6.0, rank=0)
        for n in range(600)
    ]
    can_bake = Capability(node_code="NEAR", product_code="PIE", use_per_unit={"tin": 1.0})
    network = (
        msgspec.structs.replace(
            facts,
            products=(*facts.products, Product(product_code="PIE")),
            resources=(
                *facts.resources,
                Resource(node_code="NEAR", resource_code="tin", capacity_per_day=3600.0),
            ),
            capabilities=(*facts.capabilities, can_bake),
        ),
        [tiny, filling, *pies],
    )
    stages, _ = planned(*network)
    forced = Forced(need_id=1, node_code="NEAR", units=4e-5)
    _, compared = solve_forced(*network, forced, {stage.measure: stage.value for stage in stages})
    worse = next(stage for stage in compared if stage.is_worse)
    assert worse.measure == "cost:nearest"
    assert worse.extra == pytest.approx(30 * 4e-5, rel=1e-3)
