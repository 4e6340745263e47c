"""How far may demand lie from its forecast, in a bucket and summed over an interval of buckets?"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units
from pullplan.engine.forecast.accuracy import LEVELS
from pullplan.engine.model import SeriesForecast

# Beyond the outermost path the tail is continued exponentially, as steep as the paths above this level are.
TAIL_LEVEL = 0.8

# What a series' own paths are brought up to with those of like series.
N_PATHS = 48

# Of an intermittent series' paths so many are stretches of its own, out of so many of its last buckets.
N_OWN_STRETCHES = 28
MOST_STRETCHED_BUCKETS = 104

LEAST_SCALE = 1e-12

# How much of its quantiles a step shares with the steps beside it: of N_PATHS draws each, they scatter by a tenth and more.
STEP_WEIGHTS = (1.0, 2.0, 3.0, 2.0, 1.0)
LIKE_STEPS_FACTOR = 2.0

# An own scale of error counts as much as its kind's once it rests on this many independent stretches.
SCALE_STRETCHES = 3.0


# Error paths of some series, Shapes: (n_rows, N_PATHS, n_steps): those of all take more room than all else known of them.
Draw = Callable[[slice], Units]

# So many series' paths are drawn at once.
BLOCK_SERIES = 256


def path_quantile(values: Units, level: float) -> Units:
    """Estimate a quantile of what `values` are draws of; monotone in level, also beyond the largest draw.

    Shapes: values (n_draws, …), result (…)
    Source: Weibull plotting positions k ÷ (n + 1); beyond the last one the exponential tail with the mean excess.
    """
    return _quantile_of_ordered(np.sort(values, axis=0), level)


def _quantile_of_ordered(ordered: Units, level: float) -> Units:
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


def blocks(n_series: int) -> Iterator[slice]:
    """Cut series into blocks that are drawn at once."""
    return (slice(first, min(n_series, first + BLOCK_SERIES)) for first in range(0, n_series, BLOCK_SERIES))


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
    """Draw p10, p50 and p90 of every step. Shapes: mean (…, n_steps), paths (n, …, n_steps), result (3, …, n_steps)."""
    return band_around(mean, offsets_of(mean, paths))


def offsets_of(mean: Units, paths: Units) -> Units:
    """Tell how far p10, p50 and p90 lie from the mean, evened out with like steps beside, as shares of their means.

    Shapes: mean (…, n_steps), paths (n, …, n_steps), result (3, …, n_steps)
    """
    ordered = np.sort(paths, axis=0)
    offsets = np.stack([_quantile_of_ordered(ordered, level) for level in LEVELS])
    return _evened_out(offsets, np.broadcast_to(mean, offsets.shape[1:]))


def band_around(mean: Units, offsets: Units) -> Units:
    """Put quantiles around a mean, never below zero. Shapes: mean (…, n_steps), offsets and result (3, …, n_steps)."""
    # Interpolation may round a quantile one unit in the last place above the next.
    rising: Units = np.maximum.accumulate(np.maximum(0.0, mean + offsets), axis=0)
    return rising


def _evened_out(offsets: Units, mean: Units) -> Units:
    """Average over neighbouring steps by STEP_WEIGHTS, those of like means alone: a closed day says nothing of an open one.

    Shapes: offsets (3, …, n_steps), mean (…, n_steps)
    """
    reach, n_steps = len(STEP_WEIGHTS) // 2, mean.shape[-1]
    shares = np.divide(offsets, mean, out=np.zeros_like(offsets), where=mean > LEAST_SCALE)
    total, weights = np.zeros_like(offsets), np.zeros_like(mean)
    for shift, weight in enumerate(STEP_WEIGHTS, start=-reach):
        to = slice(max(0, -shift), max(0, n_steps - max(0, shift)))
        of = slice(max(0, shift), max(0, n_steps + min(0, shift)))
        here, there = mean[..., to], mean[..., of]
        is_like = (np.minimum(here, there) > LEAST_SCALE) & (
            np.maximum(here, there) <= LIKE_STEPS_FACTOR * np.minimum(here, there)
        )
        total[..., to] += weight * is_like * shares[..., of]
        weights[..., to] += weight * is_like
    evened: Units = np.divide(total * mean, weights, out=offsets.copy(), where=weights > 0)
    return evened


class DrawnInTurn:
    """Hands out series' paths one by one, drawn with those around them: asked for in order, each is drawn once."""

    def __init__(self, draw: Draw, units: Units) -> None:
        """Where none can be drawn, a history's deviations take their place. Shapes: units (n_series, n_buckets)."""
        self._draw, self._units = draw, units
        self._begin, self._drawn = 0, np.empty((0, 0, 0))

    def of(self, series: int) -> Units:
        """Shapes: result (n_paths, n_steps)."""
        if not self._begin <= series < self._begin + self._drawn.shape[0]:
            self._begin = series - series % BLOCK_SERIES
            self._drawn = self._draw(slice(self._begin, min(len(self._units), self._begin + BLOCK_SERIES)))
        paths: Units = self._drawn[series - self._begin]
        return paths if np.isfinite(paths).all() else deviation_paths(self._units[series], paths.shape[1])


def deviation_paths(units: Units, n_steps: int) -> Units:
    """Take a history's deviations from its mean, in rotation, where no origin lies far enough back for errors.

    Shapes: units (n_buckets,), NaN ignored, result (n_known_buckets, n_steps)
    """
    known = units[~np.isnan(units)]
    deviations = (known - known.mean()) * np.sqrt(1 + 1 / known.size)
    turns = (np.arange(known.size)[:, None] + np.arange(n_steps)) % known.size
    rotated: Units = deviations[turns]
    return rotated


def error_paths(errors: Units, means: Units, *, stretches_per_path: float) -> Draw:
    """Draw N_PATHS error paths of every regular series: its own, and those of like series scaled to its errors.

    Where a series has few paths of its own, its scale is drawn towards what its kind's errors are at its level (a power
    law), and half of its own mean error is taken off: with few paths it is chance. NaN where no series has any.

    Shapes: errors (n_series, n_origins, n_steps), NaN where unknown, means (n_series, n_steps)
    """
    n_steps = errors.shape[2]
    whole = np.isfinite(errors).all(axis=2)
    n_own = whole.sum(axis=1)
    own = np.where(whole[:, :, None], errors, 0.0)
    n_values = np.maximum(1, n_own * n_steps)
    usual_errors = own.sum(axis=(1, 2)) / n_values
    own = np.where(whole[:, :, None], own - usual_errors[:, None, None], 0.0)
    scales = np.sqrt(np.square(own).sum(axis=(1, 2)) / n_values)
    proven = (n_own > 0) & (scales > 0)
    if not proven.any():
        return partial(_all_alike, (N_PATHS, n_steps), np.nan if not n_own.any() else 0.0)
    # Paths of neighbouring origins overlap: what is independent in them is less than their number.
    stretches = n_own * stretches_per_path
    weight = np.where(proven, stretches / (stretches + SCALE_STRETCHES), 0.0)
    usual = _scales_by_level(scales, means.mean(axis=1), proven)
    safe = np.where(proven, scales, 1.0)
    mixed = np.exp(weight * np.log(safe) + (1 - weight) * np.log(np.maximum(usual, LEAST_SCALE)))
    mixed[(usual == 0.0) | ((n_own > 0) & (scales == 0.0))] = 0.0
    # The forecast itself rests on as little: its own error adds to what the paths show (√(1 + 1/n)).
    mixed *= np.sqrt(1 + 1 / (stretches + 0.5))

    def look_up(series: NDArray[np.intp], numbers: NDArray[np.intp]) -> Units:
        looked_up: Units = (errors[series, numbers] - usual_errors[series, None]) / safe[series, None]
        return looked_up

    fill = _filling_from_pool(whole & proven[:, None], look_up)

    def draw(rows: slice) -> Units:
        paths = fill(rows)
        paths *= mixed[rows, None, None]
        return paths

    return draw


def demand_paths(units: Units, rows: NDArray[np.intp], means: Units, *, phase: int) -> Draw:
    """Draw N_PATHS error paths of every intermittent series from whole stretches of past demand: nothing stays nothing.

    A stretch counts in multiples of the series' mean demand, and is scaled to the mean forecast now; every series gets
    like series' stretches besides its own. Stretches begin a multiple of `phase` buckets before the end.

    Shapes: units (n_all, n_buckets) before the origin, rows (n_series,) of them, means (n_series, n_steps)
    """
    recent = units[:, -MOST_STRETCHED_BUCKETS:]
    n_buckets, n_steps = recent.shape[1], means.shape[1]
    known = ~np.isnan(recent[rows])
    usual = np.where(known, recent[rows], 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    first = np.where(known.any(axis=1), known.argmax(axis=1), n_buckets)
    room = np.maximum(0, n_buckets - n_steps - first)
    back = n_steps + np.rint(room[:, None] * np.linspace(0, 1, N_OWN_STRETCHES)).astype(np.intp)
    back += -back % phase
    begins = n_buckets - back
    n_told = np.pad(np.cumsum(known, axis=1), ((0, 0), (1, 0)))
    n_before, n_by_end = (
        np.take_along_axis(n_told, np.clip(at, 0, n_buckets), axis=1) for at in (begins, begins + n_steps)
    )
    whole = (begins >= 0) & (n_by_end - n_before == n_steps) & (usual > 0)[:, None]

    def look_up(series: NDArray[np.intp], numbers: NDArray[np.intp]) -> Units:
        buckets = begins[series, numbers][:, None] + np.arange(n_steps)
        looked_up: Units = recent[rows[series][:, None], buckets] / usual[series, None]
        return looked_up

    fill = _filling_from_pool(whole, look_up)

    def draw(some: slice) -> Units:
        paths = fill(some)
        paths *= means[some].mean(axis=1)[:, None, None]
        paths -= means[some, None, :]
        return paths

    return draw


def _all_alike(shape: tuple[int, int], value: float, rows: slice) -> Units:
    return np.full((rows.stop - rows.start, *shape), value)


def _filling_from_pool(
    whole: NDArray[np.bool_], look_up: Callable[[NDArray[np.intp], NDArray[np.intp]], Units]
) -> Draw:
    """Bring every series up to N_PATHS with paths from all over its kind, evenly taken; NaN without any.

    `look_up` finds paths by series and number: (n,), (n,) to (n, n_steps).

    Shapes: whole (n_series, n_own)
    """
    n_own = whole.shape[1]
    found = np.flatnonzero(whole)
    taken = found[np.linspace(0, found.size - 1, N_PATHS).astype(np.intp)] if found.size else found
    pool = look_up(*np.divmod(taken, max(1, n_own)))
    if not found.size:
        pool = np.full((N_PATHS, pool.shape[1]), np.nan)
    kept = min(n_own, N_PATHS)

    def fill(rows: slice) -> Units:
        drawn = np.repeat(pool[None], rows.stop - rows.start, axis=0)
        series, numbers = np.nonzero(whole[rows, n_own - kept :])
        drawn[series, numbers] = look_up(rows.start + series, n_own - kept + numbers)
        return drawn

    return fill


def _scales_by_level(scales: Units, levels: Units, proven: NDArray[np.bool_]) -> Units:
    seen = proven & (levels > 0)
    if not seen.any():
        return np.zeros(scales.size)
    x, y = np.log(levels[seen]), np.log(scales[seen])
    slope = 1.0
    if x.size > 2 and x.var() > 0:
        slope = float(np.clip(np.cov(x, y, bias=True)[0, 1] / x.var(), 0.3, 1.0))
    at = np.log(np.where(levels > 0, levels, 1.0))
    usual: Units = np.where(levels > 0, np.exp(y.mean() + slope * (at - x.mean())), 0.0)
    return usual
