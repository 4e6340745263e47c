"""How little must stay short, stage by stage? No cost is in these stages, so like needs are one.

A *class* gathers needs of a block with the same stage and the same ways. What the stages prove closes ways and fills
rows for good: the market that is left holds exactly the plans with the least shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.stages import Proof, Search, close, combine, lp_of, open_search, prove

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
    reduced_costs = shortage.proofs[-1].reduced_costs
    is_closed = np.zeros(len(reduced_costs), dtype=bool)
    is_full = np.zeros(len(market.capacity), dtype=bool)
    for proof in shortage.proofs:
        is_closed[proof.closes_columns] = True
        is_full[proof.closes_rows] = True
    blocks = []
    first = 0
    for block, classes in zip(market.blocks, shortage.classes, strict=True):
        columns = slice(first, first + int(classes.is_open.sum()))
        first = columns.stop
        stays = classes.is_open.copy()
        stays[classes.is_open] = ~is_closed[columns]
        reduced = np.full(stays.shape, np.inf)
        reduced[classes.is_open] = reduced_costs[columns]
        # A class smaller than the solver's tolerance may have been overlooked: it keeps the way that is nearest to open.
        overlooked = np.flatnonzero(~stays.any(axis=1))
        stays[overlooked, reduced[overlooked].argmin(axis=1)] = True
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
