"""Which of the ways that nearly tie does each need take, so that capacity holds exactly and nothing is cheaper?

At good prices most needs have one way that is plainly the cheapest, and take it; most batches have one such start. The
others are a small linear programme over what those leave of capacity. Its prices are then held against every way and
start of every need, in float64: what is cheaper there joins the programme, until nothing is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.absent import price_absent
from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.near_ties import WAYS, Choice, NearTies, Solved, by_block
from pullplan.engine.assignment.smoothing import row_prices
from pullplan.engine.assignment.taking import DUST_SHARE, lines_of
from pullplan.engine.assignment.watching import SearchStoppedError, Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_ROUNDS = 12
OPEN_NEEDS_PER_ROW = 20
OPEN_BATCHES_PER_ROW = 25
FEWEST_OPEN_NEEDS = 3_000
CLOSED_GAP = 1e-10
"""Of the value: what is left is the programme's own rounding."""
MISFIT_SHARE = 1e-9
"""Of the mean capacity."""
COST_FORGONE = 5e-8
"""Of the cost: what less earliness may cost, as the solver's tolerance would let it cost elsewhere."""
FREE_SHARE = 1e-2
"""Of the mean cost: a plan that costs less may be free, and free plans forgo as if they cost so much."""
MOST_EARLY_WEIGHT = 1e-3
"""Of the mean cost: where next to nothing is early."""
HEAVY_EARLY_WEIGHT = 0.1
"""Of the mean cost: from where the weight at which earliness begins to cost something is looked for."""
BELOW_BEND = 0.9
"""Of the weight from which a dearer plan would do: below, none ties."""
LESS_WHERE_MISFIT = 0.1
"""Of a weight at which prices leave their bounds."""
COST_GAP = 1e-7
"""Of the cost, the above included."""
EARLY_GAP = 1e-14
"""Of the cost: relative to earliness a hundred million times as much."""
ROUNDING = 1e-12
"""Of the mean cost: what is cheaper by less is as cheap."""
LEAST_WIDTH = 1e-5
"""Of the mean cost: where much ties exactly, prices need room all the same."""
CEILING_WIDTHS = 10.0
TRUST_GROWTH = 8.0
"""Where capacity is hardly enough its prices are far above any that a search finds, however many needs are open."""


@dataclass(frozen=True)
class Proved:
    """What one measure reaches, and the prices that prove it: of cost, or of cost and a little of what is early."""

    solved: Solved
    value: float
    """Of the measure alone."""
    bound: float
    """Of what was solved."""
    need_price: FloatArray
    """(n_needs,): the cheapest way of each need at the prices."""


@dataclass(frozen=True)
class Completion:
    """One line per way and start that a need takes, by need, and what proves them."""

    need: IntArray
    way: IntArray
    start: IntArray
    units: FloatArray
    cost: Proved
    early: Proved
    n_rounds: int
    n_open_needs: int
    n_open_batches: int


@dataclass(frozen=True)
class _Held:
    """What all ways and starts say to the programme's prices."""

    bound: float
    need_price: FloatArray
    wider: Choice | None
    """With what is as cheap as what the programme has, or cheaper; None where nothing is."""
    lacks_ties: bool
    """Some need has ways that cost the same, or some batch starts, and not all of them are in the programme."""

    def is_enough(self, value: float, gap: float) -> bool:
        """Tell whether nothing is lacking, or so little that the value is within `gap` (of itself) of its bound."""
        return self.wider is None or (not self.lacks_ties and value - self.bound <= gap * abs(value))


def needs_to_open(market: Market) -> int:
    """Say how many needs the first programme is to have."""
    n_needs = int(market.first_need[-1])
    return min(n_needs, max(FEWEST_OPEN_NEEDS, OPEN_NEEDS_PER_ROW * len(market.capacity)))


def batches_to_open(market: Market) -> int:
    """Say how many batches the first programme is to have."""
    return max(FEWEST_OPEN_NEEDS, OPEN_BATCHES_PER_ROW * len(market.capacity))


def complete(
    market: Market, by_start: FloatArray, search_weight: float = 0.0, *, watch: Watch | None = None
) -> Completion | None:
    """Turn good prices into an optimal plan; None where all rounds leave something lacking.

    Cost is made small, and the buckets early of what costs the same: a bucket early weighs so little that cost rises by
    at most COST_FORGONE. `search_weight` is what it weighed where the prices come from.

    Raises: SearchStoppedError with the prices, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    start_prices = market.batches.prices(by_start, search_weight)
    way, margin = cheapest_ways(market, start_prices.min(axis=1))
    n_open = needs_to_open(market)
    width = max(width_of(margin, n_open), LEAST_WIDTH * market.typical_cost)
    choice = Choice(way, start_prices.argmin(axis=1), _NOTHING, _NOTHING)
    n_batches, trust = batches_to_open(market), CEILING_WIDTHS * width
    choice = _open_near(market, choice, start_prices, margin, width=width, n_batches=n_batches)
    for n_rounds in range(1, MOST_ROUNDS + 1):
        if watch.should_stop():
            raise SearchStoppedError(row_prices(market, by_start))
        n_open_needs = len(np.unique(choice.pairs // WAYS))
        watch.note(needs_settled=len(margin) - n_open_needs)
        ties = NearTies(market, choice, by_start, trust)
        solved = ties.solve(search_weight)
        if _misfits(market, solved):
            width, n_batches, trust = 2 * width, 2 * n_batches, TRUST_GROWTH * trust
            choice = _open_near(market, choice, start_prices, margin, width=width, n_batches=n_batches)
            continue
        proved = _prove(ties, solved)
        if isinstance(proved, Choice):
            choice = proved
            continue
        cost, early = proved
        watch.note(value=cost.value, bound=cost.bound)
        return Completion(
            *lines_of(ties, ties.prefer_low_ranks(early.solved)),
            cost=cost,
            early=early,
            n_rounds=n_rounds,
            n_open_needs=n_open_needs,
            n_open_batches=int(ties.is_open_batch.sum()),
        )
    return None


def _prove(ties: NearTies, solved: Solved, *, may_weigh_more: bool = True) -> tuple[Proved, Proved] | Choice:
    """Hold the programme's optimum against all ways and starts: proofs of cost and earliness, or what is lacking."""
    cost, early = ties.value(solved)
    if solved.early_weight > 0 and early > DUST_SHARE * ties.total_units:
        solved = ties.solve(_early_weight(ties, cost, early))
        cost, early = ties.value(solved)
        if may_weigh_more and ties.is_exact.any():
            may_weigh_more = False
            solved = ties.solve(_heaviest(ties, solved))
            cost, early = ties.value(solved)
    weighed = cost + solved.early_weight * early
    held = _hold_against_all(ties, solved)
    if held.wider is not None and not held.is_enough(
        weighed, EARLY_GAP if solved.early_weight else CLOSED_GAP
    ):
        return held.wider
    of_early = _proved(ties, solved, early, held)
    if solved.early_weight == 0:
        return replace(of_early, value=cost), of_early
    of_cost = ties.solve(0.0)
    held = _hold_against_all(ties, of_cost)
    if cost - held.bound > COST_GAP * abs(cost):
        if held.wider is not None:
            return held.wider
        # Nothing is early, at a cost that earliness is not worth: it weighed too much.
        lighter = _early_weight(ties, *ties.value(of_cost))
        if lighter < solved.early_weight:
            return _prove(ties, ties.solve(lighter), may_weigh_more=may_weigh_more)
    return _proved(ties, of_cost, cost, held), of_early


def _proved(ties: NearTies, solved: Solved, value: float, held: _Held) -> Proved:
    by_start = price_absent(ties.market, solved, held.need_price)
    return Proved(replace(solved, by_start=by_start), value, held.bound, held.need_price)


def _early_weight(ties: NearTies, cost: float, early: float) -> float:
    """Let what is early weigh next to nothing of the cost, or of what others would cost where the plan is free."""
    typical = ties.market.typical_cost
    most = MOST_EARLY_WEIGHT * typical
    free = FREE_SHARE * typical * ties.total_units
    return min(COST_FORGONE * max(cost, free) / early, most) if early > 0 else most


def _misfits(market: Market, solved: Solved) -> bool:
    """Tell whether rows are used above what they have, or left where nothing may be, at the prices' bounds."""
    return solved.misfit > MISFIT_SHARE * float(np.abs(market.capacity).mean())


def _heaviest(ties: NearTies, solved: Solved) -> float:
    """Let what is early weigh nearly as much as makes a dearer plan as good, if that is more than it weighed.

    What proves earliness is a sum's proof divided by this weight: where multipliers of shortfall are large, rounding
    counts. The least sum is concave in the weight, so Newton's steps from above come down to where it first bends.
    """
    cost, early = ties.value(solved)
    weight = HEAVY_EARLY_WEIGHT * ties.market.typical_cost
    for _ in range(MOST_ROUNDS):
        heavier = ties.solve(weight)
        if _misfits(ties.market, heavier):
            weight *= LESS_WHERE_MISFIT
            continue
        found = ties.value(heavier)
        saved = cost + weight * early - found[0] - weight * found[1]
        if early <= found[1] or saved <= CLOSED_GAP * weight * early:
            return max(solved.early_weight, BELOW_BEND * weight)
        weight = (found[0] - cost) / (early - found[1])
    return solved.early_weight


def cheapest_ways(market: Market, start_price: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find every need's cheapest way and by how much the next one is dearer, given every batch's best start."""
    chosen, margin = [_NOTHING], [np.empty(0)]
    for block, of_block in _with_batches(market, start_price):
        priced = block.with_start(of_block)
        way, need = priced.argmin(axis=0), np.arange(priced.shape[1])
        least = priced[way, need]
        priced[way, need] = np.inf
        chosen.append(way)
        margin.append(priced.min(axis=0) - least)
    return np.concatenate(chosen), np.concatenate(margin)


def margin_of_starts(start_prices: FloatArray) -> FloatArray:
    """Tell by how much every batch's second start is dearer: (n_batches, n_starts) → (n_batches,)."""
    least, second = np.partition(start_prices, 1, axis=1)[:, :2].T
    margin: FloatArray = np.where(
        np.isfinite(second), second - np.where(np.isfinite(least), least, 0.0), np.inf
    )
    return margin


def width_of(margin: FloatArray, n_open: int) -> float:
    """Take the width at which so many tie; where fewer have a second choice, the widest of theirs."""
    finite = margin[np.isfinite(margin)]
    if len(finite) == 0:
        return 0.0
    last = min(n_open, len(finite)) - 1
    return float(np.partition(finite, last)[last])


def _with_batches(market: Market, of_batch: FloatArray) -> Iterator[tuple[Block, FloatArray]]:
    """Hand every block what belongs to its batches: (n_ways, n_dues)."""
    for block, first in zip(market.blocks, market.batches.first.tolist(), strict=False):
        n_batches = len(block.use) * block.n_dues
        yield block, of_batch[first : first + n_batches].reshape(len(block.use), block.n_dues)


def _open_near(
    market: Market,
    choice: Choice,
    start_prices: FloatArray,
    margin: FloatArray,
    *,
    width: float,
    n_batches: int,
) -> Choice:
    """Open what is within a width of the cheapest: ways of needs, and starts of so many batches that those may use."""
    least = start_prices.min(axis=1)
    is_used = np.zeros(len(least), dtype=bool)
    found = [choice.pairs]
    first_batch = market.batches.first
    for b, (block, start_price) in enumerate(_with_batches(market, least)):
        first, last = market.first_need[b], market.first_need[b + 1]
        need = np.flatnonzero(margin[first:last] <= width)
        due = block.due
        is_used[first_batch[b] + choice.way[first:last] * block.n_dues + due] = True
        if len(need):
            priced = block.cost[:, need] + start_price[:, due[need]]
            way, column = np.nonzero(priced <= priced.min(axis=0) + width)
            found.append((first + need[column]) * WAYS + way)
            is_used[first_batch[b] + way * block.n_dues + due[need[column]]] = True
    starts = choice.starts
    if market.n_starts > 1:
        margin_of_start = np.where(is_used, margin_of_starts(start_prices), np.inf)
        width_of_starts = width
        if n_batches < np.isfinite(margin_of_start).sum():
            width_of_starts = min(width, width_of(margin_of_start, n_batches))
        batch, start = np.nonzero(start_prices <= least[:, None] + width_of_starts)
        near = (margin_of_start <= width_of_starts)[batch]
        starts = np.union1d(starts, (batch * market.n_starts + start)[near])
    return Choice(choice.way, choice.start, np.unique(np.concatenate(found)), starts)


def _hold_against_all(ties: NearTies, solved: Solved) -> _Held:
    """Bound the value by the prices over every way and start, and open what is cheaper than what the programme has."""
    market, choice = ties.market, ties.choice
    start_prices = market.batches.prices(solved.by_start, solved.early_weight)
    least = start_prices.min(axis=1)
    rounding = ROUNDING * market.typical_cost
    bound = -float(solved.by_start.ravel() @ market.capacity)
    need_price = np.empty(len(choice.way))
    pairs, tied = [choice.pairs], [_NOTHING]
    blocks = enumerate(_with_batches(market, least))
    of_pairs = {b: (need, way) for b, _, _, need, way in by_block(market, choice.pairs)}
    for b, (block, start_price) in blocks:
        first = int(market.first_need[b])
        priced = block.with_start(start_price)
        best, at = priced.argmin(axis=0), np.arange(len(block.units))
        cheapest = priced[best, at]
        bound += float((cheapest * block.units).sum())
        need_price[first : first + len(at)] = cheapest
        is_open = ties.is_open[first : first + len(at)]
        way_of_fixed = choice.way[first : first + len(at)]
        have = np.where(is_open, np.inf, priced[way_of_fixed, at])
        if b in of_pairs:
            need, way = of_pairs[b]
            np.minimum.at(have, need, priced[way, need])
        if market.ranks is not None:
            tied_way, tied_need = _ties_of(priced, cheapest + rounding)
            tied.append((first + tied_need) * WAYS + tied_way)
        dearer = np.flatnonzero(have > cheapest + rounding)
        opened = dearer[~is_open[dearer]]
        pairs += [(first + dearer) * WAYS + best[dearer], (first + opened) * WAYS + way_of_fixed[opened]]
    batch, open_start = np.divmod(choice.starts, market.n_starts)
    have_start = np.where(ties.is_open_batch, np.inf, start_prices[np.arange(len(least)), choice.start])
    np.minimum.at(have_start, batch, start_prices[batch, open_start])
    is_used = ties.closed_units > 0
    is_used[ties.batch_of_pair] = True
    late = np.flatnonzero(is_used & (have_start > least + rounding))
    best_start = start_prices.argmin(axis=1)
    starts = [choice.starts, *(late * market.n_starts + of[late] for of in (best_start, choice.start))]
    if market.ranks is not None and market.n_starts > 1:
        tied_start, tied_batch = _ties_of(start_prices.T, np.where(is_used, least + rounding, -np.inf))
        starts.append(tied_batch * market.n_starts + tied_start)
    wider = Choice(
        choice.way,
        np.where(is_used, choice.start, best_start),
        np.unique(np.concatenate(pairs + tied)),
        np.unique(np.concatenate(starts)),
    )
    grew = len(wider.pairs) + len(wider.starts) > len(choice.pairs) + len(choice.starts)
    lacks_ties = len(np.setdiff1d(np.concatenate(tied), choice.pairs)) > 0
    if market.ranks is not None:
        lacks_ties |= len(np.setdiff1d(np.concatenate(starts[1:]), choice.starts)) > 0
    return _Held(bound, need_price, wider if grew else None, lacks_ties)


def _ties_of(priced: FloatArray, limit: FloatArray) -> tuple[IntArray, IntArray]:
    """List what is within the limit of a column where several are: which of them is taken is a matter of rank.

    Shapes: (n_ways, n_columns), (n_columns,) → (n_ties,) ways, (n_ties,) columns
    """
    tied = priced <= limit
    several = np.flatnonzero(tied.sum(axis=0) > 1)
    way, column = np.nonzero(tied[:, several])
    return way, several[column]


_NOTHING = np.empty(0, dtype=np.int64)
