"""Are forecasts usable by a planner: unbiased enough, honest about their spread, and never absurd?"""

import csv
import gc
import gzip
import tracemalloc
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsforecast.models import AutoCES

from pullplan.engine.forecast import (
    DRAFTED,
    forecast_demand,
    forecast_with_grounds,
    interval_quantile,
    models,
)
from pullplan.engine.model import (
    Adjustment,
    Bucket,
    DailyUnits,
    Forecast,
    ForecastFacts,
    Horizon,
    SeriesForecast,
)

AS_OF = date(2022, 1, 3)
Pair = tuple[str, str]
Row = tuple[str, str, date, float]


def facts_of(rows: Sequence[Row], as_of: date = AS_OF, **given_facts: Any) -> ForecastFacts:
    columns: Any = list(zip(*rows, strict=True)) or [(), (), (), ()]
    bucket: Bucket = given_facts.pop("bucket", "week")
    return ForecastFacts(
        horizon=Horizon(as_of_date=as_of, bucket=bucket, horizon_buckets=given_facts.pop("horizon", 8)),
        n_steps=given_facts.pop("n_steps", 8),
        consumption=DailyUnits(
            product_codes=columns[0], region_codes=columns[1], days=columns[2], units=columns[3]
        ),
        **given_facts,
    )


def rows_of(panel: Mapping[Pair, Sequence[float]], days_per_bucket: int = 7) -> list[Row]:
    """End every series with the bucket before as_of."""
    return [
        (product, region, AS_OF - timedelta(days=days_per_bucket * (len(units) - n)), float(u))
        for (product, region), units in panel.items()
        for n, u in enumerate(units)
        if u
    ]


def forecast_one(units: Sequence[float], **given_facts: Any) -> SeriesForecast:
    (series,) = forecast_demand(facts_of(rows_of({("A", "R"): units}), **given_facts)).series
    return series


def assert_sane(forecast: Forecast) -> None:
    for s in forecast.series:
        columns = np.array([s.p10_units, s.p50_units, s.p90_units])
        assert np.isfinite(columns).all()
        assert np.isfinite(s.mean_units).all()
        assert columns.shape == (3, forecast.n_steps) == (3, len(s.mean_units))
        assert (columns >= 0).all()
        assert min(s.mean_units) >= 0
        assert (np.diff(columns, axis=0) >= 0).all()
        assert all(len(path) == forecast.n_steps for path in s.error_paths_units)


def gamma(seed: int, n: int, mean: float = 50.0) -> list[float]:
    draws: list[float] = np.random.default_rng(seed).gamma(5.0, mean / 5.0, n).tolist()
    return draws


# --- worked examples -----------------------------------------------------------------------------------------


def test_nothing_known_and_nothing_asked_for_is_an_empty_forecast() -> None:
    forecast = forecast_demand(facts_of([]))
    assert forecast.series == ()
    assert forecast.measures.wape_share is None


def test_a_pair_that_nobody_ever_demanded_anything_of_is_forecast_at_zero_and_says_so() -> None:
    (series,) = forecast_demand(facts_of([], pairs=(("A", "R"),))).series
    assert (series.demand_class, series.model) == ("new", "Zero")
    assert set(series.mean_units) == {0.0}
    assert "no other region" in (series.fallback_reason or "")


def test_constant_demand_is_forecast_as_it_is_with_no_spread() -> None:
    series = forecast_one([5.0] * 60)
    for column in (series.mean_units, series.p10_units, series.p90_units):
        assert column == pytest.approx([5.0] * 8)
    assert interval_quantile(series, 0, [1, 1, 0.5], 0.95) == pytest.approx((12.5, 12.5))


def test_the_first_step_is_the_whole_bucket_of_as_of_also_in_the_middle_of_a_week() -> None:
    thursday = AS_OF + timedelta(days=3)
    forecast = forecast_demand(facts_of(rows_of({("A", "R"): [5.0] * 60}), as_of=thursday))
    assert forecast.first_bucket_date == AS_OF
    assert forecast.series[0].mean_units[0] == pytest.approx(5.0)


def test_a_yearly_season_of_three_years_is_followed() -> None:
    weeks = np.arange(156)
    pattern = 100 + 50 * np.sin((weeks - 156) * 2 * np.pi / 52)
    series = forecast_one((pattern + np.random.default_rng(1).normal(0, 3, 156)).tolist(), n_steps=13)
    # From the middle of the wave to its crest: 100 to 150.
    truth = 100 + 50 * np.sin(np.arange(13) * 2 * np.pi / 52)
    assert np.abs(np.array(series.mean_units) - truth).mean() < 8


def test_a_closed_weekday_is_forecast_closed() -> None:
    week = [9, 9, 9, 12, 15, 3, 0]
    noisy = np.random.default_rng(2).poisson(np.tile(week, 20)).tolist()
    rows = rows_of({("A", "R"): noisy, ("A", "S"): noisy}, days_per_bucket=1)
    forecast = forecast_demand(facts_of(rows, bucket="day", horizon=14, n_steps=14))
    for series in forecast.series:
        assert series.mean_units[6] < 1.0
        assert series.mean_units[4] > 1.2 * series.mean_units[0]


def test_no_season_is_seen_in_noise() -> None:
    intermittent = (np.random.default_rng(3).random(156) < 0.2).astype(float).tolist()
    series = forecast_one(intermittent)
    assert series.demand_class == "intermittent"
    assert max(series.mean_units) < 2.5 * min(series.mean_units)


def test_medians_of_intermittent_demand_may_be_zero_while_its_means_are_not() -> None:
    sparse = ((np.random.default_rng(4).random(120) < 0.15) * 4.0).tolist()
    series = forecast_one(sparse)
    assert series.demand_class == "intermittent"
    assert sum(series.p10_units) == 0
    assert sum(series.p50_units) < sum(series.mean_units)
    assert sum(series.mean_units) == pytest.approx(8 * 0.15 * 4.0, rel=0.5)


def test_a_pair_with_two_weeks_of_history_takes_the_shape_of_other_regions_between_both_levels() -> None:
    panel = {("A", "R"): [10.0, 12.0], ("A", "S"): gamma(5, 120, 40.0), ("A", "T"): gamma(6, 120, 60.0)}
    forecast = forecast_demand(facts_of(rows_of(panel)))
    new, *others = forecast.series
    assert (new.demand_class, new.model) == ("new", "PooledMean")
    usual = float(np.mean([s.mean_units for s in others]))
    assert 11.0 < float(np.mean(new.mean_units)) < usual
    # Wide: relative to its mean wider than what is known of either region.
    width = [(s.p90_units[0] - s.p10_units[0]) / s.mean_units[0] for s in forecast.series]
    assert width[0] > min(width[1:])
    assert_sane(forecast)


def test_a_pair_without_history_is_sized_like_its_region() -> None:
    panel = {
        (product, region): gamma(seed, 60, size)
        for seed, (product, region, size) in enumerate(
            [("A", "BIG", 400.0), ("A", "SMALL", 40.0), ("B", "BIG", 400.0), ("B", "SMALL", 40.0)]
        )
    }
    panel["C", "BIG"] = gamma(9, 60, 100.0)
    forecast = forecast_demand(facts_of(rows_of(panel), pairs=(("C", "SMALL"),)))
    by_pair = {(s.product_code, s.region_code): s for s in forecast.series}
    assert np.mean(by_pair["C", "SMALL"].mean_units) < np.mean(by_pair["C", "BIG"].mean_units) / 2


# --- grounds -------------------------------------------------------------------------------------------------


def test_a_forecast_tells_its_history_its_candidates_and_what_it_would_have_said() -> None:
    units = gamma(11, 120)
    forecast, (grounds,), *_ = forecast_with_grounds(facts_of(rows_of({("A", "R"): units})))
    (series,) = forecast.series
    assert grounds.history_units == pytest.approx(tuple(units))
    assert grounds.history_first_date == AS_OF - timedelta(weeks=120)
    assert grounds.candidates[0].model == series.model
    assert {c.model for c in grounds.candidates} == set(models.REGULAR["thorough"])
    judged = [c.score for c in grounds.candidates if not c.is_biased]
    assert judged == sorted(score for score in judged if score is not None)
    dates = [past.first_bucket_date for past in grounds.backtest]
    assert dates[-1] == AS_OF - timedelta(weeks=8)
    assert all(later - earlier >= timedelta(weeks=8) for earlier, later in pairwise(dates))
    for past in grounds.backtest:
        assert len(past.mean_units) == len(past.p10_units) == 8
        assert all(low <= high for low, high in zip(past.p10_units, past.p90_units, strict=True))


def test_what_stands_in_the_backtest_was_said_without_what_came_after() -> None:
    units = gamma(12, 120)
    _, (known,), *_ = forecast_with_grounds(facts_of(rows_of({("A", "R"): units})))
    # Another world from eight weeks before as_of on: what is said of those weeks must be the same.
    _, (other,), *_ = forecast_with_grounds(
        facts_of(rows_of({("A", "R"): [*units[:-8], *gamma(13, 8, 55.0)]}))
    )
    assert other.backtest[-1].first_bucket_date == AS_OF - timedelta(weeks=8)
    assert other.backtest[-1] == known.backtest[-1]


def test_a_silent_week_of_history_is_told_as_missing_and_a_model_that_fails_by_its_cause(monkeypatch) -> None:
    def fails() -> Any:
        raise ZeroDivisionError("of the model's own making")

    monkeypatch.setitem(models._BUILD, "AutoCES", fails)
    silent = {("A", region): [*gamma(n, 30), 0.0, *gamma(n + 9, 30)] for n, region in enumerate("RST")}
    _, grounds, *_ = forecast_with_grounds(facts_of(rows_of(silent)))
    for of_series in grounds:
        assert of_series.history_units.index(None) == 30
        assert of_series.candidates[-1].failure == "ZeroDivisionError: of the model's own making"


def test_a_pair_without_history_rests_on_nothing() -> None:
    forecast, grounds, *_ = forecast_with_grounds(facts_of([], pairs=(("A", "R"),)))
    assert len(forecast.series) == len(grounds) == 1
    assert (grounds[0].history_first_date, grounds[0].candidates) == (None, ())


# --- adjustments ---------------------------------------------------------------------------------------------


def adjustment(number: int, first_day: int, days: int, **change: float) -> Adjustment:
    start = AS_OF + timedelta(days=first_day)
    return Adjustment(
        external_id=f"a{number}",
        product_code="A",
        region_code="R",
        from_date=start,
        until_date=start + timedelta(days=days),
        **change,
    )


def test_multipliers_come_first_then_additions_by_covered_days_and_quantiles_scale_alike() -> None:
    plain = forecast_one(gamma(7, 80))
    changes = (
        adjustment(1, 0, 14, units=20.0),
        adjustment(2, 0, 7, multiplier=2.0),
        adjustment(3, 7, 7 * 1, multiplier=1.5),
    )
    changed = forecast_one(gamma(7, 80), adjustments=changes)
    first, second, third = plain.mean_units[:3]
    assert changed.mean_units[:3] == pytest.approx((2 * first + 10, 1.5 * second + 10, third))
    assert changed.adjustment_units[:3] == pytest.approx((first + 10, 0.5 * second + 10, 0.0))
    factors = np.array(changed.mean_units) / np.array(plain.mean_units)
    for name in ("p10_units", "p50_units", "p90_units"):
        assert getattr(changed, name) == pytest.approx(np.array(getattr(plain, name)) * factors)
    for path, was in zip(changed.error_paths_units, plain.error_paths_units, strict=True):
        assert path == pytest.approx(np.array(was) * factors)


def test_an_adjustment_of_two_days_of_a_week_counts_for_two_sevenths() -> None:
    changed = forecast_one([7.0] * 60, adjustments=(adjustment(1, 5, 4, multiplier=2.0),))
    assert changed.mean_units[:3] == pytest.approx((9.0, 9.0, 7.0))


def test_an_addition_to_a_forecast_of_nothing_is_the_forecast_and_a_subtraction_stops_at_zero() -> None:
    changes = (adjustment(1, 0, 7, units=21.0), adjustment(2, 7, 7, units=-5.0))
    (series,) = forecast_demand(facts_of([], pairs=(("A", "R"),), adjustments=changes)).series
    assert series.mean_units[:3] == pytest.approx((21.0, 0.0, 0.0))
    assert series.p10_units[0] == series.p90_units[0] == pytest.approx(21.0)


# --- intervals -----------------------------------------------------------------------------------------------


def with_paths(mean: Sequence[float], paths: Sequence[Sequence[float]]) -> SeriesForecast:
    return SeriesForecast(
        product_code="A",
        region_code="R",
        demand_class="smooth",
        model="by hand",
        history_buckets=0,
        mean_units=tuple(mean),
        p10_units=tuple(mean),
        p50_units=tuple(mean),
        p90_units=tuple(mean),
        adjustment_units=(0.0,) * len(mean),
        error_paths_units=tuple(tuple(p) for p in paths),
    )


def test_an_interval_sums_along_each_path_and_partial_buckets_count_by_their_share() -> None:
    # Errors that take turns cancel in the sum: a median of summed demand of 20 and hardly any spread.
    taking_turns = with_paths([10, 10], [[5, -5], [-5, 5], [4, -4]])
    assert interval_quantile(taking_turns, 0, [1, 1], 0.5) == pytest.approx((20, 20))
    assert interval_quantile(taking_turns, 0, [1, 1], 0.75) == pytest.approx((20, 20))
    # Half a bucket: 5 units, the errors at half their size, and the middle of -2.5, 2 and 2.5.
    assert interval_quantile(taking_turns, 0, [0.5], 0.5) == pytest.approx((5, 7))
    assert interval_quantile(taking_turns, 1, [0.5], 0.5) == pytest.approx((5, 3))


def test_an_interval_of_nothing_needs_nothing_and_one_beyond_the_forecast_goes_on_as_its_last_step() -> None:
    series = with_paths([10, 20], [[0, 1], [0, -1]])
    assert interval_quantile(series, 0, [], 0.95) == (0.0, 0.0)
    assert interval_quantile(series, 1, [1, 1], 0.5) == pytest.approx((40, 40))
    assert interval_quantile(series, 5, [1], 0.5)[0] == pytest.approx(20)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=30),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_an_interval_quantile_is_never_negative_and_grows_with_the_level(
    paths: list[list[float]], shares: list[float]
) -> None:
    series = with_paths([10, 10, 10], paths)
    quantiles = [
        interval_quantile(series, 0, shares, level)[1] for level in (0.05, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
    ]
    assert quantiles[0] >= 0
    assert all(low <= high + 1e-9 for low, high in pairwise(quantiles))


def test_a_high_level_goes_beyond_the_few_paths_that_were_seen() -> None:
    series = with_paths([100], [[e] for e in np.linspace(-20, 20, 9)])
    assert interval_quantile(series, 0, [1], 0.99)[1] > 120


# --- invariants ----------------------------------------------------------------------------------------------

histories = st.dictionaries(
    st.tuples(st.sampled_from("AB"), st.sampled_from("RST")),
    st.lists(
        st.one_of(
            st.just(0.0),
            st.integers(-5, 60).map(float),
            st.floats(1e-6, 1e9, allow_nan=False, allow_subnormal=False),
        ),
        max_size=45,
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=25)
@given(histories)
def test_no_history_makes_a_forecast_negative_or_its_quantiles_cross(
    panel: dict[Pair, list[float]],
) -> None:
    assert_sane(forecast_demand(facts_of(rows_of(panel), pairs=(("A", "R"), ("Z", "R")))))


@settings(deadline=None, max_examples=8)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_signals_changes_nothing(chance) -> None:
    panel = {
        ("A", "R"): gamma(1, 60),
        ("B", "R"): [*gamma(2, 30), 0.0, 0.0],
        ("A", "S"): (np.arange(60) % 3 * 4.0).tolist(),
    }
    rows = rows_of(panel)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert forecast_demand(facts_of(rows)) == forecast_demand(facts_of(shuffled))


def test_signals_later_than_as_of_are_never_read() -> None:
    rows = rows_of({("A", "R"): gamma(1, 60), ("A", "S"): gamma(2, 60)})
    later: list[Row] = [("A", "R", AS_OF + timedelta(days=d), 1e6) for d in (0, 1, 30)] + [
        ("N", "S", AS_OF + timedelta(days=9), 1e6)
    ]
    assert forecast_demand(facts_of([*rows, *later])) == forecast_demand(facts_of(rows))


def test_demand_in_another_unit_gives_the_same_forecast_in_that_unit() -> None:
    units = gamma(8, 70)
    pieces, dozens = forecast_one(units), forecast_one([u / 12 for u in units])
    assert np.array(dozens.mean_units) * 12 == pytest.approx(pieces.mean_units, rel=0.02)
    assert np.array(dozens.p90_units) * 12 == pytest.approx(pieces.p90_units, rel=0.05)


@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_tiny_and_huge_demand_is_forecast_near_its_level(scale: float) -> None:
    series = forecast_one([u * scale for u in gamma(9, 60)])
    assert np.mean(series.mean_units) / scale == pytest.approx(50.0, rel=0.3)


def test_a_model_that_fails_on_a_series_is_out_for_that_series_alone(monkeypatch) -> None:
    class _FailsOnBigDemand(AutoCES):
        def fit(self, y: Any, X: Any = None) -> Any:  # noqa: N803 - the library's name
            if y.mean() > 1000:
                raise ZeroDivisionError("of the model's own making")
            return super().fit(y, X)

    monkeypatch.setitem(models._BUILD, "AutoCES", lambda: _FailsOnBigDemand(season_length=1, model="N"))
    forecast = forecast_demand(facts_of(rows_of({("A", "R"): gamma(1, 60), ("A", "S"): gamma(2, 60, 5000)})))
    small, big = forecast.series
    assert small.fallback_reason is None
    assert "AutoCES failed: ZeroDivisionError: of the model's own making" in (big.fallback_reason or "")
    assert np.mean(big.mean_units) == pytest.approx(5000, rel=0.3)


def test_progress_grows_to_the_whole() -> None:
    heard: list[float] = []
    panel = {("A", r): gamma(n, 40) for n, r in enumerate("RST")}
    forecast_demand(facts_of(rows_of(panel)), lambda _stage, share: heard.append(share))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


# --- real demand ---------------------------------------------------------------------------------------------


def _beside_bytes(n_series: int) -> int:
    """Measure the most that is held from where a forecast is drafted on, beside its facts and what is made of them."""
    draw = np.random.default_rng(5)
    rare = draw.random((n_series, 30)) < 0.4
    panel = {(f"P{i // 16}", f"R{i % 16}"): row for i, row in enumerate(rare * draw.poisson(5, rare.shape))}
    facts = facts_of(rows_of(panel), profile="quick")
    tracemalloc.start()
    try:
        made = forecast_with_grounds(
            facts, lambda stage, _: tracemalloc.reset_peak() if stage == DRAFTED else None
        )
        _, most = tracemalloc.get_traced_memory()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(made[0].series) == n_series
    return most - kept


def test_what_is_held_beside_facts_and_forecast_hardly_grows_with_the_panel() -> None:
    _beside_bytes(16)  # what is loaded and compiled once
    few, many = _beside_bytes(256), _beside_bytes(512)
    assert many - few < 256 * 2_000


@pytest.fixture(scope="session")
def iowa(shared: Path) -> list[Row]:
    path = shared / "data" / "iowa_spirits" / "signals_daily.csv.gz"
    with gzip.open(path, "rt") as file:
        return [
            (r["product"], r["region"], date.fromisoformat(r["date"]), float(r["quantity"]))
            for r in csv.DictReader(file)
        ]


def test_on_iowa_the_mean_beats_seasonal_naive_and_the_band_covers_what_it_says(iowa: list[Row]) -> None:
    forecast = forecast_demand(facts_of(iowa, n_steps=11))
    measures = forecast.measures
    assert len(forecast.series) == 174
    assert measures.wape_share is not None
    assert measures.naive_wape_share is not None
    assert measures.coverage_share is not None
    assert measures.bias_share is not None
    assert measures.wape_share < 0.85 * measures.naive_wape_share
    assert (
        0.75 <= measures.coverage_share <= 0.87
    )  # of four origins that overlap; the mark of 0.85 is for more
    assert abs(measures.bias_share) < 0.05
    assert_sane(forecast)


def test_on_iowa_demand_that_came_later_lies_in_the_band_as_often_as_promised(iowa: list[Row]) -> None:
    as_of = date(2021, 6, 28)
    products = {"RUM", "VODKA", "GIN"}
    rows = [row for row in iowa if row[0] in products]
    forecast = forecast_demand(facts_of(rows, as_of=as_of))
    came: dict[Pair, Any] = defaultdict(lambda: np.zeros(8))
    for product, region, day, units in rows:
        week = (day - as_of).days // 7
        if 0 <= week < 8:
            came[product, region][week] += units
    established = [s for s in forecast.series if s.demand_class != "new"]
    actual = np.array([came[s.product_code, s.region_code] for s in established])
    low, mean, high = (
        np.array([getattr(s, name) for s in established]) for name in ("p10_units", "mean_units", "p90_units")
    )
    assert 0.72 <= ((low <= actual) & (actual <= high)).mean() <= 0.9
    assert abs(mean.sum() / actual.sum() - 1) < 0.15
    served = [
        came[s.product_code, s.region_code][:3].sum() <= interval_quantile(s, 0, [1, 1, 1], 0.95)[1]
        for s in established
    ]
    assert 0.85 <= np.mean(served) <= 1.0
