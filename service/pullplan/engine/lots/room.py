"""How many units more may the orders of one product make?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.lots.rules import LotRules
from pullplan.engine.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROUNDING = 1e-12
"""Of what there is: to take so much too many is the arithmetic's rounding."""


@dataclass(frozen=True)
class _Store:
    """A stored resource, or a share limit, that the orders of one capability take from whenever they start."""

    orders: IntArray
    """By start bucket."""
    start: IntArray
    use: float
    """Of a unit."""
    setup_use: float
    """Of an order."""
    up_to: FloatArray
    """(n_buckets,): what there is up to the end of each bucket."""

    def left(self, size: FloatArray) -> FloatArray:
        """Tell what is left of it at the end of each bucket: (n_buckets,); negative where too much is taken."""
        taken = self.use * size[self.orders] + self.setup_use * (size[self.orders] > 0)
        left: FloatArray = self.up_to - np.cumsum(
            np.bincount(self.start, weights=taken, minlength=len(self.up_to))
        )
        return left

    def left_for(self, size: FloatArray, giver: int) -> FloatArray:
        """Tell how many units more each of its orders may make, if `giver` makes as many fewer."""
        left = self.left(size)
        given = np.flatnonzero(self.orders == giver)
        if len(given):
            # Work that starts later than the giver's takes nothing more; earlier work does so until then.
            left[int(self.start[given[0]]) :] = np.inf
        there = np.minimum.accumulate(left[::-1])[::-1][self.start] - self.setup_use * (
            size[self.orders] == 0
        )
        if self.use == 0:
            return np.where(there >= 0, np.inf, 0.0)
        units: FloatArray = np.maximum(0.0, there) / self.use
        return units


class Room:
    """Keeps what each order of a product has to itself, and what the orders of one capability share."""

    def __init__(
        self, options: Options, rules: LotRules, capability: IntArray, start: IntArray, free: FloatArray
    ) -> None:
        """Look up what is free.

        Shapes: (n_orders,) twice, by capability and start; `free` (n_resources, n_buckets)
        """
        self.most = np.full(len(capability), np.inf)
        """(n_orders,): units, were no other order made."""
        self._stores: list[_Store] = []
        for c in np.unique(capability).tolist():
            orders = np.flatnonzero(capability == c)
            use, setup = (_row(of, c) for of in (options.capabilities.use, rules.setup))
            for k in sorted(use.keys() | setup.keys()):
                per_unit, per_order = use.get(k, 0.0), setup.get(k, 0.0)
                there = free[k, start[orders]]
                if options.capacities.is_stored[k]:
                    up_to = np.cumsum(free[k])
                    there = np.minimum.accumulate(up_to[::-1])[::-1][start[orders]]
                    if len(orders) > 1:
                        self._stores.append(_Store(orders, start[orders], per_unit, per_order, up_to))
                if per_unit > 0:
                    self.most[orders] = np.minimum(self.most[orders], (there - per_order) / per_unit)
                elif per_order > 0:
                    self.most[orders[there < per_order]] = 0.0
        self.most = np.maximum(self.most, 0.0)

    def left(self, size: FloatArray, most: FloatArray, giver: int) -> FloatArray:
        """Tell how many units more each order may make, those of one that gives up work being free in its buckets.

        Shapes: `size` and `most` (n_orders,); `giver` is its position, −1: nobody → (n_orders,)
        """
        left = np.maximum(0.0, most - size)
        for store in self._stores:
            left[store.orders] = np.minimum(left[store.orders], store.left_for(size, giver))
        return left

    def overload(self, size: FloatArray) -> tuple[int, float]:
        """Name an order that makes too many units for what it shares, and how many; −1 and 0: none does."""
        for store in self._stores:
            left = store.left(size)
            over = np.flatnonzero(left < -ROUNDING * store.up_to.max(initial=0.0))
            made = np.flatnonzero((size[store.orders] > 0) & (store.start <= over.max(initial=-1)))
            if len(made):
                many = float(-left[over].min())
                return int(store.orders[made[-1]]), many / store.use if store.use > 0 else np.inf
        return -1, 0.0


def _row(matrix: csr_array, row: int) -> dict[int, float]:
    entries = slice(*matrix.indptr[row : row + 2].tolist())
    return dict(zip(matrix.indices[entries].tolist(), matrix.data[entries].tolist(), strict=True))
