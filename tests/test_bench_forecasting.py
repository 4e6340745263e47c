"""Does the forecasting bench measure what it says, and with no knowledge of its test window?"""

from datetime import date, timedelta

import numpy as np
import pytest
from bench.demands import Row, rolling_origins
from bench.forecasting import _outside
from bench.scores import Covered, Said, score, symmetric_error
from bench.singles import SINGLES, said_by_singles

MONDAY = date(2020, 1, 6)


def weekly(n_weeks: int, beyond: int, units_beyond: float) -> list[Row]:
    """Ten units a week; from week `beyond` on so many more."""
    return [
        ("A", region, MONDAY + timedelta(weeks=w), 10.0 + (units_beyond if w >= beyond else 0.0))
        for region in "RS"
        for w in range(n_weeks)
    ]


def test_what_came_after_an_origin_is_in_what_came_and_nowhere_else() -> None:
    (calm,) = rolling_origins(weekly(30, 20, 0.0), first_weeks_back=10, stride_weeks=8, n_steps=8)
    (wild,) = rolling_origins(weekly(30, 20, 1e6), first_weeks_back=10, stride_weeks=8, n_steps=8)
    assert calm.known == wild.known
    assert max(calm.known.consumption.days) < calm.known.horizon.as_of_date
    assert (calm.actual == 10.0).all()
    assert (wild.actual == 10.0 + 1e6).all()


def test_origins_follow_each_other_to_the_last_whose_window_is_known() -> None:
    origins = list(rolling_origins(weekly(60, 60, 0.0), first_weeks_back=20, stride_weeks=4, n_steps=8))
    weeks = [(origin.known.horizon.as_of_date - MONDAY).days // 7 for origin in origins]
    assert weeks == [40, 44, 48, 52]


def test_an_earlier_year_ends_where_the_last_begins() -> None:
    cut = {"stride_weeks": 4, "n_steps": 8}
    rows = weekly(60, 60, 0.0)
    earlier = list(rolling_origins(rows, first_weeks_back=28, last_weeks_back=20, **cut))
    assert [(origin.known.horizon.as_of_date - MONDAY).days // 7 for origin in earlier] == [32, 36, 40]


def test_where_nearly_nothing_comes_nothing_counts_by_its_probability() -> None:
    def of(n_came: int, p90: float) -> Covered:
        actual = np.r_[np.zeros(400 - n_came), np.full(n_came, 9.0)]
        band = np.repeat([[0.0], [0.0], [p90]], 400, axis=1)
        return score([Said("lumpy", actual, np.zeros(400), band)]).coverage_by_class["lumpy"]

    # Nothing in 95 %: a band of nothing covers them all, of which four fifths is by right.
    idle = of(20, p90=0.0)
    assert (idle.share, idle.nothing_share, idle.n_values) == (0.95, 0.95, 400)
    assert idle.spread_share == pytest.approx(0.8)
    assert _outside(idle) <= 0
    # The same said of what comes in a third of all buckets is out by far; and so is what covers all that ever comes.
    assert of(132, p90=0.0).spread_share < 0.7
    assert of(20, p90=9.0).spread_share > 0.87
    assert _outside(Covered(0.95, 0.5, 0.8, 400)) == pytest.approx(0.05)
    assert _outside(Covered(0.65, 0.5, 0.8, 400)) == pytest.approx(0.05)
    assert _outside(Covered(0.99, 0.95, 0.95, 400)) == pytest.approx(0.05)


def test_scores_of_a_forecast_counted_by_hand() -> None:
    said = [
        Said("smooth", np.array([10.0, np.nan]), np.array([12.0, 5.0]), np.array([[8.0, 0], [11.0, 0], [13.0, 0]])),
        Said("lumpy", np.array([0.0, 30.0]), np.array([2.0, 10.0]), np.array([[0.0, 5], [1.0, 10], [4.0, 20]])),
    ]  # fmt: skip
    measured = score(said)
    assert measured.wape_of_p50 == pytest.approx((1 + 1 + 20) / 40)
    assert measured.bias_share == pytest.approx(24 / 40 - 1)
    assert measured.coverage_share == pytest.approx(2 / 3)
    losses = [0.1 * 2, 0.5 * 1, 0.1 * 3, 0.0, 0.5 * 1, 0.1 * 4, 0.1 * 25, 0.5 * 20, 0.9 * 10]
    assert measured.pinball_units == pytest.approx(sum(losses) / 9)
    assert symmetric_error(np.array([10.0]), np.array([30.0])) == pytest.approx(100.0)


def test_every_single_model_answers_for_a_series_of_any_length() -> None:
    demand = np.random.default_rng(1).gamma(5.0, 10.0, 60)
    for units in (demand, demand[:3], np.r_[np.nan, demand[:20]], np.full(5, np.nan)):
        said = said_by_singles(units, 4, 13)
        assert said.keys() == SINGLES.keys()
        assert all(q.shape == (3, 4) and (q >= 0).all() and np.isfinite(q).all() for q in said.values())
