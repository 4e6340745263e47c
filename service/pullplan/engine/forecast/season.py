"""How does demand move with the season, as far as all series of a product tell together?"""

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units, fill_missing
from pullplan.engine.model import Bucket

SEASON_BUCKETS: dict[Bucket, int] = {"day": 7, "week": 52}

# Neighbouring weeks of a year share their season; weekdays don't.
_NEIGHBOUR_WEIGHTS: dict[Bucket, tuple[float, ...]] = {"day": (1.0,), "week": (1.0, 2.0, 3.0, 2.0, 1.0)}

# A phase with less than this share of the mean counts as closed.
CLOSED_SHARE = 0.02


def season_factors(
    units: Units, groups: NDArray[np.intp], *, n_factors: int, origin: int, bucket: Bucket
) -> Units:
    """Estimate from the buckets before `origin` how demand in bucket 0 … n−1 compares to its trend.

    All ones below two full seasons. A group's shape is averaged with the panel's.

    Shapes: units (n_series, n_buckets), groups (n_series,), result (n_groups, n_factors)
    Source: classical decomposition, ratio to the centred moving average; shrunk as James & Stein do.
    """
    period = SEASON_BUCKETS[bucket]
    n_groups = int(groups.max(initial=-1)) + 1
    if origin < 2 * period:
        return np.ones((n_groups, n_factors))
    totals, spoken = np.zeros((n_groups, origin)), np.zeros((n_groups, origin), dtype=bool)
    np.add.at(totals, groups, np.nan_to_num(units[:, :origin]))
    np.logical_or.at(spoken, groups, ~np.isnan(units[:, :origin]))
    # A bucket in which nobody of a group was heard says nothing of the season.
    totals[~spoken] = np.nan
    totals = np.nan_to_num(np.stack([fill_missing(row) for row in totals]))
    shape = (_shape(totals, bucket) + _shape(totals.sum(axis=0, keepdims=True), bucket)) / 2
    shape[shape < CLOSED_SHARE] = 0.0
    factors: Units = shape[:, (np.arange(n_factors) - origin) % period]
    return factors


def _shape(totals: Units, bucket: Bucket) -> Units:
    """Average the ratio to the moving average by phase; phase 0 is the one of the bucket after the last.

    What the ratios' scatter alone would make of a flat shape is taken off: noise is not a season.

    Shapes: totals (n, n_buckets), result (n, period)
    """
    period = SEASON_BUCKETS[bucket]
    ratio, phases = _ratio_to_trend(totals, period)
    raw = np.stack([np.median(ratio[:, phases == phase], axis=1) for phase in range(period)], axis=1)
    kernel = np.array(_NEIGHBOUR_WEIGHTS[bucket]) / sum(_NEIGHBOUR_WEIGHTS[bucket])
    smoothed = np.zeros_like(raw)
    for offset, weight in enumerate(kernel, start=-(kernel.size // 2)):
        smoothed += weight * np.roll(raw, offset, axis=1)
    mean = smoothed.mean(axis=1, keepdims=True)
    shape: Units = np.divide(smoothed, mean, out=np.ones_like(smoothed), where=mean > 0)
    scatter = np.var(ratio - smoothed[:, phases], axis=1)
    noise = scatter * np.square(kernel).sum() * period / ratio.shape[1]
    seen = shape.var(axis=1)
    trust = 1 - np.divide(noise, seen, out=np.ones_like(noise), where=seen > noise)
    trusted: Units = 1 + (shape - 1) * trust[:, None]
    return trusted


def _ratio_to_trend(totals: Units, period: int) -> tuple[Units, NDArray[np.intp]]:
    weights = np.ones(period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    trend = np.stack([np.convolve(row, weights / period, "valid") for row in totals])
    before = (totals.shape[1] - trend.shape[1]) // 2
    inside = totals[:, before : before + trend.shape[1]]
    ratio = np.divide(inside, trend, out=np.ones_like(trend), where=trend > 0)
    return ratio, (np.arange(before, before + trend.shape[1]) - totals.shape[1]) % period
