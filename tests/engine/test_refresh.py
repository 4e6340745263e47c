"""Is a refresh what a forecast of all series would have said of the few that have news?"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from pullplan.engine.forecast import forecast_with_grounds, refresh_forecast
from pullplan.engine.model import (
    Adjustment,
    Bucket,
    DailyUnits,
    Forecast,
    ForecastBase,
    ForecastFacts,
    ForecastProfile,
    Horizon,
    SeriesForecast,
)

AS_OF = date(2022, 1, 3)
N_STEPS = 8
N_PRODUCTS, N_REGIONS, N_BUCKETS = 6, 3, 112
# How far a refresh may lie from a full forecast with the same model: in sum, as bias moves; by bucket, as the season of a
# product of three regions moves with the news of one. Where news make another model win, as far as models lie apart.
SUM_LIMIT = 0.02
SEASON_LIMIT = 0.15
OTHER_MODEL_LIMIT = 0.3

Pair = tuple[str, str]
Demand = dict[Pair, NDArray[np.float64]]


def demand(seed: int = 5) -> Demand:
    """Draw smooth, erratic and intermittent series in turn, with a season by product."""
    chance = np.random.default_rng(seed)
    weeks = np.arange(N_BUCKETS)
    panel = {}
    for p in range(N_PRODUCTS):
        season = 1 + 0.4 * np.sin(2 * np.pi * weeks / 52 + p)
        for r in range(N_REGIONS):
            level = 20.0 * (1 + p) * (1 + r)
            kinds = (
                level * season * chance.gamma(9.0, 1 / 9.0, N_BUCKETS),
                level * season * chance.gamma(1.3, 1 / 1.3, N_BUCKETS),
                (chance.random(N_BUCKETS) < 0.3) * (1 + chance.gamma(4.0, 2.0, N_BUCKETS)),
            )
            panel[f"P{p}", f"R{r}"] = np.rint(kinds[p % 3])
    return panel


def facts_of(
    panel: Mapping[Pair, Sequence[float] | NDArray[np.float64]],
    profile: ForecastProfile = "quick",
    adjustments: tuple[Adjustment, ...] = (),
    bucket: Bucket = "week",
) -> ForecastFacts:
    days = 7 if bucket == "week" else 1
    rows = [
        (*pair, AS_OF - timedelta(days=days * (len(units) - n)), float(u))
        for pair, units in panel.items()
        for n, u in enumerate(units)
        if u
    ]
    products, regions, dates, units = zip(*rows, strict=True)
    return ForecastFacts(
        horizon=Horizon(as_of_date=AS_OF, bucket=bucket, horizon_buckets=N_STEPS),
        n_steps=N_STEPS,
        consumption=DailyUnits(product_codes=products, region_codes=regions, days=dates, units=units),
        adjustments=adjustments,
        profile=profile,
    )


def by_pair(forecast: Forecast) -> dict[Pair, SeriesForecast]:
    return {(s.product_code, s.region_code): s for s in forecast.series}


def base_of(facts: ForecastFacts, pairs: set[Pair]) -> ForecastBase:
    """Take of a full forecast what a refresh of some pairs reads."""
    forecast, grounds, _, knowledge = forecast_with_grounds(facts)
    products = {product_code for product_code, _ in pairs}
    kept = [i for i, s in enumerate(forecast.series) if s.product_code in products]
    some = tuple(forecast.series[i] for i in kept)
    return ForecastBase(
        forecast=Forecast(
            first_bucket_date=forecast.first_bucket_date,
            bucket=forecast.bucket,
            n_steps=forecast.n_steps,
            series=some,
            measures=forecast.measures,
        ),
        grounds=tuple(grounds[i] for i in kept),
        knowledge=knowledge,
    )


def only(panel: Demand, pairs: set[Pair]) -> Demand:
    return {pair: panel[pair] for pair in pairs}


@pytest.mark.parametrize("profile", ["quick", "thorough"])
def test_what_has_no_news_after_all_is_forecast_as_it_was(profile: ForecastProfile):
    panel = demand()
    pairs = {("P0", "R1"), ("P1", "R2"), ("P2", "R0"), ("P3", "R2")}
    base = base_of(facts_of(panel, profile), pairs)
    refreshed = refresh_forecast(facts_of(only(panel, pairs), profile), base)
    assert refreshed is not None
    was = by_pair(base.forecast)
    for pair, series in by_pair(refreshed[0]).items():
        np.testing.assert_allclose(series.mean_units, was[pair].mean_units, rtol=1e-9)
        np.testing.assert_allclose(series.p90_units, was[pair].p90_units, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            series.error_paths_units, was[pair].error_paths_units, rtol=1e-6, atol=1e-6
        )
        assert (series.model, series.accuracy) == (was[pair].model, was[pair].accuracy)


@pytest.mark.parametrize("seed", range(2))
def test_a_refresh_says_what_a_full_forecast_says_of_the_series_with_news(seed: int):
    chance = np.random.default_rng(seed)
    pairs = {(f"P{chance.integers(N_PRODUCTS)}", f"R{chance.integers(N_REGIONS)}") for _ in range(4)}
    factor = chance.uniform(0.5, 2.0)
    before, after = demand(), demand()
    for pair in pairs:
        after[pair][-6:] = np.rint(after[pair][-6:] * factor) + 1
    base = base_of(facts_of(before), pairs)
    refreshed = refresh_forecast(facts_of(only(after, pairs)), base)
    assert refreshed is not None
    whole = by_pair(forecast_with_grounds(facts_of(after))[0])
    assert {*by_pair(refreshed[0])} == pairs
    for pair, series in by_pair(refreshed[0]).items():
        full = whole[pair]
        missed = np.abs(np.subtract(series.mean_units, full.mean_units)).sum() / sum(full.mean_units)
        if series.model == full.model:
            assert sum(series.mean_units) == pytest.approx(sum(full.mean_units), rel=SUM_LIMIT)
            assert missed <= SEASON_LIMIT
        assert missed <= OTHER_MODEL_LIMIT
        assert sum(series.p90_units) == pytest.approx(sum(full.p90_units), rel=OTHER_MODEL_LIMIT)
    assert {g.refresh_reason for g in refreshed[1]} == {"news"}


def test_an_adjustment_is_news_that_changes_nothing_but_its_buckets():
    panel = demand()
    pairs = {("P0", "R0"), ("P2", "R2")}
    base = base_of(facts_of(panel), pairs)
    adjustments = tuple(
        Adjustment(
            external_id=f"a-{product}", product_code=product, region_code=region,
            from_date=AS_OF + timedelta(weeks=2), until_date=AS_OF + timedelta(weeks=3), multiplier=1.5,
        )
        for product, region in sorted(pairs)
    )  # fmt: skip
    refreshed = refresh_forecast(facts_of(only(panel, pairs), adjustments=adjustments), base)
    assert refreshed is not None
    was = by_pair(base.forecast)
    factors = np.where(np.arange(N_STEPS) == 2, 1.5, 1.0)
    for pair, series in by_pair(refreshed[0]).items():
        np.testing.assert_allclose(series.mean_units, np.array(was[pair].mean_units) * factors, rtol=1e-9)
        assert series.adjustment_units[2] == pytest.approx(was[pair].mean_units[2] / 2)


def test_a_pair_that_sells_for_the_first_time_is_forecast_from_its_product_in_other_regions():
    before, pair = demand(), ("P0", "R2")
    first_sales = before.pop(pair)[-3:]
    base = base_of(facts_of(before), {pair})
    refreshed = refresh_forecast(facts_of({pair: first_sales}), base)
    assert refreshed is not None
    [series] = refreshed[0].series
    whole = by_pair(forecast_with_grounds(facts_of({**before, pair: first_sales}))[0])
    assert (series.model, series.demand_class) == ("PooledMean", "new")
    np.testing.assert_allclose(series.mean_units, whole[pair].mean_units, rtol=0.02)
    np.testing.assert_allclose(series.p90_units, whole[pair].p90_units, rtol=0.05)


def test_a_series_that_has_grown_up_competes_by_what_candidates_score_in_the_panel():
    before, pair = demand(), ("P0", "R2")
    after = dict(before)
    before[pair] = before[pair][-7:]
    base = base_of(facts_of(before), {pair})
    refreshed = refresh_forecast(facts_of({pair: after[pair]}), base)
    assert refreshed is not None
    [series] = refreshed[0].series
    full = by_pair(forecast_with_grounds(facts_of(after))[0])[pair]
    assert series.demand_class == full.demand_class
    assert refreshed[1][0].candidates[0].model == series.model
    np.testing.assert_allclose(sum(series.mean_units), sum(full.mean_units), rtol=0.15)


def test_news_where_nobody_was_heard_make_a_forecast_of_all_necessary():
    panel = demand()
    for units in panel.values():
        units[50] = 0
    base = base_of(facts_of(panel), {("P0", "R0")})
    assert base.knowledge.heard.silent_dates["consumption"] == (AS_OF - timedelta(weeks=N_BUCKETS - 50),)
    late = panel["P0", "R0"].copy()
    late[50] = 12
    assert refresh_forecast(facts_of({("P0", "R0"): late}), base) is None
    older = [5.0, *panel["P0", "R0"]]
    assert refresh_forecast(facts_of({("P0", "R0"): older}), base) is None
    assert refresh_forecast(facts_of(only(panel, {("P0", "R0")})), base) is not None
