"""Does the checker accept every plan that holds, and does no change of one get past it?"""

import dataclasses
import json
import math
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from time import process_time

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.engine.instances import (
    MONDAY,
    facts_of_case,
    iowa_facts,
    networks,
    regional_network,
)
from tests.engine.planned import changed, plan_of, stated, within_the_rules

from pullplan.engine.assignment import assign
from pullplan.engine.checker import check
from pullplan.engine.checker.exactness import CellSums, Judge, sum_of_products
from pullplan.engine.checker.ground import survey
from pullplan.engine.checker.holding import Held
from pullplan.engine.checker.lines import LineChecker, check_shortfalls
from pullplan.engine.checker.needs import read_needs
from pullplan.engine.checker.proof import Proof, Stated
from pullplan.engine.checker.report import Report
from pullplan.engine.checker.room import survey_room
from pullplan.engine.model import (
    Assignment,
    CapacityPrice,
    Need,
    Plan,
    PlanningFacts,
    PullPolicy,
    ReleasedWork,
)
from pullplan.engine.options import Solution, StagePrices, build_options, stage_measures

small = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Network = tuple[PlanningFacts, list[Need]]


def codes(facts: PlanningFacts, plan: Plan) -> set[str]:
    return {finding.code for finding in check(facts, plan).findings}


def renamed(line: Assignment, **changes: object) -> Assignment:
    return msgspec.structs.replace(line, **changes)


def case_of(shared: Path, name: str) -> Network:
    cases = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"]
    return within_the_rules(*facts_of_case(cases[name]))


# --- what holds is accepted ----------------------------------------------------------------------------------


@small
@given(networks())
def test_a_plan_that_was_made_is_always_valid(network: Network) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    verification = check(facts, plan)
    assert verification.findings == ()
    assert verification.valid
    assert verification.checked.n_needs == len(needs)
    for found, said in zip(verification.stages, plan.stages, strict=True):
        assert found.measure == said.measure
        assert found.value == pytest.approx(said.value, rel=1e-9, abs=1e-9)
        assert found.lower_bound == pytest.approx(said.lower_bound, rel=1e-9, abs=1e-7)


@pytest.mark.parametrize(("seed", "load"), [(0, 0.7), (3, 1.0), (4, 1.4), (5, 1.4)])
def test_regional_plans_are_valid_though_sizes_and_values_span_orders(seed: int, load: float) -> None:
    facts, needs = regional_network(seed, load=load, tiers=("order", "forecast", "buffer"))
    verification = check(facts, plan_of(facts, needs))
    assert verification.findings == ()
    assert max(abs(stage.gap) for stage in verification.stages) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"weigh_distance": True, "circuity_factor": 1.3, "same_day_km": 20.0},
        {"shortfall_measure": "resource_hours", "lanes": "within_km", "lanes_within_km": 200.0},
        {"objective": "landed_cost", "freight_cost_per_kg_km": 0.02, "transit_km_per_day": 50.0},
        {"earliest_start_date": MONDAY + timedelta(days=9), "late_buckets": 1, "forecast_late_buckets": 1},
    ],
    ids="-".join,
)
def test_plans_under_every_parameter_are_valid(changes: dict[str, object]) -> None:
    facts, needs = regional_network(7, load=1.1, tiers=("order", "forecast"))
    degraded = msgspec.structs.replace(facts.nodes[0], status="degraded", capacity_share=0.4)
    facts = msgspec.structs.replace(
        facts,
        nodes=(degraded, *facts.nodes[1:]),
        parameters=msgspec.structs.replace(facts.parameters, **changes),
    )
    last = facts.horizon.horizon_buckets
    needs = [
        msgspec.structs.replace(n, latest_bucket=facts.parameters.latest_bucket(n.tier, n.bucket, last))
        for n in needs
    ]
    plan = plan_of(facts, needs)
    assert plan.assignments
    assert check(facts, plan).findings == ()


# --- what was changed is found -------------------------------------------------------------------------------


@small
@given(networks(), st.data())
def test_a_unit_moved_to_another_node_is_found(network: Network, data: st.DataObject) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    assume(plan.assignments and len(facts.nodes) > 1)
    at = data.draw(st.integers(0, len(plan.assignments) - 1))
    line = plan.assignments[at]
    others = [node.node_code for node in facts.nodes if node.node_code != line.node_code]
    node_code = data.draw(st.sampled_from(others))
    moved = data.draw(st.floats(0.01, 1.0)) * line.units
    lines = [*plan.assignments]
    number = len(lines) + 1
    lines.append(renamed(line, assignment_id=number, node_code=node_code, units=moved))
    if line.units > moved:
        lines[at] = renamed(line, units=line.units - moved)
    else:
        lines = [renamed(other, assignment_id=i + 1) for i, other in enumerate(lines) if i != at]
    assert codes(facts, changed(plan, assignments=tuple(lines)))


@small
@given(networks(), st.data())
def test_a_dropped_line_leaves_its_need_uncovered(network: Network, data: st.DataObject) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    assume(plan.assignments)
    dropped = data.draw(st.sampled_from(plan.assignments))
    kept = tuple(line for line in plan.assignments if line != dropped)
    found = [
        f for f in check(facts, changed(plan, assignments=kept)).findings if f.code == "need_not_covered"
    ]
    assert [finding.need_id for finding in found] == [dropped.need_id]
    assert "missing" in found[0].detail


@small
@given(networks(), st.data())
def test_an_overfilled_node_is_found(network: Network, data: st.DataObject) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    assume(plan.assignments)
    line = data.draw(st.sampled_from(plan.assignments))
    need = plan.needs[line.need_id - 1]
    more = sum(r.capacity_per_day * facts.horizon.horizon_buckets + r.on_hand for r in facts.resources) * 4
    more += 4 * sum(e.capacity_per_day for e in facts.capacity_exceptions)
    larger = {
        "needs": tuple(
            msgspec.structs.replace(n, units=n.units + more) if n is need else n for n in plan.needs
        ),
        "assignments": tuple(
            renamed(other, units=other.units + more) if other is line else other for other in plan.assignments
        ),
    }
    found = [f for f in check(facts, changed(plan, **larger)).findings if f.code == "over_capacity"]
    assert line.node_code in {finding.node_code for finding in found}


@small
@given(networks(), st.data())
def test_a_changed_price_is_found_unless_it_proves_the_same(network: Network, data: st.DataObject) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    assume(plan.prices)
    at = data.draw(st.integers(0, len(plan.prices) - 1))
    price = plan.prices[at]

    def priced(amount: float) -> Plan:
        prices = [*plan.prices]
        prices[at] = msgspec.structs.replace(price, price=amount)
        return msgspec.structs.replace(plan, prices=tuple(prices))

    other = price.price * data.draw(st.floats(0.1, 0.9) | st.floats(1.1, 3.0))
    assert "plan_hash_wrong" in codes(facts, priced(other))
    told = check(facts, changed(priced(other)))
    same = told.stages[price.stage - 1].lower_bound == pytest.approx(
        plan.stages[price.stage - 1].lower_bound, rel=1e-7, abs=1e-7
    )
    assert same or {"bound_wrong", "gap_wrong"} <= {f.code for f in told.findings}
    for impossible in (-1.0, math.nan, math.inf):
        assert "price_invalid" in codes(facts, changed(priced(impossible)))


@small
@given(networks(), st.data())
def test_a_better_bound_than_the_prices_prove_is_found(network: Network, data: st.DataObject) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    k = data.draw(st.integers(0, len(plan.stages) - 1))
    stage = plan.stages[k]
    better = stage.lower_bound + max(1.0, abs(stage.value)) * data.draw(st.floats(0.001, 2.0))
    stages = [*plan.stages]
    stages[k] = msgspec.structs.replace(stage, lower_bound=better)
    assert codes(facts, changed(plan, stages=tuple(stages))) == {"bound_wrong"}


def test_a_dearer_plan_with_the_same_shortfall_shows_its_gap_and_may_not_hide_it(shared: Path) -> None:
    facts, needs = within_the_rules(
        *iowa_facts(shared / "data" / "iowa_spirits", [date(2021, 11, 22)], capacity_factor=0.4)
    )
    options = build_options(facts, needs)
    best = assign(options)
    mirrored = options.lanes.distance_km.max() - options.lanes.distance_km
    far = assign(dataclasses.replace(options, lanes=dataclasses.replace(options.lanes, distance_km=mirrored)))
    dearer = stated(facts, options, dataclasses.replace(far, stage_prices=best.stage_prices))
    honest = check(facts, dearer)
    assert honest.findings == ()
    assert honest.stages[0].value == pytest.approx(2605.0)
    assert abs(honest.stages[0].gap) < 1e-9
    assert honest.stages[2].measure == "cost:nearest"
    assert honest.stages[2].gap > 0.2
    best_stages = plan_of(facts, needs).stages
    assert codes(facts, changed(dearer, stages=best_stages)) == {"value_wrong", "gap_wrong"}
    small_gap = msgspec.structs.replace(dearer.stages[2], gap=0.0, gap_absolute=0.0)
    hidden = (*dearer.stages[:2], small_gap, *dearer.stages[3:])
    assert codes(facts, changed(dearer, stages=hidden)) == {"gap_wrong"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"node_code": "NOWHERE"}, "not_capable"),
        ({"start_bucket": 99}, "outside_horizon"),
        ({"arrival_bucket": 99}, "arrival_wrong"),
        ({"distance_km": 1.0}, "distance_wrong"),
        ({"cost_per_unit": 0.125}, "cost_wrong"),
        ({"distance_rank": 9}, "rank_wrong"),
        ({"units": -1.0}, "units_not_positive"),
        ({"units": math.nan}, "units_not_positive"),
        ({"need_id": 999}, "line_malformed"),
        ({"assignment_id": 2}, "line_malformed"),
    ],
)
def test_a_line_that_is_described_wrongly_is_named(
    shared: Path, changes: dict[str, object], code: str
) -> None:
    facts, needs = case_of(shared, "larger")
    plan = plan_of(facts, needs)
    first, *rest = plan.assignments
    verification = check(facts, changed(plan, assignments=(renamed(first, **changes), *rest)))
    assert code in {finding.code for finding in verification.findings}
    assert not verification.valid


def test_nodes_that_may_not_make_it_and_lanes_that_are_not_there_are_named(shared: Path) -> None:
    facts, needs = case_of(shared, "larger")
    plan = plan_of(facts, needs)
    line = plan.assignments[0]
    unqualified = tuple(
        msgspec.structs.replace(c, qualified=c.node_code != line.node_code) for c in facts.capabilities
    )
    offline = tuple(
        msgspec.structs.replace(n, status="offline" if n.node_code == line.node_code else "online")
        for n in facts.nodes
    )
    elsewhere = tuple(lane for lane in facts.lanes if lane.node_code != line.node_code)
    later = msgspec.structs.replace(
        facts.parameters, earliest_start_date=date.fromordinal(facts.horizon.as_of_date.toordinal() + 99)
    )
    for fact, value, code in (
        ("capabilities", unqualified, "not_qualified"),
        ("nodes", offline, "offline"),
        ("lanes", elsewhere, "no_lane"),
        ("policies", (PullPolicy(policy="do_not_produce"),), "do_not_produce"),
        ("parameters", later, "starts_too_early"),
    ):
        other = msgspec.structs.replace(facts, **{fact: value})
        found = codes(other, plan)
        assert {code, "snapshot_hash_wrong"} <= found, (code, found)


def test_what_arrives_after_its_latest_bucket_is_too_late() -> None:
    facts, needs = regional_network(2, load=1.0, tiers=("order",))
    plan = plan_of(facts, needs)
    assert any(stage.value > 0 for stage in plan.stages if stage.measure.startswith("lateness"))
    punctual = msgspec.structs.replace(facts.parameters, late_buckets=0)
    found = check(msgspec.structs.replace(facts, parameters=punctual), plan).findings
    assert {"too_late", "need_malformed"} <= {finding.code for finding in found}
    late = {a.assignment_id for a in plan.assignments if a.arrival_bucket > plan.needs[a.need_id - 1].bucket}
    assert {finding.assignment_id for finding in found if finding.code == "too_late"} == late


def test_loads_figures_stages_and_multipliers_are_held_to_the_lines(shared: Path) -> None:
    facts, needs = case_of(shared, "short_everywhere")
    plan = plan_of(facts, needs)
    load = msgspec.structs.replace(plan.loads[0], used=plan.loads[0].used + 1)
    assert "load_wrong" in codes(facts, changed(plan, loads=(load, *plan.loads[1:])))
    assert "load_wrong" in codes(facts, changed(plan, loads=plan.loads[1:]))
    figures = msgspec.structs.replace(plan.figures, shortfall_units=0.0)
    assert codes(facts, changed(plan, figures=figures)) == {"figure_wrong"}
    assert codes(facts, changed(plan, stages=plan.stages[1:])) == {"stages_wrong"}
    cost = msgspec.structs.replace(plan.stages[2], multipliers=(-1.0, 0.0))
    assert "multiplier_invalid" in codes(
        facts, changed(plan, stages=(*plan.stages[:2], cost, plan.stages[3]))
    )
    nowhere = CapacityPrice(stage=1, node_code="NOWHERE", resource_code="hours", bucket=0, price=1.0)
    assert "price_invalid" in codes(facts, changed(plan, prices=(*plan.prices, nowhere)))


@pytest.mark.parametrize("name", ["larger", "stored_material"])
def test_what_released_work_takes_is_not_there_for_new_work(shared: Path, name: str) -> None:
    facts, needs = case_of(shared, name)
    plan = plan_of(facts, needs)
    line = max(plan.assignments, key=lambda a: a.units)
    need = plan.needs[line.need_id - 1]
    start = facts.horizon.as_of_date + timedelta(days=line.start_bucket)
    work = ReleasedWork(
        work_order_id="W1",
        product_code=need.product_code,
        region_code=need.region_code,
        node_code=line.node_code,
        units=1e6,
        start_date=start,
        arrival_date=start,
    )
    busy = msgspec.structs.replace(facts, released_work=(work,))
    assert {"over_capacity", "load_wrong"} <= codes(busy, plan)
    assert check(busy, plan_of(busy, needs)).findings == ()


@small
@given(networks(), st.data())
def test_any_number_that_is_changed_of_what_a_plan_says_is_found(
    network: Network, data: st.DataObject
) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    place = data.draw(st.sampled_from(["assignments", "shortfalls", "stages", "loads"]))
    rows = [*getattr(plan, place)]
    assume(rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    numbers = {
        "assignments": ["units", "distance_km", "cost_per_unit", "start_bucket", "arrival_bucket", "need_id"],
        "shortfalls": ["units", "need_id"],
        "stages": ["stage", "value", "lower_bound", "gap", "gap_absolute"],
        "loads": ["bucket", "capacity", "used"],
    }
    name = data.draw(st.sampled_from(numbers[place]))
    was = getattr(rows[at], name)
    whole = st.sampled_from([-1, 0, 1, 2, 3, 99, 10**9])
    other = data.draw(whole if isinstance(was, int) else st.floats() | st.sampled_from([was + 0.5, -was]))
    assume(isinstance(was, int) or not abs(other - was) <= 1e-3)
    assume(other != was)
    rows[at] = msgspec.structs.replace(rows[at], **{name: other})
    assert not check(facts, changed(plan, **{place: tuple(rows)})).valid


def test_a_need_that_the_facts_do_not_know_is_found(shared: Path) -> None:
    facts, needs = case_of(shared, "larger")
    plan = plan_of(facts, needs)
    first, *rest = plan.needs
    for changes in (
        {"product_code": "NOTHING"},
        {"region_code": "NOWHERE"},
        {"bucket": 99},
        {"units": 0.0},
        {"need_id": 2},
    ):
        other = msgspec.structs.replace(first, **changes)
        assert "need_malformed" in codes(facts, changed(plan, needs=(other, *rest))), changes


# --- how it computes -----------------------------------------------------------------------------------------


def test_a_comparison_that_float64_cannot_decide_is_made_exactly() -> None:
    tenths = sum_of_products([0.1] * 3, [1.0] * 3)
    assert tenths.exact() == 3 * Fraction(0.1)
    judge = Judge()
    assert judge.agrees(tenths, 0.3, 1e-9)
    assert judge.n_exact == 0
    distance = float(abs(tenths.exact() - Fraction(0.3)))
    assert judge.agrees(tenths, 0.3, distance)
    assert not judge.agrees(tenths, 0.3, float(np.nextafter(distance, 0.0)))
    assert judge.n_exact == 2
    assert not judge.is_at_most(tenths, 0.3, float(np.nextafter(distance, 0.0)))
    assert judge.is_at_most(tenths, 0.3, distance)


sevenths = st.integers(-(10**12), 10**12).map(lambda n: n / 7)


@given(st.lists(st.tuples(st.integers(0, 5), sevenths, sevenths), min_size=1, max_size=40))
def test_sums_by_cell_lie_within_their_rounding_and_doubts_are_settled_exactly(
    terms: list[tuple[int, float, float]],
) -> None:
    cell, left, right = (np.array(column) for column in zip(*terms, strict=True))
    by_cell = CellSums.of(cell, left, right, 6)
    for sums in (by_cell, by_cell.cumulated(np.array([False, True]))):
        exact = [sums.sum_of(i).exact() for i in range(6)]
        for found, rounding, of_cell in zip(sums.value, sums.rounding, exact, strict=True):
            assert abs(Fraction(float(found)) - of_cell) <= Fraction(float(rounding))
        stated = np.array([float(of_cell) + 1.0 for of_cell in exact])
        distance = [
            abs(of_cell - Fraction(said)) for of_cell, said in zip(exact, stated.tolist(), strict=True)
        ]
        tolerance = np.array([float(d) for d in distance])
        holds = [d <= Fraction(t) for d, t in zip(distance, tolerance.tolist(), strict=True)]
        judge = Judge()
        assert judge.agree(sums, stated, tolerance).tolist() == holds
        assert judge.n_exact == 6
    up_to = [
        sum((Fraction(a) * Fraction(b) for c, a, b in terms if 3 <= c <= last), Fraction(0))
        for last in (3, 4, 5)
    ]
    assert exact[3:] == up_to


def stated_by(facts: PlanningFacts, plan: Plan) -> Stated:
    report, surveyed = Report(), survey(facts)
    needs = read_needs(surveyed, plan.needs)
    counted = LineChecker(surveyed, needs, plan.assignments, report).check()
    shorts = check_shortfalls(needs, plan.shortfalls, report)
    assert report.findings == []
    return Stated(surveyed, survey_room(surveyed, needs), needs, plan, Held(), lines=(counted, shorts))


@small
@given(networks())
def test_bounds_in_rationals_lie_within_the_stated_rounding(network: Network) -> None:
    facts, needs = within_the_rules(*network)
    plan = plan_of(facts, needs)
    stated = stated_by(facts, plan)
    seen = []

    class Watching(Judge):
        def is_at_most(self, found, limit, tolerance):
            seen.append(found)
            return super().is_at_most(found, limit, tolerance)

    assert list(Proof(stated, Watching()).check()) == []
    assert len(seen) == len(plan.stages)
    for bound in seen:
        assert abs(bound.exact() - Fraction(bound.value)) <= Fraction(bound.rounding)


def test_three_thousand_needs_at_twenty_nodes_are_checked_within_half_a_second() -> None:
    facts, needs = regional_network(
        1, load=0.01, tiers=("order",), n_nodes=20, n_products=10, n_regions=38, n_buckets=8
    )
    options = build_options(facts, needs)
    assert len(needs) > 3000
    chance = np.random.default_rng(0)
    nearest = np.flatnonzero(options.option_distance_rank == 1)
    _, first = np.unique(options.option_need[nearest], return_index=True)
    prices = tuple(
        StagePrices(measure.name, chance.exponential(1.0, options.capacities.available.shape), np.ones(k))
        for k, measure in enumerate(stage_measures(options))
    )
    solution = Solution(
        need=options.option_need[nearest[first]],
        capability=options.option_capability[nearest[first]],
        start_bucket=options.option_start_bucket[nearest[first]],
        units=options.need_units,
        shortfall_units=np.zeros(len(needs)),
        stage_prices=prices,
        capacity_savings=np.zeros(options.capacities.available.shape),
        method="to the nearest, by hand",
        tie_break="none",
    )
    plan = stated(facts, options, solution)
    began = process_time()
    verification = check(facts, plan)
    assert process_time() - began < 0.5
    assert verification.findings == ()
    assert verification.checked.n_options == len(options.option_need) > 100_000
