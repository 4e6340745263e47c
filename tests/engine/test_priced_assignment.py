"""Is what prices find the same as what the whole programme proves, and does it hold?"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from bench.assigning import measure, smallest_factor, to_market
from bench.instances import reference_instance
from hypothesis import HealthCheck, given, settings
from tests.engine.instances import MONDAY, networks
from tests.engine.oracle import is_close, is_proven
from tests.engine.planned import stated

from pullplan.engine.assignment import pricing, sampling
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.pricing import price, price_short
from pullplan.engine.assignment.solving import PRICED_FROM_NEEDS, assign, assign_whole
from pullplan.engine.certificate import certify, stage_values
from pullplan.engine.checker import check
from pullplan.engine.explanation import explain
from pullplan.engine.model import (
    DEMAND_TIERS,
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    Resource,
    SearchProgress,
    Tier,
)
from pullplan.engine.options import Options, Solution, build_options, stage_measures

pytestmark = pytest.mark.usefixtures("few_needs_open_at_first")

ROUNDING = 2.0**-49
"""Of amounts that are added up in float64."""


def network(
    seed: int,
    *,
    load: float,
    n_nodes: int = 5,
    n_products: int = 6,
    n_regions: int = 8,
    tiers: Sequence[Tier] = ("order",),
    n_ranks: int = 1,
    two_resources: bool = False,
) -> tuple[PlanningFacts, list[Need]]:
    """Draw a network of one bucket; `load` is needs ÷ capacity, roughly."""
    chance = np.random.default_rng(seed)
    resources = ("hours", "ovens") if two_resources else ("hours",)
    needs = [
        Need(
            need_id=0,
            product_code=f"P{p}",
            region_code=f"R{r}",
            bucket=0,
            tier=tier,
            rank=int(chance.integers(0, n_ranks)),
            units=float(chance.gamma(1, 20)) + 0.01,
            latest_bucket=0,
        )
        for p in range(n_products)
        for r in range(n_regions)
        for tier in tiers
    ]
    capacity = sum(n.units for n in needs) * 1.1 / load / n_nodes
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(
            objective="landed_cost" if seed % 2 else "nearest",
            shortfall_measure="value" if seed % 3 else "units",
            lanes="given_only",
            share_slices=(1, 2, 10)[seed // 5 % 3],
        ),
        products=tuple(
            Product(product_code=f"P{p}", value_per_unit=float(chance.uniform(1, 50)))
            for p in range(n_products)
        ),
        regions=tuple(Region(region_code=f"R{r}") for r in range(n_regions)),
        nodes=tuple(Node(node_code=f"N{n}") for n in range(n_nodes)),
        resources=tuple(
            Resource(
                node_code=f"N{n}",
                resource_code=code,
                capacity_per_day=capacity * float(chance.dirichlet([3, 3])[0]) * 2,
            )
            for n in range(n_nodes)
            for code in resources
        ),
        capabilities=tuple(
            Capability(
                node_code=f"N{n}",
                product_code=f"P{p}",
                unit_cost=float(chance.uniform(5, 50)),
                use_per_unit={code: float(chance.uniform(0.5, 2)) for code in resources},
            )
            for n in range(n_nodes)
            for p in range(n_products)
            if chance.random() < 0.6
        ),
        lanes=tuple(
            Lane(
                node_code=f"N{n}",
                region_code=f"R{r}",
                distance_km=float(chance.uniform(1, 4000)),
                transit_days=0,
                freight_cost_per_unit=float(chance.uniform(1, 100)),
                forbidden=bool(chance.random() < 0.1),
            )
            for n in range(n_nodes)
            for r in range(n_regions)
        ),
    )
    return facts, [msgspec.structs.replace(need, need_id=i + 1) for i, need in enumerate(needs)]


def priced_solution(options: Options) -> Solution:
    solution = assign_by_prices(options)
    assert solution is not None
    return solution


def assert_holds(options: Options, solution: Solution) -> None:
    served = np.bincount(solution.need, solution.units, len(options.needs))
    assert served + solution.shortfall_units == pytest.approx(options.need_units, rel=1e-9)
    assert (solution.units > 0).all()
    assert (solution.shortfall_units >= 0).all()
    lines = list(zip(solution.need, solution.capability, solution.start_bucket, strict=True))
    assert lines == sorted(set(lines))
    capacities = options.capacities
    taken = options.use_by_bucket(solution.capability, solution.start_bucket, solution.units)
    rows = [(taken, capacities.available), (taken.cumsum(axis=1), capacities.available.cumsum(axis=1))]
    for stored, (used, room) in enumerate(rows):
        of_kind = capacities.is_stored == bool(stored)
        assert (used[of_kind] <= room[of_kind] * (1 + 1e-9) + 1e-6).all()


def rank_units(options: Options, solution: Solution) -> float:
    rows = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    return float(options.capabilities.tie_ranks(rows.capability, rows.distance_rank) @ solution.units)


def assert_equal_stages(options: Options, solution: Solution) -> None:
    """Hold a plan to the whole programme's, stage by stage, and to its Σ units × rank of ties among equally good ones."""
    whole = assign_whole(options)
    assert rank_units(options, solution) == pytest.approx(rank_units(options, whole), rel=1e-6, abs=1e-6)
    measures = stage_measures(options, solution.stage_names)
    expected = stage_values(options, measures, whole)
    stages = certify(options, solution)
    for k, (stage, value) in enumerate(zip(stages, expected, strict=True)):
        assert is_close(stage.value, value, share=1e-6), (stage, value)
        # The bound is a difference of what earlier stages weigh, and no nearer than float64 leaves of that.
        weighed = sum(m * earlier.value for m, earlier in zip(stage.multipliers, stages[:k], strict=True))
        assert is_proven(stage) or abs(stage.gap_absolute) < ROUNDING * weighed, stage


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 700), marks=pytest.mark.long)], ids=len)
def test_random_networks_are_as_good_as_the_whole_programme_stage_by_stage(seeds: range) -> None:
    n_priced = 0
    for seed in seeds:
        load = (0.6, 0.9, 1.0, 1.3, 2.0)[seed % 5]
        options = build_options(
            *network(
                seed,
                load=load,
                tiers=DEMAND_TIERS[: 1 + seed % 3],
                n_ranks=1 + seed % 2,
                two_resources=seed % 7 == 0,
            )
        )
        solution = assign_by_prices(options)
        if solution is not None:
            n_priced += 1
            assert_holds(options, solution)
            assert_equal_stages(options, solution)
    assert n_priced > 0.9 * len(seeds)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_networks_with_every_kind_of_obstacle_are_priced_right_or_left_to_the_whole_programme(
    drawn: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = drawn
    one = msgspec.structs.replace(facts.horizon, horizon_buckets=1)
    now = [msgspec.structs.replace(need, bucket=0, latest_bucket=0) for need in needs]
    options = build_options(msgspec.structs.replace(facts, horizon=one), now)
    solution = assign_by_prices(options)
    if solution is not None:
        assert_holds(options, solution)
        assert_equal_stages(options, solution)


def test_exact_ties_between_nodes_at_one_place_are_settled_within_capacity() -> None:
    for seed in range(8):
        facts, needs = network(seed, load=(0.8, 1.4)[seed % 2], n_nodes=4)
        same_lanes = {lane.region_code: lane for lane in facts.lanes if lane.node_code == "N0"}
        lanes = tuple(
            msgspec.structs.replace(same_lanes[lane.region_code], node_code=lane.node_code)
            for lane in facts.lanes
        )
        same = tuple(
            msgspec.structs.replace(c, unit_cost=7.0, use_per_unit={"hours": 1.0}) for c in facts.capabilities
        )
        options = build_options(msgspec.structs.replace(facts, lanes=lanes, capabilities=same), needs)
        solution = priced_solution(options)
        assert_holds(options, solution)
        assert_equal_stages(options, solution)


def test_a_network_without_any_capacity_leaves_everything_short() -> None:
    facts, needs = network(1, load=1.0)
    idle = tuple(msgspec.structs.replace(r, capacity_per_day=0.0) for r in facts.resources)
    options = build_options(msgspec.structs.replace(facts, resources=idle), needs)
    solution = priced_solution(options)
    assert len(solution.need) == 0
    assert solution.shortfall_units == pytest.approx(options.need_units)
    assert_equal_stages(options, solution)


def test_one_node_serves_what_it_can() -> None:
    for load in (0.5, 1.0, 3.0):
        options = build_options(*network(2, load=load, n_nodes=1))
        solution = priced_solution(options)
        assert_holds(options, solution)
        assert_equal_stages(options, solution)


def test_one_need_takes_its_best_node() -> None:
    facts, needs = network(3, load=0.01)
    options = build_options(facts, needs[:1])
    solution = priced_solution(options)
    assert_holds(options, solution)
    assert_equal_stages(options, solution)


def test_products_that_share_no_node_do_not_disturb_each_other() -> None:
    facts, needs = network(4, load=1.2, n_nodes=6)
    apart = tuple(c for c in facts.capabilities if int(c.node_code[1:]) % 2 == int(c.product_code[1:]) % 2)
    options = build_options(msgspec.structs.replace(facts, capabilities=apart), needs)
    solution = priced_solution(options)
    assert_holds(options, solution)
    assert_equal_stages(options, solution)


def test_units_over_many_orders_are_assigned_to_the_bound() -> None:
    facts, needs = network(5, load=1.0)
    chance = np.random.default_rng(5)
    spread = [msgspec.structs.replace(n, units=float(10 ** chance.uniform(-6, 5))) for n in needs]
    options = build_options(facts, spread)
    solution = priced_solution(options)
    assert_holds(options, solution)
    assert_equal_stages(options, solution)


@pytest.mark.parametrize("load", [0.8, 1.4])
def test_the_order_of_facts_does_not_change_a_priced_plan(load: float) -> None:
    facts, needs = network(6, load=load, tiers=DEMAND_TIERS[:2])
    chance = Random(0)
    shuffled = {
        name: tuple(chance.sample(getattr(facts, name), len(getattr(facts, name))))
        for name in ("products", "regions", "nodes", "resources", "capabilities", "lanes")
    }
    options = build_options(facts, needs)
    other = build_options(msgspec.structs.replace(facts, **shuffled), needs)
    one, two = priced_solution(options), priced_solution(other)
    assert explain(options, one) == explain(other, two)
    assert certify(options, one) == certify(other, two)


@pytest.mark.parametrize("load", [0.7, 1.0, 1.5])
def test_the_checker_finds_nothing_against_a_priced_plan(load: float) -> None:
    facts, needs = network(9, load=load, n_products=12, n_regions=20, tiers=DEMAND_TIERS[:2], n_ranks=2)
    options = build_options(facts, needs)
    verification = check(facts, stated(facts, options, priced_solution(options)))
    assert verification.findings == ()


def test_a_large_instance_of_one_bucket_is_priced_and_says_so() -> None:
    facts, needs = network(8, load=0.9, n_nodes=8, n_products=40, n_regions=80)
    assert len(needs) >= PRICED_FROM_NEEDS
    options = build_options(facts, needs)
    said: list[SearchProgress] = []
    solution = assign(options, said.append)
    assert "prices" in solution.method
    assert list(dict.fromkeys(word.stage for word in said)) == [p.measure for p in solution.stage_prices]
    assert [word.done_share for word in said] == sorted(word.done_share for word in said)
    assert_holds(options, solution)
    assert_equal_stages(options, solution)
    assert "whole" not in solution.method


def test_a_reference_instance_reaches_its_bound_over_every_way() -> None:
    measured = measure(4, 0.9, "priced")
    assert measured["gap"] < 1e-8
    assert measured["shortfall_gap"] < 1e-8


def test_capacity_that_is_hardly_enough_or_hardly_too_little_is_priced() -> None:
    edge = smallest_factor(3)
    for factor in (0.99999 * edge, 1.00001 * edge):
        market = to_market(reference_instance(3, capacity_factor=factor))
        plan = price(market, n_stages=1) or price_short(market, n_stages=1)
        assert plan is not None
        assert plan.lines.cost.bound == pytest.approx(plan.lines.cost.value, rel=1e-9)
        is_short = plan.shortage is not None and plan.shortage.proofs[0].value > 0
        assert is_short == (factor < edge)


@pytest.mark.parametrize("n_together", [5, 50])
def test_where_most_needs_tie_exactly_prices_are_enough(n_together: int) -> None:
    instance = reference_instance(10, capacity_factor=1.2)
    like = np.arange(len(instance.capacity)) // n_together * n_together
    together = replace(
        instance,
        is_made=np.ones_like(instance.is_made),
        use_per_unit=instance.use_per_unit[:, like],
        unit_cost=instance.unit_cost[:, like],
        distance_km=instance.distance_km[like],
    )
    market = to_market(together)
    plan = price(market, n_stages=1)
    assert plan is not None
    assert plan.lines.cost.bound == pytest.approx(plan.lines.cost.value, rel=1e-9)
    assert plan.lines.n_open_needs > len(instance.units.ravel()) / 2


LINES_OF_A_SMALL_INSTANCE = """
from bench.assigning import to_market
from bench.instances import reference_instance
from pullplan.engine.assignment.pricing import price, price_short

lines = price(to_market(reference_instance(6, capacity_factor=1.1)), n_stages=1).lines
print(lines.need.tolist(), lines.way.tolist(), lines.units.tolist(), lines.cost.solved.by_start.tolist())
"""


def test_a_process_with_another_hash_seed_finds_the_very_same_plan() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", LINES_OF_A_SMALL_INSTANCE],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop()) > 1_000


@pytest.mark.parametrize("seed", [4, 7])
def test_a_price_that_a_sample_puts_far_too_low_is_found_without_beginning_anew(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    """A node has next to no capacity there: its price is twice to ten times what the sample says."""
    sampled: list[object] = []

    def search_samples(*given: Any) -> Any:
        sampled.append(given)
        return sampling.search_samples(*given)

    monkeypatch.setattr(pricing, "search_samples", search_samples)
    market = to_market(reference_instance(200, capacity_factor=1.25, seed=seed))
    plan = pricing.price(market, n_stages=1)
    assert plan is not None
    assert len(sampled) == 1
    cost = plan.lines.cost
    assert cost.bound == pytest.approx(cost.value, rel=1e-9)
