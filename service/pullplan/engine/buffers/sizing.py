"""How large are the zones of a buffer?"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

type Units = npt.NDArray[np.float64]
type Rounding = Literal["none", "half_up_component", "half_up_zone", "at_order"]
type Number = float | Units

ROUNDING_SLACK = 1e-9
"""Of a value: a product that is half a unit in decimals may be a little less in binary."""


@dataclass(frozen=True)
class Sizing:
    """What the zones of buffers follow from; every number is one for all buffers or an array (n_buffers,)."""

    usage_units_per_day: Number
    lead_days: Number
    """Decoupled lead time: make lead time + transit of the reference node."""
    lead_time_factor: Number
    variability_factor: Number
    minimum_order_units: Number = 0.0
    order_cycle_days: Number = 0.0
    demand_adjustment_factor: Number = 1.0
    lead_time_adjustment_factor: Number = 1.0
    red_zone_factor: Number = 1.0
    yellow_zone_factor: Number = 1.0
    green_zone_factor: Number = 1.0
    rounding: Rounding | Sequence[Rounding] = "none"


@dataclass(frozen=True)
class BufferZones:
    """The zones of buffers with every step on the way to them; arrays are (n_buffers,), all in units but where said."""

    usage_units_per_day: Units
    """Adjusted."""
    lead_days: Units
    """Adjusted."""
    red_base: Units
    red_safety: Units
    green_by_lead_time: Units
    green_by_order_cycle: Units
    green_by_minimum_order: Units
    red: Units
    yellow: Units
    green: Units

    def some(self, which: slice) -> "BufferZones":
        """Take the zones of some buffers alone."""
        return BufferZones(*(getattr(self, field.name)[which] for field in fields(self)))

    @property
    def top_of_red(self) -> Units:
        return self.red

    @property
    def top_of_yellow(self) -> Units:
        return self.red + self.yellow

    @property
    def top_of_green(self) -> Units:
        return self.red + self.yellow + self.green


def size_buffers(sizing: Sizing) -> BufferZones:
    """Size the zones: yellow covers the lead time, red its uncertainty, green sets how large and how frequent orders are.

    Factors of zones multiply last, and only what they give is rounded: every component from unrounded ones.

    Source: Ptak & Smith in Orlicky's Material Requirements Planning, 3rd ed., ch. 24; Dynamics 365 documentation,
    ddmrp-buffer-profile-and-levels.
    """
    usage = np.asarray(sizing.usage_units_per_day * sizing.demand_adjustment_factor, dtype=np.float64)
    lead_days = np.asarray(sizing.lead_days * sizing.lead_time_adjustment_factor, dtype=np.float64)
    by_component = is_rounded(sizing.rounding, "half_up_component")
    by_zone = is_rounded(sizing.rounding, "half_up_zone")
    over_lead = usage * lead_days
    by_lead_time = over_lead * sizing.lead_time_factor
    red_base = by_lead_time * sizing.red_zone_factor
    red_safety = red_base * sizing.variability_factor
    by_cycle = usage * sizing.order_cycle_days
    green = np.maximum(np.maximum(by_lead_time, by_cycle), sizing.minimum_order_units)
    yellow = over_lead * sizing.yellow_zone_factor
    green = green * sizing.green_zone_factor
    red_base, red_safety = (np.where(by_component, half_up(u), u) for u in (red_base, red_safety))
    red = red_base + red_safety
    red, yellow, green = (np.where(by_component | by_zone, half_up(u), u) for u in (red, yellow, green))
    shape = np.broadcast(usage, lead_days, red, green).shape
    columns = (
        usage,
        lead_days,
        red_base,
        red_safety,
        by_lead_time,
        by_cycle,
        sizing.minimum_order_units,
        red,
    )
    return BufferZones(
        *(np.broadcast_to(np.asarray(c, dtype=np.float64), shape) for c in (*columns, yellow, green))
    )


def is_rounded(rounding: Rounding | Sequence[Rounding], policy: Rounding) -> npt.NDArray[np.bool_]:
    """Tell which buffers are rounded by a policy.

    Shapes: () where one word stands for all, else (n_buffers,)
    """
    is_so: npt.NDArray[np.bool_] = np.asarray(rounding) == policy
    return is_so


def half_up(units: Units) -> Units:
    """Round to whole units, halves up."""
    rounded: Units = np.floor(units + 0.5 + ROUNDING_SLACK * np.maximum(1.0, np.abs(units)))
    return rounded
