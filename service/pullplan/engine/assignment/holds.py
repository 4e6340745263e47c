"""What keeps needs where they were: which line holds each, and how much of them has to stay?

Whoever stays takes its *stay*: its own way once more, in the one bucket in which its line starts. All stays share one row
of the market, in which a unit that stays uses −1, so that "no fewer units stay" is a capacity like any other, with a price.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOT_HELD = -1


@dataclass(frozen=True)
class Holds:
    """The line that holds each need; arrays are (n_needs,)."""

    capability: IntArray
    """NOT_HELD where none does."""
    start_bucket: IntArray
    """NOT_HELD where none does."""
    fewest_units: float = 0.0
    """So many held units stay, whatever that costs."""
    worth_per_unit: float = 0.0
    """Of a held unit that stays, in the cost stage."""
    churn_price: float = 0.0
    """What one more unit that moves may save: where the search begins."""

    @property
    def is_free(self) -> bool:
        """Tell whether staying decides between equally good plans alone."""
        return self.fewest_units <= 0 and self.worth_per_unit == 0

    def capacity(self, n_starts: int) -> FloatArray:
        """Say how much of the row of stays there is: (1, n_starts), a store that is filled at the end."""
        row = np.zeros((1, n_starts))
        row[0, -1] = -max(0.0, self.fewest_units)
        return row
