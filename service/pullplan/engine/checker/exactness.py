"""Is a sum what it is said to be? In float64 where rounding cannot matter, in exact rationals where it could."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

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


def sum_of_products(left: Sequence[float], right: Sequence[float]) -> Sum:
    """Add products up: each is rounded once, their sum once more."""
    terms = [a * b for a, b in zip(left, right, strict=True)]
    amounts = math.fsum(map(abs, terms))
    return Sum(
        value=math.fsum(terms),
        rounding=3 * UNIT_ROUNDOFF * amounts,
        amounts=amounts,
        exact=lambda: sum(
            (Fraction(a) * Fraction(b) for a, b in zip(left, right, strict=True)), start=Fraction(0)
        ),
    )


def exactly(value: float) -> Sum:
    """Take a number as it stands."""
    return Sum(value=value, rounding=0.0, amounts=abs(value), exact=lambda: Fraction(value))


class Judge:
    """Compares sums with what is stated, and counts how often float64 was not enough."""

    def __init__(self) -> None:
        self.n_exact = 0

    def agrees(self, found: Sum, stated: float, tolerance: float) -> bool:
        """Tell whether |found − stated| ≤ tolerance."""
        if not math.isfinite(stated):
            return False
        difference = abs(found.value - stated)
        if abs(difference - tolerance) > self._doubt(found, stated, tolerance):
            return difference <= tolerance
        self.n_exact += 1
        return abs(found.exact() - Fraction(stated)) <= Fraction(tolerance)

    def is_at_most(self, found: Sum, limit: float, tolerance: float) -> bool:
        """Tell whether found ≤ limit + tolerance."""
        excess = found.value - limit
        if abs(excess - tolerance) > self._doubt(found, limit, tolerance):
            return excess <= tolerance
        self.n_exact += 1
        return found.exact() - Fraction(limit) <= Fraction(tolerance)

    @staticmethod
    def _doubt(found: Sum, stated: float, tolerance: float) -> float:
        return found.rounding + 2 * UNIT_ROUNDOFF * (abs(found.value) + abs(stated) + tolerance)
