"""How much did product × regions use in the days that count?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.demand import Pair
from pullplan.engine.model import EVERY, Basis, ExcludedUsage, PlanningFacts, PullPolicy, UsageExclusion

type Numbers = npt.NDArray[np.float64]


class PastUsage(NamedTuple):
    """What windows of the past saw, today excluded; arrays are (n_buffers,)."""

    units: Numbers
    """Of the days that count."""
    counted_days: Numbers
    excluded_days: npt.NDArray[np.intp]
    """The whole window where nothing else is left: then all of it counts nevertheless."""
    excluded: tuple[tuple[ExcludedUsage, ...], ...]


def add_up_usage(
    facts: PlanningFacts, place: Mapping[Pair, int], policies: Sequence[PullPolicy], bases: Sequence[Basis]
) -> PastUsage:
    """Add up what was used in each buffer's window, without the days that are no usual ones."""
    today = facts.horizon.as_of_date
    first = [today - timedelta(days=p.usage_past_days) for p in policies]
    found = _Exclusions(facts.usage_exclusions)
    of_buffers = [found.within(pair, first[at], today) for pair, at in place.items()]
    number_of = [_number_by_day(of_buffer) for of_buffer in of_buffers]
    is_all = [len(n) == p.usage_past_days for n, p in zip(number_of, policies, strict=True)]
    units, excluded_units = np.zeros(len(policies)), [[0.0] * len(of_buffer) for of_buffer in of_buffers]
    for basis, daily in (("consumption", facts.recent_consumption), ("order", facts.recent_orders)):
        rows = zip(daily.product_codes, daily.region_codes, daily.days, daily.units, strict=True)
        for product_code, region_code, day, n in rows:
            at = place.get((product_code, region_code))
            if at is None or bases[at] != basis or not first[at] <= day < today:
                continue
            number = number_of[at].get(day)
            if number is not None:
                excluded_units[at][number] += n
            if number is None or is_all[at]:
                units[at] += n
    excluded_days = np.array([len(days) for days in number_of], dtype=np.intp)
    window_days = np.array([p.usage_past_days for p in policies], dtype=np.float64)
    return PastUsage(
        units,
        np.where(is_all, window_days, window_days - excluded_days),
        excluded_days,
        tuple(
            tuple(
                ExcludedUsage(from_date=one.from_date, until_date=one.until_date, units=n, reason=one.reason)
                for one, n in zip(of_buffer, of_units, strict=True)
            )
            for of_buffer, of_units in zip(of_buffers, excluded_units, strict=True)
        ),
    )


class _Exclusions:
    """Exclusions by the codes that they name."""

    def __init__(self, exclusions: Sequence[UsageExclusion]) -> None:
        self._by_codes: dict[Pair, list[UsageExclusion]] = defaultdict(list)
        for one in exclusions:
            self._by_codes[one.product_code, one.region_code].append(one)

    def within(self, pair: Pair, first: date, end: date) -> list[UsageExclusion]:
        """List what excludes days of a pair's window, cut to it, in the order of days."""
        if not self._by_codes:
            return []
        product_code, region_code = pair
        codes = (pair, (product_code, EVERY), (EVERY, region_code), (EVERY, EVERY))
        named = (one for of_codes in codes for one in self._by_codes.get(of_codes, ()))
        inside = (
            msgspec.structs.replace(
                one, from_date=max(first, one.from_date), until_date=min(end, one.until_date)
            )
            for one in named
            if one.from_date < end and one.until_date > first
        )
        return sorted(inside, key=lambda one: (one.from_date, one.until_date, one.reason))


def _number_by_day(exclusions: Sequence[UsageExclusion]) -> dict[date, int]:
    """Name the exclusion of every day that has one: of several the one that begins first."""
    number: dict[date, int] = {}
    for n, one in enumerate(exclusions):
        for ahead in range((one.until_date - one.from_date).days):
            number.setdefault(one.from_date + timedelta(days=ahead), n)
    return number
