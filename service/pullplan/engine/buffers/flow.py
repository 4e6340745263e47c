"""Where does a buffer stand, and what is to be ordered?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers.sizing import (
    ROUNDING_SLACK,
    BufferZones,
    Number,
    Rounding,
    Units,
    half_up,
    is_rounded,
)

type Indices = npt.NDArray[np.intp]

SPIKE_SHARE_OF_RED = 0.5
ALERT_SHARE_OF_RED = 0.5
"""On hand below this share of red is an alert of execution, below the whole of it a warning."""


@dataclass(frozen=True)
class QualifiedDemand:
    """What of open orders counts against a buffer today; arrays are (n_buffers,), in units."""

    past_due_units: Units
    today_units: Units
    spike_units: Units
    spike_buffer: Indices
    """Of every spike: its buffer. Shapes: (n_spikes,)"""
    spike_days_ahead: Indices
    """Of every spike: the day, counted from today. Shapes: (n_spikes,)"""
    spike_day_units: Units
    """Of every spike: all orders of its day. Shapes: (n_spikes,)"""

    @property
    def units(self) -> Units:
        return self.past_due_units + self.today_units + self.spike_units


@dataclass(frozen=True)
class Ordering:
    """What an order's size has to keep to; every number is one for all buffers or an array (n_buffers,)."""

    minimum_units: Number = 0.0
    multiple_units: Number = 0.0
    """0: any amount."""
    maximum_units: Number = np.inf
    """What is larger is split; at least the smallest order that minimum and multiple allow."""
    rounding: Rounding | Sequence[Rounding] = "none"

    def some(self, which: slice) -> "Ordering":
        """Take some buffers alone."""
        minimum, multiple, maximum = (
            n if np.ndim(n) == 0 else np.asarray(n)[which]
            for n in (self.minimum_units, self.multiple_units, self.maximum_units)
        )
        rounding = self.rounding if isinstance(self.rounding, str) else self.rounding[which]
        return Ordering(minimum, multiple, maximum, rounding)

    @property
    def step_units(self) -> Units:
        """Tell of what orders are multiples: 0 where any amount is one."""
        multiple = np.asarray(self.multiple_units, dtype=np.float64)
        at_order = is_rounded(self.rounding, "at_order")
        return np.where(at_order & (multiple <= 0), 1.0, multiple)

    @property
    def largest_units(self) -> Units:
        """Tell the largest order: the maximum, down to a multiple; no smaller than the smallest there is."""
        step = self.step_units
        largest = np.asarray(self.maximum_units, dtype=np.float64)
        divisor = np.where(step > 0, step, 1.0)
        down = np.where(step > 0, np.floor(largest / divisor * (1 + ROUNDING_SLACK)) * divisor, largest)
        return np.maximum(down, np.maximum(step, _raised(np.asarray(self.minimum_units, dtype=float), self)))


@dataclass(frozen=True)
class BufferStatus:
    """Where buffers stand today; arrays are (n_buffers,)."""

    net_flow_units: Units
    priority_percent: Units
    """Net flow of top of green: the smaller, the more urgent. NaN where the buffer is of no size."""
    color: npt.NDArray[np.str_]
    """Of net flow: `red`, `yellow`, `green`, or `above` the top of green."""
    on_hand_alert: npt.NDArray[np.str_]
    """Of what is on hand: `red` below half of red, `yellow` below red, else `none`."""
    order_units: Units


def spike_threshold_units(red_units: Units) -> Units:
    """Take half of red for a spike, halves of a unit up; below half a unit unrounded, or every day were a spike.

    Source: Orlicky's MRP, 3rd ed., ch. 25 (order spike threshold).
    """
    half = SPIKE_SHARE_OF_RED * red_units
    return np.where(half < 0.5, half, half_up(half))


def qualify_demand(
    buffer: Indices,
    days_ahead: Indices,
    units: Units,
    *,
    threshold_units: Units,
    horizon_days: Units,
) -> QualifiedDemand:
    """Count what is past due, what is due today, and later days that are spikes, whole.

    A day is a spike where all orders of it together reach the threshold; the horizon's last day is inside.

    Shapes: buffer, days_ahead (negative: past due) and units (n_orders,), thresholds and horizons (n_buffers,)
    Source: Orlicky's MRP, 3rd ed., fig. 26-10.
    """
    n_buffers = len(threshold_units)

    def summed(which: npt.NDArray[np.bool_]) -> Units:
        return np.bincount(buffer[which], weights=units[which], minlength=n_buffers).astype(np.float64)

    later = (days_ahead > 0) & (days_ahead <= horizon_days[buffer])
    width = int(days_ahead[later].max(initial=0)) + 1
    days, of_line = np.unique(buffer[later] * width + days_ahead[later], return_inverse=True)
    day_units = np.bincount(of_line, weights=units[later], minlength=days.size)
    day_buffer = days // width
    is_spike = (day_units > 0) & (day_units >= threshold_units[day_buffer] * (1 - ROUNDING_SLACK))
    return QualifiedDemand(
        summed(days_ahead < 0),
        summed(days_ahead == 0),
        np.bincount(day_buffer[is_spike], weights=day_units[is_spike], minlength=n_buffers),
        day_buffer[is_spike],
        (days % width)[is_spike],
        day_units[is_spike],
    )


def read_status(
    zones: BufferZones, on_hand_units: Units, supply_units: Units, qualified_units: Units, ordering: Ordering
) -> BufferStatus:
    """Tell net flow, urgency and what to order of buffers.

    Net flow = on hand + all open supply − qualified demand.

    Shapes: all (n_buffers,)
    """
    net_flow = on_hand_units + supply_units - qualified_units
    top = zones.top_of_green
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        priority = np.where(top > 0, net_flow / top * 100.0, np.nan)
    color = np.select(
        [net_flow < zones.top_of_red, net_flow < zones.top_of_yellow, net_flow <= top],
        ["red", "yellow", "green"],
        "above",
    )
    alert = np.select(
        [on_hand_units < ALERT_SHARE_OF_RED * zones.top_of_red, on_hand_units < zones.top_of_red],
        ["red", "yellow"],
        "none",
    )
    return BufferStatus(net_flow, priority, color, alert, order_units(zones, net_flow, ordering))


def order_units(zones: BufferZones, net_flow_units: Units, ordering: Ordering) -> Units:
    """Size the order that fills a buffer up to the top of green, once net flow is below the top of yellow.

    Raised to the minimum, then to a multiple; whole units where rounding is `at_order`. Above the maximum it is several
    orders, of which the last is raised likewise: together they may then be more than one would be. Shapes: (n_buffers,)
    """
    wanted = np.where(net_flow_units < zones.top_of_yellow, zones.top_of_green - net_flow_units, 0.0)
    whole = _raised(wanted, ordering)
    if np.isinf(ordering.maximum_units).all():
        return whole
    n_orders, largest = split_order(whole, ordering)
    before_last = np.where(n_orders > 1, (n_orders - 1) * largest, 0.0)
    return before_last + _raised(whole - before_last, ordering)


def split_order(order_units: Units, ordering: Ordering) -> tuple[Indices, Units]:
    """Tell into how many orders an amount is split, and of what size all but the last are. Shapes: (n_buffers,)."""
    largest = np.minimum(ordering.largest_units, order_units)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_orders = np.where(order_units > 0, np.ceil(order_units / largest * (1 - ROUNDING_SLACK)), 0.0)
    return n_orders.astype(np.intp), largest


def _raised(units: Units, ordering: Ordering) -> Units:
    """Raise what is ordered to the minimum, then to a multiple; nothing stays nothing."""
    sized = np.where(units > 0, np.maximum(units, ordering.minimum_units), 0.0)
    step = ordering.step_units
    divisor = np.where(step > 0, step, 1.0)
    raised = np.ceil(sized / divisor * (1 - ROUNDING_SLACK)) * divisor
    rounded: Units = np.where(step > 0, raised, sized)
    return rounded
