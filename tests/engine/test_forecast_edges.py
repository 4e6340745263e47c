"""Is a forecast sane whatever the history, quietly, and without harm to the series beside it?"""

import warnings
from datetime import date, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullplan.engine.forecast import forecast_demand, interval_quantile
from pullplan.engine.forecast.backtest import Field, backtest_origins, rank_candidates
from pullplan.engine.forecast.calibration import TriedBand, band_scales, stretched
from pullplan.engine.forecast.spread import band_of
from pullplan.engine.model import (
    DailyUnits,
    Forecast,
    ForecastFacts,
    ForecastProfile,
    Horizon,
    PullPolicy,
    SeriesForecast,
)

Units = npt.NDArray[np.float64]

AS_OF = date(2022, 1, 3)
PROFILES: tuple[ForecastProfile, ...] = ("quick", "thorough")
N_STEPS = 8
chance = np.random.default_rng(20)
USUAL = chance.gamma(5.0, 10.0, 120)

HISTORIES: dict[str, Units] = {
    "all zeros": np.zeros(60),
    "one value": np.array([7.0]),
    "one sale ever": np.r_[np.zeros(40), 3.0, np.zeros(19)],
    "constant": np.full(80, 12.0),
    "a single spike": np.r_[np.full(50, 10.0), 5000.0, np.full(29, 10.0)],
    "ten years of weeks": chance.poisson(20.0, 520).astype(float),
    "a level shift last month": np.r_[chance.poisson(20.0, 100), chance.poisson(200.0, 4)].astype(float),
    "more returns than sales": np.r_[chance.poisson(5.0, 50) - 4.0, -30.0, chance.poisson(5.0, 20)],
    "ended a year ago": np.r_[chance.poisson(9.0, 60), np.zeros(52)].astype(float),
    "thousands of millions": chance.gamma(5.0, 2e8, 90),
    "growing without end": np.exp(np.arange(80) / 8.0),
    "nothing but returns": -1.0 - chance.poisson(3.0, 30).astype(float),
    "a purchase taken back": np.r_[chance.poisson(20.0, 60), -400.0, chance.poisson(20.0, 40)],
    "a sale corrected to nothing": np.r_[chance.poisson(5.0, 50), -260.0, np.zeros(9)],
    "dust": chance.gamma(5.0, 2e-7, 80),
}


def _product_of(units: Units) -> str:
    return "HUGE" if units.max() > 1e6 else "A"


def facts_of(panel: dict[str, Units], profile: ForecastProfile) -> ForecastFacts:
    rows = [
        (_product_of(units), region, AS_OF - timedelta(weeks=units.size - week), float(value))
        for region, units in sorted(panel.items())
        for week, value in enumerate(units)
        if value
    ]
    products, regions, days, units = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ForecastFacts(
        horizon=Horizon(as_of_date=AS_OF, bucket="week", horizon_buckets=N_STEPS),
        n_steps=N_STEPS,
        consumption=DailyUnits(product_codes=products, region_codes=regions, days=days, units=units),
        pairs=tuple((_product_of(units), region) for region, units in panel.items()),
        profile=profile,
    )


def forecast_all(panel: dict[str, Units], profile: ForecastProfile = "thorough") -> dict[str, SeriesForecast]:
    forecast: Forecast = forecast_demand(facts_of(panel, profile))
    return {series.region_code: series for series in forecast.series}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_odd_history_has_a_sane_forecast_beside_usual_ones_and_nobody_is_warned(
    profile: ForecastProfile,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = forecast_all({**HISTORIES, "usual": USUAL}, profile)
    assert said.keys() == {*HISTORIES, "usual"}
    for name, series in said.items():
        band = np.array([series.p10_units, series.p50_units, series.p90_units])
        assert np.isfinite(band).all(), name
        assert (np.diff(band, axis=0) >= 0).all(), name
        assert band.min() >= 0, name
        assert min(series.mean_units) >= 0, name
        highest = max(1.0, float(HISTORIES.get(name, USUAL).max()))
        assert max(series.mean_units) <= 10 * highest or series.demand_class == "new", name
    assert max(said["one sale ever"].mean_units) < 10.0
    assert np.mean(said["constant"].mean_units) == pytest.approx(12.0, rel=0.1)
    assert np.mean(said["a single spike"].mean_units) < 200
    assert 60 < np.mean(said["a level shift last month"].mean_units) < 260
    assert np.mean(said["ended a year ago"].mean_units) < 1.0
    assert np.mean(said["thousands of millions"].mean_units) == pytest.approx(1e9, rel=0.3)
    assert np.mean(said["usual"].mean_units) == pytest.approx(50.0, rel=0.2)
    assert max(said["nothing but returns"].p90_units) == 0.0
    assert "30 buckets" in str(said["nothing but returns"].fallback_reason)
    assert np.mean(said["a purchase taken back"].mean_units) == pytest.approx(20.0, rel=0.25)
    assert np.mean(said["a sale corrected to nothing"].mean_units) < 5.0
    assert np.mean(said["dust"].mean_units) == pytest.approx(1e-6, rel=0.3)


def test_what_is_counted_in_pieces_has_whole_quantiles_and_what_is_weighed_has_not() -> None:
    pieces = {region: chance.poisson(6.0, 90).astype(float) for region in "RS"}
    weighed = {region: units * 0.37 for region, units in pieces.items()}
    for series in forecast_all(pieces).values():
        assert all(float(q).is_integer() for q in (*series.p10_units, *series.p50_units, *series.p90_units))
    assert any(not float(q).is_integer() for s in forecast_all(weighed).values() for q in s.p90_units)


def test_demand_of_a_known_distribution_lies_in_the_band_and_below_service_levels_as_often_as_said() -> None:
    """Forty series each of two kinds, whose next weeks are drawn from what their past was drawn from."""
    draw = np.random.default_rng(5)
    whole: dict[str, Units] = {
        **{f"gamma {n}": draw.gamma(4.0, 10.0, 120) for n in range(40)},
        **{f"some {n}": (draw.random(120) < 0.35) * (1.0 + draw.poisson(3.0, 120)) for n in range(40)},
    }
    said = forecast_all({name: units[:-N_STEPS] for name, units in whole.items()})
    for kind, most in (("gamma", 0.88), ("some", 0.92)):
        names = [name for name in whole if name.startswith(kind)]
        came = np.array([whole[name][-N_STEPS:] for name in names])
        low = np.array([said[name].p10_units for name in names])
        high = np.array([said[name].p90_units for name in names])
        assert 0.72 <= ((low <= came) & (came <= high)).mean() <= most
        for level in (0.9, 0.95):
            served = [
                whole[name][-N_STEPS:][start : start + 3].sum()
                <= interval_quantile(said[name], start, [1.0, 1.0, 1.0], level)[1]
                for name in names
                for start in (0, 3)
            ]
            assert np.mean(served) == pytest.approx(level, abs=0.07)


def test_origins_are_a_year_of_weeks_and_every_window_of_theirs_is_known() -> None:
    assert backtest_origins(156, 8, 52, "thorough") == list(range(104, 149, 4))
    assert backtest_origins(260, 8, 52, "quick") == list(range(204, 253, 8))
    assert backtest_origins(14, 6, 1, "thorough") == [8]
    assert backtest_origins(10, 8, 52, "thorough") == []


def field_of(errors_by_candidate: dict[str, list[float]], actual: float = 100.0) -> Field:
    """One series per number of the lists: each candidate is wrong by it, always."""
    n_series = len(next(iter(errors_by_candidate.values())))
    forecasts = np.array(list(errors_by_candidate.values())).T[:, :, None, None] + np.full(
        (1, 1, 9, 4), actual
    )
    return Field(
        True, np.arange(n_series), tuple(errors_by_candidate), np.full((n_series, 8, 4), actual), forecasts, [{}] * n_series
    )  # fmt: skip


def best_of(field: Field) -> list[str]:
    standing = rank_candidates(field, np.ones(8, dtype=bool), 4, stretches_per_origin=1.0)
    return [field.names[c] for c in standing.order[:, 0]]


def test_ties_go_to_the_simpler_model_and_bias_is_a_veto_unless_all_are_biased() -> None:
    assert best_of(field_of({"simple": [5.0], "rich": [5.0]})) == ["simple"]
    assert best_of(field_of({"simple": [9.0], "rich": [3.0]})) == ["rich"]
    # The kind prefers the rich one; where it is out by more than 15 % of demand, the other is taken.
    assert best_of(field_of({"simple": [9.0, 9.0, 9.0], "rich": [1.0, 1.0, 20.0]})) == [
        "rich",
        "rich",
        "simple",
    ]
    assert best_of(field_of({"simple": [30.0], "rich": [20.0]})) == ["rich"]


def test_bias_that_a_few_origins_scatter_explains_is_no_veto() -> None:
    field = field_of({"steady": [14.0], "better": [0.0]})
    # 20 % below demand in the mean, and at every origin but one nearly none: one event, and no habit.
    field.forecasts[0, 1, :8] -= np.array([-2.0, 1.0, 0.0, 160.0, 1.0, -1.0, 2.0, 0.0])[:, None] / 4
    field.forecasts[0, 0, :8] += 30.0
    standing = rank_candidates(field, np.ones(8, dtype=bool), 4, stretches_per_origin=1.0)
    assert standing.is_biased.tolist() == [[True, False]]
    field.forecasts[0, 1, :8] = 100.0 - np.array([18.0, 21.0, 20.0, 22.0, 19.0, 20.0, 21.0, 19.0])[:, None]
    standing = rank_candidates(field, np.ones(8, dtype=bool), 4, stretches_per_origin=1.0)
    assert standing.is_biased.tolist() == [[True, True]]


def test_who_failed_is_never_chosen_and_who_was_never_tried_comes_last() -> None:
    field = field_of({"simple": [9.0, 9.0], "rich": [1.0, 1.0]})
    field.forecasts[0, 1] = np.nan
    assert best_of(field) == ["simple", "rich"]
    untried = field_of({"simple": [9.0], "rich": [1.0]})
    untried.actuals[:] = np.nan
    assert best_of(untried) == ["rich"]


def test_bands_are_stretched_until_they_would_have_covered_four_fifths() -> None:
    draw = np.random.default_rng(5)
    actual = draw.normal(100.0, 20.0, (50, 8))
    narrow = np.stack([np.full((50, 8), at) for at in (95.0, 100.0, 105.0)])
    tried = [TriedBand(narrow, actual)] * 200
    scales = band_scales(tried, np.zeros(50, dtype=np.intp), floored=np.zeros(50, dtype=bool))
    # Normal demand lies within 1.28 deviations four times out of five: 25.6 units instead of 5, but at most thrice.
    assert scales == pytest.approx(3.0, rel=0.05)
    wide = [TriedBand(np.stack([narrow[0] - 35, narrow[1], narrow[2] + 35]), actual)] * 200
    scales = band_scales(wide, np.zeros(50, dtype=np.intp), floored=np.zeros(50, dtype=bool))
    assert scales == pytest.approx(25.6 / 40, rel=0.1)


def test_quantiles_of_like_steps_are_evened_out_and_closed_days_stay_closed() -> None:
    draw = np.random.default_rng(6)
    mean = np.array([100.0, 100.0, 0.0, 100.0, 100.0, 100.0, 0.0, 100.0])
    paths = draw.normal(0.0, 20.0, (48, 200, 8)) * (mean > 0)
    band = band_of(np.broadcast_to(mean, (200, 8)), paths)
    assert (band[:, :, mean == 0] == 0).all()
    expected = np.array([-1.2816, 0.0, 1.2816])[:, None] * 20 + 100
    missed = [np.abs(band[:, :, s] - expected).mean() for s in np.flatnonzero(mean)]
    alone = np.abs(band_of(np.full((200, 1), 100.0), paths[..., :1])[..., 0] - expected).mean()
    assert np.mean(missed) < 0.75 * alone


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1, max_size=4),
    st.lists(st.floats(0.3, 3.0), min_size=2, max_size=2),
    st.booleans(),
)
def test_stretched_bands_are_never_negative_and_never_cross(
    quantiles: list[list[float]], scales: list[float], is_whole: bool
) -> None:
    band = np.sort(np.array(quantiles), axis=1).T
    moved = stretched(band, np.array(scales), whole=is_whole)
    assert (moved >= 0).all()
    assert (np.diff(moved, axis=0) >= 0).all()
    if is_whole:
        assert (moved % 1 == 0).all()


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_older_than_five_years_changes_nothing(profile: ForecastProfile) -> None:
    decade = HISTORIES["ten years of weeks"]
    whole, recent = (forecast_all({"R": units}, profile)["R"] for units in (decade, decade[-260:]))
    assert whole == recent
    assert whole.history_buckets == 260


def test_series_that_all_count_orders_are_new_however_long_consumption_was_told() -> None:
    told = facts_of({"N": USUAL[-40:]}, "quick")
    policies = (PullPolicy(history_basis="order"),)
    orders = DailyUnits(
        product_codes=("A",), region_codes=("N",), days=(AS_OF - timedelta(weeks=2),), units=(4.0,)
    )
    forecast = forecast_demand(msgspec.structs.replace(told, policies=policies, order_history=orders))
    [series] = forecast.series
    assert series.demand_class == "new"
    assert np.isfinite(series.mean_units).all()
