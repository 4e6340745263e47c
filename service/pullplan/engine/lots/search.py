"""Of how many units is every order, so that all fit together?

Products are sized one after the other, each within the room that the others leave: those sized before take what
their orders take, those still to come most of what the relaxation gave them. What rounding down leaves free at a full
node is so offered to the next product at the relaxation's price, and rounding errors don't add up. Then groups of
products are sized together again, those that lots leave short first, as long as that is worth its time.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.sizing import LEAST_SAVING_SHARE, size_orders
from pullplan.engine.lots.stopping import round_down
from pullplan.engine.lots.ways import Table, tabulate
from pullplan.engine.model import SearchProgress
from pullplan.engine.options import Solution, runs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

RESERVED_SHARE = 0.95
"""Of what the relaxation gives a product that is still to be sized: so much nobody else takes."""
ROUNDING_SHARE = 1e-7
"""Of what products need: a smaller shortage is the solver's rounding."""
SHORT_ROUNDS = 3
"""How often each product that lots leave short is sized again."""
ROUND_CELLS = 3_000_000
"""Cells of all products' tables × rounds, at most: small instances get many rounds, large ones none."""
MOST_ROUNDS, ROUNDS_IN_VAIN = 200, 40
FEWEST_IN_VAIN = 10
"""Rounds without a saving, besides one for every order made, after which there are no more."""
TOGETHER = 3
"""Products that are sized together again, at most."""
CLOSED_SHARE = 0.2
"""Of the orders of a group: so many must not be made in a round, so that others are tried."""
FIRST_PRICE_FACTOR = 0.99
"""Of the relaxation's prices: at just these prices a full node ties with the next, and may be left idle."""
PRICE_FACTORS = (0.0, 0.5, 0.99, 1.5)
"""How dear room is to a product in a round."""


class Search:
    """Sizes orders round by round; the best so far is kept."""

    def __init__(
        self,
        problem: Problem,
        relaxation: Solution,
        progress: Callable[[SearchProgress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._problem, self._relaxation = problem, relaxation
        self._progress, self._should_stop = progress, should_stop
        self._prices = relaxation.capacity_savings
        self._needs = dict(runs(problem.options.need_product))
        self.sized: dict[int, Sized] = {}
        self._free = self._left_to_lots()
        self._lines = dict(runs(problem.options.need_product[relaxation.need]))
        self._n_sized = 0
        self.is_complete = True

    def run(self) -> None:
        products = [p for p in self._problem.rules.products.tolist() if p in self._needs]
        self._first(products)
        if products and self.is_complete:
            self._again(products)

    def _first(self, products: Sequence[int]) -> None:
        for done, product in enumerate(products):
            self._tell(done / len(products))
            own = self._lines.get(product, np.empty(0, dtype=np.int64))
            lines = self._relaxation
            rows, use = self._problem.use(
                product, lines.capability[own], lines.start_bucket[own], lines.units[own], setups=False
            )
            np.add.at(self._free, rows, RESERVED_SHARE * use)
            if self._is_stopped():
                free = np.maximum(0.0, self._free)
                self._put(product, round_down(self._problem, product, lines, own, free))
            else:
                self._put(product, self._size(product, FIRST_PRICE_FACTOR * self._prices, None))

    def _again(self, products: Sequence[int]) -> None:
        """Size products again, alone or together: those that lots leave short, then any."""
        chance = np.random.default_rng(0)
        short = [p for p in products if self._is_short(p)]
        self._retry_while_better(
            [p for _ in range(SHORT_ROUNDS) for p in short], products, chance, short_only=True
        )
        cells = sum(len(self._needs[p]) * len(self._problem.orders.of_product[p]) for p in products)
        n_rounds = min(MOST_ROUNDS, ROUND_CELLS // max(1, cells))
        self._retry_while_better(chance.choice(products, n_rounds).tolist(), products, chance)

    def _retry_while_better(
        self,
        chosen: Sequence[int],
        products: Sequence[int],
        chance: np.random.Generator,
        *,
        short_only: bool = False,
    ) -> None:
        in_vain = 0
        for done, product in enumerate(chosen):
            self._tell(done / len(chosen))
            n_made = sum(int((sized.size > 0).sum()) for sized in self.sized.values())
            if in_vain >= min(ROUNDS_IN_VAIN, FEWEST_IN_VAIN + n_made) or self._is_stopped():
                return
            if short_only and not self._is_short(product):
                continue
            in_vain = 0 if self._retry(product, products, chance) else in_vain + 1

    def _tell(self, done_share: float) -> None:
        self._n_sized += 1
        self._progress(SearchProgress(stage="lots", done_share=done_share, round=self._n_sized))

    def _is_stopped(self) -> bool:
        self.is_complete = self.is_complete and not self._should_stop()
        return not self.is_complete

    def _retry(self, product: int, products: Sequence[int], chance: np.random.Generator) -> bool:
        """Size a product again together with some that could be in its way; tell whether that was better."""
        others = [p for p in products if p != product]
        n_others = min(len(others), int(chance.integers(0, TOGETHER)))
        group = [product, *chance.choice(others, n_others, replace=False).tolist()] if n_others else [product]
        before = {p: self.sized[p] for p in group}
        for p in group:
            self._take_out(p)
        for p in chance.permutation(group).tolist():
            own = before[p]
            closed = (own.size > 0) & (chance.random(len(own.size)) < CLOSED_SHARE * chance.random())
            self._put(p, self._size(p, float(chance.choice(PRICE_FACTORS)) * self._prices, closed))
        value = sum(own.value for own in before.values())
        if sum(self.sized[p].value for p in group) < value - LEAST_SAVING_SHARE * abs(value):
            return True
        for p, own in before.items():
            self._take_out(p)
            self._put(p, own)
        return False

    def _size(self, product: int, prices: FloatArray, closed: BoolArray | None) -> Sized:
        return size_orders(self._problem, self._table(product), np.maximum(0.0, self._free), prices, closed)

    def _table(self, product: int) -> Table:
        problem = self._problem
        return tabulate(
            problem.options,
            problem.orders,
            product,
            self._needs[product],
            problem.left_short,
            problem.weights,
        )

    def _put(self, product: int, sized: Sized) -> None:
        self.sized[product] = sized
        rows, use = self._use(product)
        np.subtract.at(self._free, rows, use)

    def _take_out(self, product: int) -> None:
        rows, use = self._use(product)
        np.add.at(self._free, rows, use)

    def _use(self, product: int) -> tuple[IntArray, FloatArray]:
        orders, sized = self._problem.orders, self.sized[product]
        return self._problem.use(
            product, orders.capability[sized.order], orders.start[sized.order], sized.size, setups=True
        )

    def _is_short(self, product: int) -> bool:
        sized = self.sized[product]
        return sized.short_units > ROUNDING_SHARE * float(sized.line_units.sum() + sized.short_units)

    def _left_to_lots(self) -> FloatArray:
        """Tell what the relaxation leaves free, and what of its own use it does not keep for products still to come."""
        options, lines = self._problem.options, self._relaxation
        has_lots = np.isin(options.need_product[lines.need], self._problem.rules.products)
        taken = options.use_by_bucket(
            lines.capability,
            lines.start_bucket,
            np.where(has_lots, RESERVED_SHARE, 1.0) * lines.units,
        )
        return options.capacities.available - taken
