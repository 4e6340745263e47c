"""What was demanded of a product × region in each complete bucket, and what kind of demand is it?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import DAYS_PER_BUCKET, first_day_of_bucket
from pullplan.engine.model import (
    EVERY,
    Basis,
    Bucket,
    DailyUnits,
    DemandClass,
    ForecastFacts,
    Heard,
    PlanningFacts,
    PullPolicy,
    PullPolicyName,
    StockPosition,
)

Pair = tuple[str, str]
Units = NDArray[np.float64]

# Syntetos, Boylan & Croston, JORS 56 (2005) 495-503.
AVERAGE_INTERVAL_LIMIT = 1.32
SQUARED_VARIATION_LIMIT = 0.49

# Below these a series says too little about itself.
LEAST_BUCKETS = 8
LEAST_NON_ZERO_BUCKETS = 2

# A bucket without any signal is taken for a silent source where chance explains it this rarely.
SILENCE_CHANCE = 0.01


class PolicyBook:
    """The policies of a deployment, looked up pair by pair."""

    def __init__(self, policies: Sequence[PullPolicy]) -> None:
        self._by_pair = {(p.product_code, p.region_code): p for p in policies}

    def policy_of(self, product_code: str, region_code: str) -> PullPolicy:
        """Find the policy of a pair: pair beats product beats region beats all; none: the defaults."""
        for pair in (
            (product_code, region_code),
            (product_code, EVERY),
            (EVERY, region_code),
            (EVERY, EVERY),
        ):
            if pair in self._by_pair:
                return self._by_pair[pair]
        return PullPolicy()


def has_policy(policy: PullPolicyName, facts: PlanningFacts) -> bool:
    """Tell whether any policy is of a kind that none has by default."""
    return any(p.policy == policy for p in facts.policies)


def resolve_policy(policies: Sequence[PullPolicy], product_code: str, region_code: str) -> PullPolicy:
    """Find the policy of one pair as PolicyBook does."""
    return PolicyBook(policies).policy_of(product_code, region_code)


def history_basis(policy: PullPolicy, *, has_consumption: bool) -> Basis:
    """Tell which signals are a pair's history: what the policy names, else consumption where any exists."""
    if policy.history_basis == "automatic":
        return "consumption" if has_consumption else "order"
    return policy.history_basis


def on_hand_units(position: StockPosition, basis: Basis) -> float:
    """Count what is on hand at as_of: last count − issues by the history basis + receipts; may be negative."""
    issues = position.consumed_units_since if basis == "consumption" else position.shipped_units_since
    return position.count_units - issues + position.received_units_since


@dataclass(frozen=True)
class History:
    """Demand by series and complete bucket, ordered by (product, region).

    `units` is NaN before a series' first signal and where the source was silent as a whole: neither is history.
    """

    pairs: tuple[Pair, ...]
    bases: tuple[Basis, ...]
    first_date: date
    bucket: Bucket
    units: Units
    """Shapes: (n_series, n_buckets); the last bucket is the one before as_of's."""
    heard: Heard

    def date_of(self, number: int) -> date:
        """Find the first day of a bucket."""
        return self.first_date + timedelta(days=number * DAYS_PER_BUCKET[self.bucket])


def bucket_history(facts: ForecastFacts, heard: Heard | None = None) -> History:
    """Gather the signals into complete buckets before as_of's; gaps inside a series are zeros.

    A source's first bucket is left out where its first signal lies inside it and later buckets exist. Returns are
    netted within their bucket; what they exceed it by is taken from later buckets. `heard` is what a whole panel
    told of when its sources spoke, where these facts are of a part of it.

    Shapes: units (n_series, n_buckets)
    """
    horizon = facts.horizon
    end = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    told = _told_before(facts, end)
    consumed = set(told["consumption"].pairs)
    pairs = tuple(sorted({*facts.pairs, *consumed, *told["order"].pairs}))
    book = PolicyBook(facts.policies)
    bases = tuple(history_basis(book.policy_of(*pair), has_consumption=pair in consumed) for pair in pairs)
    days = DAYS_PER_BUCKET[horizon.bucket]
    starts = heard.first_dates if heard else _starts(told, horizon.bucket, end)
    first = min(starts.values())
    units = np.full((len(pairs), (end - first).days // days), np.nan)
    active = np.zeros(units.shape, dtype=bool)
    places = {pair: i for i, pair in enumerate(pairs)}
    for basis, signals in told.items():
        row_of = np.array([places[pair] for pair in signals.pairs], dtype=np.intp)
        is_basis = np.array([bases[row] == basis for row in row_of], dtype=bool)
        counted = is_basis[signals.numbers] & (signals.days >= starts[basis].toordinal())
        buckets = (signals.days[counted] - first.toordinal()) // days
        _fill_rows(units, active, row_of[signals.numbers[counted]], buckets, signals.units[counted])
    silent_dates: dict[Basis, tuple[date, ...]] = {}
    for basis in starts:
        rows = [i for i, b in enumerate(bases) if b == basis]
        if heard is None:
            silent = _silent_buckets(units[rows], active[rows], horizon.bucket)
        else:
            silent = [(day - first).days // days for day in heard.silent_dates[basis]]
        units[np.ix_(rows, silent)] = np.nan
        silent_dates[basis] = tuple(first + b * timedelta(days=days) for b in silent)
    return History(
        *(pairs, bases, first, horizon.bucket, units), Heard(first_dates=starts, silent_dates=silent_dates)
    )


def contradicts(facts: ForecastFacts, heard: Heard) -> bool:
    """Tell whether signals lie where a panel heard none: before its first, or while it was silent as a whole."""
    horizon = facts.horizon
    end = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    told = _told_before(facts, end)
    starts = _starts(told, horizon.bucket, end)
    return any(
        starts[basis] < heard.first_dates[basis]
        or not {
            first_day_of_bucket(date.fromordinal(day), horizon.bucket)
            for day in np.unique(signals.days).tolist()
        }.isdisjoint(heard.silent_dates[basis])
        for basis, signals in told.items()
    )


@dataclass(frozen=True)
class _Signals:
    """What was signalled before a day, each pair's in order of days and units: sums do not depend on how facts came.

    `numbers` are the pairs' places in `pairs`, `days` ordinals. Shapes: (n_signals,)
    """

    pairs: tuple[Pair, ...]
    numbers: NDArray[np.intp]
    days: NDArray[np.intp]
    units: Units


def _told_before(facts: ForecastFacts, end: date) -> dict[Basis, _Signals]:
    return {
        "consumption": _signals_before(facts.consumption, end),
        "order": _signals_before(facts.order_history, end),
    }


def _signals_before(signals: DailyUnits, end: date) -> _Signals:
    n = len(signals.days)
    numbering: defaultdict[Pair, int] = defaultdict(count().__next__)
    columns = zip(signals.product_codes, signals.region_codes, strict=True)
    numbers = np.fromiter(map(numbering.__getitem__, columns), np.intp, n)
    days = np.fromiter(map(date.toordinal, signals.days), np.intp, n)
    units = np.array(signals.units, dtype=float)
    moments = numbers * (int(days.max(initial=0)) + 1) + days
    order = np.argsort(moments, kind="stable")
    if (np.diff(moments[order]) == 0).any():
        order = np.lexsort((units, moments))
    order = order[days[order] < end.toordinal()]
    present, local = np.unique(numbers[order], return_inverse=True)
    every = tuple(numbering)
    return _Signals(tuple(every[k] for k in present.tolist()), local, days[order], units[order])


def _starts(told: Mapping[Basis, _Signals], bucket: Bucket, end: date) -> dict[Basis, date]:
    return {basis: _first_complete_bucket(signals.days, bucket, end) for basis, signals in told.items()}


def _first_complete_bucket(days: NDArray[np.intp], bucket: Bucket, end: date) -> date:
    first_day = date.fromordinal(int(days.min(initial=end.toordinal())))
    first = first_day_of_bucket(first_day, bucket)
    following = first + timedelta(days=DAYS_PER_BUCKET[bucket])
    return following if first < first_day and following < end else first


def _fill_rows(
    units: Units,
    active: NDArray[np.bool_],
    rows: NDArray[np.intp],
    buckets: NDArray[np.intp],
    signalled: Units,
) -> None:
    """Net what was signalled into rows, from each one's first bucket on. Shapes: rows, buckets, signalled (n_signals,)."""
    n_rows, n_buckets = units.shape
    net = np.bincount(rows * n_buckets + buckets, signalled, n_rows * n_buckets).reshape(units.shape)
    speaks = np.zeros(units.shape, dtype=bool)
    speaks[rows, buckets] = True
    begun = np.logical_or.accumulate(speaks, axis=1)
    units[begun] = net[begun]
    active |= speaks
    for i in np.flatnonzero((net < 0).any(axis=1)).tolist():
        carried = 0.0
        for b in range(int(begun[i].argmax()), n_buckets):
            carried += units[i, b]
            units[i, b] = max(0.0, carried)
            carried = min(0.0, carried)


def _silent_buckets(units: Units, active: NDArray[np.bool_], bucket: Bucket) -> list[int]:
    """Number the buckets in which a usually speaking source said nothing at all.

    A closed Sunday is not silence: daily buckets are compared with the same weekday only.
    """
    numbers: list[int] = []
    phases = 7 if bucket == "day" else 1
    for phase in range(phases):
        columns = np.arange(phase, units.shape[1], phases)
        lives, speaks = ~np.isnan(units[:, columns]), active[:, columns]
        share = speaks.sum(axis=1) / np.maximum(1, lives.sum(axis=1))
        chance = np.prod(np.where(lives, 1.0 - share[:, None], 1.0), axis=0)
        silent = ~speaks.any(axis=0) & lives.any(axis=0) & (chance < SILENCE_CHANCE)
        numbers += columns[silent].tolist()
    return sorted(numbers)


def fill_missing(units: Units) -> Units:
    """Put the mean of the four known buckets on either side in the place of what is missing in a series.

    Shapes: (n_buckets,) to (n_buckets,)
    """
    missing, known = np.flatnonzero(np.isnan(units)), np.flatnonzero(~np.isnan(units))
    if missing.size == 0 or known.size == 0:
        return units
    filled = units.copy()
    for b in missing:
        at = int(np.searchsorted(known, b))
        filled[b] = units[known[max(0, at - 4) : at + 4]].mean()
    return filled


def median_of_known(units: Units) -> Units:
    """Take the median along the last axis of what is not missing; numpy's own takes many times as long for short ones.

    Shapes: (…, n) to (…)
    """
    return middle_of_ordered(np.sort(units, axis=-1))


def middle_of_ordered(ordered: Units) -> Units:
    """Take the median of what is ordered along the last axis, what is missing last. Shapes: (…, n) to (…)."""
    n_known = np.maximum(1, (~np.isnan(ordered)).sum(axis=-1, keepdims=True))
    lower = np.take_along_axis(ordered, (n_known - 1) // 2, axis=-1)
    upper = np.take_along_axis(ordered, n_known // 2, axis=-1)
    middle: Units = ((lower + upper) / 2)[..., 0]
    return middle


def classes_of(units: Units) -> list[DemandClass]:
    """Name the kind of demand of every series by its average interval and the variation of its non-zero sizes.

    Shapes: units (n_series, n_buckets), NaN ignored, result (n_series,)
    Source: Syntetos, Boylan & Croston, JORS 56 (2005) 495-503; `new` is our own class for too little history.
    """
    demanded = units > 0
    n_known, n_sizes = (~np.isnan(units)).sum(axis=1), demanded.sum(axis=1)
    is_new = (n_known < LEAST_BUCKETS) | (n_sizes < LEAST_NON_ZERO_BUCKETS)
    n_sizes = np.maximum(1, n_sizes)
    mean = units.sum(axis=1, where=demanded) / n_sizes
    apart = units / np.where(is_new, 1.0, mean)[:, None] - 1.0
    steady = np.square(apart).sum(axis=1, where=demanded) / n_sizes < SQUARED_VARIATION_LIMIT
    frequent = n_known / n_sizes < AVERAGE_INTERVAL_LIMIT
    usual = np.where(
        frequent, np.where(steady, "smooth", "erratic"), np.where(steady, "intermittent", "lumpy")
    )
    classes: list[DemandClass] = np.where(is_new, "new", usual).tolist()
    return classes
