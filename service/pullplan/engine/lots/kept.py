"""What of an earlier plan may orders keep?"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.options import Options, Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STAY_SHARE = 1e-9
"""Of a line: if a relaxation moves less of it, it leaves it as it is."""


@dataclass(frozen=True)
class Kept:
    """Lines of an earlier plan that can all stay together in orders of whole lots, ordered by need; arrays are (n_lines,)."""

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    staying_units: FloatArray
    """What the relaxation leaves where it is; the rest may go anywhere."""
    price: float
    """What a staying unit must save to be made by another order; ∞: it stays."""

    @classmethod
    def of(
        cls,
        need: IntArray,
        capability: IntArray,
        start_bucket: IntArray,
        units: FloatArray,
        *,
        options: Options,
        relaxation: Solution,
        price: float,
    ) -> Self:
        """Ask a relaxation how many units of each line it leaves."""
        left = options.number(relaxation.need, relaxation.capability, relaxation.start_bucket)
        number = options.number(need, capability, start_bucket)
        at = np.minimum(np.searchsorted(left, number), max(0, len(left) - 1))
        stays = np.zeros(len(units))
        if len(left):
            stays = np.where(left[at] == number, relaxation.units[at], 0.0)
        staying = np.where(stays >= units * (1 - STAY_SHARE), units, stays)
        staying[staying <= STAY_SHARE * units] = 0.0
        return cls(need, capability, start_bucket, units, staying, price)

    def __getitem__(self, some: IntArray) -> Self:
        """Take some lines."""
        return type(self)(
            self.need[some],
            self.capability[some],
            self.start_bucket[some],
            self.units[some],
            self.staying_units[some],
            self.price,
        )

    @property
    def is_fixed(self) -> bool:
        """Tell whether what stays stays whatever it costs."""
        return self.price == np.inf
