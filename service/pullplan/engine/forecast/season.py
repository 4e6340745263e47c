"""How does demand move with the season, as far as all series of a product tell together?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units, fill_missing, median_of_known
from pullplan.engine.model import Bucket


@dataclass(frozen=True)
class Season:
    """How many buckets make a season, and how much of it neighbouring buckets share (weights of an odd window)."""

    period: int
    neighbour_weights: tuple[float, ...] = (1.0,)


# Neighbouring weeks of a year share their season; weekdays don't.
SEASONS: dict[Bucket, Season] = {"day": Season(7), "week": Season(52, (1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0))}

# A phase with less than this share of the mean counts as closed.
CLOSED_SHARE = 0.02

LEAST_FREEDOM = 0.1


def season_factors(
    units: Units, groups: NDArray[np.intp], *, n_factors: int, origin: int, season: Season
) -> Units:
    """Estimate from the buckets before `origin` how demand in bucket 0 … n−1 compares to its trend.

    All ones below two full seasons. A group's shape is drawn towards the panel's, and that one towards flat, as far as
    the scatter of their ratios alone would explain what sets them apart.

    Shapes: units (n_series, n_buckets), groups (n_series,), result (n_groups, n_factors)
    Source: classical decomposition, ratio to the centred moving average; shrunk as James & Stein do.
    """
    period = season.period
    n_groups = int(groups.max(initial=-1)) + 1
    if period == 1 or origin < 2 * period:
        return np.ones((n_groups, n_factors))
    totals, spoken = np.zeros((n_groups, origin)), np.zeros((n_groups, origin), dtype=bool)
    np.add.at(totals, groups, np.nan_to_num(units[:, :origin]))
    np.logical_or.at(spoken, groups, ~np.isnan(units[:, :origin]))
    for row, heard in zip(totals, spoken, strict=True):
        # A bucket in which nobody of a group was heard says nothing of the season.
        start = int(np.argmax(heard)) if heard.any() else origin
        row[~heard] = np.nan
        row[start:] = fill_missing(row[start:])
    panel = _shape(np.nansum(totals, axis=0, keepdims=True), season, np.ones((1, period)))
    shape = _shape(totals, season, panel)
    shape[shape < CLOSED_SHARE] = 0.0
    factors: Units = shape[:, (np.arange(n_factors) - origin) % period]
    return factors


def _shape(totals: Units, season: Season, usual: Units) -> Units:
    """Average the ratio to the moving average by phase; phase 0 is the one of the bucket after the last.

    What the ratios' scatter alone would make of the usual shape is taken off: noise is not a season. A row that does
    not know every phase has the usual shape.

    Shapes: totals (n, n_buckets), NaN before a row's first, usual (1, period), result (n, period)
    """
    period = season.period
    ratio, phases = _ratio_to_trend(totals, period)
    known = np.isfinite(ratio)
    unknown = ~_by_phase(known, phases, period, fill=False).any(axis=1).all(axis=1)
    ratio[unknown] = usual[:, phases]
    raw = median_of_known(_by_phase(ratio, phases, period, fill=np.nan).transpose(0, 2, 1))
    kernel = np.array(season.neighbour_weights) / sum(season.neighbour_weights)
    smoothed = np.zeros_like(raw)
    for offset, weight in enumerate(kernel, start=-(kernel.size // 2)):
        smoothed += weight * np.roll(raw, offset, axis=1)
    mean = smoothed.mean(axis=1, keepdims=True)
    own: Units = np.divide(smoothed, mean, out=np.ones_like(smoothed), where=mean > 0)
    # The smoothed shape has taken up as many degrees of freedom as its kernel leaves phases apart.
    n_ratios = np.where(unknown, ratio.shape[1], known.sum(axis=1))
    freedom = 1 - period * kernel[kernel.size // 2] / n_ratios
    scatter = np.nanvar(ratio - smoothed[:, phases], axis=1) / np.maximum(freedom, LEAST_FREEDOM)
    noise = scatter * np.square(kernel).sum() * period / n_ratios
    apart = np.square(own - usual).mean(axis=1)
    trust = 1 - np.divide(noise, apart, out=np.ones_like(noise), where=apart > noise)
    return np.asarray(usual + (own - usual) * trust[:, None])


def _by_phase[Value: np.generic](
    values: NDArray[Value], phases: NDArray[np.intp], period: int, *, fill: float
) -> NDArray[Value]:
    """Lay buckets out season by season, the first phase first.

    Shapes: values (n, n_buckets), phases (n_buckets,) rising one by one, result (n, n_seasons, period)
    """
    before = int(phases[0])
    after = -(before + phases.size) % period
    padded = np.pad(values, ((0, 0), (before, after)), constant_values=fill)
    return padded.reshape(values.shape[0], -1, period)


def _ratio_to_trend(totals: Units, period: int) -> tuple[Units, NDArray[np.intp]]:
    weights = np.ones(period) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    trend = np.stack([np.convolve(row, weights / period, "valid") for row in totals])
    before = (totals.shape[1] - trend.shape[1]) // 2
    inside = totals[:, before : before + trend.shape[1]]
    ratio = np.divide(inside, trend, out=np.where(np.isnan(trend), np.nan, 1.0), where=trend > 0)
    return ratio, (np.arange(before, before + trend.shape[1]) - totals.shape[1]) % period
