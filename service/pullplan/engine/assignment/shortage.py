"""How little must stay short, stage by stage? No cost is in these stages, so like needs are one.

A *class* gathers needs of a block with the same tier and rank and the same ways. What the stages prove closes ways, fills
rows, and settles slices for good: the market that is left holds exactly the plans with the least shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, vstack

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.sifting import SIFTED_FROM_COLUMNS, Columns, sift
from pullplan.engine.assignment.slices import ProvedSlices, SharedShortfall, Shortages
from pullplan.engine.assignment.stages import (
    Proof,
    Search,
    combine,
    lp_of,
    open_search,
    solve,
    typical_scale,
)
from pullplan.engine.assignment.watching import Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FIRST_BEFORE_LAST = 1e6
"""How much more the first rank weighs than the last in the sum that the stages start from."""


@dataclass(frozen=True)
class _Classes:
    """One block's classes, and where they stand among those of all blocks; the way after the last is to stay short."""

    class_of_need: IntArray
    stage: IntArray
    edges: FloatArray
    """(n_classes, n_slices + 1): units of the last slices."""
    is_open: BoolArray
    """(n_classes, n_ways + 1)"""
    numbers: slice
    columns: slice


@dataclass(frozen=True)
class _Short:
    """The columns of what stays short, class by class of all blocks; arrays are (n_classes,)."""

    column: IntArray
    stage: IntArray
    weight: FloatArray
    """0 where a class has no way."""
    edges: FloatArray

    def by_stage(self, n_stages: int) -> list[IntArray]:
        """Gather the classes of each tier and rank."""
        order = np.argsort(self.stage, kind="stable")
        return np.split(order, np.searchsorted(self.stage[order], np.arange(1, n_stages)))


@dataclass(frozen=True)
class Shortage:
    """What the shortfall stages proved, of each tier and rank; prices are per unit of capacity.

    Columns are the pairs of class and open way, in order, then the slices that were cut.
    """

    classes: Sequence[_Classes]
    stages: Sequence[Sequence[ProvedSlices]]
    proofs: Sequence[Proof]
    n_columns: int
    slice_columns: IntArray
    """(n_slices, n_classes)"""


@dataclass(frozen=True)
class Left:
    """What the shortfall stages leave to decide: a need may be in it twice, with what must be served and what may be."""

    market: Market
    need: IntArray
    """(n_needs_left,): which need of the whole market it is of, ascending."""
    short_units: FloatArray
    """(n_needs,): what stays short in any case."""
    stays: Sequence[BoolArray]
    """By block, (n_classes, n_ways): which ways are open still."""
    status: npt.NDArray[np.int8]
    """(n_columns,): 1 empty for good, −1 at its upper bound for good, 0 open."""


def nothing_short(market: Market, n_stages: int) -> Shortage:
    """Write down what is proved where every need can be served: staying short is closed, capacity is free."""
    classes, short = _gather(market)
    no_prices = np.zeros(len(market.capacity))
    proofs = [
        Proof(
            value=0.0,
            row_prices=no_prices,
            row_savings=no_prices,
            columns=short.column[of_stage],
            reduced_costs=short.weight[of_stage],
            multipliers=np.zeros(k),
            closes=np.ones(len(of_stage), dtype=bool),
            closes_rows=np.empty(0, dtype=np.int64),
        )
        for k, of_stage in enumerate(short.by_stage(n_stages))
    ]
    stages = [[ProvedSlices(1, market.n_slices, k)] for k in range(n_stages)]
    slice_columns = np.repeat(short.column[None], market.n_slices, axis=0)
    return Shortage(classes, stages, proofs, classes[-1].columns.stop, slice_columns)


def least_shortage(market: Market, n_stages: int, watch: Watch | None = None) -> Shortage:
    """Solve the shortfall stages exactly.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    classes, short = _gather(market)
    scale = float(short.edges[:, -1].mean()) or 1.0
    columns = _lay_out(market, classes, short.edges[:, -1] / scale, scale)
    search = _open(columns, watch)
    start = np.zeros(search.n_columns)
    start[short.column] = short.weight * np.geomspace(FIRST_BEFORE_LAST, 1.0, n_stages)[short.stage]
    if search.n_columns >= SIFTED_FROM_COLUMNS and start.any():
        sift(search, columns, start / typical_scale(start))
    elif n_stages > 1:
        solve(search, start / typical_scale(start))
    slice_columns = np.repeat(short.column[None], market.n_slices, axis=0)
    stages = []
    for of_stage in short.by_stage(n_stages):
        shortages = Shortages(
            short.column[of_stage], of_stage, short.weight[of_stage], short.edges[of_stage] / scale
        )
        shared = SharedShortfall(search, shortages)
        shared.prove()
        slice_columns[:, of_stage] = shared.columns
        stages.append(shared.stages)
    return Shortage(classes, stages, search.proofs, search.n_columns, slice_columns)


def market_left(market: Market, shortage: Shortage) -> Left:
    """Keep the ways and rows of the plans with the least shortfall; to stay short is one more way, and costs nothing."""
    status = np.zeros(shortage.n_columns, dtype=np.int8)
    nearness = np.zeros(shortage.n_columns)
    is_full = np.zeros(len(market.capacity), dtype=bool)
    for proof in shortage.proofs:
        status[proof.columns[proof.closes]] = np.sign(proof.reduced_costs[proof.closes]).astype(np.int8)
        nearness[proof.columns] = proof.reduced_costs
        is_full[proof.closes_rows] = True
    n_must, n_never = _settled_slices(status[shortage.slice_columns])
    blocks, needs, never, stay = [], [], [], []
    for block, classes, first in zip(
        market.blocks, shortage.classes, market.first_need.tolist(), strict=False
    ):
        stays = classes.is_open.copy()
        stays[classes.is_open] = status[classes.columns] == 0
        must = n_must[classes.numbers]
        # A class smaller than the solver's tolerance may have been overlooked: it keeps the way that is nearest to open.
        overlooked = np.flatnonzero((must > 0) & ~stays[:, :-1].any(axis=1))
        if len(overlooked):
            near = np.full(stays.shape, np.inf)
            near[classes.is_open] = nearness[classes.columns]
            stays[overlooked, near[overlooked, :-1].argmin(axis=1)] = True
        stays[:, -1] = must == 0
        left, need, short = _split(block, classes, stays, must, n_never[classes.numbers])
        blocks.append(left)
        needs.append(first + need)
        never.append(short)
        stay.append(stays)
    return Left(
        market=replace(market, blocks=blocks, is_full=is_full),
        need=np.concatenate(needs),
        short_units=np.concatenate(never),
        stays=stay,
        status=status,
    )


def _settled_slices(status: npt.NDArray[np.int8]) -> tuple[IntArray, IntArray]:
    """Count the first slices, which must be served, and the last ones, which can't be.

    Shapes: (n_slices, n_classes) → (n_classes,), (n_classes,)
    """
    n_must = np.cumprod(status > 0, axis=0).sum(axis=0)
    n_never = np.cumprod(status[::-1] < 0, axis=0).sum(axis=0)
    return n_must, n_never


def _split(
    block: Block, classes: _Classes, stays: BoolArray, n_must: IntArray, n_never: IntArray
) -> tuple[Block, IntArray, FloatArray]:
    """Split each need of a block into what must be served, what may be, and what can't be.

    Returns the block that is left, which need each of its needs is of, and what of each need stays short.
    """
    number, every = classes.class_of_need, np.arange(len(block.units))
    n_slices = classes.edges.shape[1] - 1
    is_open = stays[number].T
    if (n_must == n_slices).all():
        cost = block.cost if is_open[:-1].all() else np.where(is_open[:-1], block.cost, np.inf)
        return replace(block, cost=cost, slice_units=None), every, np.zeros(len(every))
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
    )
    return left, need, never


def prove_cost(
    market: Market, left: Left, shortage: Shortage, row_prices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turn prices of the market that is left into prices and multipliers that prove cost in the whole market."""
    reduced = np.zeros(shortage.n_columns)
    status = left.status[shortage.slice_columns]
    for block, classes, stays in zip(market.blocks, shortage.classes, left.stays, strict=True):
        number = classes.class_of_need
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(len(classes.stage)))
        priced = np.vstack([block.priced(row_prices), np.zeros(len(number))])
        worth = np.where(stays[number].T, priced, np.inf).min(axis=0)
        slack = np.minimum.reduceat((priced - worth)[:, order], starts, axis=1)
        reduced[classes.columns] = slack.T[classes.is_open]
        of_class = shortage.slice_columns[:, classes.numbers]
        most, least = (extreme.reduceat(worth[order], starts) for extreme in (np.maximum, np.minimum))
        of_slice = status[:, classes.numbers]
        reduced[of_class] = np.where(of_slice > 0, -most, np.where(of_slice < 0, -least, 0.0))
    prices, _, multipliers = combine(list(shortage.proofs), row_prices.ravel(), reduced)
    return prices, multipliers


def slice_edges_of(block: Block, n_slices: int) -> FloatArray:
    """Add up the units of needs from their last slice back: (n_needs, n_slices + 1)."""
    slice_units = block.units / n_slices if block.slice_units is None else block.slice_units
    edges = np.minimum(block.units[:, None], slice_units[:, None] * np.arange(n_slices + 1))
    edges[:, n_slices] = block.units
    return edges


def _gather(market: Market) -> tuple[list[_Classes], _Short]:
    """Gather the needs of every block into classes, and number these and their columns."""
    classes: list[_Classes] = []
    weight = []
    first_class = first_column = 0
    for block in market.blocks:
        found = _classes_of(block, market.n_slices, first_class, first_column)
        first_class, first_column = found.numbers.stop, found.columns.stop
        classes.append(found)
        has_way = found.is_open[:, :-1].any(axis=1)
        weight.append(np.where(has_way, block.shortfall_weight, 0.0))
    short = _Short(
        column=np.concatenate([c.columns.start + np.cumsum(c.is_open.sum(axis=1)) - 1 for c in classes]),
        stage=np.concatenate([c.stage for c in classes]),
        weight=np.concatenate(weight),
        edges=np.concatenate([c.edges for c in classes]),
    )
    return classes, short


def _classes_of(block: Block, n_slices: int, first_class: int, first_column: int) -> _Classes:
    pattern = np.vstack([np.isfinite(block.cost), block.stage])
    if (pattern == pattern[:, :1]).all():
        distinct, class_of_need = pattern[:, :1], np.zeros(len(block.units), dtype=np.int64)
    else:
        distinct, class_of_need = np.unique(pattern, axis=1, return_inverse=True)
    n_classes = distinct.shape[1]
    is_open = np.vstack([distinct[:-1] > 0, np.ones(n_classes, dtype=bool)]).T
    edges = np.stack(
        [np.bincount(class_of_need, of_slices, n_classes) for of_slices in slice_edges_of(block, n_slices).T],
        axis=1,
    )
    return _Classes(
        class_of_need=class_of_need,
        stage=distinct[-1].astype(np.int64),
        edges=edges,
        is_open=is_open,
        numbers=slice(first_class, first_class + n_classes),
        columns=slice(first_column, first_column + int(is_open.sum())),
    )


def _lay_out(market: Market, classes: Sequence[_Classes], units: FloatArray, scale: float) -> Columns:
    """List the columns, class by class; units and capacity are divided by `scale`."""
    number, row, column, value = [], [], [], []
    for block, c in zip(market.blocks, classes, strict=True):
        of_class, way = np.nonzero(c.is_open)
        use = np.vstack([block.use, np.zeros(len(block.rows))])[way]
        entry, resource = np.nonzero(use)
        number.append(c.numbers.start + of_class)
        row.append(block.rows[resource])
        column.append(c.columns.start + entry)
        value.append(use[entry, resource])
    entries = np.concatenate(value), (np.concatenate(column), np.concatenate(row))
    return Columns(
        class_of_column=np.concatenate(number),
        use=csr_array(entries, shape=(classes[-1].columns.stop, len(market.capacity))),
        units=units,
        capacity=market.capacity / scale,
    )


def _open(columns: Columns, watch: Watch | None) -> Search:
    """Write the classes down for HiGHS: rows are classes, then capacities."""
    n_classes = len(columns.units)
    matrix = vstack([columns.by_class, columns.of_column], format="csr")
    lower = np.append(columns.units, np.full(len(columns.capacity), -np.inf))
    return open_search(lp_of(matrix, lower, np.append(columns.units, columns.capacity)), n_classes, watch)
