"""Whose line might no longer be the cheapest, now that prices have moved?

A need's margin is by how much its next way is dearer than its line, at prices of some time ago. No way gets cheaper than
the line unless prices of its product's ways moved apart by more than that: other needs are not read. What margins leave
over is priced exactly, so that they decide how much is read, and nothing else.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights
from pullplan.engine.replanning.lines import Lines
from pullplan.engine.replanning.offers import Offers

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

ROUNDING = 1e-9
"""Of the mean need's price: margins and movements that differ by less may be equal."""


@dataclass(frozen=True)
class Margins:
    """Of all needs, at one stage's prices."""

    weights: StageWeights
    start_prices: FloatArray
    """(n_batches, n_buckets)"""
    margin: FloatArray
    """(n_needs,); −∞ where the line is dearer already, or there is none."""
    rounding: float

    @classmethod
    def of(cls, offers: Offers, lines: Lines, weights: StageWeights) -> Self:
        """Look at all ways of all needs."""
        mean_price = float(np.abs(lines.priced(weights)).mean()) if len(lines.need) else 0.0
        unknown = np.full(len(offers.options.needs), -np.inf)
        nothing = cls(weights, offers.start_prices(weights), unknown, ROUNDING * mean_price)
        return nothing.looked_at(offers, lines, None)

    def looked_at(self, offers: Offers, lines: Lines, needs: IntArray | None) -> Self:
        """Look at all ways of all needs, or of some, of which these are the lines.

        Shapes: (n,) ascending positions
        """
        best, next_start = _two_least(self.start_prices.T)
        n_needs = len(offers.options.needs)
        margin = self.margin.copy()
        limit = np.full(n_needs, -np.inf)
        for of_product, column, priced in offers.priced(best, self.weights.route_cost, needs):
            at = of_product.needs[column]
            least, second = _two_least(priced)
            batch = offers.batches.first[of_product.product] + of_product.batch(priced.argmin(axis=0), column)
            margin[at] = np.minimum(second - least, next_start[batch] - best[batch])
            limit[at] = least + self.rounding
        is_served = np.zeros(n_needs, dtype=bool)
        is_served[lines.need] = True
        looked_at = np.isfinite(limit)
        margin[looked_at & ~is_served] = -np.inf
        margin[lines.need[lines.priced(self.weights) > limit[lines.need]]] = -np.inf
        return replace(self, margin=margin)

    def widened(self, is_changed: BoolArray) -> Self:
        """Know nothing of some needs, of which there may be more than before: (n_needs,)."""
        margin = np.append(self.margin, np.full(len(is_changed) - len(self.margin), -np.inf))
        margin[is_changed] = -np.inf
        return replace(self, margin=margin)

    def near(self, offers: Offers, weights: StageWeights) -> IntArray | None:
        """List the needs whose line may be dearer than another way at these prices; None where it may be any."""
        if weights.route_cost != self.weights.route_cost:
            return None
        now = offers.start_prices(weights)
        is_start = np.isfinite(now)
        moved = np.subtract(now, self.start_prices, out=np.full(now.shape, np.nan), where=is_start).ravel()
        products = np.array(list(offers.of_product), dtype=np.int64)
        first = now.shape[1] * np.array(list(offers.batches.first.values()), dtype=np.int64)
        if len(moved) == 0 or (np.diff(first, append=len(moved)) == 0).any():
            return None
        apart = np.full(len(offers.options.products), np.inf)
        apart[products] = np.fmax.reduceat(moved, first) - np.fmin.reduceat(moved, first)
        return np.flatnonzero(self.margin <= apart[offers.options.need_product] + self.rounding)


def _two_least(priced: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take the least and the second of every column; infinite where there is none: (n, m) → twice (m,)."""
    if len(priced) < 2:
        nothing = np.full(priced.shape[1], np.inf)
        return priced[0] if len(priced) else nothing, nothing
    least, second = np.partition(priced, 1, axis=0)[:2]
    # Without any price there is no margin: what is infinite is no further from what is infinite.
    return least, np.where(np.isfinite(second), second, np.inf)
