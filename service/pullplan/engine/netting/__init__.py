"""What must still arrive of every product in every region and bucket, once stock and supply are counted?"""

from pullplan.engine.netting.books import keep_books
from pullplan.engine.netting.flows import Flow, consume_forecast, cover, leave_open
from pullplan.engine.netting.needs import derive_buffers, net, tell_buffers
from pullplan.engine.netting.pinning import pin_needs, refuse_broken_pins
from pullplan.engine.netting.preview import compare_policies
from pullplan.engine.netting.spare import spare_stock
from pullplan.engine.netting.supply import arriving_supply, receipt_bucket
from pullplan.engine.netting.targets import (
    buffer_targets,
    forecast_steps,
    reference_lead_days,
    wants_forecast,
)
from pullplan.engine.netting.zoning import changed_share

__all__ = [
    "Flow",
    "arriving_supply",
    "buffer_targets",
    "changed_share",
    "compare_policies",
    "consume_forecast",
    "cover",
    "derive_buffers",
    "forecast_steps",
    "keep_books",
    "leave_open",
    "net",
    "pin_needs",
    "receipt_bucket",
    "reference_lead_days",
    "refuse_broken_pins",
    "spare_stock",
    "tell_buffers",
    "wants_forecast",
]
