"""Which buckets of a history do not tell the usual demand, and what would it have been there?"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import History, Pair, Units, fill_missing
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
# What lasts longer than so many buckets is a new level, or a season, and no outlier.
_LONGEST_OUTLIER = 2


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
    n_buckets = history.units.shape[1]
    promoted = _covered(
        ((p.product_code, p.region_code, p.from_date, p.until_date) for p in facts.promotions), history
    )
    empty = _covered(
        ((o.product_code, o.region_code, o.from_date, o.until_date) for o in facts.out_of_stock), history
    )
    used, marks = history.units.copy(), []
    for i, (pair, basis) in enumerate(zip(history.pairs, history.bases, strict=True)):
        row = used[i]
        known = np.flatnonzero(~np.isnan(row))
        life = range(int(known[0]), n_buckets) if known.size else range(0)
        lifted = promoted[pair] & set(life)
        cut_off = (empty[pair] & set(life)) - lifted if basis == "consumption" else set()
        marked: dict[int, Mark] = {b: "missing" for b in life if np.isnan(row[b])}
        marked |= dict.fromkeys(sorted(lifted - marked.keys()), "promotion")
        spikes = find_outliers(
            np.where([b in marked for b in range(n_buckets)], np.nan, row), SEASONS[history.bucket].period
        )
        marked |= dict.fromkeys(np.flatnonzero(spikes).tolist(), "outlier")
        marked |= dict.fromkeys(sorted(cut_off - marked.keys()), "censored")
        used[i] = _without(row, marked)
        marks.append(dict(sorted(marked.items())))
    return MarkedHistory(used, marks)


def find_outliers(units: Units, period: int) -> NDArray[np.bool_]:
    """Find single buckets that stand far above all around them, and have no like a season before or after.

    Only demand that is usually there can have them: a spike in rare demand is demand. The last bucket can't be one:
    whether it is a new level is still to be seen.

    Shapes: units (n_buckets,), NaN ignored, result (n_buckets,)
    Source: Hampel's identifier (median ± k × median absolute deviation) on a moving window.
    """
    high: NDArray[np.bool_] = np.zeros(units.size, dtype=bool)
    if units.size <= NEIGHBOURS:
        return high
    padded = np.pad(units, NEIGHBOURS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    enough = (~np.isnan(windows)).sum(axis=1) > NEIGHBOURS
    if not enough.any():
        return high
    median = np.nanmedian(windows[enough], axis=1)
    deviation = _DEVIATION_OF_NORMAL * np.nanmedian(np.abs(windows[enough] - median[:, None]), axis=1)
    deviation = np.maximum(deviation, _LEAST_DEVIATION_SHARE * median)
    limit = np.maximum(median + OUTLIER_DEVIATIONS * deviation, OUTLIER_FACTOR * median)
    high[enough] = (median > 0) & (np.nan_to_num(units[enough]) > limit)
    outliers = high.copy()
    for first, end in _stretches(high):
        near = [slice(max(0, first + shift - 1), max(0, end + shift + 1)) for shift in (-period, period)]
        recurs = any(high[season].any() for season in near)
        if end - first > _LONGEST_OUTLIER or end == units.size or recurs:
            outliers[first:end] = False
    return outliers


def _stretches(high: NDArray[np.bool_]) -> list[tuple[int, int]]:
    borders = np.flatnonzero(np.diff(np.r_[False, high, False].astype(int)))
    return list(zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True))


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


def _covered(ranges: Iterable[tuple[str, str, date, date]], history: History) -> defaultdict[Pair, set[int]]:
    """Number the buckets of a history in which any day of a pair's date ranges lies."""
    days, n_buckets = DAYS_PER_BUCKET[history.bucket], history.units.shape[1]
    covered: defaultdict[Pair, set[int]] = defaultdict(set)
    for product_code, region_code, from_date, until_date in ranges:
        first = max(0, (from_date - history.first_date).days // days)
        end = min(n_buckets, -(-(until_date - history.first_date).days // days))
        covered[product_code, region_code].update(range(first, end))
    return covered
