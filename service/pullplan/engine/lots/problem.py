"""What do the sizes of all orders have in common, and what is known of a product once its orders are sized?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.lots.kept import Kept
from pullplan.engine.lots.rules import LotRules
from pullplan.engine.lots.ways import Orders, Weights
from pullplan.engine.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What stays the same whichever orders are sized."""

    options: Options
    rules: LotRules
    orders: Orders
    left_short: FloatArray
    """(n_needs,): what the relaxation does not serve of every need."""
    weights: Weights
    make_minimum: bool
    kept: Kept | None = None
    """Lines of an earlier plan, in a re-plan."""

    def use(
        self, product: int, capability: IntArray, start: IntArray, units: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """Add up what work on a product takes of the resources that its capabilities use.

        Shapes: three times (n,) → (n_used,) positions of resources, (n_used, n_buckets)
        """
        own = self.options.capabilities.of_product[product]
        made = np.zeros((len(own), self.options.horizon.horizon_buckets))
        np.add.at(made, (np.searchsorted(own, capability), start), units)
        rows, used = _used(self.options.capabilities.use[own], made)
        if not self.rules.has_setup[own].any():
            return rows, used
        more, setup = _used(self.rules.setup[own], (made > 0).astype(np.float64))
        return np.concatenate([rows, more]), np.concatenate([used, setup])


def _used(use: csr_array, made: FloatArray) -> tuple[IntArray, FloatArray]:
    rows, at = np.unique(use.indices.astype(np.int64), return_inverse=True)
    dense = np.zeros((len(made), len(rows)))
    dense[np.repeat(np.arange(len(made)), np.diff(use.indptr)), at] = use.data
    return rows, dense.T @ made


@dataclass(frozen=True)
class Sized:
    """A product's orders with their units, and who gets them."""

    order: IntArray
    """(n_orders,): positions among all orders."""
    size: FloatArray
    """(n_orders,)"""
    line_need: IntArray
    line_order: IntArray
    line_units: FloatArray
    """(n_lines,) each: positions of needs and among all orders."""
    value: float
    """The sum that sizes are chosen by, without the worth of room."""
    short_units: float
    """Of what the relaxation serves."""
    moved_units: float = 0.0
    """Of what should stay in its order: what does not."""
    n_chains: int = 0
    """How many times shortest chains were looked for."""
