"""In which sizes may every capability make lots, and what does an order take besides its units?"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.errors import LotRulesContradictoryError
from pullplan.engine.model import Capability, Product
from pullplan.engine.options import CapacityKey, Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WHOLE_WITHIN = 1e-9
"""Of a multiple or a lot: a quotient so near to a whole number is whole."""


@dataclass(frozen=True)
class LotRules:
    """What an order of each capability is cut into; arrays are (n_capabilities,)."""

    minimum: FloatArray
    """Of a lot, and so of an order; a whole number of multiples where there is one; 0: none."""
    multiple: FloatArray
    """0: none."""
    maximum: FloatArray
    """Of a lot; a whole number of multiples where there is one; ∞: none."""
    setup: csr_array
    """(n_capabilities, n_resources): what an order takes, however many units and lots it is of."""
    has_setup: npt.NDArray[np.bool_]
    products: IntArray
    """Positions of the products of which some usable capability has a rule."""

    def cut(self, capability: int, units: float) -> tuple[int, float, int, float]:
        """Cut an order into the fewest lots, as equal as its multiple allows: two sizes, the larger first.

        Returns how many lots of which units, and how many smaller ones of which units (0 of 0: all are equal)
        """
        n_lots = max(1, math.ceil(units / self.maximum[capability] - WHOLE_WITHIN))
        multiple = float(self.multiple[capability])
        if multiple <= 0:
            return n_lots, units / n_lots, 0, 0.0
        each, n_larger = divmod(round(units / multiple), n_lots)
        if n_larger == 0:
            return n_lots, multiple * each, 0, 0.0
        return n_larger, multiple * (each + 1), n_lots - n_larger, multiple * each

    def of(self, capability: IntArray) -> "Sizes":
        """Look up what orders of some capabilities may be of."""
        return Sizes(self.minimum[capability], self.multiple[capability], self.maximum[capability])


@dataclass(frozen=True)
class Sizes:
    """Of which units some orders may be; arrays are (n_orders,), as in `LotRules`."""

    minimum: FloatArray
    multiple: FloatArray
    maximum: FloatArray

    def down(self, units: FloatArray) -> FloatArray:
        """Find the largest size that is no larger; 0 where there is none."""
        size = self._whole(units, np.floor, WHOLE_WITHIN)
        n_lots = self._lots(size)
        # Between the most that some lots make and the least that one more does, there is no size.
        size = np.where(size < n_lots * self.minimum * (1 - WHOLE_WITHIN), self._full(n_lots - 1), size)
        return np.where(size < self.minimum * (1 - WHOLE_WITHIN), 0.0, size)

    def up(self, units: FloatArray) -> FloatArray:
        """Find the smallest size that is no smaller; 0 for 0."""
        size = self._whole(np.maximum(units, self.minimum), np.ceil, -WHOLE_WITHIN)
        size = np.maximum(size, self._lots(size) * self.minimum)
        return np.where(units > 0, size, 0.0)

    def _whole(self, units: FloatArray, rounded: np.ufunc, within: float) -> FloatArray:
        multiple = np.where(self.multiple > 0, self.multiple, 1.0)
        return np.where(self.multiple > 0, multiple * rounded(units / multiple + within), units)

    def _lots(self, size: FloatArray) -> FloatArray:
        lots: FloatArray = np.maximum(1.0, np.ceil(size / self.maximum - WHOLE_WITHIN))
        return lots

    def _full(self, n_lots: FloatArray) -> FloatArray:
        return np.where(n_lots > 0, n_lots * np.where(n_lots > 0, self.maximum, 0.0), 0.0)


def lot_rules(options: Options) -> LotRules | None:
    """Fill in what products say; None where nobody has a rule.

    Raises: LotRulesContradictoryError where no lot can be within minimum, multiple and maximum.
    """
    capabilities = options.capabilities
    if not any(map(_says_anything, options.products)) and not any(
        _says_anything(c) or c.setup_use_per_order for c in capabilities.rows
    ):
        return None
    sizes = [
        lot_sizes(capability, options.products[product])
        for capability, product in zip(capabilities.rows, capabilities.product.tolist(), strict=True)
    ]
    minimum, multiple, maximum = np.array(sizes, dtype=np.float64).reshape(-1, 3).T
    setup = _setup(options)
    has_setup = np.diff(setup.indptr) > 0
    is_ruled = (minimum > 0) | (multiple > 0) | np.isfinite(maximum) | has_setup
    products = np.unique(capabilities.product[is_ruled & capabilities.is_usable])
    return LotRules(minimum, multiple, maximum, setup, has_setup, products) if len(products) else None


def _says_anything(of: Capability | Product) -> bool:
    return bool(of.minimum_lot_units or of.lot_multiple_units or of.maximum_lot_units)


def lot_sizes(capability: Capability, product: Product) -> tuple[float, float, float]:
    """Tell minimum, multiple and maximum, the product's where the capability says nothing of its own.

    0 is no minimum or multiple, ∞ no maximum; minimum and maximum are whole numbers of multiples.

    Raises: LotRulesContradictoryError where no lot can be within them.
    """

    def rule(name: str) -> float:
        own: float | None = getattr(capability, name)
        return (getattr(product, name) if own is None else own) or 0.0

    minimum, multiple = rule("minimum_lot_units"), rule("lot_multiple_units")
    maximum = rule("maximum_lot_units") or math.inf
    if multiple > 0:
        minimum = multiple * math.ceil(minimum / multiple - WHOLE_WITHIN)
        if maximum < math.inf:
            maximum = multiple * math.floor(maximum / multiple + WHOLE_WITHIN)
    if maximum < max(minimum, multiple):
        raise LotRulesContradictoryError(capability.node_code, capability.product_code)
    return minimum, multiple, maximum


def _setup(options: Options) -> csr_array:
    row_of = {key: k for k, key in enumerate(options.capacities.keys)}
    entries = [
        (c, row_of[CapacityKey(capability.node_code, code)], use)
        for c, capability in enumerate(options.capabilities.rows)
        for code, use in sorted(capability.setup_use_per_order.items())
        if use > 0
    ]
    capability, row, use = zip(*entries, strict=True) if entries else ((), (), ())
    shape = (len(options.capabilities.rows), len(options.capacities.keys))
    index = (np.array(capability, dtype=np.int64), np.array(row, dtype=np.int64))
    return csr_array((np.array(use, dtype=np.float64), index), shape=shape)
