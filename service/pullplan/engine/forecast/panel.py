"""How do all series of a deployment come by their forecasts?"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.demand import History, Pair, Units, bucket_history, classify_demand
from pullplan.engine.forecast.accuracy import (
    LEVELS,
    Trial,
    accuracy_of,
    panel_accuracy,
    scales_of,
)
from pullplan.engine.forecast.adjustments import adjusted_mean, scaled_alike
from pullplan.engine.forecast.backtest import Track, backtest_origins, choose_models
from pullplan.engine.forecast.models import candidate_names, run_candidates, seasonal_naive
from pullplan.engine.forecast.newcomers import Established, Newcomer, Pool
from pullplan.engine.forecast.season import SEASON_BUCKETS, season_factors
from pullplan.engine.forecast.spread import path_quantile, spread_paths
from pullplan.engine.model import (
    Accuracy,
    Adjustment,
    Bucket,
    DemandClass,
    Forecast,
    ForecastFacts,
    SeriesForecast,
)

Progress = Callable[[str, float], None]

# What older history tells is no longer true.
MOST_BUCKETS: dict[Bucket, int] = {"day": 364, "week": 260}

# Trials lie this many per horizon apart, and rest on at least so many finished origins.
TRIALS_PER_HORIZON = 4
LEAST_FINISHED_ORIGINS = 4

# `Zero` is a candidate once a series has been silent for this many times its average interval.
SILENT_INTERVALS = 3.0


@dataclass(frozen=True)
class _Panel:
    """The established series side by side. `units` Shapes: (n_series, n_buckets)."""

    pairs: tuple[Pair, ...]
    units: Units
    tracks: list[Track]
    origins: NDArray[np.intp]
    n_steps: int
    n_scored_steps: int
    period: int


def forecast_demand(facts: ForecastFacts, progress: Progress | None = None) -> Forecast:
    """Forecast every pair that has history or is asked for, bucket 0 to n_steps−1, bucket 0 as a whole.

    `progress` hears the stage and the share of it that is done.
    """
    history = bucket_history(facts)
    units = history.units[:, -MOST_BUCKETS[history.bucket] :]
    classes = [classify_demand(row) for row in units]
    panel = _run_panel(history, units, classes, facts, progress or (lambda _stage, _share: None))
    every_origin = np.ones(panel.origins.size, dtype=bool)
    chosen = choose_models(panel.tracks, every_origin, panel.n_scored_steps)
    means, spreads = _established(panel, chosen, every_origin, -1)
    established = {
        pair: Established(mean, paths) for pair, mean, paths in zip(panel.pairs, means, spreads, strict=True)
    }
    trials = _trials(panel)
    measures = [accuracy_of(row, scales_of(panel.units[i], panel.period)) for i, row in enumerate(trials)]
    at = {pair: i for i, pair in enumerate(panel.pairs)}
    pool = Pool(established, facts.n_steps)
    adjustments = _by_pair(facts.adjustments)
    dates = bucket_dates(facts.horizon, facts.n_steps)
    series = []
    for pair, row, demand_class in zip(history.pairs, units, classes, strict=True):
        known = row[~np.isnan(row)]
        if pair in at:
            i = at[pair]
            made = Newcomer(chosen[i], _fallback_reason(panel.tracks[i]), *_parts(established[pair]))
            accuracy = measures[i]
        else:
            made, accuracy = pool.forecast_newcomer(pair, known), Accuracy()
        mean = adjusted_mean(made.mean, dates, adjustments[pair])
        series.append(_assemble(pair, demand_class, known.size, made, mean, accuracy=accuracy))
    return Forecast(
        first_bucket_date=dates[0],
        bucket=history.bucket,
        n_steps=facts.n_steps,
        series=tuple(series),
        measures=panel_accuracy(trials, measures),
    )


def _run_panel(
    history: History, units: Units, classes: Sequence[DemandClass], facts: ForecastFacts, progress: Progress
) -> _Panel:
    rows = [i for i, demand_class in enumerate(classes) if demand_class != "new"]
    n_buckets, n_steps, period = units.shape[1], facts.n_steps, SEASON_BUCKETS[history.bucket]
    origins = backtest_origins(n_buckets, n_steps, period)
    products = sorted({history.pairs[i][0] for i in rows})
    groups = np.array([products.index(history.pairs[i][0]) for i in rows], dtype=np.intp)
    kept = units[rows]
    factors = [
        (
            season_factors(kept, groups, first=0, last=origin, origin=origin, bucket=history.bucket),
            season_factors(
                kept, groups, first=origin, last=origin + n_steps, origin=origin, bucket=history.bucket
            ),
        )
        for origin in [*origins, n_buckets]
    ]
    actuals = [np.stack([row[o : o + n_steps] for o in origins]) if origins else None for row in kept]
    tracks = []
    for i, (row, actual) in enumerate(zip(kept, actuals, strict=True)):
        group = groups[i]
        candidates = run_candidates(
            row,
            candidate_names(classes[rows[i]], silent_for_long=_is_silent_for_long(row)),
            origins=[*origins, n_buckets],
            factors=[(before[group], after[group]) for before, after in factors],
            n_steps=n_steps,
            period=period,
        )
        known = np.empty((0, n_steps)) if actual is None else actual
        tracks.append(Track(classes[rows[i]], known, candidates))
        progress("backtest", (i + 1) / len(rows))
    return _Panel(
        pairs=tuple(history.pairs[i] for i in rows),
        units=kept,
        tracks=tracks,
        origins=np.array(origins, dtype=np.intp),
        n_steps=n_steps,
        n_scored_steps=min(n_steps, facts.horizon.horizon_buckets),
        period=period,
    )


def _is_silent_for_long(units: Units) -> bool:
    known = units[~np.isnan(units)]
    demanded = np.flatnonzero(known > 0)
    silent = known.size - 1 - int(demanded[-1])
    return silent > SILENT_INTERVALS * known.size / demanded.size


def _established(
    panel: _Panel, chosen: Sequence[str], finished: NDArray[np.bool_], origin: int
) -> tuple[list[Units], list[Units]]:
    """Gather the chosen forecasts of one origin and their error paths from the finished origins."""
    means = [t.candidates.forecasts[name][origin] for t, name in zip(panel.tracks, chosen, strict=True)]
    own = []
    for track, name in zip(panel.tracks, chosen, strict=True):
        errors = track.errors(name)[finished]
        own.append(errors[np.isfinite(errors).all(axis=1)])
    spreads: list[Units] = [np.empty((0, panel.n_steps))] * len(own)
    for kind in (True, False):
        rows = [i for i, track in enumerate(panel.tracks) if track.is_regular == kind]
        levels = np.array([np.nan_to_num(means[i]).mean() for i in rows])
        for i, paths in zip(rows, spread_paths([own[i] for i in rows], levels), strict=True):
            spreads[i] = paths
    return means, spreads


def _trials(panel: _Panel) -> list[list[Trial]]:
    """Play the past again: choice and spread at an origin come from origins whose steps had all been seen then."""
    origins, n_scored = panel.origins, panel.n_scored_steps
    stride = max(1, panel.n_steps // TRIALS_PER_HORIZON)
    tried = np.unique(np.arange(origins.size - 1, -1, -max(1, stride // _spacing(origins))))
    finished = [origins + panel.n_steps <= origins[k] for k in tried]
    proven = [i for i, f in enumerate(finished) if f.sum() >= LEAST_FINISHED_ORIGINS]
    trials: list[list[Trial]] = [[] for _ in panel.tracks]
    for i in proven or range(len(tried)):
        k, past = int(tried[i]), finished[i] & bool(proven)
        chosen = choose_models(panel.tracks, past, n_scored)
        means, spreads = _established(panel, chosen, past, k)
        for row, track in enumerate(panel.tracks):
            mean = means[row][:n_scored]
            actual = track.actuals[k, :n_scored]
            if not np.isfinite(mean).all() or not np.isfinite(actual).any():
                continue
            naive = seasonal_naive(panel.units[row], int(origins[k]), n_scored, panel.period)
            quantiles = _quantiles(mean, spreads[row][:, :n_scored]) if spreads[row].size else None
            trials[row].append(Trial(actual, mean, naive, quantiles))
    return trials


def _spacing(origins: NDArray[np.intp]) -> int:
    return int(origins[1] - origins[0]) if origins.size > 1 else 1


def _quantiles(mean: Units, paths: Units) -> Units:
    """Draw p10, p50 and p90 of every step. Shapes: mean (n_steps,), paths (n, n_steps), result (3, n_steps)."""
    if paths.shape[0] == 0:
        return np.stack([mean] * len(LEVELS))
    return np.stack([np.maximum(0.0, mean + path_quantile(paths, level)) for level in LEVELS])


def _assemble(
    pair: Pair,
    demand_class: DemandClass,
    history_buckets: int,
    made: Newcomer,
    mean: Units,
    *,
    accuracy: Accuracy,
) -> SeriesForecast:
    paths = scaled_alike(made.paths, made.mean, mean)
    p10, p50, p90 = _quantiles(mean, paths)
    if not ((mean >= 0).all() and (p10 >= 0).all() and (p10 <= p50).all() and (p50 <= p90).all()):
        raise AssertionError(f"the quantiles of {pair} are negative or cross")
    return SeriesForecast(
        product_code=pair[0],
        region_code=pair[1],
        demand_class=demand_class,
        model=made.model,
        fallback_reason=made.reason or None,
        history_buckets=history_buckets,
        mean_units=tuple(mean.tolist()),
        p10_units=tuple(p10.tolist()),
        p50_units=tuple(p50.tolist()),
        p90_units=tuple(p90.tolist()),
        adjustment_units=tuple((mean - made.mean).tolist()),
        error_paths_units=tuple(tuple(path) for path in paths.tolist()),
        accuracy=accuracy,
    )


def _parts(established: Established) -> tuple[Units, Units]:
    return established.mean, established.paths


def _fallback_reason(track: Track) -> str:
    failures = sorted(track.candidates.failures.items())
    return "; ".join(f"{name} failed: {cause}" for name, cause in failures)


def _by_pair(adjustments: Sequence[Adjustment]) -> dict[Pair, list[Adjustment]]:
    by_pair: dict[Pair, list[Adjustment]] = defaultdict(list)
    for adjustment in sorted(adjustments, key=lambda a: a.external_id):
        by_pair[adjustment.product_code, adjustment.region_code].append(adjustment)
    return by_pair
