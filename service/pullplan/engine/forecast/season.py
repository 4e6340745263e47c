"""How does demand move with the season, as far as all series of a product tell together?"""

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units
from pullplan.engine.model import Bucket

SEASON_BUCKETS: dict[Bucket, int] = {"day": 7, "week": 52}

# Neighbouring weeks of a year share their season; weekdays don't.
_NEIGHBOUR_WEIGHTS: dict[Bucket, tuple[float, ...]] = {"day": (1.0,), "week": (1.0, 2.0, 3.0, 2.0, 1.0)}

# A phase with less than this share of the mean counts as closed.
CLOSED_SHARE = 0.02


def season_factors(
    units: Units, groups: NDArray[np.intp], *, first: int, last: int, origin: int, bucket: Bucket
) -> Units:
    """Estimate from the buckets before `origin` how each group's demand in first … last−1 compares to its trend.

    All ones below two full seasons. A group's shape is averaged with the panel's, and drawn towards one the fewer
    seasons it rests on.

    Shapes: units (n_series, n_buckets), groups (n_series,), result (n_groups, last - first)
    Source: classical decomposition, ratio to the centred moving average.
    """
    period = SEASON_BUCKETS[bucket]
    n_groups = int(groups.max(initial=-1)) + 1
    if origin < 2 * period:
        return np.ones((n_groups, last - first))
    known = np.nan_to_num(units[:, :origin])
    totals = np.zeros((n_groups, origin))
    np.add.at(totals, groups, known)
    shape = (_shape(totals, bucket) + _shape(totals.sum(axis=0, keepdims=True), bucket)) / 2
    seasons = origin / period - 1
    trusted = 1 + (shape - 1) * seasons / (seasons + 0.5)
    trusted[shape < CLOSED_SHARE] = 0.0
    factors: Units = trusted[:, (np.arange(first, last) - origin) % period]
    return factors


def _shape(totals: Units, bucket: Bucket) -> Units:
    """Average the ratio to the moving average by phase; phase 0 is the one of the bucket after the last.

    Shapes: totals (n, n_buckets), result (n, period)
    """
    period = SEASON_BUCKETS[bucket]
    weights = np.ones(period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    trend = np.stack([np.convolve(row, weights / period, "valid") for row in totals])
    before = (totals.shape[1] - trend.shape[1]) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = totals[:, before : before + trend.shape[1]] / trend
    ratio[~np.isfinite(ratio)] = 1.0
    phases = (np.arange(before, before + trend.shape[1]) - totals.shape[1]) % period
    shape = np.stack([np.median(ratio[:, phases == phase], axis=1) for phase in range(period)], axis=1)
    smoothed = np.zeros_like(shape)
    kernel = _NEIGHBOUR_WEIGHTS[bucket]
    for offset, weight in enumerate(kernel, start=-(len(kernel) // 2)):
        smoothed += weight * np.roll(shape, offset, axis=1)
    mean = smoothed.mean(axis=1, keepdims=True)
    relative: Units = np.divide(smoothed, mean, out=np.ones_like(smoothed), where=mean > 0)
    return relative
