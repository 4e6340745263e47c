"""Which buckets of a history do not tell the usual demand, and what would it have been there?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import History, Units, fill_missing, median_of_known
from pullplan.engine.forecast.season import SEASONS
from pullplan.engine.model import ForecastFacts, Mark

# Buckets on either side that a bucket is compared with: a quarter of weeks.
NEIGHBOURS = 13

# An outlier lies so many robust deviations above its neighbours' median, and is so many times as large.
OUTLIER_DEVIATIONS = 30.0
OUTLIER_FACTOR = 10.0

# A median absolute deviation in standard deviations of a normal distribution.
_DEVIATION_OF_NORMAL = 1.4826
# Where neighbours are all alike, their deviation is taken to be this share of their median.
_LEAST_DEVIATION_SHARE = 0.1
# So many series are compared with their neighbours at once: what is held is bounded.
_BLOCK_SERIES = 256
# What lasts longer than so many buckets is a new level, or a season, and no outlier.
_LONGEST_OUTLIER = 2
# What is at least so large, beside another that stands out, is like it: large orders that come now and then are demand.
_LIKE_SHARE = 0.5


@dataclass(frozen=True)
class MarkedHistory:
    """What models are shown of a history, and why that is not what was demanded.

    Shapes: used (n_series, n_buckets), marks[i] bucket to mark
    """

    used: Units
    marks: list[dict[int, Mark]]


def mark_history(history: History, facts: ForecastFacts) -> MarkedHistory:
    """Replace what promotions lifted, what an empty shelf cut off, and single spikes, by what their neighbours tell.

    A promotion's buckets, and outliers, become the mean of the buckets around them; a bucket with days out of stock
    does, where that is more than was consumed. Orders are demand whether there is stock or not. Silent buckets of a
    source stay missing.
    """
    missing = np.isnan(history.units)
    alive = np.logical_or.accumulate(~missing, axis=1)
    lifted = alive & _covered(
        ((p.product_code, p.region_code, p.from_date, p.until_date) for p in facts.promotions), history
    )
    empty = alive & _covered(
        ((o.product_code, o.region_code, o.from_date, o.until_date) for o in facts.out_of_stock), history
    )
    empty &= np.array([basis == "consumption" for basis in history.bases], dtype=bool)[:, None]
    spikes = find_outliers(np.where(lifted, np.nan, history.units), SEASONS[history.bucket].period)
    unusual = np.flatnonzero((lifted | spikes | empty).any(axis=1)).tolist()
    used = history.units.copy() if unusual else history.units
    marks: list[dict[int, Mark]] = [{} for _ in history.pairs]
    # The first that holds for a bucket is its mark.
    by_rank: tuple[tuple[Mark, NDArray[np.bool_]], ...] = (
        ("missing", missing & alive), ("promotion", lifted), ("outlier", spikes), ("censored", empty),
    )  # fmt: skip
    for mark, holds in reversed(by_rank):
        for i, b in np.argwhere(holds).tolist():
            marks[i][b] = mark
    for i in unusual:
        used[i] = _without(used[i], marks[i])
    return MarkedHistory(used, [dict(sorted(marked.items())) for marked in marks])


def find_outliers(units: Units, period: int) -> NDArray[np.bool_]:
    """Find single buckets that stand far above all around them, and have no like: a season before or after, or ever.

    Only demand that is usually there can have them: a spike in rare demand is demand. The last bucket can't be one:
    whether it is a new level is still to be seen.

    Shapes: units (n_series, n_buckets), NaN ignored, result (n_series, n_buckets)
    Source: Hampel's identifier (median ± k × median absolute deviation) on a moving window.
    """
    high = np.zeros(units.shape, dtype=bool)
    if units.shape[1] <= NEIGHBOURS:
        return high
    for first in range(0, units.shape[0], _BLOCK_SERIES):
        block = slice(first, first + _BLOCK_SERIES)
        high[block] = _stands_out(units[block])
    for i in np.flatnonzero(high.any(axis=1)):
        high[i] = _lone(high[i], units[i], period)
    return high


def _stands_out(units: Units) -> NDArray[np.bool_]:
    """Find what lies far above the median of its neighbours. Shapes: (n_series, n_buckets) to the same."""
    n_known, n_positive = _counted_around(~np.isnan(units)), _counted_around(units > 0)
    lowest = np.min(units, axis=1, keepdims=True, initial=np.inf, where=units > 0)
    # A median above nothing is at least half the lowest demand: few are high enough for their neighbours to be looked at.
    high = (
        (n_known > NEIGHBOURS)
        & (n_known - n_positive <= n_known // 2)
        & (units > OUTLIER_FACTOR * lowest / 2)
    )
    padded = np.pad(units, ((0, 0), (NEIGHBOURS, NEIGHBOURS)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1, axis=1)[high]
    median = median_of_known(around)
    deviation = _DEVIATION_OF_NORMAL * median_of_known(np.abs(around - median[:, None]))
    deviation = np.maximum(deviation, _LEAST_DEVIATION_SHARE * median)
    high[high] = units[high] > np.maximum(OUTLIER_FACTOR * median, median + OUTLIER_DEVIATIONS * deviation)
    return high


def _counted_around(holds: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count by bucket where it holds of it and its neighbours. Shapes: (n_series, n_buckets) to the same."""
    padded = np.pad(holds, ((0, 0), (NEIGHBOURS + 1, NEIGHBOURS)))
    until = np.cumsum(padded, axis=1)
    counts: NDArray[np.intp] = until[:, 2 * NEIGHBOURS + 1 :] - until[:, : -2 * NEIGHBOURS - 1]
    return counts


def _lone(high: NDArray[np.bool_], units: Units, period: int) -> NDArray[np.bool_]:
    """Leave of one series' high buckets those that are no level, no season, and no order that comes again.

    Shapes: (n_buckets,) to the same
    """
    lone = high.copy()
    borders = np.flatnonzero(np.diff(np.r_[False, high, False].astype(int)))
    for first, end in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
        near = [slice(max(0, first + shift - 1), max(0, end + shift + 1)) for shift in (-period, period)]
        others = high.copy()
        others[first:end] = False
        is_like = others & (units >= _LIKE_SHARE * units[first:end].max())
        recurs = is_like.any() or any(high[season].any() for season in near)
        if end - first > _LONGEST_OUTLIER or end == high.size or recurs:
            lone[first:end] = False
    return lone


def _without(row: Units, marked: dict[int, Mark]) -> Units:
    """Put the mean of unmarked neighbours where a mark stands; what is missing stays missing."""
    unusual = [b for b, mark in marked.items() if mark != "missing"]
    bare = row.copy()
    bare[unusual] = np.nan
    if not unusual or np.isnan(bare).all():
        return row
    told, usual = row.copy(), fill_missing(bare)
    if (bare[~np.isnan(bare)] % 1 == 0).all():
        usual = usual.round()  # pieces stay whole
    for b in unusual:
        told[b] = max(row[b], usual[b]) if marked[b] == "censored" else usual[b]
    return told


def _covered(ranges: Iterable[tuple[str, str, date, date]], history: History) -> NDArray[np.bool_]:
    """Find the buckets of a history in which any day of a pair's date ranges lies. Shapes: (n_series, n_buckets)."""
    days, n_buckets = DAYS_PER_BUCKET[history.bucket], history.units.shape[1]
    rows = {pair: i for i, pair in enumerate(history.pairs)}
    covered = np.zeros(history.units.shape, dtype=bool)
    for product_code, region_code, from_date, until_date in ranges:
        row = rows.get((product_code, region_code))
        if row is not None:
            first = max(0, (from_date - history.first_date).days // days)
            end = min(n_buckets, -(-(until_date - history.first_date).days // days))
            covered[row, first : max(first, end)] = True
    return covered
