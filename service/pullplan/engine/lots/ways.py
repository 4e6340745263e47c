"""Which orders could serve which needs, as the columns that sizing and serving have in common?

As in the assignment's programme, the start of work does not depend on its region: *shipments* (need × capability) and
*starts* (batch × start bucket) stand for all options, a *batch* being shipments of one capability with the same
starts to choose from. An *order* is a capability × start bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.options import OptionRows, Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Terms = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]


@dataclass(frozen=True)
class Orders:
    """Every order that an option of a product with lot rules leads to, by capability and start bucket.

    Arrays are (n_orders,).
    """

    capability: IntArray
    start: IntArray
    product: IntArray
    surplus_region: IntArray
    """The one that will need it soonest: of those the node serves in time, the one with the most need."""
    surplus_early_buckets: IntArray
    """From arrival there to the end of the horizon."""
    surplus_route_cost: FloatArray
    """Per unit: the way there."""
    surplus_cost: FloatArray
    """Per unit: the way there, and holding until the end of the horizon."""
    n_buckets: int

    def number(self, capability: IntArray, start: IntArray) -> IntArray:
        """Find orders."""
        key = self.capability * self.n_buckets + self.start
        return np.searchsorted(key, capability * self.n_buckets + start)


@dataclass(frozen=True)
class Ways:
    """Some needs, some of their options, and the orders these lead to."""

    need: IntArray
    """Ascending; `shipment_need` holds positions in it."""
    shipment_need: IntArray
    shipment_capability: IntArray
    shipment_batch: IntArray
    shipment_cost: FloatArray
    """Per unit, without holding."""
    start_batch: IntArray
    start_order: IntArray
    """Positions in `order`."""
    start_holding: FloatArray
    """Per unit, until it is due."""
    start_late: IntArray
    """Buckets."""
    start_early: IntArray
    order: IntArray
    """Ascending."""


class Rows:
    """Rows of a programme, gathered block by block."""

    def __init__(self) -> None:
        self._n_rows = 0
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._terms: list[tuple[IntArray, IntArray, FloatArray]] = []

    def add(self, n_rows: int, lower: npt.ArrayLike, upper: npt.ArrayLike, *terms: Terms) -> None:
        """Append rows; terms are (row in this block, column, coefficient)."""
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), n_rows))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), n_rows))
        for row, column, value in terms:
            at = self._n_rows + np.asarray(row, dtype=np.int64)
            coefficient = np.broadcast_to(np.asarray(value, dtype=np.float64), at.shape)
            self._terms.append((at, np.asarray(column, dtype=np.int64), coefficient))
        self._n_rows += n_rows

    def to_lp(self, cost: FloatArray, lower: FloatArray, upper: FloatArray) -> highspy.HighsLp:
        """Write the rows down for HiGHS, with columns' costs and bounds."""
        row, column, value = (np.concatenate(parts) for parts in zip(*self._terms, strict=True))
        matrix = csr_array((value, (row, column)), shape=(self._n_rows, len(cost)))
        matrix.sort_indices()
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = matrix.shape
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
        lp.row_lower_, lp.row_upper_ = np.concatenate(self._lower), np.concatenate(self._upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = (
            matrix.indptr,
            matrix.indices,
            matrix.data,
        )
        return lp


class Columns:
    """Hands column numbers out, block by block."""

    def __init__(self) -> None:
        self.n = 0

    def block(self, n_columns: int) -> IntArray:
        """Number the next columns."""
        self.n += n_columns
        return np.arange(self.n - n_columns, self.n)


def lay_out_orders(options: Options, rows: Sequence[OptionRows]) -> Orders:
    """List the orders that options lead to; each of `rows` is of one product, products ascending."""
    n_buckets = options.horizon.horizon_buckets
    of_product = [_orders_of_product(options, of) for of in rows if len(of.need)]
    capability, start, region, offset = (
        np.concatenate([np.empty(0, dtype=np.int64), *(of[at] for of in of_product)]) for at in range(4)
    )
    cost = np.concatenate([np.empty(0), *(of[4] for of in of_product)])
    product = options.capabilities.product[capability]
    early = np.maximum(0, n_buckets - start - offset)
    return Orders(
        capability=capability,
        start=start,
        product=product,
        surplus_region=region,
        surplus_early_buckets=early,
        surplus_route_cost=cost,
        surplus_cost=cost + early * options.holding_cost_per_bucket[product],
        n_buckets=n_buckets,
    )


def _orders_of_product(
    options: Options, rows: OptionRows
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray]:
    """List (capability, start, region of surplus, offset to it, cost of the way to it)."""
    n_buckets = options.horizon.horizon_buckets
    key = np.unique(rows.capability * n_buckets + rows.start_bucket)
    capability, start = key // n_buckets, key % n_buckets
    soonest = _soonest_region(options, rows)
    at = soonest[np.searchsorted(rows.capability[soonest], capability)]
    offset = rows.arrival_bucket[at] - rows.start_bucket[at]
    return capability, start, options.need_region[rows.need[at]], offset, rows.route_cost[at]


def _soonest_region(options: Options, rows: OptionRows) -> IntArray:
    """Find an option into the region with the most need of every capability's; ties: nearest, then first by code."""
    _, pair = np.unique(rows.capability * len(options.needs) + rows.need, return_index=True)
    capability, need = rows.capability[pair], rows.need[pair]
    region = options.need_region[need]
    lane = number_rows(capability, region)
    _, first = np.unique(lane, return_index=True)
    units = np.bincount(lane, weights=options.need_units[need])
    order = np.lexsort((region[first], rows.distance_km[pair[first]], -units, capability[first]))
    _, best = np.unique(capability[first][order], return_index=True)
    found: IntArray = pair[first][order][best]
    return found


def gather(options: Options, orders: Orders, need: IntArray, rows: OptionRows) -> Ways:
    """Join options into shipments, starts and batches."""
    pair = number_rows(rows.need, rows.capability)
    first_start = np.full(len(rows.need), options.horizon.horizon_buckets)
    last_start = np.zeros(len(rows.need), dtype=np.int64)
    np.minimum.at(first_start, pair, rows.start_bucket)
    np.maximum.at(last_start, pair, rows.start_bucket)
    batch = number_rows(
        rows.capability,
        first_start[pair],
        last_start[pair],
        rows.arrival_bucket - rows.start_bucket,
        options.need_bucket[rows.need],
        options.need_latest_bucket[rows.need],
    )
    _, shipment = np.unique(pair, return_index=True)
    _, start = np.unique(number_rows(batch, rows.start_bucket), return_index=True)
    number = orders.number(rows.capability[start], rows.start_bucket[start])
    order, start_order = np.unique(number, return_inverse=True)
    return Ways(
        need=need,
        shipment_need=np.searchsorted(need, rows.need[shipment]),
        shipment_capability=rows.capability[shipment],
        shipment_batch=batch[shipment],
        shipment_cost=rows.route_cost[shipment],
        start_batch=batch[start],
        start_order=start_order,
        start_holding=rows.holding_cost[start],
        start_late=rows.late_buckets[start],
        start_early=rows.early_buckets[start],
        order=order,
    )


def take(rows: Sequence[OptionRows], where: Sequence[npt.NDArray[np.bool_]]) -> OptionRows:
    """Gather those of some options that are marked."""
    return OptionRows(
        **{
            column.name: np.concatenate(
                [getattr(of, column.name)[marked] for of, marked in zip(rows, where, strict=True)]
            )
            for column in fields(OptionRows)
        }
    )


def add_flow(
    rows: Rows, ways: Ways, units: FloatArray, columns: tuple[IntArray, IntArray], short: Terms
) -> None:
    """Write down that needs are served or short, and that what is shipped was started.

    Shapes: `units` (n_needs,); `columns` are those of shipments and of starts
    """
    shipments, starts = columns
    rows.add(len(units), units, units, (ways.shipment_need, shipments, 1.0), short)
    n_batches = int(ways.start_batch.max(initial=-1)) + 1
    rows.add(n_batches, 0.0, 0.0, (ways.start_batch, starts, 1.0), (ways.shipment_batch, shipments, -1.0))


def number_rows(*columns: IntArray) -> IntArray:
    """Give equal rows of non-negative columns equal numbers, in the order of the rows."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        # Numbered anew at every column, so that no product of ranges can overflow.
        _, number = np.unique(number * (column.max(initial=0) + 1) + column, return_inverse=True)
    return number
