"""What would other policies change?"""

from pullplan.engine.model.words import BufferWarning, Fact, PullPolicyName


class Pulled(Fact, frozen=True, kw_only=True):
    """What a product × region pulls by one policy."""

    policy: PullPolicyName
    target_units: tuple[float, ...]
    """By bucket: what is to be left at its end at least, by base stock or a minimum; a DDMRP buffer has zones instead."""
    top_of_red_units: float | None
    top_of_yellow_units: float | None
    top_of_green_units: float | None
    """Of a DDMRP buffer."""
    needed_units: tuple[float, ...]
    """By bucket: what must be made, as stock and open supply don't cover it."""
    buffer_warnings: tuple[BufferWarning, ...] = ()


class PolicyEffect(Fact, frozen=True, kw_only=True):
    """What a product × region pulls by the policies in force, and what it would by others."""

    product_code: str
    region_code: str
    before: Pulled
    after: Pulled
    needed_units_before: float
    """Over the horizon."""
    needed_units_after: float
