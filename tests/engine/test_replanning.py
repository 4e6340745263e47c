"""Does a re-plan hold what it should, reach what it can, and prove both?"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import MONDAY, networks, regional_network
from tests.engine.planned import changed
from tests.engine.replanned import as_orders, best_within, shaken, stability_of
from tests.engine.test_netting import pillow_facts

from pullplan.engine.checker import check
from pullplan.engine.errors import PinInfeasibleError
from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    OpenSupply,
    Order,
    Pin,
    Plan,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
    StockPosition,
)
from pullplan.engine.netting import net
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, replan
from pullplan.engine.replanning.netting import net_again

small = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 2**32 - 1)


@small
@given(networks(), seeds)
def test_a_replan_that_may_move_anything_is_as_good_as_a_whole_plan(
    network: tuple[PlanningFacts, list[Need]], seed: int
) -> None:
    before = as_orders(*network)
    now = shaken(before, seed)
    parent, whole = make_plan(before), make_plan(now)
    again = replan(now, before, parent, Churn())
    assert [stage.measure for stage in again.stages] == [stage.measure for stage in whole.stages]
    for stage, best in zip(again.stages, whole.stages, strict=True):
        assert stage.value == pytest.approx(best.value, rel=1e-6, abs=1e-6), (stage, best)
        assert abs(stage.gap) < 1e-7
    assert check(now, again, parent, before.horizon).findings == ()


@small
@given(networks(), seeds, st.sampled_from([None, 0.0, 5.0, 30.0]), st.sampled_from([0.0, 3.0, 500.0]))
def test_no_plan_that_moves_as_little_is_better(
    network: tuple[PlanningFacts, list[Need]], seed: int, budget: float | None, least_saving: float
) -> None:
    facts, needs = network
    unshared = msgspec.structs.replace(facts.parameters, share_slices=1)
    before = as_orders(msgspec.structs.replace(facts, parameters=unshared), needs)
    now = shaken(before, seed)
    parent = make_plan(before)
    again = replan(now, before, parent, Churn(budget, least_saving))
    stability = stability_of(again)
    assert check(now, again, parent, before.horizon).findings == ()
    assert budget is None or stability.moved_units <= budget + 1e-6
    for stage, best in zip(again.stages, best_within(now, again, parent), strict=True):
        assert abs(stage.gap) < 1e-7
        to_save = least_saving * stability.moved_units if stage.measure.startswith("cost:") else 0.0
        assert stage.value + to_save == pytest.approx(best, rel=1e-6, abs=3e-5 * (1 + least_saving)), stage


@small
@given(networks(), seeds, st.sampled_from([0.0, 5.0, 30.0]))
def test_a_replan_that_shares_what_is_short_is_proven_too(
    network: tuple[PlanningFacts, list[Need]], seed: int, budget: float
) -> None:
    before = as_orders(*network)
    now = shaken(before, seed)
    parent = make_plan(before)
    again = replan(now, before, parent, Churn(budget))
    assert check(now, again, parent, before.horizon).findings == ()
    assert all(abs(stage.gap) < 1e-7 for stage in again.stages)


@small
@given(networks(), seeds)
def test_what_holding_costs_is_seen_beside_the_best_plan(
    network: tuple[PlanningFacts, list[Need]], seed: int
) -> None:
    before = as_orders(*network)
    now = shaken(before, seed)
    again = replan(now, before, make_plan(before), Churn(budget_units=0.0))
    whole = make_plan(now)
    free = stability_of(again).free_stages or again.stages
    for stage, best in zip(free, whole.stages, strict=True):
        assert stage.value == pytest.approx(best.value, rel=1e-6, abs=1e-6)
        assert abs(stage.gap) < 1e-7
    for best, held in zip(free, again.stages, strict=False):
        if best.measure != held.measure:
            break  # other slices are joined: the two have no stage in common from here on
        if abs(best.value - held.value) > 1e-6:
            assert best.value < held.value
            break


@pytest.mark.parametrize("seed", range(4))
def test_unchanged_facts_move_nothing_and_change_no_line(seed: int) -> None:
    facts = as_orders(*regional_network(seed, load=0.9, tiers=["order"], n_buckets=4))
    parent = make_plan(facts)
    again = replan(facts, facts, parent, Churn())
    assert stability_of(again).moved_units == 0.0
    assert (again.needs, again.assignments, again.shortfalls) == (
        parent.needs,
        parent.assignments,
        parent.shortfalls,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_replan_of_a_replan_is_proven_as_well(seed: int) -> None:
    facts = as_orders(*regional_network(seed, load=1.0, tiers=["order"], n_buckets=3))
    plan, before = make_plan(facts), facts
    for step in range(3):
        now = shaken(before, 10 * seed + step)
        again = replan(now, before, plan, Churn(budget_units=200.0, least_saving_per_unit=1.0))
        assert check(now, again, plan, before.horizon).findings == ()
        assert all(abs(stage.gap) < 1e-6 for stage in again.stages)  # multipliers of up to 1e9
        assert max(Counter(line.assignment_id for line in again.assignments).values()) == 1
        plan, before = again, now


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_the_facts_does_not_change_a_replan(seed: int) -> None:
    before = as_orders(*regional_network(seed, load=1.0, tiers=["order"], n_buckets=3))
    parent, now = make_plan(before), shaken(before, seed)
    mixed = msgspec.structs.replace(
        now, orders=now.orders[::-1], nodes=now.nodes[::-1], capabilities=now.capabilities[::-1]
    )
    churn = Churn(budget_units=100.0)
    assert replan(mixed, before, parent, churn).plan_hash == replan(now, before, parent, churn).plan_hash


@pytest.mark.parametrize("seed", range(20))
def test_what_is_netted_again_is_what_netting_gives(seed: int) -> None:
    before = as_orders(*regional_network(seed, load=1.0, tiers=["order"], n_buckets=3))
    chance = np.random.default_rng(seed)
    twice = before.orders[int(chance.integers(len(before.orders)))]
    place: dict[str, Any] = {"product_code": twice.product_code, "region_code": twice.region_code}
    now = shaken(before, seed)
    now = msgspec.structs.replace(
        now,
        orders=(*now.orders, twice) if seed % 2 else now.orders,
        stock=(StockPosition(**place, counted_at=datetime(2021, 2, 28, tzinfo=UTC), count_units=5.0),)
        if seed % 3
        else (),
        open_supply=(OpenSupply(**place, external_id="s", units=4.0, due_date=MONDAY),)
        if seed % 5 == 0
        else (),
    )

    def said(needs: Iterable[Need]) -> list[Need]:
        return sorted((msgspec.structs.replace(need, need_id=0) for need in needs), key=str)

    assert said(net_again(now, before, net(before))) == said(net(now))


def test_a_buffer_is_netted_again_where_its_lead_time_is_another() -> None:
    before = pillow_facts()
    farther = tuple(msgspec.structs.replace(lane, transit_days=9) for lane in before.lanes)
    now = msgspec.structs.replace(before, lanes=farther)
    assert now.forecast is None
    assert net_again(now, before, net(before)) == net(now) != net(before)


# --- worked by hand --------------------------------------------------------------------------------------------------


def bakery(orders: dict[str, float], hours: dict[str, float], **status: str) -> PlanningFacts:
    """Draw two ovens and three towns on a line, one day: NEAR is 10 km from every town, FAR 30 km; a loaf takes an hour."""
    km = {"NEAR": 10.0, "FAR": 30.0}
    return PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(shortfall_measure="units", lanes="given_only"),
        products=(Product(product_code="LOAF"),),
        regions=tuple(Region(region_code=code) for code in ("A", "B", "C")),
        nodes=tuple(Node(node_code=code, status=status.get(code, "online")) for code in km),  # type: ignore[arg-type]
        resources=tuple(
            Resource(node_code=code, resource_code="hours", capacity_per_day=hours[code]) for code in km
        ),
        capabilities=tuple(
            Capability(node_code=code, product_code="LOAF", use_per_unit={"hours": 1.0}) for code in km
        ),
        lanes=tuple(
            Lane(node_code=code, region_code=region, distance_km=distance, transit_days=0)
            for code, distance in km.items()
            for region in ("A", "B", "C")
        ),
        orders=tuple(
            Order(
                external_id=f"o-{region}",
                product_code="LOAF",
                region_code=region,
                ordered_units=units,
                due_date=MONDAY,
            )
            for region, units in orders.items()
        ),
        policies=(PullPolicy(policy="make_to_order"),),
    )


def made(plan: Plan) -> dict[tuple[str, str], float]:
    region_of = {need.need_id: need.region_code for need in plan.needs}
    return {(region_of[line.need_id], line.node_code): line.units for line in plan.assignments}


def stage_of(plan: Plan, name: str) -> float:
    return next(stage.value for stage in plan.stages if stage.measure.startswith(name))


def test_room_that_is_freed_is_worth_a_move_only_where_it_saves_enough() -> None:
    # A and B want 60 each, NEAR has 60: one of both goes FAR. Then NEAR has 120: each of its 60 units saves 20 km.
    before = bakery({"A": 60, "B": 60}, {"NEAR": 60, "FAR": 200})
    now = bakery({"A": 60, "B": 60}, {"NEAR": 120, "FAR": 200})
    parent = make_plan(before)
    assert stage_of(parent, "cost:") == 60 * 10 + 60 * 30
    moves = {least: replan(now, before, parent, Churn(None, least)) for least in (0.0, 19.0, 21.0)}
    assert [stability_of(plan).moved_units for plan in moves.values()] == [60.0, 60.0, 0.0]
    assert [stage_of(plan, "cost:") for plan in moves.values()] == [1200.0, 1200.0, 2400.0]
    # Holding all costs 1,200 unit-km, which the certificate shows; moving a unit more would save its 20 km.
    held = stability_of(moves[21.0])
    cost = next(k for k, stage in enumerate(parent.stages) if stage.measure.startswith("cost:"))
    assert held.free_stages[cost].lower_bound == pytest.approx(1200.0)
    assert 20.0 - 1e-6 <= held.churn_prices[cost] <= 21.0 + 1e-6


def test_a_budget_of_units_is_spent_to_the_last_where_moving_saves() -> None:
    before = bakery({"A": 60, "B": 60}, {"NEAR": 60, "FAR": 200})
    now = bakery({"A": 60, "B": 60}, {"NEAR": 120, "FAR": 200})
    again = replan(now, before, make_plan(before), Churn(budget_units=25.0))
    assert stability_of(again).moved_units == pytest.approx(25.0)
    assert stage_of(again, "cost:") == pytest.approx(2400 - 25 * 20)


def test_a_new_order_takes_what_is_left_and_pushes_nobody_out_without_a_budget() -> None:
    before = bakery({"A": 40}, {"NEAR": 50, "FAR": 200})
    now = bakery({"A": 40, "B": 30}, {"NEAR": 50, "FAR": 200})
    again = replan(now, before, make_plan(before), Churn(budget_units=0.0))
    assert made(again) == pytest.approx({("A", "NEAR"): 40, ("B", "NEAR"): 10, ("B", "FAR"): 20})
    assert stability_of(again).moved_units == 0.0


def test_a_pin_that_only_a_budget_leaves_no_room_is_refused_by_naming_it() -> None:
    before = bakery({"A": 40}, {"NEAR": 50, "FAR": 200})
    now = bakery({"A": 40, "B": 30}, {"NEAR": 50, "FAR": 200})
    pin = Pin(product_code="LOAF", region_code="B", due_date=MONDAY, node_code="NEAR", units=30.0)
    now = msgspec.structs.replace(now, parameters=msgspec.structs.replace(now.parameters, pins=(pin,)))
    parent = make_plan(before)
    with pytest.raises(PinInfeasibleError, match=r"only 5 units may move \(churn_budget_units\)"):
        replan(now, before, parent, Churn(budget_units=5.0))
    enough = made(replan(now, before, parent, Churn(budget_units=20.0)))
    assert enough == pytest.approx({("A", "NEAR"): 20, ("A", "FAR"): 20, ("B", "NEAR"): 30})


def test_when_a_node_goes_down_only_its_lines_move() -> None:
    before = bakery({"A": 40, "B": 30, "C": 50}, {"NEAR": 80, "FAR": 200})
    parent = make_plan(before)
    now = bakery({"A": 40, "B": 30, "C": 50}, {"NEAR": 80, "FAR": 200}, NEAR="offline")
    again = replan(now, before, parent, Churn(budget_units=0.0))
    assert made(again) == pytest.approx({("A", "FAR"): 40, ("B", "FAR"): 30, ("C", "FAR"): 50})
    # What was made there can't stay: that is no move that a budget could forbid.
    assert stability_of(again).moved_units == 0.0
    assert stability_of(again).held_units == pytest.approx(40)


def test_where_capacity_falls_as_many_lines_are_released_as_must_be() -> None:
    before = bakery({"A": 40, "B": 30, "C": 10}, {"NEAR": 80, "FAR": 200})
    parent = make_plan(before)
    now = bakery({"A": 40, "B": 30, "C": 10}, {"NEAR": 75, "FAR": 200})
    again = replan(now, before, parent, Churn(budget_units=0.0))
    assert sum(units for (_, node), units in made(again).items() if node == "FAR") == pytest.approx(5)
    assert len(stability_of(again).released_assignment_ids) == 1
    assert stability_of(again).moved_units == 0.0


def test_a_day_later_lines_stand_on_their_dates() -> None:
    def facts(as_of_day: int) -> PlanningFacts:
        first = MONDAY + timedelta(days=as_of_day)
        two = bakery({}, {"NEAR": 40, "FAR": 200})
        order = Order(
            external_id="o",
            product_code="LOAF",
            region_code="A",
            ordered_units=60,
            due_date=MONDAY + timedelta(days=2),
        )
        horizon = Horizon(as_of_date=first, bucket="day", horizon_buckets=3 - as_of_day)
        return msgspec.structs.replace(two, horizon=horizon, orders=(order,))

    parent = make_plan(facts(0))
    assert {line.start_bucket for line in parent.assignments} == {1, 2}
    again = replan(facts(1), facts(0), parent, Churn(budget_units=0.0))
    assert [(a.assignment_id, a.start_bucket + 1, a.units) for a in again.assignments] == [
        (a.assignment_id, a.start_bucket, a.units) for a in parent.assignments
    ]


@pytest.mark.parametrize(
    "limit",
    [
        {"largest_share": 0.6},
        {"pins": (Pin(product_code="LOAF", region_code="A", due_date=MONDAY, node_code="FAR", units=25.0),)},
    ],
)
def test_share_limits_and_pins_hold_in_a_replan_too(limit: dict[str, Any]) -> None:
    def facts(units: float) -> PlanningFacts:
        ovens = bakery({"A": 60, "B": units}, {"NEAR": 100, "FAR": 200})
        return msgspec.structs.replace(ovens, parameters=msgspec.structs.replace(ovens.parameters, **limit))

    parent = make_plan(facts(30))
    for churn in (Churn(), Churn(budget_units=0.0)):
        again = replan(facts(50), facts(30), parent, churn)
        assert check(facts(50), again, parent, parent_horizon=facts(30).horizon).findings == ()
        assert all(abs(stage.gap) < 1e-9 for stage in again.stages)
    free, whole = replan(facts(50), facts(30), parent, Churn()), make_plan(facts(50))
    assert [stage.value for stage in free.stages] == pytest.approx([stage.value for stage in whole.stages])


# --- what the checker sees -------------------------------------------------------------------------------------------


def held_plan() -> tuple[PlanningFacts, PlanningFacts, Plan, Plan]:
    before = bakery({"A": 60, "B": 60}, {"NEAR": 60, "FAR": 200})
    now = bakery({"A": 60, "B": 60}, {"NEAR": 120, "FAR": 200})
    parent = make_plan(before)
    return before, now, parent, replan(now, before, parent, Churn(budget_units=25.0))


@pytest.mark.parametrize(
    "lie",
    [
        {"moved_units": 0.0},
        {"held_units": 60.0},
        {"churn_budget_units": 10.0},
        {"churn_prices": (0.0, 0.0, -1.0, 0.0)},
        {"churn_prices": (0.0,)},
        {"parent_plan_hash": "0" * 64},
        {"released_assignment_ids": (1,)},
    ],
)
def test_a_replan_that_is_not_what_it_says_is_found_out(lie: dict[str, object]) -> None:
    before, now, parent, again = held_plan()
    false = changed(again, stability=msgspec.structs.replace(stability_of(again), **lie))
    assert "stability_wrong" in {f.code for f in check(now, false, parent, before.horizon).findings}


def test_a_bound_that_its_holds_do_not_prove_is_found_out() -> None:
    before, now, parent, again = held_plan()
    stability = stability_of(again)
    assert max(stability.churn_prices) > 0
    false = changed(
        again, stability=msgspec.structs.replace(stability, churn_prices=(0.0,) * len(again.stages))
    )
    assert {f.code for f in check(now, false, parent, before.horizon).findings} == {
        "bound_wrong",
        "gap_wrong",
    }
    assert "stability_wrong" in {f.code for f in check(now, again).findings}


def test_a_free_plan_that_its_prices_do_not_bound_is_found_out() -> None:
    before, now, parent, again = held_plan()
    stability = stability_of(again)
    cost = next(k for k, stage in enumerate(again.stages) if stage.measure.startswith("cost:"))
    better = msgspec.structs.replace(stability.free_stages[cost], value=600.0, lower_bound=600.0)
    free = (*stability.free_stages[:cost], better, *stability.free_stages[cost + 1 :])
    false = changed(again, stability=msgspec.structs.replace(stability, free_stages=free))
    codes = {finding.code for finding in check(now, false, parent, before.horizon).findings}
    assert {"bound_wrong", "below_bound"} <= codes
