"""Is each demanded unit counted in its bucket, once, and is the kind of demand named as published?"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullplan.engine.demand import (
    AVERAGE_INTERVAL_LIMIT,
    SQUARED_VARIATION_LIMIT,
    bucket_history,
    classes_of,
    history_basis,
    on_hand_units,
    resolve_policy,
)
from pullplan.engine.model import Bucket, DailyUnits, ForecastFacts, Horizon, PullPolicy, StockPosition

MONDAY = date(2024, 1, 1)
Row = tuple[str, str, date, float]


def columns(rows: Sequence[Row]) -> DailyUnits:
    if not rows:
        return DailyUnits()
    products, regions, days, units = zip(*rows, strict=True)
    return DailyUnits(product_codes=products, region_codes=regions, days=days, units=units)


def facts_of(
    consumption: Sequence[Row] = (),
    orders: Sequence[Row] = (),
    *,
    as_of: date = MONDAY + timedelta(weeks=4),
    bucket: Bucket = "week",
    policies: tuple[PullPolicy, ...] = (),
    pairs: tuple[tuple[str, str], ...] = (),
) -> ForecastFacts:
    return ForecastFacts(
        horizon=Horizon(as_of_date=as_of, bucket=bucket),
        n_steps=8,
        policies=policies,
        consumption=columns(consumption),
        order_history=columns(orders),
        pairs=pairs,
    )


def week(n: int, weekday: int = 0) -> date:
    return MONDAY + timedelta(weeks=n, days=weekday)


def test_a_pair_beats_its_product_and_a_product_beats_its_region_and_a_region_beats_all() -> None:
    specific_first = [
        PullPolicy(product_code="GIN", region_code="IA-500"),
        PullPolicy(product_code="GIN"),
        PullPolicy(region_code="IA-500"),
        PullPolicy(),
    ]
    for known in range(len(specific_first)):
        for order in permutations(specific_first[known:]):
            assert resolve_policy(order, "GIN", "IA-500") is specific_first[known]
    assert resolve_policy([], "GIN", "IA-500") == PullPolicy()
    assert resolve_policy(specific_first[:2], "RUM", "IA-500") == PullPolicy()


def test_automatic_history_is_consumption_where_any_exists_and_orders_elsewhere() -> None:
    automatic = PullPolicy()
    assert history_basis(automatic, has_consumption=True) == "consumption"
    assert history_basis(automatic, has_consumption=False) == "order"
    assert history_basis(PullPolicy(history_basis="order"), has_consumption=True) == "order"


def test_issues_leave_stock_once_by_the_history_basis(shared: Path) -> None:
    cases = json.loads((shared / "conformance" / "netting.json").read_text())["stock_and_supply"]
    issued = [case for case in cases if "on_hand_units" in case]
    assert len(issued) == 2
    for case in issued:
        position = StockPosition(
            product_code="A",
            region_code="R",
            counted_at=datetime(2024, 1, 1, tzinfo=UTC),
            count_units=case["count_units"],
            consumed_units_since=case.get("consumption_units_after_count", 0.0),
            shipped_units_since=case["shipped_units_after_count"],
        )
        basis = history_basis(PullPolicy(), has_consumption="consumption_units_after_count" in case)
        assert on_hand_units(position, basis) == case["on_hand_units"]


def test_receipts_after_the_count_are_on_hand_and_more_issues_than_stock_is_negative() -> None:
    position = StockPosition(
        product_code="A", region_code="R", count_units=5, received_units_since=3, consumed_units_since=10
    )
    assert on_hand_units(position, "consumption") == -2
    assert on_hand_units(position, "order") == 8


def test_days_are_summed_into_weeks_and_gaps_inside_a_series_are_zeros() -> None:
    history = bucket_history(
        facts_of([("A", "R", week(0), 2), ("A", "R", week(0, 6), 3), ("A", "R", week(2, 3), 7)])
    )
    assert history.first_date == MONDAY
    assert history.units.tolist() == [[5, 0, 7, 0]]


def test_time_before_the_first_signal_is_not_history() -> None:
    history = bucket_history(facts_of([("A", "R", week(0), 2), ("A", "S", week(2), 4)]))
    np.testing.assert_array_equal(history.units, [[2, 0, 0, 0], [np.nan, np.nan, 4, 0]])


def test_the_bucket_of_as_of_and_everything_later_is_never_read() -> None:
    rows: list[Row] = [("A", "R", week(n), 1.0 + n) for n in range(4)]
    as_of = week(4, 3)
    later: list[Row] = [("A", "R", week(4), 99.0), ("A", "R", week(9), 99.0), ("B", "R", week(9), 99.0)]
    assert bucket_history(facts_of([*rows, *later], as_of=as_of)).units.tolist() == [[1, 2, 3, 4]]


def test_a_source_that_starts_inside_a_week_leaves_that_week_out() -> None:
    history = bucket_history(facts_of([("A", "R", week(0, 2), 5), ("A", "R", week(1, 4), 6)]))
    assert history.first_date == week(1)
    assert history.units.tolist() == [[6, 0, 0]]


def test_a_source_that_has_only_begun_keeps_its_one_partial_week() -> None:
    history = bucket_history(facts_of([("A", "R", week(3, 2), 5)]))
    assert history.units.tolist() == [[5]]


def test_returns_net_within_their_week_and_what_they_exceed_it_by_is_carried() -> None:
    rows: list[Row] = [("A", "R", week(0), 5), ("A", "R", week(0, 1), -2), ("A", "R", week(1), -4)]
    rows += [("A", "R", week(2), 3), ("A", "R", week(3), 6)]
    # Week 1 owes 4, week 2 pays 3 of it, week 3 the last one.
    assert bucket_history(facts_of(rows)).units.tolist() == [[3, 0, 0, 5]]


def test_orders_are_history_only_where_consumption_is_not() -> None:
    consumed: list[Row] = [("A", "R", week(0), 2)]
    ordered: list[Row] = [("A", "R", week(0), 50), ("A", "S", week(0), 60)]
    history = bucket_history(facts_of(consumed, ordered))
    assert history.bases == ("consumption", "order")
    assert history.units[:, 0].tolist() == [2, 60]
    by_orders = bucket_history(
        facts_of(consumed, ordered, policies=(PullPolicy(region_code="R", history_basis="order"),))
    )
    assert by_orders.units[:, 0].tolist() == [50, 60]


def test_a_pair_that_is_asked_for_without_history_is_a_row_of_nothing_known() -> None:
    history = bucket_history(facts_of([("A", "R", week(0), 2)], pairs=(("B", "R"), ("A", "R"))))
    assert history.pairs == (("A", "R"), ("B", "R"))
    assert np.isnan(history.units[1]).all()


def test_weeks_in_which_a_talkative_source_says_nothing_are_missing_and_not_zero() -> None:
    rows: list[Row] = [
        ("A", region, week(n), 1.0) for region in ("R", "S", "T") for n in range(20) if n not in (8, 9)
    ]
    units = bucket_history(facts_of(rows, as_of=week(20))).units
    assert np.isnan(units[:, 8:10]).all()
    assert not np.isnan(np.delete(units, (8, 9), axis=1)).any()


def test_a_single_intermittent_series_keeps_its_zeros() -> None:
    rows: list[Row] = [("A", "R", week(n), 1.0) for n in range(0, 20, 4)]
    assert not np.isnan(bucket_history(facts_of(rows, as_of=week(20))).units).any()


def test_a_weekly_day_of_rest_is_a_zero_and_not_a_silent_source() -> None:
    rows: list[Row] = [
        ("A", region, week(n, day), 1.0) for region in ("R", "S", "T") for n in range(4) for day in range(6)
    ]
    units = bucket_history(facts_of(rows, bucket="day")).units
    assert units.shape == (3, 28)
    assert (units[:, 6::7] == 0).all()


@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"),
            st.sampled_from("RS"),
            st.integers(0, 27).map(lambda d: MONDAY + timedelta(days=d)),
            st.integers(-5, 20).map(float),
        ),
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
def test_no_order_of_the_signals_changes_history_and_no_unit_is_made(rows: list[Row], chance) -> None:
    facts = facts_of(sorted(rows))
    shuffled = list(rows)
    chance.shuffle(shuffled)
    history = bucket_history(facts)
    np.testing.assert_array_equal(history.units, bucket_history(facts_of(shuffled)).units)
    known = history.units[~np.isnan(history.units)]
    assert (known >= 0).all()
    assert known.sum() <= sum(units for *_, units in rows if units > 0)


@pytest.mark.parametrize(
    ("units", "demand_class"),
    [
        ([10, 11, 9, 10] * 5, "smooth"),
        ([1, 30, 2, 1] * 5, "erratic"),
        ([10, 0, 10, 0] * 5, "intermittent"),
        ([1, 0, 30, 0, 2, 0] * 5, "lumpy"),
        ([10] * 7, "new"),
        ([0] * 30 + [5], "new"),
        ([np.nan] * 20 + [10] * 7, "new"),
        ([], "new"),
    ],
)
def test_demand_is_classed_by_interval_and_variation(units: list[float], demand_class: str) -> None:
    assert classes_of(np.array([units], dtype=float)) == [demand_class]


def test_the_class_limits_are_the_published_ones(shared: Path) -> None:
    published = json.loads((shared / "conformance" / "forecasting.json").read_text())["intermittent_classes"]
    assert published["average_demand_interval"] == AVERAGE_INTERVAL_LIMIT
    assert published["squared_coefficient_of_variation"] == SQUARED_VARIATION_LIMIT
