"""How large is a DDMRP buffer, where does it stand, and what is to be ordered?"""

from pullplan.engine.buffers.flow import (
    BufferStatus,
    Ordering,
    QualifiedDemand,
    order_units,
    qualify_demand,
    read_status,
    spike_threshold_units,
    split_order,
)
from pullplan.engine.buffers.projection import Outlook, project_orders
from pullplan.engine.buffers.sizing import BufferZones, Sizing, size_buffers
from pullplan.engine.buffers.usage import blended_usage, usage_per_day

__all__ = [
    "BufferStatus",
    "BufferZones",
    "Ordering",
    "Outlook",
    "QualifiedDemand",
    "Sizing",
    "blended_usage",
    "order_units",
    "project_orders",
    "qualify_demand",
    "read_status",
    "size_buffers",
    "spike_threshold_units",
    "split_order",
    "usage_per_day",
]
