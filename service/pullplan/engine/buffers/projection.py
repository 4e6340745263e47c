"""What will buffers order in the buckets to come?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers.flow import Ordering, order_units
from pullplan.engine.buffers.sizing import BufferZones, Units


def project_orders(
    zones: BufferZones,
    ordering: Ordering,
    *,
    order_units_today: Units,
    net_flow_units: Units,
    demand_units: Units,
    due_bucket: npt.NDArray[np.intp],
) -> Units:
    """Lay orders out by the bucket in which they are due: today's, then those that will follow.

    Every later bucket begins with a look at the buffer: what came before it has been demanded (the larger of usage and
    open orders), and where net flow is below the top of yellow an order is placed, due a lead time later.

    Shapes: zones, today's order and net flow (n_buffers,), demand_units (n_buffers, n_buckets), result the same;
    due_bucket (n_buffers, n_buckets): where an order that is placed in a bucket is due, n_buckets or more: beyond
    Source: the planning model, sections 4 and 5.
    """
    n_buckets = demand_units.shape[1]
    due = np.zeros((len(order_units_today), n_buckets))

    def lay(placed: Units, bucket: int) -> None:
        rows = np.flatnonzero((placed > 0) & (due_bucket[:, bucket] < n_buckets))
        due[rows, due_bucket[rows, bucket]] += placed[rows]

    lay(order_units_today, 0)
    net_flow = net_flow_units + order_units_today
    for b in range(1, n_buckets):
        net_flow = net_flow - demand_units[:, b - 1]
        placed = order_units(zones, net_flow, ordering)
        lay(placed, b)
        net_flow += placed
    return due
