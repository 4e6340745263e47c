"""Are the differences of two plans those that a planner would write down, with the fact that explains them?"""

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from tests.engine.instances import MONDAY
from tests.engine.test_replanning import bakery

from pullplan.engine.comparison import Causes, PlannedBuckets, PlanSide, common_buckets, compare
from pullplan.engine.model import (
    Difference,
    Lane,
    NeedInPlan,
    NeedKey,
    PlacedUnits,
    PlanningFacts,
    StockPosition,
)

KEY = NeedKey("LOAF", "A", MONDAY, "order", 0)
HOURS = {"NEAR": 60.0, "FAR": 200.0}
USUAL = bakery({"A": 60}, HOURS)


def line(node_code: str, units: float, *, cost: float, late: int = 0, start: date = MONDAY) -> PlacedUnits:
    return PlacedUnits(
        node_code=node_code,
        start_bucket_date=start,
        units=units,
        cost_per_unit=cost,
        late_buckets=late,
        early_buckets=0,
    )


def need(*lines: PlacedUnits, short: float = 0.0) -> NeedInPlan:
    units = sum(one.units for one in lines) + short
    return NeedInPlan(units=units, shortfall_units=short, lines=lines)


def side(facts: PlanningFacts = USUAL, *, prices: dict[str, float] | None = None) -> PlanSide:
    capacity = {(r.node_code, r.resource_code, MONDAY): r.capacity_per_day for r in facts.resources}
    return PlanSide(facts, capacity, {(node, "hours", MONDAY): p for node, p in (prices or {}).items()})


def told(before: NeedInPlan | None, after: NeedInPlan | None, *sides: PlanSide) -> list[tuple[Any, ...]]:
    found = compare(KEY, before, after, Causes(*(sides or (side(), side()))))
    return [(d.change, d.units, d.from_node_code, d.to_node_code, d.cost_saved) for d in found]


def test_units_that_change_their_node_have_moved_and_the_others_are_not_listed() -> None:
    # 60 at NEAR (10 km) become 35 there and 25 at FAR (30 km): 25 × 20 km more.
    before, after = need(line("NEAR", 60, cost=10)), need(line("NEAR", 35, cost=10), line("FAR", 25, cost=30))
    assert told(before, after) == [("moved", 25, "NEAR", "FAR", -500)]
    assert told(after, before) == [("moved", 25, "FAR", "NEAR", 500)]


def test_another_start_bucket_is_a_move_and_saves_what_it_is_less_late() -> None:
    later = MONDAY + timedelta(days=1)
    before = need(line("NEAR", 60, cost=10, late=1, start=later))
    [moved] = compare(KEY, before, need(line("NEAR", 60, cost=10)), Causes(side(), side()))
    assert (moved.from_start_bucket_date, moved.to_start_bucket_date) == (later, MONDAY)
    assert (moved.late_unit_buckets_saved, moved.cost_saved) == (60, 0)


def test_a_need_that_grows_adds_and_one_that_shrinks_removes() -> None:
    small, large = need(line("NEAR", 40, cost=10)), need(line("NEAR", 60, cost=10), line("FAR", 10, cost=30))
    assert told(small, large) == [
        ("added", 10, None, "FAR", -300),
        ("added", 20, None, "NEAR", -200),
    ]
    assert told(large, small) == [("removed", 10, "FAR", None, 300), ("removed", 20, "NEAR", None, 200)]
    assert told(None, small) == [("added", 40, None, "NEAR", -400)]
    assert told(small, None) == [("removed", 40, "NEAR", None, 400)]


def test_what_is_short_is_told_apart_from_what_is_not_needed() -> None:
    served, short = need(line("NEAR", 60, cost=10)), need(line("NEAR", 45, cost=10), short=15)
    [removed] = compare(KEY, served, short, Causes(side(), side()))
    assert (removed.change, removed.units, removed.shortfall_units_saved) == ("removed", 15, -15)
    [added] = compare(KEY, short, served, Causes(side(), side()))
    assert (added.change, added.shortfall_units_saved) == ("added", 15)
    assert told(None, need(short=5)) == [("left_short", 5, None, None, 0)]
    assert told(need(short=5), None) == [("no_longer_short", 5, None, None, 0)]


def test_rounding_is_no_difference() -> None:
    assert told(need(line("NEAR", 60, cost=10)), need(line("NEAR", 60 + 1e-9, cost=10))) == []


def cause(before: PlanSide, after: PlanSide, one: NeedInPlan | None, other: NeedInPlan | None) -> Difference:
    [found] = compare(KEY, one, other, Causes(before, after))
    return found


NEAR, FAR = need(line("NEAR", 60, cost=10)), need(line("FAR", 60, cost=30))


def changed(**changes: Any) -> PlanSide:
    return side(msgspec.structs.replace(USUAL, **changes))


@pytest.mark.parametrize(
    ("other", "expected", "back"),
    [
        (side(bakery({"A": 60}, HOURS, NEAR="offline")), "node_offline", "node_online"),
        (side(bakery({"A": 60}, {"NEAR": 50, "FAR": 200})), "less_capacity", "more_capacity"),
        (changed(capabilities=USUAL.capabilities[1:]), "not_qualified", "qualified"),
        (
            changed(lanes=(Lane(node_code="NEAR", region_code="A", forbidden=True),)),
            "lane_closed",
            "lane_opened",
        ),
        (side(prices={"NEAR": 25.0}), "capacity_price", "freed_capacity"),
        (
            changed(parameters=msgspec.structs.replace(USUAL.parameters, circuity_factor=2.0)),
            "parameters",
            "parameters",
        ),
        (side(), "other", "other"),
    ],
)
def test_a_move_is_explained_by_the_fact_that_changed(other: PlanSide, expected: str, back: str) -> None:
    assert cause(side(), other, NEAR, FAR).cause == expected
    assert cause(other, side(), FAR, NEAR).cause == back


@pytest.mark.parametrize(
    ("other", "expected", "words"),
    [
        (side(bakery({"A": 90}, HOURS)), "new_demand", "order o-A has changed from 60 to 90 units"),
        (
            changed(stock=(StockPosition(product_code="LOAF", region_code="A"),)),
            "stock_or_supply",
            "stock or open supply",
        ),
        (
            changed(horizon=msgspec.structs.replace(USUAL.horizon, as_of_date=MONDAY + timedelta(days=1))),
            "time_went_on",
            "the second from 2021-03-02",
        ),
    ],
)
def test_more_that_is_needed_is_explained_by_demand_stock_or_time(
    other: PlanSide, expected: str, words: str
) -> None:
    found = cause(side(), other, NEAR, need(line("NEAR", 90, cost=10)))
    assert (found.cause, words in found.detail) == (expected, True), found.detail


def test_plans_share_the_buckets_of_both() -> None:
    week = timedelta(weeks=1)
    one, later = PlannedBuckets("week", MONDAY, 4), PlannedBuckets("week", MONDAY + week, 8)
    assert (
        common_buckets(one, later) == common_buckets(later, one) == PlannedBuckets("week", MONDAY + week, 3)
    )
    assert common_buckets(one, PlannedBuckets("week", MONDAY + 4 * week, 4)) is None
    assert common_buckets(one, PlannedBuckets("day", MONDAY, 4)) is None
