"""What do the stages before cost leave to decide, and how does the proof of its cost become one for all plans?

What those stages prove closes ways and starts, fills rows, and settles slices for good: the market that is left holds
exactly the plans that are least short and, of these, least late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market, Ranks, Timing
from pullplan.engine.assignment.classes import Classes, slice_edges_of
from pullplan.engine.assignment.completing import Completion
from pullplan.engine.assignment.near_ties import WAYS, Solved
from pullplan.engine.assignment.shortage import Shortage
from pullplan.engine.assignment.smoothing import start_prices
from pullplan.engine.assignment.stages import combine

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Left:
    """What is left to decide: a need may be in it twice, with what must be served and what may be."""

    market: Market
    need: IntArray
    """(n_needs_left,): which need of the whole market it is of, ascending."""
    short_units: FloatArray
    """(n_needs,): what stays short in any case."""
    stays: Sequence[BoolArray]
    """By block, (n_classes, n_ways + 1): which ways are open still."""
    starts: Sequence[BoolArray]
    """By block, (n_ways, n_dues, n_starts): which starts are open still."""
    status: npt.NDArray[np.int8]
    """(n_columns,): 1 empty for good, −1 at its upper bound for good, 0 open."""


def market_left(market: Market, shortage: Shortage) -> Left:
    """Keep what plans without more shortfall or lateness may use; to stay short is one more way, and costs nothing."""
    programme = shortage.programme
    status = np.zeros(shortage.n_columns, dtype=np.int8)
    nearness = np.zeros(shortage.n_columns)
    is_full = np.zeros(len(market.capacity), dtype=bool)
    for proof in shortage.proofs:
        status[proof.columns[proof.closes]] = np.sign(proof.reduced_costs[proof.closes]).astype(np.int8)
        nearness[proof.columns] = proof.reduced_costs
        is_full[proof.closes_rows] = True
    is_open_start = np.isfinite(market.batches.start_cost)
    starts = slice(programme.n_pairs, programme.n_columns)
    is_open_start[programme.start_batch, programme.start] = status[starts] == 0
    n_must, n_never = _settled_slices(status[shortage.slice_columns])
    blocks, needs, never, stay, open_starts = [], [], [], [], []
    for b, (block, classes) in enumerate(zip(market.blocks, programme.classes, strict=True)):
        first_batch, end_batch = market.batches.first[b : b + 2].tolist()
        shape = len(block.use), block.n_dues, market.n_starts
        of_starts = is_open_start[first_batch:end_batch].reshape(shape)
        stays = classes.is_open.copy()
        stays[classes.is_open] = status[classes.columns] == 0
        stays[:, :-1] &= of_starts.any(axis=2)[:, classes.due].T
        must = n_must[classes.numbers]
        # A class smaller than the solver's tolerance may have been overlooked: it keeps the way that is nearest to open.
        overlooked = np.flatnonzero((must > 0) & ~stays[:, :-1].any(axis=1))
        if len(overlooked):
            near = np.full(stays.shape, np.inf)
            near[classes.is_open] = nearness[classes.columns]
            way = near[overlooked, :-1].argmin(axis=1)
            stays[overlooked, way] = True
            shut = ~of_starts[way, classes.due[overlooked]].any(axis=1)
            at = way[shut], classes.due[overlooked][shut]
            of_starts[at] = np.isfinite(block.start_prices(np.zeros((len(is_full), market.n_starts)))[at])
        stays[:, -1] = must == 0
        left, need, short = _split(block, classes, stays, of_starts, (must, n_never[classes.numbers]))
        blocks.append(left)
        needs.append(market.first_need[b] + need)
        never.append(short)
        stay.append(stays)
        open_starts.append(of_starts)
    need = np.concatenate(needs)
    left_market = replace(market, blocks=blocks, is_full=is_full, has_later_ways=False)
    return Left(
        market=replace(left_market, ranks=_ranks_of_parts(market, left_market, need)),
        need=need,
        short_units=np.concatenate(never),
        stays=stay,
        starts=open_starts,
        status=status,
    )


def _ranks_of_parts(market: Market, left: Market, need: IntArray) -> Ranks | None:
    """Rank ways of what is left of needs as ways of the needs."""
    ranks, first_left, first_need = market.ranks, left.first_need, market.first_need
    if ranks is None:
        return None
    return lambda block, way, part: ranks(block, way, need[first_left[block] + part] - first_need[block])


def _settled_slices(status: npt.NDArray[np.int8]) -> tuple[IntArray, IntArray]:
    """Count the first slices, which must be served, and the last ones, which can't be.

    Shapes: (n_slices, n_classes) → (n_classes,), (n_classes,)
    """
    n_must = np.cumprod(status > 0, axis=0).sum(axis=0)
    n_never = np.cumprod(status[::-1] < 0, axis=0).sum(axis=0)
    return n_must, n_never


def _split(
    block: Block,
    classes: Classes,
    stays: BoolArray,
    starts: BoolArray,
    settled: tuple[IntArray, IntArray],
) -> tuple[Block, IntArray, FloatArray]:
    """Split each need of a block into what must be served, what may be, and what can't be.

    `settled` are by class how many of the first slices must be served, and how many of the last can't be.
    Returns the block that is left, which need each of its needs is of, and what of each need stays short.
    """
    n_must, n_never = settled
    number, every = classes.class_of_need, np.arange(len(block.units))
    n_slices = classes.edges.shape[1] - 1
    is_open = stays[number].T
    timing = _only(block.timing, starts)
    if (n_must == n_slices).all():
        cost = block.cost if is_open[:-1].all() else np.where(is_open[:-1], block.cost, np.inf)
        return replace(block, cost=cost, slice_units=None, timing=timing), every, np.zeros(len(every))
    edges = slice_edges_of(block, n_slices)
    never = edges[every, n_never[number]]
    may = np.maximum(0.0, edges[every, n_slices - n_must[number]] - never)
    must = np.where(n_must[number] > 0, block.units - never - may, 0.0)
    need = np.concatenate([np.flatnonzero(must > 0), np.flatnonzero(may > 0)])
    is_must = np.arange(len(need)) < (must > 0).sum()
    order = np.argsort(need, kind="stable")
    need, is_must = need[order], is_must[order]
    is_open = is_open[:, need]
    is_open[-1] = ~is_must
    left = replace(
        block,
        cost=np.where(is_open, np.vstack([block.cost, np.zeros(len(every))])[:, need], np.inf),
        units=np.where(is_must, must[need], may[need]),
        use=np.vstack([block.use, np.zeros(len(block.rows))]),
        stage=block.stage[need],
        slice_units=None,
        timing=None if timing is None else replace(timing, due=timing.due[need]).with_short_way(),
    )
    return left, need, never


def _only(timing: Timing | None, starts: BoolArray) -> Timing | None:
    if timing is None:
        return None
    return replace(timing, start_cost=np.where(starts, timing.start_cost, np.inf))


def join_parts(market: Market, left: Left, lines: Completion) -> Completion:
    """Turn lines of what was left to decide into lines of whole needs; the way after a block's last is to stay short."""
    if len(left.need) == market.first_need[-1] and not left.short_units.any():
        return lines
    short = np.flatnonzero(left.short_units)
    n_ways = np.repeat([len(block.use) for block in market.blocks], np.diff(market.first_need))
    pair = np.concatenate([left.need[lines.need] * WAYS + lines.way, short * WAYS + n_ways[short]])
    start = np.append(lines.start, np.zeros(len(short), dtype=np.int64))
    joined, at = np.unique(pair * market.n_starts + start, return_inverse=True)
    pairs, starts = np.divmod(joined, market.n_starts)
    units = np.bincount(at, np.append(lines.units, left.short_units[short]))
    return replace(lines, need=pairs // WAYS, way=pairs % WAYS, start=starts, units=units)


def prove_left(
    market: Market, left: Left, shortage: Shortage, solved: Solved
) -> tuple[FloatArray, FloatArray]:
    """Turn prices of the market that is left into prices of starts and multipliers that prove the same in the whole."""
    programme = shortage.programme
    reduced = np.zeros(shortage.n_columns)
    of_starts = np.full((len(market.batches.way), market.n_starts), 0.0)
    status = left.status[shortage.slice_columns]
    for b, (block, classes) in enumerate(zip(market.blocks, programme.classes, strict=True)):
        weighed = block.weighed(solved.early_weight)
        number = classes.class_of_need
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(len(classes.stage)))
        by_start = weighed.start_prices(solved.by_start)
        least = np.where(left.starts[b], by_start, np.inf).min(axis=2)
        stays = left.stays[b][number].T
        priced = np.vstack([weighed.with_start(least), np.zeros(len(number))])
        worth = np.where(stays, priced, np.inf).min(axis=0)
        _price_shut_batches(weighed, least, worth, by_start)
        priced[:-1] = weighed.with_start(least)
        slack = np.minimum.reduceat((priced - worth)[:, order], starts, axis=1)
        reduced[classes.columns] = slack.T[classes.is_open]
        first_batch, end_batch = market.batches.first[b : b + 2].tolist()
        of_starts[first_batch:end_batch] = _above(by_start, least).reshape(-1, market.n_starts)
        of_class = shortage.slice_columns[:, classes.numbers]
        most, fewest = (extreme.reduceat(worth[order], starts) for extreme in (np.maximum, np.minimum))
        of_slice = status[:, classes.numbers]
        reduced[of_class] = np.where(of_slice > 0, -most, np.where(of_slice < 0, -fewest, 0.0))
    reduced[programme.n_pairs : programme.n_columns] = of_starts[programme.start_batch, programme.start]
    prices, _, multipliers = combine(list(shortage.proofs), market.of_rows(solved.by_start), reduced)
    return start_prices(market, prices), multipliers


def _above(by_start: FloatArray, least: FloatArray) -> FloatArray:
    """Tell by how much every start is dearer than what its batch counts with; 0 where it may not start."""
    above = np.zeros(by_start.shape)
    np.subtract(by_start, least[:, :, None], out=above, where=np.isfinite(by_start))
    return above


def _price_shut_batches(block: Block, least: FloatArray, worth: FloatArray, by_start: FloatArray) -> None:
    """Price batches all of whose starts are shut so that their ways are no cheaper than what each need has."""
    way, due = np.nonzero(~np.isfinite(least) & np.isfinite(by_start).any(axis=2))
    for w, d in zip(way.tolist(), due.tolist(), strict=True):
        needs = block.due == d
        above = worth[needs] - block.cost[w, needs]
        least[w, d] = above.max(initial=0.0)
