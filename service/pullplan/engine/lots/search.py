"""Of how many units is every order, so that all fit together?

Products are sized one after the other, each within the room that the others leave: those sized before take what
their orders take, those still to come most of what is expected of them. What rounding down leaves free at a full
node is so offered to the next product at the price of its room, and rounding errors don't add up. Then groups of
products are sized together again, those that lots leave short first, as long as that is worth its time.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.hint import Hint, hint_of_programme, hint_of_relaxation
from pullplan.engine.lots.keeping import keep_only
from pullplan.engine.lots.kept import Kept
from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.shipping import LEAST_SAVING_SHARE
from pullplan.engine.lots.sizing import fill_orders, size_orders
from pullplan.engine.lots.stopping import round_down
from pullplan.engine.lots.ways import Table, tabulate
from pullplan.engine.lots.whole import best_sizes
from pullplan.engine.model import SearchProgress
from pullplan.engine.options import Solution, left_for_new_work, runs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

RESERVED_SHARE = 0.95
"""Of what is expected of a product that is still to be sized: so much nobody else takes."""
ROUNDING_SHARE = 1e-7
"""Of what products need: a smaller shortage is the solver's rounding."""
MOVED_SHARE = 1e-9
"""Of what products need: if so little leaves its order, nothing does."""
SHORT_ROUNDS = 3
"""How often each product that lots leave short is sized again."""
SHORT_EVERY = 2
"""Every so many rounds one is of any product, short or not."""
ROUND_CELLS = 3_000_000
"""Cells of all products' tables × rounds, at most: small instances get many rounds, large ones none."""
MOST_ROUNDS, ROUNDS_IN_VAIN = 200, 40
MOST_CHAINS = 30_000
"""Shortest chains looked for in rounds of any product, at most, and twice as many while something is short: what bounds the time."""
FEWEST_IN_VAIN = 20
"""Rounds without a saving, besides one for every order made, after which there are no more."""
TOGETHER = 3
"""Products that are sized together again, at most."""
HINT_CELLS = 30_000
"""Cells of all products' tables, at most, for a programme of all orders."""
WHOLE_CELLS = 1_000
"""The same, for one of whole lots."""
UNLIKELY_SHARE = 0.05
"""An order of which the programme makes less is not made at first, nor in most rounds."""
UNLIKELY_CLOSED_SHARE = 0.7
"""Of rounds: in so many no unlikely order is made."""
CLOSED_SHARES = (0.0, 0.2, 0.5)
"""How probably an order that was made, and that the programme does not make, must not be made in a round."""
FIRST_PRICE_FACTOR = 0.99
"""Of the hint's prices: at just these prices a full node ties with the next, and may be left idle."""
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
        self._needs = dict(runs(problem.options.need_product))
        self._products = [p for p in problem.rules.products.tolist() if p in self._needs]
        self._n_cells = sum(len(self._needs[p]) * len(problem.orders.of_product[p]) for p in self._products)
        self._kept = self._kept_by_product()
        self._may_change = [p for p in self._products if self._may_be_sized(p)]
        self.sized: dict[int, Sized] = {}
        self._free = self._left_to_lots()
        self._hint = self._look_ahead()
        self._lines = dict(runs(problem.options.need_product[relaxation.need]))
        self._n_sized = 0
        self._n_chains = 0
        self.is_complete = True
        self._is_best = False
        """Nearly enough: nothing is to be won by sizing again."""

    def run(self) -> None:
        if self._is_fixed:
            self._first_of_kept()
        else:
            self._first()
            if self.is_complete and 0 < self._n_cells <= WHOLE_CELLS:
                self._solve_whole()
        if self._may_change and self.is_complete and not self._is_best:
            self._again()

    # --- what an earlier plan made ------------------------------------------------------------------------------

    @property
    def _is_fixed(self) -> bool:
        return self._problem.kept is not None and self._problem.kept.is_fixed

    def _kept_by_product(self) -> dict[int, Kept]:
        kept = self._problem.kept
        if kept is None:
            return {}
        lines = dict(runs(self._problem.options.need_product[kept.need]))
        return {p: kept[lines.get(p, np.empty(0, dtype=np.int64))] for p in self._products}

    def _may_be_sized(self, product: int) -> bool:
        """Tell whether any unit of a product is to be made that does not stay where it is, come what may."""
        if not self._is_fixed:
            return True
        kept, units = self._kept[product], self._problem.options.need_units[self._needs[product]]
        left = units.sum() - kept.staying_units.sum()
        return bool((kept.staying_units < kept.units).any() or left > ROUNDING_SHARE * units.min())

    def _first_of_kept(self) -> None:
        """Begin with what stays, where all fits together; then size what is more, product by product."""
        for product in self._products:
            base = keep_only(self._problem, product, self._kept[product], self._needs[product])
            self._put(product, base)
        for done, product in enumerate(self._may_change):
            self._tell(done / len(self._may_change))
            if self._is_stopped():
                return
            self._take_out(product)
            before = self.sized[product]
            unlikely = self._unlikely(product)
            sized = self._size(product, FIRST_PRICE_FACTOR, unlikely)
            self._put(product, sized if self._keeps(sized, before) else before)

    @staticmethod
    def _keeps(sized: Sized, before: Sized) -> bool:
        """Tell whether no more units leave the order that they should stay in."""
        units = float(sized.line_units.sum() + sized.short_units)
        return sized.moved_units <= before.moved_units + MOVED_SHARE * units

    def _unlikely(self, product: int) -> BoolArray:
        """Tell which orders are probably not made."""
        orders = self._orders(product)
        return (self._hint.made_share[orders] < UNLIKELY_SHARE) & ~self._must_make(product)

    def _must_make(self, product: int) -> BoolArray:
        """Tell in which orders units stay whatever that costs."""
        orders = self._orders(product)
        must = np.zeros(len(orders), dtype=bool)
        if self._is_fixed:
            kept = self._kept[product]
            number = self._problem.orders.number(kept.capability, kept.start_bucket)
            must[np.searchsorted(orders, number[kept.staying_units > 0])] = True
        return must

    # --- rounds ---------------------------------------------------------------------------------------------------

    def _look_ahead(self) -> Hint:
        if 0 < self._n_cells <= HINT_CELLS and not self._should_stop():
            return hint_of_programme(self._problem, [self._table(p) for p in self._products], self._left_free)
        return hint_of_relaxation(self._problem, self._relaxation)

    def _first(self) -> None:
        expected = {p: self._use_of(p, self._hint.size[self._orders(p)]) for p in self._products}
        for rows, use in expected.values():
            np.subtract.at(self._free, rows, RESERVED_SHARE * use)
        for done, product in enumerate(self._products):
            self._tell(done / len(self._products))
            rows, use = expected[product]
            np.add.at(self._free, rows, RESERVED_SHARE * use)
            if self._is_stopped():
                own = self._lines.get(product, np.empty(0, dtype=np.int64))
                self._put(product, round_down(self._problem, product, self._relaxation, own, self._left_free))
            else:
                self._put(product, self._size(product, FIRST_PRICE_FACTOR, self._unlikely(product)))

    def _solve_whole(self) -> None:
        """Let HiGHS size all orders at once, and keep what is better."""
        known = np.zeros(len(self._problem.orders.capability))
        before = dict(self.sized)
        for product, sized in before.items():
            known[sized.order] = sized.size
            self._take_out(product)
        tables = [self._table(p) for p in self._products]
        found = best_sizes(self._problem, tables, self._left_free, known, self._should_stop)
        if found is not None:
            for product, table in zip(self._products, tables, strict=True):
                sized = fill_orders(self._problem, table, self._left_free, found.size[table.order])
                self._put(product, sized)
            value = self._value
            self._is_best = found.is_best and value <= found.value + LEAST_SAVING_SHARE * abs(value)
            if value < sum(sized.value for sized in before.values()):
                return
            for product in before:
                self._take_out(product)
        for product, sized in before.items():
            self._put(product, sized)

    @property
    def _value(self) -> float:
        return sum(sized.value for sized in self.sized.values())

    def _again(self) -> None:
        """Size products again, alone or together: those that lots leave short, then any."""
        chance = np.random.default_rng(0)
        n_short = sum(map(self._is_short, self._may_change))
        self._retry_while_better(SHORT_ROUNDS * n_short, chance, short_only=True)
        self._retry_while_better(min(MOST_ROUNDS, ROUND_CELLS // max(1, self._n_cells)), chance)

    def _retry_while_better(
        self, n_rounds: int, chance: np.random.Generator, *, short_only: bool = False
    ) -> None:
        in_vain, before = 0, self._n_chains
        for done in range(n_rounds):
            self._tell(done / n_rounds)
            short = [p for p in self._may_change if self._is_short(p)]
            n_made = sum(int((sized.size > 0).sum()) for sized in self.sized.values())
            is_enough = in_vain >= min(ROUNDS_IN_VAIN, FEWEST_IN_VAIN + n_made)
            is_enough |= self._n_chains - before > MOST_CHAINS * (2 if short else 1) or (
                short_only and not short
            )
            if is_enough or self._is_stopped():
                return
            is_for_short = bool(short) and (short_only or done % SHORT_EVERY > 0)
            product = short[done % len(short)] if is_for_short else int(chance.choice(self._may_change))
            in_vain = 0 if self._retry(product, chance) else in_vain + 1

    def _tell(self, done_share: float) -> None:
        self._n_sized += 1
        self._progress(SearchProgress(stage="lots", done_share=done_share, round=self._n_sized))

    def _is_stopped(self) -> bool:
        self.is_complete = self.is_complete and not self._should_stop()
        return not self.is_complete

    def _retry(self, product: int, chance: np.random.Generator) -> bool:
        """Size a product again together with some that could be in its way; tell whether that was better."""
        others = [p for p in self._may_change if p != product]
        n_others = min(len(others), int(chance.integers(0, TOGETHER)))
        group = [product, *chance.choice(others, n_others, replace=False).tolist()] if n_others else [product]
        before = {p: self.sized[p] for p in group}
        for p in group:
            self._take_out(p)
        for p in chance.permutation(group).tolist():
            closed = self._closed(p, before[p], chance)
            self._put(p, self._size(p, float(chance.choice(PRICE_FACTORS)), closed))
        value = sum(own.value for own in before.values())
        is_kept = not self._is_fixed or all(self._keeps(self.sized[p], own) for p, own in before.items())
        saved = value - sum(self.sized[p].value for p in group)
        if is_kept and saved > LEAST_SAVING_SHARE * abs(value):
            return True
        for p, own in before.items():
            self._take_out(p)
            self._put(p, own)
        return False

    def _closed(self, product: int, own: Sized, chance: np.random.Generator) -> BoolArray:
        """Choose orders that must not be made in a round: of those made by how unlikely they were, so that others are tried."""
        share, is_made = self._hint.made_share[own.order], own.size > 0
        is_left_out = (share < UNLIKELY_SHARE) & (chance.random() < UNLIKELY_CLOSED_SHARE)
        is_changed = chance.random(len(share)) < float(chance.choice(CLOSED_SHARES)) * (1 - share)
        closed = np.where(is_made, is_changed, is_left_out)
        return closed & ~self._must_make(product)

    def _size(self, product: int, price_factor: float, closed: BoolArray) -> Sized:
        prices = price_factor * self._hint.prices
        return size_orders(self._problem, self._table(product), self._left_free, prices, closed)

    def _table(self, product: int) -> Table:
        problem = self._problem
        return tabulate(
            problem.options,
            problem.orders,
            product,
            self._needs[product],
            problem.left_short,
            problem.weights,
            self._kept.get(product),
        )

    def _put(self, product: int, sized: Sized) -> None:
        self.sized[product] = sized
        self._n_chains += sized.n_chains
        rows, use = self._use(product)
        np.subtract.at(self._free, rows, use)

    def _take_out(self, product: int) -> None:
        rows, use = self._use(product)
        np.add.at(self._free, rows, use)

    def _use(self, product: int) -> tuple[IntArray, FloatArray]:
        return self._use_of(product, self.sized[product].size)

    def _use_of(self, product: int, size: FloatArray) -> tuple[IntArray, FloatArray]:
        """Add up what orders of some sizes take; those of no size take nothing."""
        orders, order = self._problem.orders, self._orders(product)
        return self._problem.use(product, orders.capability[order], orders.start[order], size)

    def _orders(self, product: int) -> IntArray:
        return self._problem.orders.of_product[product]

    def _is_short(self, product: int) -> bool:
        sized = self.sized[product]
        return sized.short_units > ROUNDING_SHARE * float(sized.line_units.sum() + sized.short_units)

    @property
    def _left_free(self) -> FloatArray:
        """Tell what others leave: of a store, what none of them takes later."""
        return left_for_new_work(self._free, self._problem.options.capacities.is_stored)

    def _left_to_lots(self) -> FloatArray:
        """Tell what products without lot rules leave free."""
        options, lines = self._problem.options, self._relaxation
        has_lots = np.isin(options.need_product[lines.need], self._problem.rules.products)
        taken = options.use_by_bucket(
            lines.capability, lines.start_bucket, np.where(has_lots, 0.0, lines.units)
        )
        return options.capacities.available - taken
