"""How little must stay short, stage by stage? No cost is in these stages, so like needs are one.

A *class* gathers needs of a block with the same stage and the same ways. What the stages prove closes ways and fills
rows for good: the market that is left holds exactly the plans with the least shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.stages import Proof, Search, close, combine, open_search, prove

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Classes:
    """One block's classes; the way after the last is to stay short."""

    class_of_need: IntArray
    stage: IntArray
    units: FloatArray
    is_open: BoolArray
    """(n_classes, n_ways + 1)"""


@dataclass(frozen=True)
class Shortage:
    """What the shortfall stages proved: a price per row and a reduced cost per class and way, in each."""

    classes: Sequence[_Classes]
    proofs: Sequence[Proof]
    """Columns are the pairs of class and open way, in order; prices are per unit of capacity."""


def nothing_short(market: Market, n_stages: int) -> Shortage:
    """Write down what is proved where every need can be served: staying short is closed, capacity is free."""
    classes = [_classes_of(block) for block in market.blocks]
    costs = _stage_costs(market, classes, n_stages)
    no_prices = np.zeros(len(market.capacity))
    nothing = np.empty(0, dtype=np.int64)
    return Shortage(
        classes,
        [
            Proof(no_prices, no_prices, cost, np.zeros(j), np.flatnonzero(cost > 0), nothing)
            for j, cost in enumerate(costs)
        ],
    )


def least_shortage(market: Market, n_stages: int) -> Shortage:
    """Solve the shortfall stages exactly.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    classes = [_classes_of(block) for block in market.blocks]
    search = _open(market, classes)
    for cost in _stage_costs(market, classes, n_stages):
        close(search, prove(search, cost))
    return Shortage(classes, search.proofs)


def market_left(market: Market, shortage: Shortage) -> Market:
    """Keep the ways and rows of the plans with the least shortfall; to stay short is one more way, and costs nothing."""
    is_closed = np.zeros(sum(int(c.is_open.sum()) for c in shortage.classes), dtype=bool)
    is_full = np.zeros(len(market.capacity), dtype=bool)
    for proof in shortage.proofs:
        is_closed[proof.closes_columns] = True
        is_full[proof.closes_rows] = True
    blocks = []
    first = 0
    for block, classes in zip(market.blocks, shortage.classes, strict=True):
        stays = classes.is_open.copy()
        n_columns = int(stays.sum())
        stays[classes.is_open] = ~is_closed[first : first + n_columns]
        first += n_columns
        blocks.append(_with_ways(block, stays[classes.class_of_need].T))
    return replace(market, blocks=blocks, is_full=is_full)


def _with_ways(block: Block, stays: BoolArray) -> Block:
    if not stays[-1].any():
        return block if stays[:-1].all() else replace(block, cost=np.where(stays[:-1], block.cost, np.inf))
    cost = np.vstack([block.cost, np.zeros(len(block.units))])
    use = np.vstack([block.use, np.zeros(len(block.rows))])
    return replace(block, cost=np.where(stays, cost, np.inf), use=use)


def prove_cost(
    market: Market, left: Market, shortage: Shortage, row_prices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turn prices of the market that is left into prices and multipliers that prove cost in the whole market."""
    reduced = []
    for block, block_left, classes in zip(market.blocks, left.blocks, shortage.classes, strict=True):
        value = block_left.priced(row_prices).min(axis=0, initial=np.inf)
        slack = np.vstack([block.priced(row_prices), np.zeros(len(value))]) - value
        by_class = np.full(classes.is_open.T.shape, np.inf)
        for number in range(len(classes.units)):
            by_class[:, number] = slack[:, classes.class_of_need == number].min(axis=1)
        reduced.append(by_class.T[classes.is_open])
    prices, _, multipliers = combine(list(shortage.proofs), row_prices, np.concatenate(reduced))
    return prices, multipliers


def _classes_of(block: Block) -> _Classes:
    pattern = np.vstack([np.isfinite(block.cost), block.stage])
    if (pattern == pattern[:, :1]).all():
        distinct, class_of_need = pattern[:, :1], np.zeros(len(block.units), dtype=np.int64)
    else:
        distinct, class_of_need = np.unique(pattern, axis=1, return_inverse=True)
    n_classes = distinct.shape[1]
    is_open = np.vstack([distinct[:-1] > 0, np.ones(n_classes, dtype=bool)]).T
    return _Classes(
        class_of_need=class_of_need,
        stage=distinct[-1].astype(np.int64),
        units=np.bincount(class_of_need, block.units, n_classes),
        is_open=is_open,
    )


def _stage_costs(market: Market, classes: Sequence[_Classes], n_stages: int) -> list[FloatArray]:
    stage, weight = [], []
    for block, c in zip(market.blocks, classes, strict=True):
        weights = np.zeros(c.is_open.shape)
        weights[:, -1] = block.shortfall_weight
        weight.append(weights[c.is_open])
        stage.append(np.broadcast_to(c.stage[:, None], c.is_open.shape)[c.is_open])
    return [np.where(np.concatenate(stage) == j, np.concatenate(weight), 0.0) for j in range(n_stages)]


def _open(market: Market, classes: Sequence[_Classes]) -> Search:
    """Write the classes down for HiGHS: rows are classes, then capacities."""
    n_classes = sum(len(c.units) for c in classes)
    row, column, value = [], [], []
    first_class = first_column = 0
    for block, c in zip(market.blocks, classes, strict=True):
        number, way = np.nonzero(c.is_open)
        columns = first_column + np.arange(len(way))
        use = np.vstack([block.use, np.zeros(len(block.rows))])[way]
        entry, resource = np.nonzero(use)
        row += [first_class + number, n_classes + block.rows[resource]]
        column += [columns, columns[entry]]
        value += [np.ones(len(way)), use[entry, resource]]
        first_class += len(c.units)
        first_column += len(way)
    units = np.concatenate([c.units for c in classes])
    scale = float(units.mean()) or 1.0
    matrix = csr_array(
        (np.concatenate(value), (np.concatenate(row), np.concatenate(column))),
        shape=(n_classes + len(market.capacity), first_column),
    )
    lp = lp_of(
        matrix,
        np.append(units, np.full(len(market.capacity), -np.inf)) / scale,
        np.append(units, market.capacity) / scale,
    )
    return open_search(lp, n_classes)


def lp_of(matrix: csr_array, lower: FloatArray, upper: FloatArray) -> highspy.HighsLp:
    """Write rows down for HiGHS: columns ≥ 0, without costs."""
    matrix.sort_indices()
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_ = np.zeros(lp.num_col_)
    lp.col_lower_ = np.zeros(lp.num_col_)
    lp.col_upper_ = np.full(lp.num_col_, highspy.kHighsInf)
    lp.row_lower_ = lower
    lp.row_upper_ = upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    return lp
