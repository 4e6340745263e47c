"""How do options become one small linear programme?

The start bucket of work does not depend on the region that it goes to. So instead of a column per option there are
*shipments* (class of needs × capability: how much of these needs this node serves), *starts* (batch × start bucket:
how much of that is started when), *fills* and *shortages* (what each need gets of its class's shipments, and what
not); a *batch* gathers the shipments of one capability that have the same start buckets to choose from. Any split of a batch's starts over its shipments is a plan, and
every plan of options is one of these, so both programmes have the same optimum.
"""

import math
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, vstack

from pullplan.engine.options import Options, StageMeasure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Programme:
    """Columns: shipments, starts, fills, shortages. Rows: needs, need classes, batches, capacities.

    Units are divided by `unit_scale`, every capacity row by its `row_scale`.
    """

    options: Options
    unit_scale: float
    class_of_need: IntArray
    """Needs of one class share product, region, due bucket, latest bucket and pin, and so every option."""
    shipment_option: IntArray
    """Any option of each shipment; all of them have the same route."""
    shipment_class: IntArray
    shipment_batch: IntArray
    start_option: IntArray
    """Any option of each start; all of them have the same capability and buckets."""
    start_batch: IntArray
    n_classes: int
    n_batches: int
    row_scale: FloatArray
    """(n_resources × n_buckets,)"""

    @property
    def n_columns(self) -> int:
        """Count the columns."""
        return len(self.shipment_option) + len(self.start_option) + 2 * len(self.options.needs)

    @property
    def first_shortage(self) -> int:
        """Number the column from which shortages stand, one for each need."""
        return self.n_columns - len(self.options.needs)

    @property
    def first_capacity_row(self) -> int:
        """Number the row from which capacities stand."""
        return len(self.options.needs) + self.n_classes + self.n_batches

    def column_cost(self, measure: StageMeasure) -> FloatArray:
        """Spread a stage's measure of options over the columns."""
        rows = self.options.rows
        return np.concatenate(
            [
                measure.by_route(rows)[self.shipment_option],
                measure.by_start(rows, self.options)[self.start_option],
                np.zeros(2 * len(self.options.needs)),
            ]
        )

    def split(self, columns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cut column values into shipments, starts and shortages."""
        shipments, starts = len(self.shipment_option), len(self.start_option)
        return columns[:shipments], columns[shipments : shipments + starts], columns[self.first_shortage :]


def build_programme(options: Options) -> Programme:
    """Gather needs into classes and options into shipments, starts and batches."""
    class_of_need = _number_rows(
        options.need_product,
        options.need_region,
        options.need_bucket,
        options.need_latest_bucket,
        options.need_pinned_node + 1,
        options.need_pinned_start + 1,
    )
    option_class = class_of_need[options.option_need]
    shipment_of_option = _number_rows(option_class, options.option_capability)
    offset = options.option_arrival_bucket - options.option_start_bucket
    batch_of_option = _number_rows(
        options.option_capability,
        offset,
        options.need_bucket[options.option_need],
        *_start_range(options),
    )
    start_of_option = _number_rows(batch_of_option, options.option_start_bucket)
    _, shipment_option = np.unique(shipment_of_option, return_index=True)
    _, start_option = np.unique(start_of_option, return_index=True)
    return Programme(
        options=options,
        unit_scale=power_of_two(float(options.need_units.mean())) if options.need_units.any() else 1.0,
        class_of_need=class_of_need,
        shipment_option=shipment_option,
        shipment_class=option_class[shipment_option],
        shipment_batch=batch_of_option[shipment_option],
        start_option=start_option,
        start_batch=batch_of_option[start_option],
        n_classes=int(class_of_need.max(initial=-1)) + 1,
        n_batches=int(batch_of_option.max(initial=-1)) + 1,
        row_scale=np.repeat(largest_use(options), options.horizon.horizon_buckets),
    )


def _start_range(options: Options) -> tuple[IntArray, IntArray]:
    """Tell of every option the first start of its need and capability, and the last."""
    first_of_pair = np.diff(options.option_need, prepend=-1) != 0
    first_of_pair |= np.diff(options.option_capability, prepend=-1) != 0
    at = np.flatnonzero(first_of_pair)
    count = np.diff(at, append=len(first_of_pair))
    first = np.repeat(options.option_start_bucket[at], count)
    return first, first + np.repeat(count, count) - 1


def to_highs(programme: Programme) -> highspy.HighsLp:
    """Write the programme down for HiGHS, without costs."""
    matrix = _rows(programme)
    units = programme.options.need_units / programme.unit_scale
    capacity = capacity_rhs(programme)
    balanced = np.zeros(programme.n_classes + programme.n_batches)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = programme.n_columns, matrix.shape[0]
    lp.col_cost_ = np.zeros(lp.num_col_)
    lp.col_lower_ = np.zeros(lp.num_col_)
    lp.col_upper_ = np.full(lp.num_col_, highspy.kHighsInf)
    lp.row_lower_ = np.concatenate([units, balanced, np.full(len(capacity), -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([units, balanced, capacity])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    return lp


def capacity_rhs(programme: Programme) -> FloatArray:
    """Lay out what the capacity rows allow: renewed by bucket, stored up to each bucket; scaled."""
    capacities = programme.options.capacities
    up_to = np.cumsum(capacities.available, axis=1)
    allowed = np.where(capacities.is_stored[:, None], up_to, capacities.available).ravel()
    rhs: FloatArray = allowed / (programme.row_scale * programme.unit_scale)
    return rhs


def power_of_two(amount: float) -> float:
    """Round a positive amount to a power of two: scaling by it changes no digit."""
    return float(2.0 ** round(math.log2(amount)))


def _number_rows(*columns: IntArray) -> IntArray:
    """Give equal rows of non-negative columns equal numbers, in the order of the rows."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        # Numbered anew at every column, so that no product of ranges can overflow.
        _, number = np.unique(number * (column.max(initial=0) + 1) + column, return_inverse=True)
    return number


def largest_use(options: Options) -> FloatArray:
    """Scale every resource by the most that one unit of anything takes of it: (n_resources,)."""
    largest = np.zeros(len(options.capacities.keys))
    entries = options.capabilities.use.tocoo()
    np.maximum.at(largest, entries.coords[1], entries.data)
    return np.array([power_of_two(use) if use > 0 else 1.0 for use in largest.tolist()])


def _rows(programme: Programme) -> csr_array:
    n_needs = len(programme.options.needs)
    n_shipments, n_starts = len(programme.shipment_option), len(programme.start_option)
    shipments = np.arange(n_shipments)
    starts = n_shipments + np.arange(n_starts)
    fills = n_shipments + n_starts + np.arange(n_needs)
    shortages = fills + n_needs
    needs = np.arange(n_needs)
    shape = programme.n_columns
    by_need = _signed_rows((needs, fills), (needs, shortages), shape=(n_needs, shape))
    by_class = _signed_rows(
        (programme.shipment_class, shipments),
        negative=(programme.class_of_need, fills),
        shape=(programme.n_classes, shape),
    )
    by_batch = _signed_rows(
        (programme.start_batch, starts),
        negative=(programme.shipment_batch, shipments),
        shape=(programme.n_batches, shape),
    )
    capacity = _capacity_rows(programme, n_shipments)
    matrix: csr_array = vstack([by_need, by_class, by_batch, capacity], format="csr")
    matrix.sort_indices()
    return matrix


def _signed_rows(
    *positive: tuple[IntArray, IntArray],
    negative: tuple[IntArray, IntArray] | None = None,
    shape: tuple[int, int],
) -> coo_array:
    """Put +1 and −1 at (row, column) pairs."""
    signed = [(1.0, pairs) for pairs in positive] + ([(-1.0, negative)] if negative is not None else [])
    value = np.concatenate([np.full(len(rows), sign) for sign, (rows, _) in signed])
    row = np.concatenate([rows for _, (rows, _) in signed])
    column = np.concatenate([columns for _, (_, columns) in signed])
    return coo_array((value, (row, column)), shape=shape)


def _capacity_rows(programme: Programme, first_start: int) -> coo_array:
    """Write use ≤ capacity: a start uses a renewed resource in its bucket, a stored one from there on, a share at the end.

    Of a share limit all is there from the start: its last row says it all.
    """
    options = programme.options
    n_buckets = options.horizon.horizon_buckets
    n_rows = len(options.capacities.keys) * n_buckets
    uses = options.capabilities.use[options.option_capability[programme.start_option]].tocoo()
    start, resource = (axis.astype(np.int64) for axis in uses.coords)
    started = options.option_start_bucket[programme.start_option][start]
    bucket = np.where(options.capacities.is_share[resource], n_buckets - 1, started)
    n_entries = np.where(options.capacities.is_stored[resource], n_buckets - bucket, 1)
    first = np.repeat(np.cumsum(n_entries) - n_entries, n_entries)
    row = np.repeat(resource * n_buckets + bucket, n_entries) + np.arange(len(first)) - first
    value = np.repeat(uses.data, n_entries) / programme.row_scale[row]
    column = first_start + np.repeat(start, n_entries)
    return coo_array((value, (row, column)), shape=(n_rows, programme.n_columns))
