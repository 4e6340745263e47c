"""Is what models are shown the usual demand, and does history say where it is not?"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullplan.engine.demand import bucket_history
from pullplan.engine.forecast import forecast_with_grounds
from pullplan.engine.forecast.marks import MarkedHistory, find_outliers, mark_history
from pullplan.engine.model import DailyUnits, ForecastFacts, Horizon, OutOfStock, Promotion

MONDAY = date(2022, 1, 3)
N_WEEKS = 60


def facts_of(units: Sequence[float], **given_facts: Any) -> ForecastFacts:
    """One series of weeks up to MONDAY, as consumption unless said otherwise."""
    n = len(units)
    signals = DailyUnits(
        product_codes=("A",) * n,
        region_codes=("R",) * n,
        days=tuple(MONDAY - timedelta(weeks=n - k) for k in range(n)),
        units=tuple(units),
    )
    given_facts[given_facts.pop("kind", "consumption")] = signals
    return ForecastFacts(horizon=Horizon(as_of_date=MONDAY), n_steps=8, **given_facts)


def marked(facts: ForecastFacts) -> MarkedHistory:
    return mark_history(bucket_history(facts), facts)


def around(level: float, n: int = N_WEEKS, seed: int = 1) -> list[float]:
    draws: list[float] = np.random.default_rng(seed).normal(level, level / 10, n).round(1).tolist()
    return draws


def days_of(first_week: int, n_weeks: int = 1) -> dict[str, Any]:
    """Cover whole weeks, counted from the last one before as_of (−1) backwards."""
    from_date = MONDAY + timedelta(weeks=first_week)
    until_date = from_date + timedelta(weeks=n_weeks)
    return {"product_code": "A", "region_code": "R", "from_date": from_date, "until_date": until_date}


def test_a_single_spike_is_marked_and_replaced_by_what_lies_around_it() -> None:
    units = around(20.0)
    units[30] = 400.0
    told = marked(facts_of(units))
    assert told.marks == [{30: "outlier"}]
    assert told.used[0, 30] == pytest.approx(20.0, rel=0.1)
    np.testing.assert_array_equal(np.delete(told.used[0], 30), np.delete(units, 30))


def test_the_last_bucket_a_new_level_and_a_spike_that_comes_every_year_are_no_outliers() -> None:
    last = [*around(20.0), 400.0]
    level = [*around(20.0, 40), *around(200.0, 20)]
    yearly = around(20.0, 130)
    yearly[20] = yearly[72] = yearly[124] = 400.0
    for units in (last, level, yearly):
        assert marked(facts_of(units)).marks == [{}]


def test_large_orders_that_come_now_and_then_are_demand_but_one_far_above_them_is_not() -> None:
    units = around(20.0, 100)
    for week, order in ((30, 600.0), (47, 610.0), (71, 400.0)):
        units[week] = order
    assert marked(facts_of(units)).marks == [{}]
    units[60] = 5000.0
    assert marked(facts_of(units)).marks == [{60: "outlier"}]


def test_a_spike_in_rare_demand_is_demand() -> None:
    units = [0.0] * N_WEEKS
    units[5::12] = [3.0] * len(units[5::12])
    units[29] = 90.0
    assert "outlier" not in marked(facts_of(units)).marks[0].values()


def test_a_promotion_is_not_taken_for_the_usual_demand() -> None:
    units = around(20.0)
    units[-4:-1] = [38.0, 41.0, 36.0]  # too little to be outliers
    promotion = Promotion(external_id="p", **days_of(-4, 3))
    told = marked(facts_of(units, promotions=(promotion,)))
    assert told.marks == [dict.fromkeys(range(N_WEEKS - 4, N_WEEKS - 1), "promotion")]
    assert told.used[0, -4:-1] == pytest.approx([20.0] * 3, rel=0.1)
    forecast, (grounds,), *_ = forecast_with_grounds(facts_of(units, promotions=(promotion,)))
    plain, *_ = forecast_with_grounds(facts_of(units))
    assert np.mean(forecast.series[0].mean_units) < np.mean(plain.series[0].mean_units)
    assert grounds.history_units[-4:-1] == (38.0, 41.0, 36.0)
    assert grounds.history_marks[-5:] == (None, "promotion", "promotion", "promotion", None)
    assert grounds.history_used_units[-4:-1] == pytest.approx((20.0,) * 3, rel=0.1)


def test_an_empty_shelf_does_not_pass_for_less_demand_but_orders_are_demand_all_the_same() -> None:
    units = around(20.0)
    units[-3:-1] = [4.0, 0.0]
    empty = OutOfStock(**days_of(-3, 2))
    told = marked(facts_of(units, out_of_stock=(empty,)))
    assert told.marks == [{N_WEEKS - 3: "censored", N_WEEKS - 2: "censored"}]
    assert told.used[0, -3:-1] == pytest.approx([20.0] * 2, rel=0.1)
    by_orders = marked(facts_of(units, out_of_stock=(empty,), kind="order_history"))
    assert by_orders.marks == [{}]
    assert by_orders.used[0].tolist() == units


def test_what_was_consumed_before_the_shelf_was_empty_counts_where_it_is_more_than_usual() -> None:
    units = around(20.0)
    units[-2] = 45.0
    told = marked(facts_of(units, out_of_stock=(OutOfStock(**days_of(-2)),)))
    assert told.marks == [{N_WEEKS - 2: "censored"}]
    assert told.used[0, -2] == 45.0


def test_days_before_a_series_began_and_beyond_its_end_are_marked_by_nothing() -> None:
    early, late = Promotion(external_id="e", **days_of(-90, 5)), Promotion(external_id="l", **days_of(0, 5))
    assert marked(facts_of(around(20.0), promotions=(early, late))).marks == [{}]


@given(st.lists(st.floats(0, 1e9), max_size=80))
def test_outliers_are_few_and_lie_far_above_the_middle(units: list[float]) -> None:
    row = np.array(units)
    (high,) = find_outliers(row[None], 52)
    assert high.shape == row.shape
    assert not high[-1:].any()
    if high.any():
        assert row[high].min() > np.median(row[~high])
        assert high.mean() < 0.5


@given(
    st.lists(st.integers(0, 60).map(float), min_size=1, max_size=60),
    st.integers(-70, 2),
    st.integers(1, 80),
)
def test_only_marked_buckets_are_changed_and_nothing_becomes_negative(
    units: list[float], first: int, n_weeks: int
) -> None:
    facts = facts_of(units, promotions=(Promotion(external_id="p", **days_of(first, n_weeks)),))
    history = bucket_history(facts)
    told = mark_history(history, facts)
    changed = np.flatnonzero(~((told.used[0] == history.units[0]) | np.isnan(history.units[0])))
    assert set(changed.tolist()) <= told.marks[0].keys()
    assert not np.isnan(told.used[0][~np.isnan(history.units[0])]).any()
    assert (np.nan_to_num(told.used) >= 0).all()
