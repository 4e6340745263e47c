"""Do plans of the assignment engine hold, and are they as good as plans can be?"""

import json
from collections import defaultdict
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import facts_of_case, networks, regional_network
from tests.engine.oracle import capacity_rows, is_close, is_proven, optimum_by_stage, ways_to_serve

from pullplan.engine.assignment import assign
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.certificate import certify
from pullplan.engine.explanation import explain, resource_loads
from pullplan.engine.model import Need, Node, PlanningFacts, SearchProgress, ShortfallStage
from pullplan.engine.options import build_options

small = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("n_networks", [20, pytest.param(100, marks=pytest.mark.long)])
def test_every_stage_is_as_small_as_an_independent_programme_finds(n_networks: int) -> None:
    """Whole, and by prices where they assign; that programme holds earlier stages by rows, and so to 1e-4 at worst."""

    @settings(small, max_examples=n_networks)
    @given(networks())
    def compare(network: tuple[PlanningFacts, list[Need]]) -> None:
        options = build_options(*network)
        for solution in filter(None, (assign_whole(options), assign_by_prices(options))):
            stages = certify(options, solution)
            expected = optimum_by_stage(*network, [stage.measure for stage in stages])
            for stage, value in zip(stages, expected, strict=True):
                assert is_close(stage.value, value, share=1e-4), (stage, value)
                assert is_proven(stage), stage

    compare()


@small
@given(networks())
def test_a_plan_serves_each_unit_once_inside_capacity_by_usable_ways_only(
    network: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = network
    options = build_options(facts, needs)
    assignments, shortfalls = explain(options, assign(options))
    ways = {(w.need.need_id, w.capability.node_code, w.start): w for w in ways_to_serve(facts, needs)}
    units_of_need: dict[int, float] = defaultdict(float)
    for line in assignments:
        assert line.units > 0
        assert (line.need_id, line.node_code, line.start_bucket) in ways
        units_of_need[line.need_id] += line.units
    for shortfall in shortfalls:
        assert shortfall.units > 0
        units_of_need[shortfall.need_id] += shortfall.units
    for need in needs:
        assert units_of_need[need.need_id] == pytest.approx(need.units, rel=1e-9)
    used = [ways[line.need_id, line.node_code, line.start_bucket] for line in assignments]
    rows, limits, names = capacity_rows(facts, used)
    units = np.array([line.units for line in assignments])
    for row, limit, name in zip(rows, limits, names, strict=True):
        assert float(np.array(row) @ units) <= limit + 1e-6, name


@small
@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_change_the_plan(
    network: tuple[PlanningFacts, list[Need]], chance: Random
) -> None:
    facts, needs = network
    options = build_options(facts, needs)
    shuffled = {
        name: tuple(chance.sample(getattr(facts, name), len(getattr(facts, name))))
        for name in ("products", "regions", "nodes", "resources", "capabilities", "lanes")
    }
    other = build_options(msgspec.structs.replace(facts, **shuffled), needs)
    one, two = assign(options), assign(other)
    assert explain(options, one) == explain(other, two)
    assert certify(options, one) == certify(other, two)
    assert resource_loads(options, one) == resource_loads(other, two)


@pytest.mark.parametrize(("seed", "load"), [(0, 0.7), (1, 0.7), (2, 1.0), (3, 1.0), (4, 1.4), (5, 1.4)])
def test_regional_networks_are_solved_to_the_bound_though_sizes_and_values_span_orders(
    seed: int, load: float
) -> None:
    options = build_options(*regional_network(seed, load=load, tiers=("order", "forecast", "buffer")))
    solution = assign(options)
    stages = certify(options, solution)
    short = [found for stage in stages if (found := ShortfallStage.read(stage.measure))]
    assert len(stages) == len(short) + 3
    assert len({(stage.tier, stage.rank) for stage in short}) == 9
    assert all(abs(stage.gap) < 1e-5 for stage in stages), stages
    assert any(stage.value > 0 for stage in stages[:-3])
    served = np.bincount(solution.need, solution.units, len(options.needs))
    assert served + solution.shortfall_units == pytest.approx(options.need_units, rel=1e-9)
    for load_of_bucket in resource_loads(options, solution):
        assert load_of_bucket.used <= load_of_bucket.capacity * (1 + 1e-9)


@pytest.mark.parametrize("left_out", ["nodes", "capabilities", "lanes", "resources"])
def test_a_network_without_something_essential_leaves_every_need_short(shared: Path, left_out: str) -> None:
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"]["larger"]
    facts, needs = facts_of_case(case)
    options = build_options(msgspec.structs.replace(facts, **{left_out: ()}), needs)
    solution = assign(options)
    assignments, shortfalls = explain(options, solution)
    assert assignments == ()
    assert [s.units for s in shortfalls] == [n.units for n in needs]
    assert all(abs(stage.gap) < 1e-9 for stage in certify(options, solution))


def test_a_network_that_is_offline_everywhere_leaves_every_need_short(shared: Path) -> None:
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"]["larger"]
    facts, needs = facts_of_case(case)
    offline = tuple(Node(node_code=n.node_code, status="offline") for n in facts.nodes)
    options = build_options(msgspec.structs.replace(facts, nodes=offline), needs)
    _, shortfalls = explain(options, assign(options))
    assert {s.reason for s in shortfalls} == {"offline"}
    assert sum(s.units for s in shortfalls) == pytest.approx(sum(n.units for n in needs))


def test_no_needs_make_an_empty_plan_with_every_stage_at_zero(shared: Path) -> None:
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"]["larger"]
    facts, _ = facts_of_case(case)
    for empty in (facts, PlanningFacts(horizon=facts.horizon, parameters=facts.parameters)):
        options = build_options(empty, [])
        solution = assign(options)
        assert explain(options, solution) == ((), ())
        assert [(s.value, s.lower_bound, s.gap) for s in certify(options, solution)] == [(0.0, 0.0, 0.0)] * 3


def test_progress_names_every_stage_in_order_and_what_it_reached(shared: Path) -> None:
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"]["larger"]
    options = build_options(*facts_of_case(case))
    said: list[SearchProgress] = []
    solution = assign(options, said.append)
    last_word = {word.stage: word for word in said}
    assert list(last_word) == [p.measure for p in solution.stage_prices]
    assert [word.done_share for word in said] == sorted(word.done_share for word in said)
    for stage in certify(options, solution):
        assert last_word[stage.measure].value == last_word[stage.measure].bound
        assert is_close(last_word[stage.measure].value or 0.0, stage.value, share=1e-7)
