"""Do forecasts of regions, of products and of everything agree, and is the way in which they do a gain?"""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsforecast.models import AutoCES

from pullplan.engine.forecast import forecast_with_grounds, models
from pullplan.engine.forecast.coherence import (
    LEAST_ERROR_SHARE,
    METHODS,
    ReconciliationError,
    choose,
    least_trace,
    shared_out,
    total_units,
)
from pullplan.engine.model import (
    Adjustment,
    DailyUnits,
    Forecast,
    ForecastFacts,
    ForecastProfile,
    Horizon,
    Promotion,
    TotalForecast,
)

AS_OF = date(2022, 1, 3)
N_WEEKS = 104


def facts_of(panel: dict[tuple[str, str], Any], **given_facts: Any) -> ForecastFacts:
    rows = [
        (*pair, AS_OF - timedelta(weeks=len(units) - week), float(n))
        for pair, units in panel.items()
        for week, n in enumerate(units)
        if n
    ]
    products, regions, days, units = zip(*rows, strict=True)
    return ForecastFacts(
        horizon=Horizon(as_of_date=AS_OF, bucket="week", horizon_buckets=8),
        n_steps=8,
        consumption=DailyUnits(product_codes=products, region_codes=regions, days=days, units=units),
        **given_facts,
    )


def assert_adds_up(forecast: Forecast, totals: tuple[TotalForecast, ...]) -> None:
    members = {
        "product": lambda s: s.product_code,
        "region": lambda s: s.region_code,
        "all": lambda _: "",
    }
    expected = {(by, code_of(s)) for by, code_of in members.items() for s in forecast.series}
    assert {(t.totalled_by, t.code) for t in totals} == expected
    for total in totals:
        series = [s for s in forecast.series if members[total.totalled_by](s) == total.code]
        assert total.n_series == len(series)
        added_up = np.sum([s.mean_units for s in series], axis=0)
        assert np.array(total.mean_units) == pytest.approx(added_up, rel=1e-12, abs=1e-9)
        quantiles = np.array([total.p10_units, total.p50_units, total.p90_units])
        assert np.isfinite(quantiles).all()
        assert (quantiles >= 0).all()
        assert (np.diff(quantiles, axis=0) >= 0).all()


NOUGHT = np.zeros(5)


def test_totals_add_up_whatever_their_series_are() -> None:
    """Regular, rare, short, silent and brand-new series, one that people adjusted, and a product of newcomers alone."""
    draw = np.random.default_rng(1)
    panel: dict[tuple[str, str], Any] = {
        ("A", region): draw.poisson(level, N_WEEKS)
        for region, level in zip("NSEW", (4, 20, 60, 9), strict=True)
    }
    panel |= {("B", "N"): (draw.random(N_WEEKS) < 0.2) * 5.5, ("B", "S"): draw.gamma(2.0, 3.0, 40)}
    panel |= {("B", "E"): [3.0, 4.0], ("C", "W"): [7.0], ("C", "N"): [1.0, 2.0]}
    adjusted = [
        Adjustment(external_id="1", product_code="A", region_code="N", from_date=AS_OF, until_date=AS_OF + timedelta(weeks=2), multiplier=0.0),
        Adjustment(external_id="2", product_code="C", region_code="W", from_date=AS_OF, until_date=AS_OF + timedelta(weeks=1), units=50.0),
    ]  # fmt: skip
    for profile in ("quick", "thorough"):
        facts = facts_of(panel, adjustments=tuple(adjusted), profile=profile, pairs=(("D", "N"),))
        forecast, _, totals, _ = forecast_with_grounds(facts)
        assert_adds_up(forecast, totals)
        methods = {(t.totalled_by, t.code): t.method for t in totals}
        assert {methods[key] for key in methods if key[0] != "product"} == {"bottom_up"}


def test_nothing_known_adds_up_to_no_totals() -> None:
    empty = ForecastFacts(horizon=Horizon(as_of_date=AS_OF, bucket="week", horizon_buckets=8), n_steps=8)
    assert forecast_with_grounds(empty)[2] == ()


@pytest.fixture(scope="module")
def shifting() -> tuple[Forecast, tuple[TotalForecast, ...]]:
    """A product of which customers always buy 400, now in one region and now in another, for weeks on end."""
    draw = np.random.default_rng(4)
    leaning = np.zeros((4, N_WEEKS))
    for week in range(1, N_WEEKS):
        leaning[:, week] = 0.8 * leaning[:, week - 1] + draw.normal(0.0, 0.35, 4)
    shares = np.exp(leaning) / np.exp(leaning).sum(axis=0)
    bought = 400 * shares
    made = forecast_with_grounds(facts_of({("A", region): bought[i] for i, region in enumerate("NSEW")}))
    return made[0], made[2]


def test_a_steady_product_leads_its_wavering_regions(shifting: Any) -> None:
    forecast, totals = shifting
    assert_adds_up(forecast, totals)
    product = next(t for t in totals if t.totalled_by == "product")
    assert product.method != "bottom_up"
    assert product.method_scores[product.method] == min(product.method_scores.values()) < 0.9
    assert np.array(product.mean_units) == pytest.approx(400.0, rel=0.01)


@pytest.mark.parametrize(("profile", "compares"), [("quick", False), ("thorough", True)])
def test_products_are_forecast_as_a_whole_only_where_enough_of_the_past_can_be_played_again(
    profile: ForecastProfile, compares: bool
) -> None:
    draw = np.random.default_rng(3)
    panel = {("A", region): draw.poisson(20, N_WEEKS) for region in "NSE"}
    stages: list[str] = []
    facts = facts_of(panel, profile=profile)
    forecast, _, totals, _ = forecast_with_grounds(facts, lambda stage, _share: stages.append(stage))
    assert ("products" in stages) == compares
    assert_adds_up(forecast, totals)
    (product,) = [t for t in totals if t.totalled_by == "product"]
    assert bool(product.method_scores) == compares


def test_a_total_whose_regions_cancel_out_is_surer_than_what_they_add_up_to(shifting: Any) -> None:
    forecast, totals = shifting
    product = next(t for t in totals if t.totalled_by == "product")
    widths = [np.subtract(s.p90_units, s.p10_units).sum() for s in forecast.series]
    assert np.subtract(product.p90_units, product.p10_units).sum() < sum(widths) / 2


def test_regions_that_waver_by_themselves_add_up() -> None:
    draw = np.random.default_rng(5)
    panel = {("A", f"R{i}"): draw.gamma(4.0, 10.0 + 5 * i, N_WEEKS) for i in range(5)}
    _, _, totals, _ = forecast_with_grounds(facts_of(panel))
    product = next(t for t in totals if t.totalled_by == "product")
    assert product.method == "bottom_up"
    assert set(product.method_scores) == set(METHODS)
    assert product.accuracy.coverage_share is not None
    assert 0.6 <= product.accuracy.coverage_share <= 1.0


def test_a_promotion_is_no_error_of_a_total() -> None:
    draw = np.random.default_rng(6)
    panel = {("A", region): draw.poisson(50, N_WEEKS).astype(float) for region in "NS"}
    promoted = {pair: units.copy() for pair, units in panel.items()}
    promoted["A", "N"][-20:-18] += 900
    promotion = Promotion(
        external_id="1",         product_code="A", region_code="N", from_date=AS_OF - timedelta(weeks=20), until_date=AS_OF - timedelta(weeks=18)
    )  # fmt: skip
    _, _, totals, _ = forecast_with_grounds(facts_of(promoted, promotions=(promotion,)))
    for total in totals:
        assert max(total.p90_units) < 2.0 * max(total.mean_units)


POSITIVE = st.floats(0.0, 1e6, allow_subnormal=False)


@settings(max_examples=40)
@given(base=arrays(float, (4, 3), elements=POSITIVE), seed=st.integers(0, 1000))
def test_reconciled_means_are_never_negative_and_what_agrees_stays(base: Any, seed: int) -> None:
    errors = np.random.default_rng(seed).normal(0.0, 10.0, (4, 30))
    errors[1, :7] = np.nan
    reconciled = least_trace(base, errors)
    assert (reconciled >= 0).all()
    shared = shared_out(base)
    assert (shared >= 0).all()
    told = base[1:].sum(axis=0) > 0
    assert shared.sum(axis=0)[told] == pytest.approx(base[0][told])
    agreeing = np.vstack([base[1:].sum(axis=0), base[1:]])
    assert least_trace(agreeing, errors) == pytest.approx(base[1:], rel=1e-6, abs=1e-6)
    assert shared_out(agreeing) == pytest.approx(base[1:])


def test_the_surer_forecast_gives_way_less() -> None:
    draw = np.random.default_rng(7)
    errors = draw.normal(0.0, [[1.0], [10.0], [10.0]], (3, 200))
    reconciled = least_trace(np.array([[100.0], [60.0], [60.0]]), errors)
    assert reconciled.sum() == pytest.approx(100.0, abs=1.0)
    errors = draw.normal(0.0, [[50.0], [1.0], [1.0]], (3, 200))
    reconciled = least_trace(np.array([[100.0], [60.0], [60.0]]), errors)
    assert reconciled.sum() == pytest.approx(120.0, abs=1.0)


def test_errors_that_are_nil_reconcile_nothing() -> None:
    with pytest.raises(ReconciliationError, match="residuals close to 0"):
        least_trace(np.ones((3, 2)), np.zeros((3, 20)))


def test_an_answer_beyond_all_reason_is_none() -> None:
    """Two errors of a product and a region that are all but the same: a difference of 0.2 moves both by 200."""
    errors = np.array([[1000.0, 2000.0], [1001.0, 2002.0], [0.001, 0.002]])
    with pytest.raises(ReconciliationError, match="left every range"):
        least_trace(np.array([[1.0], [0.6], [0.6]]), errors)


def test_a_method_that_failed_is_told_with_its_cause_and_others_are_compared() -> None:
    """Regions that always sell the same are never missed: their errors have no covariance."""
    panel = {("A", region): np.full(N_WEEKS, 5.0 + i) for i, region in enumerate("NSE")}
    _, _, totals, _ = forecast_with_grounds(facts_of(panel))
    product = next(t for t in totals if t.totalled_by == "product")
    assert product.method == "bottom_up"
    assert product.method_scores == {"bottom_up": 1.0, "top_down": 1.0}
    assert "residuals close to 0" in product.method_failures["mint_shrink"]


def test_a_model_that_fails_on_a_product_is_told_by_its_total_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class _FailsOnBigDemand(AutoCES):
        def fit(self, y: Any, X: Any = None) -> Any:  # noqa: N803 - the library's name
            if y.mean() > 100:
                raise ZeroDivisionError("of the model's own making")
            return super().fit(y, X)

    monkeypatch.setitem(models._BUILD, "AutoCES", lambda: _FailsOnBigDemand(season_length=1, model="N"))
    draw = np.random.default_rng(6)
    forecast, _, totals, _ = forecast_with_grounds(
        facts_of({("A", region): draw.poisson(50, N_WEEKS) for region in "NSE"})
    )
    assert {s.fallback_reason for s in forecast.series} == {None}
    told = {(t.totalled_by, t.code): t.model_failures for t in totals}
    assert told.pop(("product", "A")) == {"AutoCES": "ZeroDivisionError: of the model's own making"}
    assert not any(told.values())


def test_a_region_that_is_never_missed_makes_no_score_of_nonsense() -> None:
    squares = np.random.default_rng(10).gamma(20.0, 1.0, (9, len(METHODS), 4))
    squares[:, 0, 1] = 1e-200
    levels = np.full(4, 5.0)
    scores = choose(squares, least_errors=LEAST_ERROR_SHARE * levels, stretches_per_origin=0.5).scores
    assert 0 < min(scores.values()) <= max(scores.values()) < 100 / LEAST_ERROR_SHARE**2
    squares[:, 1:, 1] = 1e-6
    scores = choose(squares, least_errors=LEAST_ERROR_SHARE * levels, stretches_per_origin=0.5).scores
    assert max(scores.values()) < 2.0, "missing it by a thousandth is no fault"


def test_ties_and_chance_stay_with_adding_up() -> None:
    draw = np.random.default_rng(8)
    alike = np.repeat(draw.gamma(2.0, 1.0, (9, 1, 5)), len(METHODS), axis=1)
    assert choose(alike, least_errors=NOUGHT, stretches_per_origin=0.5).method == "bottom_up"
    elected = 0
    for _ in range(200):
        noisy = draw.gamma(20.0, 1.0, (9, len(METHODS), 5))
        elected += choose(noisy, least_errors=NOUGHT, stretches_per_origin=0.5).method != "bottom_up"
    assert elected <= 20
    better = alike * np.array([1.0, 0.9, 0.8])[:, None]
    choice = choose(better, least_errors=NOUGHT, stretches_per_origin=0.5)
    assert choice.method == METHODS[2]
    assert choice.scores == pytest.approx({"bottom_up": 1.0, "top_down": 0.9, "mint_shrink": 0.8})


def test_a_total_is_unknown_where_a_series_that_has_begun_is_silent() -> None:
    nan = np.nan
    units = np.array([[nan, 1.0, 2.0, nan, 4.0], [nan, nan, 10.0, 20.0, 30.0]])
    assert total_units(units) == pytest.approx([nan, 1.0, 12.0, nan, 34.0], nan_ok=True)
