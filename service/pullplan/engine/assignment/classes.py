"""Which needs are alike as long as cost does not count, and which linear programme is over them?

A *class* gathers needs of a block with the same tier and rank, the same ways, and the same time. Columns: *pairs* (class ×
open way, to stay short being the last way of each), then *starts* (batch × start bucket, of batches with several). Rows:
classes, batches with several starts, capacities; of a store, what is used up to each bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.near_ties import uses
from pullplan.engine.assignment.sifting import Columns
from pullplan.engine.assignment.stages import Search, lp_of, open_search
from pullplan.engine.assignment.watching import Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Classes:
    """One block's classes, and where they stand among those of all blocks; the way after the last is to stay short."""

    class_of_need: IntArray
    stage: IntArray
    due: IntArray
    """(n_classes,): which of the block's due buckets."""
    weight: float
    """What one unit short adds to its stage."""
    edges: FloatArray
    """(n_classes, n_slices + 1): units of the last slices."""
    is_open: BoolArray
    """(n_classes, n_ways + 1)"""
    numbers: slice
    columns: slice


@dataclass(frozen=True)
class ClassProgramme:
    """All classes of a market, and the columns that they have."""

    market: Market
    classes: Sequence[Classes]
    pair_batch: IntArray
    """(n_pairs,): −1 for to stay short."""
    joined: IntArray
    """Batches that have a row, ascending: those that some class may use, and that have several starts."""
    start_batch: IntArray
    """(n_starts,)"""
    start: IntArray
    """(n_starts,)"""

    @property
    def n_pairs(self) -> int:
        """Count the pairs: starts stand from there."""
        return len(self.pair_batch)

    @property
    def n_columns(self) -> int:
        """Count the columns."""
        return self.n_pairs + len(self.start)

    @cached_property
    def stage(self) -> IntArray:
        """Tell every class's tier and rank: (n_classes,)."""
        return np.concatenate([c.stage for c in self.classes])

    @cached_property
    def weight(self) -> FloatArray:
        """Tell what one unit short adds: (n_classes,)."""
        return np.concatenate([np.full(len(c.stage), c.weight) for c in self.classes])

    @cached_property
    def edges(self) -> FloatArray:
        """Add up the units of the last slices: (n_classes, n_slices + 1)."""
        return np.concatenate([c.edges for c in self.classes])

    @cached_property
    def short_column(self) -> IntArray:
        """Number the column of what stays short: (n_classes,)."""
        return np.flatnonzero(self.pair_batch < 0)

    @cached_property
    def class_of_pair(self) -> IntArray:
        """Name every pair's class: (n_pairs,)."""
        return np.repeat(np.arange(len(self.short_column)), np.diff(self.short_column, prepend=-1))

    def by_stage(self, n_stages: int) -> list[IntArray]:
        """Gather the classes of each tier and rank."""
        order = np.argsort(self.stage, kind="stable")
        return np.split(order, np.searchsorted(self.stage[order], np.arange(1, n_stages)))

    @cached_property
    def _direct_start(self) -> IntArray:
        """Name the start of every pair that has one; −1: several, or short: (n_pairs,)."""
        only = np.isfinite(self.market.batches.start_cost).argmax(axis=1)
        is_direct = (self.pair_batch >= 0) & ~np.isin(self.pair_batch, self.joined)
        return np.where(is_direct, only[self.pair_batch], -1)

    def late_buckets(self) -> FloatArray:
        """Count how late a unit of each column is: (n_columns,)."""
        late = self.market.batches.late_buckets
        direct = self._direct_start
        of_pairs = np.where(direct >= 0, late[self.pair_batch, np.maximum(0, direct)], 0.0)
        return np.concatenate([of_pairs, late[self.start_batch, self.start]])

    def _use(self) -> csr_array:
        """Tell what a unit of each column takes: (n_columns, n_rows)."""
        direct = np.flatnonzero(self._direct_start >= 0)
        column = np.concatenate([direct, self.n_pairs + np.arange(len(self.start))])
        batch = np.concatenate([self.pair_batch[direct], self.start_batch])
        start = np.concatenate([self._direct_start[direct], self.start])
        place, row, use = uses(self.market, batch, start)
        n_starts, is_stored = self.market.n_starts, self.market.is_stored
        if is_stored is not None and is_stored.any():
            n_rows = np.where(is_stored[row // n_starts], n_starts - row % n_starts, 1)
            later = np.arange(int(n_rows.sum())) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
            place, use = np.repeat(place, n_rows), np.repeat(use, n_rows)
            row = np.repeat(row, n_rows) + later
        shape = self.n_columns, len(self.market.capacity)
        return csr_array((use, (column[place], row)), shape=shape)

    def open(self, scale: float, watch: Watch | None) -> tuple[Search, Columns | None]:
        """Write the programme down for HiGHS, units and capacity divided by `scale`.

        Returns the columns as well, where each stands for itself.
        """
        market, use = self.market, self._use()
        units, capacity = self.edges[:, -1] / scale, market.up_to_start(market.capacity) / scale
        n_classes, n_joined = len(units), len(self.joined)
        entry = use.tocoo()
        of_joined = np.searchsorted(self.joined, self.pair_batch)
        pair = np.flatnonzero((self._direct_start < 0) & (self.pair_batch >= 0))
        entries = [
            (np.ones(self.n_pairs), self.class_of_pair, np.arange(self.n_pairs)),
            (-np.ones(len(pair)), n_classes + of_joined[pair], pair),
            (
                np.ones(len(self.start)),
                n_classes + np.searchsorted(self.joined, self.start_batch),
                self.n_pairs + np.arange(len(self.start)),
            ),
            (entry.data, n_classes + n_joined + entry.coords[1].astype(np.int64), entry.coords[0]),
        ]
        value, row, column = (np.concatenate(of) for of in zip(*entries, strict=True))
        matrix = csr_array(
            (value, (row, column)), shape=(n_classes + n_joined + len(capacity), self.n_columns)
        )
        balanced = np.zeros(n_joined)
        lower = np.concatenate([units, balanced, np.full(len(capacity), -np.inf)])
        upper = np.concatenate([units, balanced, capacity])
        search = open_search(lp_of(matrix, lower, upper), n_classes + n_joined, watch)
        return search, None if n_joined else Columns(self.class_of_pair, use, units, capacity)


def gather(market: Market) -> ClassProgramme:
    """Gather the needs of every block into classes, and number these and their columns."""
    classes: list[Classes] = []
    pair_batch = []
    first_class = first_column = 0
    for block, first_batch in zip(market.blocks, market.batches.first.tolist(), strict=False):
        found = _classes_of(block, market.n_slices, first_class, first_column)
        first_class, first_column = found.numbers.stop, found.columns.stop
        classes.append(found)
        of_class, way = np.nonzero(found.is_open)
        batch = first_batch + way * block.n_dues + found.due[of_class]
        pair_batch.append(np.where(way < len(block.use), batch, -1))
    batch_of_pair = np.concatenate(pair_batch)
    used = np.unique(batch_of_pair[batch_of_pair >= 0])
    is_start = np.isfinite(market.batches.start_cost[used])
    joined = used[is_start.sum(axis=1) > 1]
    place, start = np.nonzero(np.isfinite(market.batches.start_cost[joined]))
    return ClassProgramme(market, classes, batch_of_pair, joined, joined[place], start)


def slice_edges_of(block: Block, n_slices: int) -> FloatArray:
    """Add up the units of needs from their last slice back: (n_needs, n_slices + 1)."""
    slice_units = block.units / n_slices if block.slice_units is None else block.slice_units
    edges = np.minimum(block.units[:, None], slice_units[:, None] * np.arange(n_slices + 1))
    edges[:, n_slices] = block.units
    return edges


def _classes_of(block: Block, n_slices: int, first_class: int, first_column: int) -> Classes:
    pattern = np.vstack([np.isfinite(block.cost), block.due, block.stage])
    if (pattern == pattern[:, :1]).all():
        distinct, class_of_need = pattern[:, :1], np.zeros(len(block.units), dtype=np.int64)
    else:
        distinct, class_of_need = np.unique(pattern, axis=1, return_inverse=True)
    n_classes = distinct.shape[1]
    is_open = np.vstack([distinct[:-2] > 0, np.ones(n_classes, dtype=bool)]).T
    edges = np.stack(
        [np.bincount(class_of_need, of_slices, n_classes) for of_slices in slice_edges_of(block, n_slices).T],
        axis=1,
    )
    return Classes(
        class_of_need=class_of_need,
        stage=distinct[-1].astype(np.int64),
        due=distinct[-2].astype(np.int64),
        weight=block.shortfall_weight,
        edges=edges,
        is_open=is_open,
        numbers=slice(first_class, first_class + n_classes),
        columns=slice(first_column, first_column + int(is_open.sum())),
    )
