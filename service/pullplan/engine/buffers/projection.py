"""What will buffers order in the buckets to come?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers.flow import Ordering, order_units
from pullplan.engine.buffers.sizing import BufferZones, Units

BUFFERS_AT_ONCE = 8192
"""Some dozen columns of so many stay in a core's cache."""


@dataclass(frozen=True)
class Outlook:
    """Where buffers stand once today's orders are placed, and what comes: by bucket (n_buckets, n_buffers)."""

    net_flow_units: Units
    """Before today's orders: (n_buffers,)."""
    order_units_today: Units
    """Shapes: (n_buffers,)"""
    demand_units: Units
    """By bucket: the larger of usage and open orders, less what net flow has counted already."""
    due_bucket: npt.NDArray[np.intp]
    """By bucket: where an order that is placed there is due; n_buckets or more: beyond the horizon."""


def project_orders(zones: BufferZones, ordering: Ordering, outlook: Outlook) -> Units:
    """Lay orders out by the bucket in which they are due: today's, then those that will follow.

    Every later bucket begins with a look at the buffer: what came before it has been demanded, and where net flow is below
    the top of yellow an order is placed, due a lead time later.

    Shapes: (n_buckets, n_buffers)
    Source: the planning model, sections 4 and 5.
    """
    due = np.zeros_like(outlook.demand_units)
    for first in range(0, due.shape[1], BUFFERS_AT_ONCE):
        some = slice(first, first + BUFFERS_AT_ONCE)
        part = Outlook(
            outlook.net_flow_units[some],
            outlook.order_units_today[some],
            outlook.demand_units[:, some],
            outlook.due_bucket[:, some],
        )
        _project(zones.some(some), ordering.some(some), part, due[:, some])
    return due


def _project(zones: BufferZones, ordering: Ordering, outlook: Outlook, due: Units) -> None:
    n_buckets = due.shape[0]
    net_flow, placed = outlook.net_flow_units.copy(), outlook.order_units_today
    for b in range(n_buckets):
        if b > 0:
            net_flow -= outlook.demand_units[b - 1]
            placed = order_units(zones, net_flow, ordering)
        rows = np.flatnonzero((placed > 0) & (outlook.due_bucket[b] < n_buckets))
        due[outlook.due_bucket[b, rows], rows] += placed[rows]
        net_flow += placed
