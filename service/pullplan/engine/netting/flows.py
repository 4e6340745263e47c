"""What do forecast consumption, stock and supply leave open, of many product × regions at once?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

type Units = npt.NDArray[np.float64]
type Places = npt.NDArray[np.intp]

DUST_UNITS = 5e-7
"""What floating point and a dying series' smoothed forecast leave behind; a millionth of a unit is a need."""
PAIRS_AT_ONCE = 8192
"""Some dozen columns of so many stay in a core's cache."""


def consume_forecast(forecast_units: Units, demand_units: Units, back: int, forward: int) -> Units:
    """Take orders and leads off the forecast: own bucket, then earlier, then later ones, nearest first.

    Buckets in ascending order; each exhausts its window before the next is looked at.

    Shapes: (n_buckets, n_pairs), (n_buckets, n_pairs) to (n_buckets, n_pairs)
    Source: frePPLe documentation, forecast netting; the planning model, section 4.
    """
    left = forecast_units.copy()
    n_buckets, n_pairs = left.shape
    for first in range(0, n_pairs, PAIRS_AT_ONCE):
        block = left[:, first : first + PAIRS_AT_ONCE]
        wanted, taken = np.empty((2, block.shape[1]))
        for b in range(n_buckets):
            window = (b, *range(b - 1, b - 1 - back, -1), *range(b + 1, b + 1 + forward))
            *first_ones, last = (other for other in window if 0 <= other < n_buckets)
            open_units = demand_units[b, first : first + PAIRS_AT_ONCE]
            for other in first_ones:
                np.minimum(open_units, block[other], out=taken)
                block[other] -= taken
                open_units = np.subtract(open_units, taken, out=wanted)
            np.minimum(open_units, block[last], out=taken)
            block[last] -= taken
    return left


@dataclass(frozen=True)
class Flow:
    """What flows through pairs: demand, targets and receipts (n_buckets, n_pairs), what is on hand (n_pairs,)."""

    demand_units: Units
    target_units: Units
    receipts_units: Units
    on_hand_units: Units
    shelf_buckets: Units | None = None
    """For how many buckets goods keep, inf: for ever; None where all do. Shapes: (n_pairs,)"""
    fill_up_to_units: Units | None = None
    """What a bucket is filled up to that would end below its target, −inf: to the target; None where all are. Shapes: (n_pairs,)"""

    def some(self, first: int) -> "Flow":
        """Take the pairs from one on that are worked on at once."""
        block = slice(first, first + PAIRS_AT_ONCE)
        shelf, fill_up_to = (
            n if n is None else n[block] for n in (self.shelf_buckets, self.fill_up_to_units)
        )
        return Flow(
            self.demand_units[:, block],
            self.target_units[:, block],
            self.receipts_units[:, block],
            self.on_hand_units[block],
            shelf,
            fill_up_to,
        )


@dataclass(frozen=True)
class Coverage:
    """What stock and supply give, and what they have to be filled up by; arrays are (n_buckets, n_pairs)."""

    covered_units: Units
    """Of demand."""
    refill_units: Units
    """Up to the target; below zero where more is there and returns are allowed."""


def cover(flow: Flow, *, allow_returns: bool = False) -> Coverage:
    """Give stock and supply to demand bucket by bucket, and fill them up to their targets.

    need_b = max(0, target_b + gross_b − projected_(b-1) − receipts_b), which is demand less what covers it, and refill.
    Where there is a level to fill up to, it stands in the target's place once need_b is above zero.
    Safety stock that is still to be made serves no later demand, except what exceeds a falling target: if it is not made,
    it cannot. Stock below zero is filled up in bucket 0: no open order stands behind it.

    The oldest goes first, and serves what is due at most `shelf_buckets` after it arrived; what is on hand is taken to be
    fresh, as its age isn't known.

    Source: the planning model, section 4.
    """
    covered, refill = np.empty((2, *flow.demand_units.shape))
    for first in range(0, flow.demand_units.shape[1], PAIRS_AT_ONCE):
        block = slice(first, first + PAIRS_AT_ONCE)
        into = Coverage(covered[:, block], refill[:, block])
        _cover_some(flow.some(first), into, least_refill=-np.inf if allow_returns else 0.0)
    return Coverage(covered, refill)


def _cover_some(flow: Flow, into: Coverage, *, least_refill: float) -> None:
    # What is still to be made serves demand only as far as it exceeds the target: with what is there, that is the larger
    # of the two bounds below.
    there, projected = flow.on_hand_units.copy(), flow.on_hand_units.copy()
    stock = np.empty_like(there)
    shelf, arrived = flow.shelf_buckets, np.empty(0)
    if shelf is not None:
        arrived = flow.on_hand_units + np.cumsum(flow.receipts_units, axis=0)
    for b, (demand, target) in enumerate(zip(flow.demand_units, flow.target_units, strict=True)):
        covered, refill = into.covered_units[b], into.refill_units[b]
        there += flow.receipts_units[b]
        projected += flow.receipts_units[b]
        if shelf is not None:
            _throw_away(there, projected, arrived, shelf, b)
        np.maximum(there, 0.0, out=stock)
        np.subtract(projected, target, out=covered)
        np.maximum(covered, stock, out=covered)
        np.minimum(covered, demand, out=covered)
        projected -= covered
        np.minimum(stock, demand, out=stock)
        there -= stock
        level = target
        if flow.fill_up_to_units is not None:
            # Who has just the minimum, but for the rounding of sums, is not below it.
            is_below = projected - (demand - covered) < target - DUST_UNITS
            level = np.where(is_below, np.maximum(target, flow.fill_up_to_units), target)
        np.subtract(level, projected, out=refill)
        np.maximum(refill, least_refill, out=refill)
        projected += refill


def split_cover(flow: Flow) -> tuple[Units, Units]:
    """Tell which demand is covered by what was on hand, and which by receipts: the oldest goes first.

    What `cover` covers beyond both is safety stock that was still to be made, and exceeds its target by then.

    Shapes: twice (n_buckets, n_pairs)
    """
    from_stock, from_receipts = np.empty((2, *flow.demand_units.shape))
    there = flow.on_hand_units.copy()
    came = np.zeros_like(there)
    shelf, arrived = flow.shelf_buckets, flow.on_hand_units + np.cumsum(flow.receipts_units, axis=0)
    for b, demand in enumerate(flow.demand_units):
        there += flow.receipts_units[b]
        came += flow.receipts_units[b]
        if shelf is not None:
            _throw_away(there, there.copy(), arrived, shelf, b)
        given = np.minimum(np.maximum(there, 0.0), demand)
        np.minimum(given, np.maximum(there - came, 0.0), out=from_stock[b])
        np.subtract(given, from_stock[b], out=from_receipts[b])
        there -= given
    return from_stock, from_receipts


def _throw_away(there: Units, projected: Units, arrived: Units, shelf_buckets: Units, bucket: int) -> None:
    """Leave of what is there what came lately: the rest has grown too old."""
    old = np.flatnonzero(bucket > shelf_buckets)
    since = bucket - shelf_buckets[old].astype(np.intp) - 1
    fresh = np.minimum(there[old], arrived[bucket, old] - arrived[since, old])
    projected[old] -= there[old] - fresh
    there[old] = fresh


def add_up(cells: Places, units: Units, n_cells: int) -> Units:
    """Add up units by cell. Shapes: (n_lines,), (n_lines,) to (n_cells,)."""
    return np.bincount(cells, weights=units, minlength=n_cells).astype(np.float64, copy=False)


def leave_open(cells: Places, units: Units, demand_units: Units, covered_units: Units) -> Units:
    """Tell what of each line its cell's cover leaves open, where the first lines of a cell are served first.

    Shapes: cells and units (n_lines,), lines of a cell side by side; demand and cover (n_cells,); result (n_lines,)
    """
    left_open = np.where((covered_units >= demand_units)[cells], 0.0, units)  # wholly: no rounding is left
    if cells.size == 0:
        return left_open
    starts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1))
    position = np.arange(cells.size) - np.repeat(starts, np.diff(starts, append=cells.size))
    rows = np.argsort(position, kind="stable")
    cover_left = covered_units.copy()
    for at in np.split(rows, np.cumsum(np.bincount(position))[:-1]):
        taken = np.minimum(left_open[at], cover_left[cells[at]])
        left_open[at] -= taken
        cover_left[cells[at]] -= taken
    return left_open


def replenish(ordered_units: Units, needed_units: Units) -> Units:
    """Leave of a buffer's orders what open demand that stock can't cover does not take of them, bucket by bucket.

    Shapes: (n_buckets, n_pairs), (n_buckets, n_pairs) to (n_buckets, n_pairs)
    """
    ahead = np.cumsum(ordered_units - needed_units, axis=0)
    np.maximum.accumulate(np.maximum(ahead, 0.0, out=ahead), axis=0, out=ahead)
    return np.diff(ahead, axis=0, prepend=0.0)
