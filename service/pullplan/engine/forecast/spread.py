"""How far may demand lie from its forecast, in a bucket and summed over an interval of buckets?"""

from collections.abc import Sequence

import numpy as np

from pullplan.engine.demand import Units
from pullplan.engine.forecast.accuracy import LEVELS
from pullplan.engine.model import SeriesForecast

# Beyond the outermost path the tail is continued exponentially, as steep as the paths above this level are.
TAIL_LEVEL = 0.8

# What a series' own paths are brought up to with those of like series.
LEAST_PATHS = 40

# An own scale of error counts as much as its kind's once it rests on this many independent stretches.
SCALE_STRETCHES = 3.0


def path_quantile(values: Units, level: float) -> Units:
    """Estimate a quantile of what `values` are draws of; monotone in level, also beyond the largest draw.

    Shapes: values (n_draws, …), result (…)
    Source: Weibull plotting positions k ÷ (n + 1); beyond the last one the exponential tail with the mean excess.
    """
    ordered = np.sort(values, axis=0)
    n = ordered.shape[0]
    position = level * (n + 1) - 1
    if position <= n - 1:
        low = int(max(0, np.floor(position)))
        share = max(0.0, position - low)
        between: Units = ordered[low] + share * (ordered[min(low + 1, n - 1)] - ordered[low])
        return between
    above = ordered[min(n - 1, int(TAIL_LEVEL * n)) :]
    threshold = ordered[max(0, min(n - 1, int(TAIL_LEVEL * n)) - 1)]
    excess = np.mean(above - threshold, axis=0)
    tail: Units = ordered[-1] + excess * np.log(1.0 / (n + 1) / max(1e-12, 1.0 - level))
    return tail


def interval_quantile(
    series: SeriesForecast, first_step: int, shares: Sequence[float], level: float
) -> tuple[float, float]:
    """Tell mean and quantile of demand summed over the steps from `first_step` on, each by its share of days.

    Steps beyond the forecast are taken to be like its last one. The quantile is never negative and grows with the
    level; it comes from whole error paths, so that errors that go together stay together.

    Shapes: shares (n,), result (mean, quantile)
    """
    n_steps = len(series.mean_units)
    if not shares or n_steps == 0:
        return 0.0, 0.0
    weights = np.zeros(n_steps)
    for step, share in enumerate(shares, start=first_step):
        weights[min(step, n_steps - 1)] += share
    mean = float(np.dot(series.mean_units, weights))
    if not series.error_paths_units:
        return mean, mean
    sums = np.maximum(0.0, mean + np.asarray(series.error_paths_units) @ weights)
    return mean, max(0.0, float(path_quantile(sums, level)))


def band_of(mean: Units, paths: Units) -> Units:
    """Draw p10, p50 and p90 of every step. Shapes: mean (n_steps,), paths (n, n_steps), result (3, n_steps)."""
    if paths.shape[0] == 0:
        return np.stack([mean] * len(LEVELS))
    band = np.stack([np.maximum(0.0, mean + path_quantile(paths, level)) for level in LEVELS])
    # Interpolation may round a quantile one unit in the last place above the next.
    ordered: Units = np.maximum.accumulate(band, axis=0)
    return ordered


def deviation_paths(units: Units, n_steps: int) -> Units:
    """Take a history's deviations from its mean, in rotation, where no origin lies far enough back for errors.

    Shapes: units (n_buckets,), NaN ignored, result (n_known_buckets, n_steps)
    """
    known = units[~np.isnan(units)]
    deviations = (known - known.mean()) * np.sqrt(1 + 1 / known.size)
    turns = (np.arange(known.size)[:, None] + np.arange(n_steps)) % known.size
    rotated: Units = deviations[turns]
    return rotated


def scale_of_errors(errors: Units) -> float | None:
    """Root mean square of a series' error paths, None without any. Shapes: errors (n_paths, n_steps)."""
    return float(np.sqrt(np.mean(np.square(errors)))) if errors.size else None


def spread_errors(own: Sequence[Units], levels: Units) -> list[Units]:
    """Bring every regular series' error paths up to LEAST_PATHS with those of like series, scaled to its own errors.

    `own` are the paths of like series, `levels` their mean forecasts. Where a series has few paths of its own its
    scale is drawn towards what its kind's errors are at its level (a power law).

    Shapes: own[i] (n_paths_i, n_steps), levels (n_series,), result[i] (n, n_steps)
    """
    scales = [scale_of_errors(paths) for paths in own]
    pool = [paths / s for paths, s in zip(own, scales, strict=True) if s is not None and s > 0]
    if not pool:
        return list(own)
    stacked = np.concatenate(pool)
    expected = _scale_by_level(scales, levels)
    spread = []
    for paths, scale, usual in zip(own, scales, expected, strict=True):
        # Paths of neighbouring origins overlap: what is independent in them is their number ÷ their length.
        stretches = paths.shape[0] / paths.shape[1]
        weight = stretches / (stretches + SCALE_STRETCHES)
        mixed = usual if scale is None else float(np.exp(_blend(scale, usual, weight)))
        # The forecast itself rests on as little: its own error adds to what the paths show (√(1 + 1/n)).
        mixed *= float(np.sqrt(1 + 1 / (stretches + 0.5)))
        n_borrowed = max(LEAST_PATHS - paths.shape[0], LEAST_PATHS // 2)
        picks = np.linspace(0, stacked.shape[0] - 1, n_borrowed).astype(int)
        kept = paths if not scale else paths * (mixed / scale)
        spread.append(np.concatenate([kept, stacked[picks] * mixed]))
    return spread


def spread_demands(
    demanded: Sequence[Units], forecast_then: Sequence[Units], means: Sequence[Units]
) -> list[Units]:
    """Draw error paths of intermittent series from whole stretches of past demand, so that nothing stays nothing.

    A stretch is scaled by the level forecast now ÷ the level forecast at its origin. Every series gets like series'
    stretches besides its own, at its level.

    Shapes: demanded[i] and forecast_then[i] (n_paths_i, n_steps), means[i] (n_steps,), result[i] (n, n_steps)
    """
    relative = [_relative_demand(d, f) for d, f in zip(demanded, forecast_then, strict=True)]
    pool = np.concatenate(relative) if relative else np.empty((0, 0))
    if pool.shape[0] == 0:
        return [np.empty((0, mean.size)) for mean in means]
    spread = []
    for own, mean in zip(relative, means, strict=True):
        n_borrowed = max(LEAST_PATHS - own.shape[0], LEAST_PATHS // 2)
        picks = np.linspace(0, pool.shape[0] - 1, n_borrowed).astype(int)
        spread.append(np.concatenate([own, pool[picks]]) * mean.mean() - mean)
    return spread


def _relative_demand(demanded: Units, forecast_then: Units) -> Units:
    """Demand in multiples of the level forecast for it, that level being at least half of what was demanded."""
    if not demanded.any():
        return np.zeros((0, demanded.shape[1]))
    levels = np.maximum(forecast_then.mean(axis=1), 0.5 * demanded.mean())
    relative: Units = demanded / levels[:, None]
    return relative


def _blend(own: float, usual: float, weight: float) -> float:
    floor = 1e-12
    return weight * float(np.log(max(own, floor))) + (1 - weight) * float(np.log(max(usual, floor)))


def _scale_by_level(scales: Sequence[float | None], levels: Units) -> list[float]:
    known = [i for i, s in enumerate(scales) if s is not None and s > 0 and levels[i] > 0]
    if not known:
        return [0.0] * len(scales)
    x = np.log(levels[known])
    y = np.log([scales[i] or 1.0 for i in known])
    slope = 1.0
    if len(known) > 2 and x.var() > 0:
        slope = float(np.clip(np.cov(x, y, bias=True)[0, 1] / x.var(), 0.3, 1.0))
    base = float(np.mean(y) - slope * np.mean(x))
    return [float(np.exp(base + slope * np.log(level))) if level > 0 else 0.0 for level in levels]
