"""How would the established series have been forecast from their past, and how are they forecast now?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import History, Pair, Units
from pullplan.engine.forecast.accuracy import Trial
from pullplan.engine.forecast.backtest import Track, backtest_origins, choose_models
from pullplan.engine.forecast.models import candidate_names, run_candidates, seasonal_naive
from pullplan.engine.forecast.season import SEASON_BUCKETS, season_factors
from pullplan.engine.forecast.spread import band_of, spread_demands, spread_errors
from pullplan.engine.model import Bucket, DemandClass, ForecastFacts

Progress = Callable[[str, float], None]

# Trials lie this many per horizon apart, and rest on at least so many finished origins.
TRIALS_PER_HORIZON = 4
LEAST_FINISHED_ORIGINS = 4

# `Zero` is a candidate once a series has been silent for this many times its average interval.
SILENT_INTERVALS = 3.0


@dataclass(frozen=True)
class Panel:
    """The established series side by side. `units` Shapes: (n_series, n_buckets)."""

    pairs: tuple[Pair, ...]
    units: Units
    tracks: list[Track]
    origins: NDArray[np.intp]
    n_steps: int
    n_scored_steps: int
    period: int


def run_tournament(
    history: History, units: Units, classes: Sequence[DemandClass], facts: ForecastFacts, progress: Progress
) -> Panel:
    """Let every candidate of every series with enough history forecast from each origin, and from as_of.

    Shapes: units (n_series, n_buckets), classes (n_series,)
    """
    rows = [i for i, demand_class in enumerate(classes) if demand_class != "new"]
    kept, n_steps, period = units[rows], facts.n_steps, SEASON_BUCKETS[history.bucket]
    pairs = tuple(history.pairs[i] for i in rows)
    origins = backtest_origins(units.shape[1], n_steps, period)
    ends = [*origins, units.shape[1]]
    products = {code: k for k, code in enumerate(sorted({product_code for product_code, _ in pairs}))}
    groups = np.array([products[product_code] for product_code, _ in pairs], dtype=np.intp)
    seasons = [_season_around(kept, groups, end, n_steps, history.bucket) for end in ends]
    tracks = []
    for i, row in enumerate(kept):
        demand_class = classes[rows[i]]
        candidates = run_candidates(
            row,
            candidate_names(demand_class, silent_for_long=_is_silent_for_long(row)),
            origins=ends,
            factors=[(before[groups[i]], after[groups[i]]) for before, after in seasons],
            n_steps=n_steps,
            period=period,
        )
        actuals = np.array([row[o : o + n_steps] for o in origins]).reshape(-1, n_steps)
        tracks.append(Track(demand_class, actuals, candidates))
        progress("backtest", (i + 1) / len(rows))
    n_scored_steps = min(n_steps, facts.horizon.horizon_buckets)
    return Panel(pairs, kept, tracks, np.array(origins, dtype=np.intp), n_steps, n_scored_steps, period)


def _season_around(
    units: Units, groups: NDArray[np.intp], origin: int, n_steps: int, bucket: Bucket
) -> tuple[Units, Units]:
    """Tell the season's factors of the buckets before an origin and of the steps after it, by group."""
    factors = season_factors(units, groups, n_factors=origin + n_steps, origin=origin, bucket=bucket)
    return factors[:, :origin], factors[:, origin:]


def _is_silent_for_long(units: Units) -> bool:
    known = units[~np.isnan(units)]
    demanded = np.flatnonzero(known > 0)
    silent = known.size - 1 - int(demanded[-1])
    return silent > SILENT_INTERVALS * known.size / demanded.size


def forecast_from(
    panel: Panel, chosen: Sequence[str], finished: NDArray[np.bool_], origin: int
) -> tuple[list[Units], list[Units]]:
    """Gather the chosen forecasts of one origin and their error paths from the finished origins."""
    means = [t.candidates.forecasts[name][origin] for t, name in zip(panel.tracks, chosen, strict=True)]
    actuals, forecasts = [], []
    for track, name in zip(panel.tracks, chosen, strict=True):
        whole = finished & np.isfinite(track.errors(name)).all(axis=1)
        actuals.append(track.actuals[whole])
        forecasts.append(track.candidates.forecasts[name][:-1][whole])
    regular = [i for i, track in enumerate(panel.tracks) if track.is_regular]
    intermittent = [i for i, track in enumerate(panel.tracks) if not track.is_regular]
    levels = np.array([np.nan_to_num(means[i]).mean() for i in regular])
    errors = spread_errors([actuals[i] - forecasts[i] for i in regular], levels)
    demands = spread_demands(*([column[i] for i in intermittent] for column in (actuals, forecasts, means)))
    paths = dict(zip([*regular, *intermittent], [*errors, *demands], strict=True))
    return means, [paths[i] for i in range(len(means))]


def replay_trials(panel: Panel) -> list[list[Trial]]:
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
        means, spreads = forecast_from(panel, chosen, past, k)
        for row, track in enumerate(panel.tracks):
            mean = means[row][:n_scored]
            actual = track.actuals[k, :n_scored]
            if not np.isfinite(mean).all() or not np.isfinite(actual).any():
                continue
            naive = seasonal_naive(panel.units[row], int(origins[k]), n_scored, panel.period)
            quantiles = band_of(mean, spreads[row][:, :n_scored]) if spreads[row].size else None
            trials[row].append(Trial(int(origins[k]), actual, mean, naive, quantiles))
    return trials


def _spacing(origins: NDArray[np.intp]) -> int:
    return int(origins[1] - origins[0]) if origins.size > 1 else 1
