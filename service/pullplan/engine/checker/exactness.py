"""Is a sum what it is said to be? In float64 where rounding cannot matter, in exact rationals where it could."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.checker.columns import BoolArray, FloatArray, IntArray

UNIT_ROUNDOFF = 2.0**-53
STATED_ROUNDING = 64 * UNIT_ROUNDOFF
"""A stated sum may be off by this share of the sum of its terms' amounts: who stated it computed in float64 as well."""


@dataclass(frozen=True)
class Sum:
    """A sum in float64, a proven bound on its rounding, and the way to its exact value."""

    value: float
    rounding: float
    amounts: float
    """Σ |term|."""
    exact: Callable[[], Fraction]


def add_up(terms: Iterable[float]) -> float:
    """Add terms up with one rounding; NaN where that is beyond any number."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.nan


def sum_of_products(left: FloatArray | Sequence[float], right: FloatArray | Sequence[float]) -> Sum:
    """Add products up: each is rounded once, their sum once more."""
    terms = np.multiply(left, right)
    value = add_up(terms.tolist())
    amounts = add_up(np.abs(terms).tolist()) if (terms < 0).any() else value
    return Sum(
        value=value,
        rounding=3 * UNIT_ROUNDOFF * amounts,
        amounts=amounts,
        exact=lambda: sum(
            (
                Fraction(a) * Fraction(b)
                for a, b in zip(np.asarray(left).tolist(), np.asarray(right).tolist(), strict=True)
                if a and b
            ),
            start=Fraction(0),
        ),
    )


def exactly(value: float) -> Sum:
    """Take a number as it stands."""
    return Sum(value=value, rounding=0.0, amounts=abs(value), exact=lambda: Fraction(value))


@dataclass(frozen=True)
class CellSums:
    """Sums of products by cell: quickly in float64, and as exactly as it takes of any one; arrays are (n_cells,)."""

    cell: IntArray
    """(n_terms,)"""
    left: FloatArray
    right: FloatArray
    first: IntArray
    """Each sum takes the terms of the cells from `first` up to its own."""
    value: FloatArray
    amounts: FloatArray
    n_terms: IntArray

    @classmethod
    def of(cls, cell: IntArray, left: FloatArray, right: FloatArray, n_cells: int) -> Self:
        """Add up the terms of every cell by itself."""
        terms = left * right
        return cls(
            cell=cell,
            left=left,
            right=right,
            first=np.arange(n_cells),
            value=np.bincount(cell, terms, n_cells),
            amounts=np.bincount(cell, np.abs(terms), n_cells),
            n_terms=np.bincount(cell, minlength=n_cells),
        )

    def cumulated(self, is_cumulated: BoolArray) -> Self:
        """Let the cells of some rows take in those before them: (n_rows,), each of equally many cells."""
        shape = len(is_cumulated), self.first.size // max(1, len(is_cumulated))

        def by_row(cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
            rows = cells.reshape(shape)
            return np.where(is_cumulated[:, None], np.cumsum(rows, axis=1), rows).ravel()

        rows = self.first.reshape(shape)
        return replace(
            self,
            first=np.where(is_cumulated[:, None], rows[:, :1], rows).ravel(),
            value=by_row(self.value),
            amounts=by_row(self.amounts),
            n_terms=by_row(self.n_terms),
        )

    @property
    def rounding(self) -> FloatArray:
        """Bound what float64 may be off by: each term is rounded once, and each sum with another."""
        return (self.n_terms + 2 + np.arange(len(self.first)) - self.first) * UNIT_ROUNDOFF * self.amounts

    def sum_of(self, cell: int) -> Sum:
        """Add one cell up again, with one rounding."""
        by_cell, ends = self._sorted
        terms = by_cell[ends[self.first[cell]] : ends[cell + 1]]
        return sum_of_products(self.left[terms], self.right[terms])

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray]:
        by_cell = np.argsort(self.cell, kind="stable")
        return by_cell, np.searchsorted(self.cell[by_cell], np.arange(len(self.first) + 1))


class Judge:
    """Compares sums with what is stated, and counts how often float64 was not enough."""

    def __init__(self) -> None:
        self.n_exact = 0

    def agrees(self, found: Sum, stated: float, tolerance: float) -> bool:
        """Tell whether |found − stated| ≤ tolerance; what is no number agrees with nothing."""
        return self._settle(abs(found.value - stated), found, stated, tolerance, abs)

    def is_at_most(self, found: Sum, limit: float, tolerance: float) -> bool:
        """Tell whether found ≤ limit + tolerance."""
        return self._settle(found.value - limit, found, limit, tolerance, lambda excess: excess)

    def agree(self, found: CellSums, stated: FloatArray, tolerance: FloatArray) -> BoolArray:
        """Tell of every cell whether |found − stated| ≤ tolerance."""
        return self._settle_all(np.abs(found.value - stated), found, stated, tolerance, self.agrees)

    def are_at_most(self, found: CellSums, limit: FloatArray, tolerance: FloatArray) -> BoolArray:
        """Tell of every cell whether found ≤ limit + tolerance."""
        return self._settle_all(found.value - limit, found, limit, tolerance, self.is_at_most)

    def _settle(
        self,
        difference: float,
        found: Sum,
        stated: float,
        tolerance: float,
        measure: Callable[[Fraction], Fraction],
    ) -> bool:
        if not (math.isfinite(stated) and math.isfinite(tolerance)):
            return False
        if not _is_close(difference, tolerance, found, stated):
            return difference <= tolerance
        self.n_exact += 1
        return measure(found.exact() - Fraction(stated)) <= Fraction(tolerance)

    def _settle_all(
        self,
        difference: FloatArray,
        found: CellSums,
        stated: FloatArray,
        tolerance: FloatArray,
        settle: Callable[[Sum, float, float], bool],
    ) -> BoolArray:
        holds = difference <= tolerance
        for i in np.flatnonzero(_is_close(difference, tolerance, found, stated)).tolist():
            holds[i] = settle(found.sum_of(i), float(stated[i]), float(tolerance[i]))
        return holds


def _is_close[N: (float, FloatArray)](
    difference: N, tolerance: N, found: Sum | CellSums, stated: N
) -> np.bool_ | BoolArray:
    """Tell whether rounding could turn a comparison: never where all is zero; what is NaN is never sure."""
    doubt = found.rounding + 2 * UNIT_ROUNDOFF * (np.abs(found.value) + np.abs(stated) + tolerance)
    is_sure: np.bool_ | BoolArray = np.abs(difference - tolerance) > doubt
    is_close: np.bool_ | BoolArray = np.logical_not(is_sure | np.equal(doubt, 0))
    return is_close
