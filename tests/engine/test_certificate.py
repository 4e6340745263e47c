"""Do bounds hold for any prices, and do they see a plan that is dearer than it need be?"""

import dataclasses
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import facts_of_case, iowa_facts, networks, transportation_facts
from tests.engine.oracle import ways_to_serve

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import (
    capacity_prices,
    certify,
    lower_bounds,
    price_stages,
    stage_prices_of,
)
from pullplan.engine.model import TIERS, Need, PlanningFacts, ShortfallStage, Tier
from pullplan.engine.options import CapacityKey, Options, Solution, StagePrices, build_options, stage_measures

small = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def solved_case(shared: Path, name: str) -> tuple[Options, Solution]:
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"][name]
    options = build_options(*facts_of_case(case))
    return options, assign(options)


@small
@given(networks(), st.integers(0, 2**32 - 1))
def test_no_prices_make_a_bound_that_is_above_the_optimum(
    network: tuple[PlanningFacts, list[Need]], seed: int
) -> None:
    options = build_options(*network)
    solution = assign(options)
    chance = np.random.default_rng(seed)
    anything = tuple(
        StagePrices(
            measure=prices.measure,
            capacity=chance.exponential(20.0, prices.capacity.shape)
            * chance.integers(0, 2, prices.capacity.shape),
            multipliers=chance.exponential(5.0, prices.multipliers.shape),
        )
        for prices in solution.stage_prices
    )
    for stage in certify(options, dataclasses.replace(solution, stage_prices=anything)):
        assert stage.lower_bound <= stage.value + 1e-6 * max(1.0, abs(stage.lower_bound)), stage


def some_stages(
    needs: list[Need], n_slices: int, chance: np.random.Generator
) -> tuple[list[str], dict[tuple[Tier, int, int], tuple[int, int]]]:
    """Join slices at random: the stages' names, and by tier, rank and slice which stage counts it, from which on."""
    names: list[str] = []
    stage_of_slice = {}
    for tier, rank in sorted({(TIERS.index(n.tier), n.rank) for n in needs}):
        first = 1
        while first <= n_slices:
            last = int(chance.integers(first, n_slices + 1))
            stage = ShortfallStage(tier=TIERS[tier], rank=rank, first_slice=first, last_slice=last)
            for number in range(first, last + 1):
                stage_of_slice[stage.tier, rank, number] = len(names), first
            names.append(stage.measure)
            first = last + 1
    return names, stage_of_slice


@small
@given(networks(), st.integers(0, 2**32 - 1))
def test_bounds_and_reduced_costs_are_what_loops_over_all_ways_find(
    network: tuple[PlanningFacts, list[Need]], seed: int
) -> None:
    facts, needs = network
    options = build_options(facts, needs)
    chance = np.random.default_rng(seed)
    n_slices = facts.parameters.share_slices
    names, stage_of_slice = some_stages(needs, n_slices, chance)
    measures = stage_measures(options, names)
    value_of = {p.product_code: p.value_per_unit for p in facts.products}
    by_value = facts.parameters.shortfall_measure == "value"
    shape = options.capacities.available.shape
    prices = [
        StagePrices(m.name, chance.exponential(20.0, shape), chance.exponential(5.0, k))
        for k, m in enumerate(measures)
    ]
    achieved = chance.exponential(100.0, len(measures)).tolist()
    ways = sorted(
        ways_to_serve(facts, needs), key=lambda w: (w.need.need_id, w.capability.node_code, w.start)
    )
    bounds = []
    priced = price_stages(options, measures, prices)
    for k, proof in enumerate(prices):
        multipliers = [*proof.multipliers.tolist(), 1.0]
        capacity = proof.capacity.copy()
        stored = options.capacities.is_stored
        capacity[stored] = np.minimum.accumulate(capacity[stored], axis=1)
        price_of = dict(zip(options.capacities.keys, capacity.tolist(), strict=True))
        of_way = [
            sum(
                multiplier
                * {"lateness_unit_buckets": way.late, "earliness_unit_buckets": way.early}.get(
                    measure.name, way.cost if measure.name.startswith("cost:") else 0.0
                )
                for multiplier, measure in zip(multipliers, measures, strict=False)
            )
            + sum(
                use * price_of[CapacityKey(way.capability.node_code, code)][way.start]
                for code, use in way.capability.use_per_unit.items()
            )
            for way in ways
        ]
        bound, dearest = 0.0, {}
        for need in needs:
            least = min(
                (price for price, way in zip(of_way, ways, strict=True) if way.need is need), default=np.inf
            )
            covered = []
            for number in range(1, n_slices + 1):
                stage, first = stage_of_slice[need.tier, need.rank, number]
                counts = stage < k or (stage == k and number == first)
                weight = value_of[need.product_code] if by_value else 1.0
                covered.append(min(least, multipliers[stage] * weight if counts else 0.0))
            bound += sum(need.units / n_slices * price for price in covered)
            dearest[need.need_id] = max(covered)
        bound -= float((capacity * options.capacities.available).sum())
        bound -= sum(m * value for m, value in zip(multipliers[:-1], achieved, strict=False))
        n_joined = sum(stage == k for stage, _ in stage_of_slice.values()) or 1
        bounds.append(n_joined * bound)
        reduced = priced[k].reduced_costs(options, options.rows)
        expected = [
            n_joined * (price - dearest[way.need.need_id]) for price, way in zip(of_way, ways, strict=True)
        ]
        assert reduced == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert lower_bounds(options, measures, prices, achieved) == pytest.approx(bounds, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", ["short_everywhere", "stored_material", "larger", "late_allowed"])
def test_bounds_meet_values_from_the_stored_prices_alone(shared: Path, name: str) -> None:
    options, solution = solved_case(shared, name)
    stages = certify(options, solution)
    assert all(abs(stage.gap) < 1e-9 for stage in stages)
    prices = capacity_prices(options, solution)
    assert all(price.price > 0 for price in prices)
    read_back = stage_prices_of(options, stages, prices)
    assert certify(options, dataclasses.replace(solution, stage_prices=read_back)) == stages


@pytest.mark.parametrize("name", ["short_everywhere", "stored_material", "larger"])
def test_lowering_one_price_moves_its_stages_bound_and_gap(shared: Path, name: str) -> None:
    options, solution = solved_case(shared, name)
    before = certify(options, solution)
    stage = next(s.stage for s in before if s.measure.startswith("cost:"))
    priced = max((p for p in capacity_prices(options, solution) if p.stage == stage), key=lambda p: p.price)
    lowered = tuple(
        dataclasses.replace(prices, capacity=prices.capacity.copy()) for prices in solution.stage_prices
    )
    row = options.capacities.keys.index(CapacityKey(priced.node_code, priced.resource_code))
    lowered[stage - 1].capacity[row, priced.bucket] *= 0.5
    after = certify(options, dataclasses.replace(solution, stage_prices=lowered))
    assert after[stage - 1].lower_bound < before[stage - 1].lower_bound
    assert after[stage - 1].gap > 1e-6 > before[stage - 1].gap
    assert [s for s in after if s.stage != stage] == [s for s in before if s.stage != stage]


def test_a_dearer_plan_with_the_same_shortfall_shows_its_gap_at_the_cost_stage(shared: Path) -> None:
    case = json.loads((shared / "conformance" / "allocation.json").read_text())["classics"]["dantzig"]
    options = build_options(*transportation_facts(case))
    best = assign(options)
    flows = {("Seattle", 2): 275.0, ("Seattle", 0): 75.0, ("San-Diego", 0): 250.0, ("San-Diego", 1): 300.0}
    capability_of = {c.node_code: at for at, c in enumerate(options.capabilities.rows)}
    dear = dataclasses.replace(
        best,
        need=np.array([need for _, need in flows]),
        capability=np.array([capability_of[node] for node, _ in flows]),
        start_bucket=np.zeros(len(flows), dtype=np.int64),
        units=np.array(list(flows.values())),
    )
    shortfall, _, cost, _ = certify(options, dear)
    assert shortfall.gap == 0
    assert cost.value == pytest.approx(166.275)
    assert cost.lower_bound == pytest.approx(153.675)
    assert cost.gap == pytest.approx((166.275 - 153.675) / 166.275)


def test_a_far_fetched_iowa_plan_of_least_shortfall_is_not_certified(shared: Path) -> None:
    options = build_options(
        *iowa_facts(shared / "data" / "iowa_spirits", [date(2021, 11, 22)], capacity_factor=0.4)
    )
    best = assign(options)
    mirrored = options.lanes.distance_km.max() - options.lanes.distance_km
    far = assign(dataclasses.replace(options, lanes=dataclasses.replace(options.lanes, distance_km=mirrored)))
    fetched = dataclasses.replace(far, stage_prices=best.stage_prices)
    shortfall, _, cost, _ = certify(options, fetched)
    assert shortfall.value == pytest.approx(2605.0)
    assert abs(shortfall.gap) < 1e-9
    assert cost.gap > 0.2
