"""Is a forecast that was rolled forward about what a forecast of all series would have said?"""

from datetime import date, timedelta
from functools import cache

import msgspec
import numpy as np
import pytest
from tests.engine.test_refresh import AS_OF, N_STEPS, Demand, Pair, by_pair, demand, facts_of

from pullplan.engine.forecast import (
    ROLLED_BUCKETS,
    Rolled,
    forecast_with_grounds,
    models,
    refresh_forecast,
    roll_forward,
)
from pullplan.engine.model import (
    Bucket,
    Forecast,
    ForecastBase,
    ForecastFacts,
    ForecastProfile,
    ForecastsInForce,
    Grounds,
    PanelKnowledge,
)

# How far all that is rolled forward may lie from a full forecast: in sum, by all buckets of all series (WAPE), and by those of
# nine series in ten. Choosing among like models anew moves a forecast about as much as this; leaving it as it was, twice.
TOTAL_LIMIT = 0.05
WAPE_LIMIT = 0.08
NINE_IN_TEN_LIMIT = 0.2


def wide_demand() -> Demand:
    """Lay three draws of a panel side by side, as products of their own."""
    return {
        (f"{product}-{seed}", region): units
        for seed in range(3)
        for (product, region), units in demand(seed).items()
    }


def facts_before(
    panel: Demand, n_buckets: int, profile: ForecastProfile = "quick", bucket: Bucket = "week"
) -> ForecastFacts:
    """Take what was known so many buckets ago."""
    facts = facts_of(
        {pair: units[: units.size - n_buckets] for pair, units in panel.items()}, profile, bucket=bucket
    )
    earlier = timedelta(days=n_buckets * (7 if bucket == "week" else 1))
    sold = facts.consumption
    return msgspec.structs.replace(
        facts,
        horizon=msgspec.structs.replace(facts.horizon, as_of_date=AS_OF - earlier),
        consumption=msgspec.structs.replace(sold, days=tuple(day - earlier for day in sold.days)),
    )


def base_of(made: tuple[Forecast, tuple[Grounds, ...], PanelKnowledge]) -> ForecastBase:
    forecast, grounds, knowledge = made
    return ForecastBase(forecast=forecast, grounds=grounds, knowledge=knowledge)


def full(facts: ForecastFacts) -> ForecastBase:
    forecast, grounds, _, knowledge = forecast_with_grounds(facts)
    return base_of((forecast, grounds, knowledge))


@cache
def wide_before(n_buckets: int) -> ForecastBase:
    return full(facts_before(wide_demand(), n_buckets))


@cache
def narrow_before(n_buckets: int) -> ForecastBase:
    return full(facts_before(demand(), n_buckets))


def rolled(facts: ForecastFacts, base: ForecastBase, judged: ForecastsInForce | None = None) -> Rolled:
    made = roll_forward(facts, base, judged or ForecastsInForce())
    assert made is not None
    return made


def means(forecast: Forecast) -> np.ndarray:
    return np.array([s.mean_units for s in forecast.series])


@pytest.mark.parametrize(("profile", "n_ended"), [("quick", 1), ("quick", 3), ("thorough", 1)])
def test_a_rolled_forecast_is_about_what_a_full_one_says(profile: ForecastProfile, n_ended: int):
    if profile == "quick":
        panel = wide_demand()
        base, whole = wide_before(n_ended), wide_before(0)
    else:
        panel = {pair: units for pair, units in demand().items() if pair[0] < "P3"}
        base, whole = (full(facts_before(panel, n, profile)) for n in (n_ended, 0))
    made = rolled(facts_of(panel, profile), base)
    assert made.forecast.first_bucket_date == whole.forecast.first_bucket_date == AS_OF
    assert {*by_pair(made.forecast)} == {*by_pair(whole.forecast)}
    said, meant, stale = (means(f) for f in (made.forecast, whole.forecast, base.forecast))
    missed = np.abs(said - meant)
    assert said.sum() == pytest.approx(meant.sum(), rel=TOTAL_LIMIT)
    assert missed.sum() <= WAPE_LIMIT * meant.sum()
    assert np.quantile(missed.sum(axis=1) / meant.sum(axis=1), 0.9) <= NINE_IN_TEN_LIMIT
    overlap = N_STEPS - n_ended
    assert missed[:, :overlap].sum() < np.abs(stale[:, n_ended:] - meant[:, :overlap]).sum()
    widths = [
        sum(sum(s.p90_units) - sum(s.p10_units) for s in f.series) for f in (made.forecast, whole.forecast)
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    histories = [[g.history_used_units for g in grounds] for grounds in (made.grounds, whole.grounds)]
    assert histories[0] == histories[1]
    assert {g.refresh_reason for g in made.grounds} == {"bucket"}


def test_what_a_late_sale_says_is_heard_once():
    """A sale of weeks before the base that comes late is in what models have seen, and no error of the base's."""
    panel = demand()
    late = {pair: units.copy() for pair, units in panel.items()}
    late["P0", "R0"][-4:-1] *= 1.5
    base = narrow_before(1)
    said = by_pair(rolled(facts_of(late), base).forecast)["P0", "R0"]
    in_time = by_pair(rolled(facts_of(late), full(facts_before(late, 1))).forecast)["P0", "R0"]
    assert sum(said.mean_units) == pytest.approx(sum(in_time.mean_units), rel=0.1)
    assert sum(said.mean_units) > 1.03 * sum(by_pair(base.forecast)["P0", "R0"].mean_units)


def test_weekdays_stay_where_they_are():
    weekly = np.array([9.0, 30.0, 20.0, 20.0, 40.0, 60.0, 0.0])
    panel: Demand = {("A", r): np.tile(weekly, 16) * level for r, level in (("N", 1.0), ("S", 3.0))}
    panel["B", "N"] = np.tile(np.where(np.arange(7) == 5, 6.0, 0.0), 16)
    facts = facts_of(panel, bucket="day")
    made = rolled(facts, full(facts_before(panel, 3, bucket="day")))
    for pair, series in by_pair(made.forecast).items():
        expected = by_pair(full(facts).forecast)[pair]
        assert series.mean_units == pytest.approx(expected.mean_units, rel=1e-6, abs=1e-6)
        assert series.p90_units == pytest.approx(expected.p90_units, rel=0.05, abs=0.5)


def panel_of(forecast: Forecast) -> list[Pair]:
    return [(s.product_code, s.region_code) for s in forecast.series]


def in_force(panel: Demand, share: float) -> ForecastsInForce:
    """Have forecast a share of what came on the average of the last ten weeks."""
    rows = [
        (pair, AS_OF - timedelta(weeks=week), share * float(np.mean(units[-10:])))
        for pair, units in panel.items()
        for week in range(1, 11)
    ]
    told = tuple(said for _, _, said in rows)
    return ForecastsInForce(
        product_codes=tuple(pair[0] for pair, _, _ in rows),
        region_codes=tuple(pair[1] for pair, _, _ in rows),
        bucket_dates=tuple(day for _, day, _ in rows),
        mean_units=told, p10_units=told, p50_units=told, p90_units=told,
    )  # fmt: skip


def test_the_series_that_have_drifted_farthest_compete_again_and_no_more_than_a_few():
    panel = wide_demand()
    base = wide_before(1)
    made = rolled(facts_of(panel), base, in_force(panel, 0.7))
    signals = {
        pair: abs(told.experience.tracking_signal or 0.0)
        for pair, told in zip(panel_of(made.forecast), made.grounds, strict=True)
        if told.experience.has_drifted
    }
    assert made.experience.n_drifted_series == len(signals) > len(panel) / 3
    again = {
        pair
        for pair, told in zip(panel_of(made.forecast), made.grounds, strict=True)
        if told.refresh_reason == "drift"
    }
    assert len(again) == 3  # a twentieth of 54
    assert min(signals[pair] for pair in again) >= max(signals[pair] for pair in signals if pair not in again)
    was = by_pair(rolled(facts_of(panel), base).forecast)
    now = by_pair(made.forecast)
    assert {pair for pair in now if now[pair].mean_units != was[pair].mean_units} <= again
    # Those that had to wait are first in the next refresh, which all that drifted in its base compete in.
    waiting = next(
        pair for pair, told in zip(now, made.grounds, strict=True)
        if told.experience.has_drifted and pair not in again and now[pair].demand_class == "smooth"
    )  # fmt: skip
    refreshed = refresh_forecast(
        facts_of({waiting: panel[waiting]}), base_of((made.forecast, made.grounds, made.knowledge))
    )
    assert refreshed is not None
    assert [told.refresh_reason for told in refreshed[1]] == ["drift"]


def test_a_rolled_forecast_is_refreshed_as_any_other_is():
    panel = demand()
    made = rolled(facts_of(panel), narrow_before(2))
    base = base_of((made.forecast, made.grounds, made.knowledge))
    refreshed = refresh_forecast(facts_of({pair: panel[pair] for pair in [("P0", "R0"), ("P1", "R1")]}), base)
    assert refreshed is not None
    was = by_pair(made.forecast)
    for pair, series in by_pair(refreshed[0]).items():
        assert series.mean_units == pytest.approx(was[pair].mean_units, rel=1e-9)
    more = {pair: units.copy() for pair, units in panel.items()}
    more["P0", "R0"][-1] *= 2
    refreshed = refresh_forecast(facts_of({("P0", "R0"): more["P0", "R0"]}), base)
    assert refreshed is not None
    whole = by_pair(rolled(facts_of(more), narrow_before(2)).forecast)
    assert sum(refreshed[0].series[0].mean_units) == pytest.approx(
        sum(whole["P0", "R0"].mean_units), rel=NINE_IN_TEN_LIMIT
    )


def test_a_model_that_fails_while_a_forecast_rolls_is_reported(monkeypatch: pytest.MonkeyPatch):
    class Failing:
        def forecast(self, **_: object) -> None:
            raise ZeroDivisionError("of the model's own making")

    panel, base = demand(), narrow_before(1)
    struck = {("P0", "R0"), ("P2", "R1")}
    series = tuple(
        msgspec.structs.replace(
            s, model="LevelMedian" if (s.product_code, s.region_code) in struck else "TSB"
        )
        for s in base.forecast.series
    )
    base = msgspec.structs.replace(base, forecast=msgspec.structs.replace(base.forecast, series=series))
    monkeypatch.setitem(models._STATELESS, "IMAPA", Failing())
    made = rolled(facts_of(panel), base)
    reported = {
        pair: {candidate.model: candidate.failure for candidate in told.candidates}
        for (pair, s), told in zip(by_pair(made.forecast).items(), made.grounds, strict=True)
        if s.fallback_reason is not None
    }
    assert {*reported} == struck
    assert {causes["IMAPA"] for causes in reported.values()} == {
        "ZeroDivisionError: of the model's own making"
    }


def test_pairs_come_and_a_pair_that_goes_makes_a_forecast_of_all_necessary():
    panel = demand()
    newcomer = {("P0", "R9"): np.array([4.0])}
    base = narrow_before(1)
    made = by_pair(rolled(facts_of({**panel, **newcomer}), base).forecast)
    assert made["P0", "R9"].model == "PooledMean"
    without = {pair: units for pair, units in panel.items() if pair != ("P2", "R1")}
    assert roll_forward(facts_of(without), base, ForecastsInForce()) is None


def test_the_longest_roll_knows_when_it_was_learned():
    panel = {pair: units for pair, units in demand().items() if pair[0] < "P2"}
    base = full(facts_before(panel, ROLLED_BUCKETS["week"] - 1))
    learned: date | None = AS_OF - timedelta(weeks=ROLLED_BUCKETS["week"] - 1)
    assert base.knowledge.learned_date == learned
    assert rolled(facts_of(panel), base).knowledge.learned_date == learned
