"""Of how many units is every order, so that all fit together?

Products are sized one after the other, each within the room that the others leave: those sized before take what
their orders take, those still to come most of what the relaxation gave them. What rounding down leaves free at a full
node is so offered to the next product at the relaxation's price, and rounding errors don't add up. Then groups of
products are sized together again, those that lots leave short first, as long as that is worth its time.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.sizing import Problem, size_orders
from pullplan.engine.lots.ways import gather, take
from pullplan.engine.options import OptionRows, Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SMALL_OPTIONS = 12_000
"""Up to so many options of all products together, every one is looked at."""
NEAREST_WAYS = 4
"""Above: the capabilities looked at for every need, by cost and worth of capacity."""
RESERVED_SHARE = 0.95
"""Of what the relaxation gives a product that is still to be sized: so much nobody else takes."""
ROUNDING_SHARE = 1e-7
"""Of what products need: a smaller shortage is the solver's rounding."""
TOGETHER = 3
"""Products that are sized together again."""


def search(
    problem: Problem,
    relaxation: Solution,
    tables: Mapping[int, OptionRows],
    progress: Callable[[float], None],
) -> FloatArray:
    """Size every order.

    Shapes: `tables` lists each product's options → (n_orders,) units
    """
    return _Search(problem, relaxation, tables).run(progress)


class _Search:
    def __init__(self, problem: Problem, relaxation: Solution, tables: Mapping[int, OptionRows]) -> None:
        self._problem, self._relaxation, self._tables = problem, relaxation, tables
        cost = next(p for p in relaxation.stage_prices if p.measure.startswith("cost:"))
        self._prices = cost.capacity
        self._is_small = sum(len(rows.need) for rows in tables.values()) <= SMALL_OPTIONS
        self._size = np.zeros(len(problem.orders.capability))
        options = problem.options
        self._free = options.capacities.available - options.use_by_bucket(
            relaxation.capability, relaxation.start_bucket, relaxation.units
        )

    def run(self, progress: Callable[[float], None]) -> FloatArray:
        reserved = {product: self._relaxed_use(product) for product in self._tables}
        self._free += (1 - RESERVED_SHARE) * sum(reserved.values())
        missing = dict.fromkeys(self._tables, 0.0)
        for done, product in enumerate(self._tables):
            progress(done / len(self._tables))
            self._free += RESERVED_SHARE * reserved[product]
            if not (self._is_small and len(self._tables) <= TOGETHER):
                missing[product] = self._resize([product], self._prices)
        for product in self._again(missing):
            if missing[product] > 0 or self._is_small:
                group = self._together(product)
                left = self._resize(group, None)
                missing |= dict.fromkeys(group, left)
                if len(group) == len(self._tables):
                    break
        return self._size

    def _again(self, missing: Mapping[int, float]) -> list[int]:
        """Name products to be sized again: of a small instance all, else those that lots leave short."""
        chosen = [product for product in self._tables if missing[product] > 0 or self._is_small]
        return sorted(chosen, key=lambda product: (-missing[product], product))

    def _together(self, product: int) -> tuple[int, ...]:
        """Join a product with those that take most of what it could use where little of that is left."""
        problem = self._problem
        orders, use = problem.orders, problem.options.capabilities.use
        wanted = np.zeros(self._free.shape)
        own = orders.product == product
        wanted[:, :] = (use[orders.capability[own]] > 0).sum(axis=0)[:, None] > 0
        there = np.maximum(self._free + 1e-9, 1e-3 * problem.options.capacities.available + 1e-9)
        shares = {}
        for other in self._tables:
            made = np.flatnonzero((orders.product == other) & (self._size > 0))
            shares[other] = float((wanted * problem.use(made, self._size[made]) / there).sum())
        shares[product] = np.inf
        return tuple(sorted(sorted(shares, key=lambda other: (-shares[other], other))[:TOGETHER]))

    def _resize(self, products: Sequence[int], prices: FloatArray | None) -> float:
        """Size all orders of some products anew, thoroughly where room is not to be left to others at prices.

        Returns what of their needs lots leave short.
        """
        problem = self._problem
        rows = take([self._tables[p] for p in products], [self._is_looked_at(p) for p in products])
        if len(rows.need) == 0:
            return 0.0
        ways = gather(problem.options, problem.orders, np.unique(rows.need), rows)
        own = np.flatnonzero(np.isin(problem.orders.product, products))
        self._free += problem.use(own, self._size[own])
        sized = size_orders(
            problem,
            ways,
            self._free,
            np.zeros(self._prices.shape) if prices is None else prices,
            self._size[ways.order],
            thorough=prices is None,
        )
        self._size[own] = 0.0
        self._size[sized.order] = sized.size
        self._free -= problem.use(own, self._size[own])
        wanted = float(problem.units[ways.need].sum())
        return sized.shortage if sized.shortage > ROUNDING_SHARE * wanted else 0.0

    def _is_looked_at(self, product: int) -> BoolArray:
        """Mark the options of the nearest ways, and of those that the relaxation takes or an order is made on."""
        rows, options, weights = self._tables[product], self._problem.options, self._problem.weights
        if self._is_small:
            return np.ones(len(rows.need), dtype=bool)
        price = options.capability_prices(self._prices)[rows.capability, rows.start_bucket]
        cost = rows.cost + price + weights.lateness * rows.late_buckets
        pair = rows.need * len(options.capabilities.rows) + rows.capability
        first = np.flatnonzero(np.diff(pair, prepend=-1))
        least = np.minimum.reduceat(cost, first) if len(first) else np.empty(0)
        need = rows.need[first]
        order = np.lexsort((least, need))
        is_near = np.zeros(len(first), dtype=bool)
        is_near[order[np.arange(len(order)) - np.searchsorted(need[order], need[order]) < NEAREST_WAYS]] = (
            True
        )
        used = self._relaxation.need * len(options.capabilities.rows) + self._relaxation.capability
        is_near |= np.isin(pair[first], used[options.need_product[self._relaxation.need] == product])
        return np.repeat(is_near, np.diff(first, append=len(pair)))

    def _relaxed_use(self, product: int) -> FloatArray:
        solution = self._relaxation
        of = self._problem.options.need_product[solution.need] == product
        return self._problem.options.use_by_bucket(
            solution.capability[of], solution.start_bucket[of], solution.units[of]
        )
