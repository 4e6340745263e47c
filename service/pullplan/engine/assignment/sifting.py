"""Which few columns does a large programme of classes need? Those that nearly tie at good prices, and what those lack.

Simplex on every class × way at once takes seconds from some ten thousand columns on. At good prices most classes have one
way, or to stay short, that is plainly the cheapest; the programme of the others is small. Its prices are held against
every column, and what is cheaper joins, until nothing is: then the basis is one of the whole programme.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.stages import FEASIBILITY_TOLERANCE, Search, solve

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SIFTED_FROM_COLUMNS = 8_000
"""Below, HiGHS takes them all within a tenth of a second."""
COOLING = np.geomspace(1.0, 1e-3, 10)
"""Temperatures, of the mean of what to stay short costs."""
AMPLE_BELOW = 3e-3
"""Of what staying short costs: where to serve is no dearer at good prices, simplex finds how at once, and few columns
would only keep it from that."""
MOST_STEPS = 12
TOLERANCE = 1e-3
"""Of the mean capacity: how far use may miss capacity at good prices."""
LONGEST_STEP = 1e3
"""Of the temperature."""
SHORTEST_STEP = 2.0**-8
RIDGE = 1e-6
NEAR_TIES_PER_ROW = 40
"""So many columns besides the cheapest of each class are in the first programme."""
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Columns:
    """The columns of a programme of classes, class by class; each serves its class, and uses capacity."""

    class_of_column: IntArray
    """Ascending; every class has a column."""
    use: csr_array
    """(n_columns, n_rows)"""
    units: FloatArray
    """(n_classes,)"""
    capacity: FloatArray
    """(n_rows,)"""

    @cached_property
    def first(self) -> IntArray:
        """Number every class's first column: (n_classes,)."""
        return np.searchsorted(self.class_of_column, np.arange(len(self.units)))

    @cached_property
    def column_of_entry(self) -> IntArray:
        """Name the column of each entry of `use`."""
        return np.repeat(np.arange(len(self.class_of_column)), np.diff(self.use.indptr))

    @cached_property
    def by_class(self) -> csr_array:
        """Add columns up by class: (n_classes, n_columns)."""
        n_columns = len(self.class_of_column)
        return csr_array((np.ones(n_columns), np.arange(n_columns), np.append(self.first, n_columns)))

    @cached_property
    def of_column(self) -> csr_array:
        """Turn `use` around: (n_rows, n_columns)."""
        return csr_array(self.use.T)


@dataclass(frozen=True)
class _Look:
    value: float
    slope: FloatArray
    curvature: FloatArray


def sift(search: Search, columns: Columns, costs: FloatArray) -> None:
    """Bring the search to an optimum over all columns by solving few of them; left alone where capacity is ample.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    priced = costs + columns.use @ _good_prices(columns, costs)
    least = np.minimum.reduceat(priced, columns.first)
    if float(columns.units @ least) <= AMPLE_BELOW * float(columns.units.sum() * costs[costs > 0].mean()):
        return
    dearer = priced - least[columns.class_of_column]
    n_kept = min(len(dearer), len(least) + NEAR_TIES_PER_ROW * len(columns.capacity))
    kept = (costs > 0) | (dearer <= np.partition(dearer, n_kept - 1)[n_kept - 1])
    bound(search, np.flatnonzero(~kept), 0.0)
    for _ in range(MOST_ROUNDS):
        _, reduced = solve(search, costs)
        lacking = np.flatnonzero(~kept & (reduced < -FEASIBILITY_TOLERANCE))
        if len(lacking) == 0:
            break
        kept[lacking] = True
        bound(search, lacking, np.inf)
    bound(search, np.flatnonzero(~kept), np.inf)


def bound(search: Search, columns: IntArray, upper: float) -> None:
    """Let these columns be at most so much."""
    n = len(columns)
    search.highs.changeColsBounds(n, columns.astype(np.int32), np.zeros(n), np.full(n, upper))


def _good_prices(columns: Columns, costs: FloatArray) -> FloatArray:
    """Climb the smoothed dual by Newton's steps while classes choose less and less softly: (n_rows,)."""
    prices = np.zeros(len(columns.capacity))
    for temperature in (COOLING * float(costs[costs > 0].mean())).tolist():
        prices = _climb(columns, costs, prices, temperature)
    return prices


def _climb(columns: Columns, costs: FloatArray, prices: FloatArray, temperature: float) -> FloatArray:
    typical = float(np.abs(columns.capacity).mean())
    look = _look_at(columns, costs, prices, temperature)
    for _ in range(MOST_STEPS):
        free = (prices > 0) | (look.slope > 0)
        if np.abs(look.slope[free]).max(initial=0.0) <= TOLERANCE * typical:
            break
        slope, curvature = look.slope[free], look.curvature[np.ix_(free, free)]
        ridge = RIDGE * float(np.trace(curvature)) / len(slope)
        ridge += float(np.linalg.norm(slope)) / (LONGEST_STEP * temperature)
        direction = np.zeros(len(prices))
        direction[free] = np.linalg.solve(curvature + ridge * np.eye(len(slope)), slope)
        step = 1.0
        while step >= SHORTEST_STEP:
            trial = np.maximum(0.0, prices + step * direction)
            seen = _look_at(columns, costs, trial, temperature)
            if seen.value > look.value:
                break
            step /= 2
        else:
            break
        prices, look = trial, seen
    return prices


def _look_at(columns: Columns, costs: FloatArray, prices: FloatArray, temperature: float) -> _Look:
    """Look at the smoothed dual: its value, slope (use − capacity) and curvature."""
    of = columns.class_of_column
    priced = costs + columns.use @ prices
    least = np.minimum.reduceat(priced, columns.first)
    weight = np.exp((least[of] - priced) / temperature)
    total = np.add.reduceat(weight, columns.first)
    made = weight / total[of] * columns.units[of]
    data = columns.use.data * made[columns.column_of_entry]
    used = csr_array((data, columns.use.indices, columns.use.indptr), shape=columns.use.shape)
    by_class = (columns.by_class @ used).toarray()
    units = np.where(columns.units > 0, columns.units, 1.0)
    spread = (columns.of_column @ used).toarray() - by_class.T @ (by_class / units[:, None])
    return _Look(
        value=float(columns.units @ (least - temperature * np.log(total))) - float(prices @ columns.capacity),
        slope=by_class.sum(axis=0) - columns.capacity,
        curvature=spread / temperature,
    )
