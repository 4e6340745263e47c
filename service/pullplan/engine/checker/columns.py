"""What do needs, lines and facts say, column by column? Structs are read once; all else works on arrays."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

UNKNOWN = -1
"""The place of a code that the facts don't know."""
_LARGEST = 2**62
"""Where a number doesn't fit into 64 bits, this is as good: no bucket or number of anything is as large."""


def floats(rows: Sequence[Any], name: str) -> FloatArray:
    """Read a column of numbers; NaN where there is none."""
    return np.fromiter(map(attrgetter(name), rows), np.float64, len(rows))


def whole_numbers(rows: Sequence[Any], name: str) -> IntArray:
    """Read a column of whole numbers."""
    try:
        return np.fromiter(map(attrgetter(name), rows), np.int64, len(rows))
    except OverflowError:
        values = map(attrgetter(name), rows)
        return np.array([max(-_LARGEST, min(value, _LARGEST)) for value in values], dtype=np.int64)


def truths(rows: Sequence[Any], name: str) -> BoolArray:
    """Read a column of what is so or is not."""
    return np.fromiter(map(attrgetter(name), rows), np.bool_, len(rows))


def places(rows: Sequence[Any], name: str, place: Mapping[Any, int]) -> IntArray:
    """Read a column of codes as their places; UNKNOWN where there is none."""
    found = map(place.get, map(attrgetter(name), rows), repeat(UNKNOWN))
    return np.fromiter(found, np.int64, len(rows))


def days(rows: Sequence[Any], name: str, otherwise: int) -> IntArray:
    """Read a column of dates as ordinals."""
    dates = map(attrgetter(name), rows)
    return np.fromiter((otherwise if day is None else day.toordinal() for day in dates), np.int64, len(rows))


def last_places(known: IntArray, asked: IntArray) -> IntArray:
    """Find where each of the asked numbers stands among the known, the last time; UNKNOWN where it doesn't."""
    if len(known) == 0:
        return np.full(len(asked), UNKNOWN)
    by_number = np.argsort(known, kind="stable")
    found = by_number[np.searchsorted(known, asked, side="right", sorter=by_number) - 1]
    return np.where(known[found] == asked, found, UNKNOWN)


def n_alike(numbers: IntArray) -> IntArray:
    """Count how often each number occurs."""
    _, place, times = np.unique(numbers, return_inverse=True, return_counts=True)
    return times[place]


def spread(first: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """List the members first … first + count − 1 of every owner: who owns each, and which it is."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - np.cumsum(count) + count, count)


def in_portions(count: IntArray, most: int) -> Iterator[slice]:
    """Cut owners into runs that have at most so many members together, or one owner."""
    ends = np.cumsum(count)
    first = 0
    while first < len(count):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(first, last)
        first = last
