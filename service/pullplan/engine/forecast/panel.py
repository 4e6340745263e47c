"""How do all series of a deployment come by their forecasts?"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.engine.demand import Pair, Units, bucket_history, classify_demand
from pullplan.engine.forecast.accuracy import accuracy_of, panel_accuracy, scales_of
from pullplan.engine.forecast.adjustments import adjusted_mean, scaled_alike
from pullplan.engine.forecast.backtest import Track, choose_models
from pullplan.engine.forecast.grounds import candidates_of, history_grounds, past_forecasts
from pullplan.engine.forecast.newcomers import Pool, Projection
from pullplan.engine.forecast.spread import band_of, deviation_paths
from pullplan.engine.forecast.tournament import Panel, Progress, forecast_from, replay_trials, run_tournament
from pullplan.engine.model import (
    Accuracy,
    Adjustment,
    Bucket,
    DemandClass,
    Forecast,
    ForecastFacts,
    Grounds,
    SeriesForecast,
)

# What older history tells is no longer true.
MOST_BUCKETS: dict[Bucket, int] = {"day": 364, "week": 260}


def forecast_demand(facts: ForecastFacts, progress: Progress | None = None) -> Forecast:
    """Forecast as `forecast_with_grounds` does, for whoever only plans with it."""
    return forecast_with_grounds(facts, progress)[0]


def forecast_with_grounds(
    facts: ForecastFacts, progress: Progress | None = None
) -> tuple[Forecast, tuple[Grounds, ...]]:
    """Forecast every pair that has history or is asked for, bucket 0 to n_steps−1, bucket 0 as a whole.

    `progress` hears the stage and the share of it that is done. A model that fails on a series is out for that
    series alone, and its forecast says so.

    Shapes: grounds (n_series,)
    """
    history = bucket_history(facts)
    units = history.units[:, -MOST_BUCKETS[history.bucket] :]
    classes = [classify_demand(row) for row in units]
    panel = run_tournament(history, units, classes, facts, progress or (lambda _stage, _share: None))
    made = _forecast_established(panel)
    trials = replay_trials(panel)
    measures = [accuracy_of(row, scales_of(panel.units[i], panel.period)) for i, row in enumerate(trials)]
    accuracies = dict(zip(panel.pairs, measures, strict=True))
    pool = Pool(made, facts.n_steps)
    dates = bucket_dates(facts.horizon, facts.n_steps)
    adjustments = _by_pair(facts.adjustments)
    first_date = dates[0] - timedelta(days=units.shape[1] * DAYS_PER_BUCKET[history.bucket])
    candidates = dict(zip(panel.pairs, candidates_of(panel), strict=True))
    tried = dict(zip(panel.pairs, trials, strict=True))
    series, grounds = [], []
    for pair, row, demand_class in zip(history.pairs, units, classes, strict=True):
        known = row[~np.isnan(row)]
        raw = made.get(pair) or pool.forecast_newcomer(pair, known)
        adjusted = adjusted_mean(raw.mean, dates, adjustments[pair])
        accuracy = accuracies.get(pair, Accuracy())
        series.append(_assemble(pair, demand_class, known.size, raw, adjusted, accuracy=accuracy))
        grounds.append(
            msgspec.structs.replace(
                history_grounds(row, first_date, history.bucket),
                candidates=candidates.get(pair, ()),
                backtest=past_forecasts(tried.get(pair, ()), first_date, history.bucket),
            )
        )
    forecast = Forecast(
        first_bucket_date=dates[0],
        bucket=history.bucket,
        n_steps=facts.n_steps,
        series=tuple(series),
        measures=panel_accuracy(trials, measures),
    )
    return forecast, tuple(grounds)


def _forecast_established(panel: Panel) -> dict[Pair, Projection]:
    every_origin = np.ones(panel.origins.size, dtype=bool)
    chosen = choose_models(panel.tracks, every_origin, panel.n_scored_steps)
    means, spreads = forecast_from(panel, chosen, every_origin, -1)
    made = {}
    for i, pair in enumerate(panel.pairs):
        paths = spreads[i] if len(spreads[i]) else deviation_paths(panel.units[i], panel.n_steps)
        made[pair] = Projection(chosen[i], _fallback_reason(panel.tracks[i]), means[i], paths)
    return made


def _assemble(
    pair: Pair,
    demand_class: DemandClass,
    history_buckets: int,
    raw: Projection,
    mean: Units,
    *,
    accuracy: Accuracy,
) -> SeriesForecast:
    paths = scaled_alike(raw.paths, raw.mean, mean)
    p10, p50, p90 = band_of(mean, paths)
    if not ((mean >= 0).all() and (p10 >= 0).all() and (p10 <= p50).all() and (p50 <= p90).all()):
        raise AssertionError(f"the quantiles of {pair} are negative or cross")
    return SeriesForecast(
        product_code=pair[0],
        region_code=pair[1],
        demand_class=demand_class,
        model=raw.model,
        fallback_reason=raw.fallback_reason,
        history_buckets=history_buckets,
        mean_units=tuple(mean.tolist()),
        p10_units=tuple(p10.tolist()),
        p50_units=tuple(p50.tolist()),
        p90_units=tuple(p90.tolist()),
        adjustment_units=tuple((mean - raw.mean).tolist()),
        error_paths_units=tuple(tuple(path) for path in paths.tolist()),
        accuracy=accuracy,
    )


def _fallback_reason(track: Track) -> str | None:
    failures = sorted(track.candidates.failures.items())
    return "; ".join(f"{name} failed: {cause}" for name, cause in failures) or None


def _by_pair(adjustments: Sequence[Adjustment]) -> dict[Pair, list[Adjustment]]:
    by_pair: dict[Pair, list[Adjustment]] = defaultdict(list)
    for adjustment in sorted(adjustments, key=lambda a: a.external_id):
        by_pair[adjustment.product_code, adjustment.region_code].append(adjustment)
    return by_pair
