"""What does an assignment hand on: who makes what when, and what proves it?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StagePrices:
    """What proves one stage.

    `capacity` (n_resources, n_buckets) prices one more unit of capacity that is there (stored: arrives) in a
    bucket; `multipliers` price one unit of each earlier stage's measure; `churn`, where lines of an earlier plan are
    held, one more held unit that moves. All ≥ 0.
    """

    measure: str
    capacity: FloatArray
    multipliers: FloatArray
    churn: float = 0.0


@dataclass(frozen=True)
class Solution:
    """Who makes what when, what stays short of every need, and the proof's prices.

    One line per need × capability × start bucket that is used, ordered so: arrays are (n_lines,).
    """

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    shortfall_units: FloatArray
    """(n_needs,)"""
    stage_prices: tuple[StagePrices, ...]
    capacity_savings: FloatArray
    """(n_resources, n_buckets): what one more unit of capacity would save in the cost stage alone, earlier stages
    being kept: for people. The stage's own prices prove, and count what a unit is worth to shortfall as well."""
    method: str
    tie_break: str
    is_complete: bool = True
    """False: the search was stopped, and this is the best that was found."""

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Name the stages that were proved, in their order."""
        return tuple(prices.measure for prices in self.stage_prices)
