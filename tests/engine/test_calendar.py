"""Do buckets, capacities and arrivals follow the calendar?"""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullplan.engine.calendar import (
    arrival_bucket,
    bucket_dates,
    bucket_of,
    capacity_by_bucket,
    first_day_of_bucket,
    remaining_share_of_bucket_0,
)
from pullplan.engine.errors import HorizonInvalidError
from pullplan.engine.model import Bucket, CapacityException, Horizon, Node, Resource

WEDNESDAY = date(2021, 3, 3)
WEEKS = Horizon(as_of_date=WEDNESDAY, bucket="week", horizon_buckets=3)
NODE = Node(node_code="N")


def hours(**fields: object) -> Resource:
    return Resource(**{"node_code": "N", "resource_code": "hours", "capacity_per_day": 10.0} | fields)  # type: ignore[arg-type]


def exception(first: date, until: date, per_day: float) -> CapacityException:
    return CapacityException(
        node_code="N", resource_code="hours", from_date=first, until_date=until, capacity_per_day=per_day
    )


def test_weeks_begin_on_monday_across_a_year() -> None:
    assert first_day_of_bucket(date(2021, 1, 1), "week") == date(2020, 12, 28)
    assert first_day_of_bucket(date(2021, 1, 1), "day") == date(2021, 1, 1)


def test_bucket_dates_end_with_the_day_after_the_horizon() -> None:
    assert bucket_dates(WEEKS) == [date(2021, 3, 1), date(2021, 3, 8), date(2021, 3, 15), date(2021, 3, 22)]
    assert bucket_dates(WEEKS, 1) == [date(2021, 3, 1), date(2021, 3, 8)]


def test_a_horizon_of_no_bucket_is_refused() -> None:
    with pytest.raises(HorizonInvalidError, match="0 buckets"):
        bucket_dates(Horizon(as_of_date=WEDNESDAY, horizon_buckets=0))


def test_days_before_as_of_lie_in_bucket_0_or_before() -> None:
    assert [bucket_of(date(2021, 3, day), WEEKS) for day in (1, 3, 7, 8)] == [0, 0, 0, 1]
    assert bucket_of(date(2021, 2, 28), WEEKS) == -1


def test_bucket_0_keeps_the_share_of_its_days_from_as_of_on() -> None:
    assert remaining_share_of_bucket_0(WEEKS) == pytest.approx(5 / 7)
    assert remaining_share_of_bucket_0(Horizon(as_of_date=WEDNESDAY, bucket="day")) == 1.0


@given(
    start=st.integers(0, 60),
    make_days=st.integers(0, 40),
    transit_days=st.integers(0, 20),
    bucket=st.sampled_from(("day", "week")),
)
def test_work_arrives_in_the_bucket_of_its_last_day_plus_make_and_transit(
    start: int, make_days: int, transit_days: int, bucket: Bucket
) -> None:
    horizon = Horizon(as_of_date=WEDNESDAY, bucket=bucket, horizon_buckets=start + 1)
    last_day = bucket_dates(horizon)[-1] - timedelta(days=1)
    arrival = last_day + timedelta(days=make_days + transit_days)
    assert arrival_bucket(start, make_days, transit_days, bucket) == bucket_of(arrival, horizon)


def test_bucket_0_has_the_capacity_of_its_days_from_as_of_on_only() -> None:
    assert capacity_by_bucket(hours(), [], NODE, WEEKS) == [50.0, 70.0, 70.0]


def test_the_days_of_a_week_add_up_to_the_week_exactly() -> None:
    # Added one by one, seven sevenths of 220 are 219.99999999999997: a need of 220 would be short.
    assert capacity_by_bucket(hours(capacity_per_day=220 / 7), [], NODE, WEEKS)[1:] == [220.0, 220.0]


def test_an_earliest_start_takes_the_capacity_of_the_days_before_it() -> None:
    assert capacity_by_bucket(hours(), [], NODE, WEEKS, date(2021, 3, 10)) == [0.0, 50.0, 70.0]
    assert capacity_by_bucket(hours(), [], NODE, WEEKS, date(2021, 2, 1)) == [50.0, 70.0, 70.0]


def test_only_working_weekdays_and_exceptions_give_capacity() -> None:
    weekdays = hours(working_weekdays=(1, 2, 3, 4, 5))
    assert capacity_by_bucket(weekdays, [], NODE, WEEKS) == [30.0, 50.0, 50.0]
    overtime = exception(date(2021, 3, 13), date(2021, 3, 14), 4.0)
    assert capacity_by_bucket(weekdays, [overtime], NODE, WEEKS) == [30.0, 54.0, 50.0]


def test_the_exception_that_starts_last_wins_whatever_their_order() -> None:
    closed = exception(date(2021, 3, 8), date(2021, 3, 22), 0.0)
    open_again = exception(date(2021, 3, 15), date(2021, 3, 17), 3.0)
    for exceptions in ([closed, open_again], [open_again, closed]):
        assert capacity_by_bucket(hours(), exceptions, NODE, WEEKS) == [50.0, 0.0, 6.0]


def test_a_stored_resource_lists_arrivals_with_its_stock_in_bucket_0() -> None:
    stored = hours(kind="stored", on_hand=100.0, capacity_per_day=1.0)
    assert capacity_by_bucket(stored, [], NODE, WEEKS, date(2021, 3, 20)) == [105.0, 7.0, 7.0]


def test_a_degraded_node_keeps_its_share_and_an_offline_node_nothing() -> None:
    degraded = Node(node_code="N", status="degraded", capacity_share=0.5)
    offline = Node(node_code="N", status="offline")
    assert capacity_by_bucket(hours(), [], degraded, WEEKS) == [25.0, 35.0, 35.0]
    assert capacity_by_bucket(hours(), [], offline, WEEKS) == [0.0, 0.0, 0.0]
    assert capacity_by_bucket(hours(kind="stored", on_hand=9.0), [], offline, WEEKS) == [0.0, 0.0, 0.0]
