"""Are forecasts held to what came, bucket by bucket, and is it noticed when they have lost their series?"""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pullplan.engine.forecast import JUDGED_BUCKETS, judge_forecasts_in_force
from pullplan.engine.model import (
    Experience,
    ForecastsInForce,
    Grounds,
    Mark,
)

MONDAY = date(2022, 1, 3)


def judged(
    came: Sequence[float | None],
    said: Sequence[float],
    *,
    half_band: float = 2.0,
    marks: Sequence[Mark | None] | None = None,
) -> tuple[Experience, Experience]:
    """Judge one series whose last weeks are `came`, of which `said` had been forecast; answer it and the whole."""
    n = len(came)
    dates = tuple(MONDAY - timedelta(weeks=n - k) for k in range(n))
    grounds = Grounds(
        history_first_date=dates[0] if n else None,
        history_units=tuple(came),
        history_used_units=tuple(came),
        history_marks=tuple(marks) if marks else tuple(None if c is not None else "missing" for c in came),
    )
    m = len(said)
    in_force = ForecastsInForce(
        product_codes=("A",) * m,
        region_codes=("R",) * m,
        bucket_dates=dates[n - m :],
        mean_units=tuple(said),
        p10_units=tuple(max(0.0, s - half_band) for s in said),
        p50_units=tuple(said),
        p90_units=tuple(s + half_band for s in said),
    )
    (of_series,), together = judge_forecasts_in_force([("A", "R")], (grounds,), "week", in_force)
    return of_series.experience, together


def test_a_worked_example() -> None:
    # Errors +1 −1 +3 +1: 6 of 44 missed, 40 forecast, 13 beyond the band of 8 to 12; plain naive misses 0 + 2 + 4 + 2.
    experience, together = judged([11, 11, 9, 13, 11], [10, 10, 10, 10])
    assert experience.n_buckets == 4
    assert experience.wape_share == pytest.approx(6 / 44)
    assert experience.value_added_share == pytest.approx((0 + 2 + 4 + 2) / 44 - 6 / 44)
    assert experience.bias_share == pytest.approx(40 / 44 - 1)
    assert experience.coverage_share == pytest.approx(3 / 4)
    assert experience.tracking_signal is None  # four weeks are too few
    assert together.wape_share == experience.wape_share
    assert (together.n_buckets, together.n_drifted_series) == (4, 0)


def test_errors_on_one_side_for_weeks_are_drift_and_those_that_take_turns_are_not() -> None:
    drifting, together = judged([20.0] * 14, [15.0] * 13)
    assert drifting.tracking_signal == pytest.approx(13.0)
    assert drifting.has_drifted
    assert together.n_drifted_series == 1
    turning, _ = judged([20.0] + [22.0, 18.0] * 6, [20.0] * 12)
    assert turning.tracking_signal == pytest.approx(0.0)
    assert not turning.has_drifted


def test_buckets_that_do_not_tell_the_usual_demand_are_not_judged() -> None:
    marks: list[Mark | None] = [None, "missing", "promotion", None, "censored", "outlier"]
    experience, _ = judged([10, None, 90, 10, 0, 900], [10.0] * 5, marks=marks)
    assert (experience.n_buckets, experience.wape_share) == (1, 0.0)


def test_only_the_latest_quarter_is_judged() -> None:
    n = JUDGED_BUCKETS["week"]
    experience, _ = judged([500.0] * 5 + [10.0] * n, [10.0] * (n + 4))
    assert (experience.n_buckets, experience.wape_share) == (n, 0.0)


def test_without_any_forecast_or_history_nothing_is_said() -> None:
    assert judged([10.0] * 8, []) == (Experience(), Experience())
    assert judged([], []) == (Experience(), Experience())


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=2, max_size=20),
    st.lists(st.floats(0, 1e9), min_size=1, max_size=20),
)
@example([2.3e-313, None], [1.0])
def test_a_tracking_signal_is_never_larger_than_the_number_of_buckets(
    came: list[float | None], said: list[float]
) -> None:
    experience, _ = judged(came, said[: len(came)])
    if experience.tracking_signal is not None:
        assert abs(experience.tracking_signal) <= experience.n_buckets + 1e-9
    if experience.coverage_share is not None:
        assert 0 <= experience.coverage_share <= 1
