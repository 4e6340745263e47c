"""What does a DDMRP buffer say, and what does it follow from?"""

from datetime import date

from pullplan.engine.model.words import (
    Basis,
    BufferColor,
    BufferReason,
    BufferWarning,
    Fact,
    OnHandAlert,
    UsageBasis,
)


class Spike(Fact, frozen=True, kw_only=True):
    """A day whose open orders together reach the spike threshold."""

    due_date: date
    units: float


class ExcludedUsage(Fact, frozen=True, kw_only=True):
    """Days of the window that do not count into past usage, [from_date, until_date), and what was used on them."""

    from_date: date
    until_date: date
    units: float
    """A day of several exclusions is of the one that begins first."""
    reason: str


class BufferSizing(Fact, frozen=True, kw_only=True):
    """How large one product × region's buffer is, with every step on the way from signals to its zones.

    Source: Ptak & Smith in Orlicky's Material Requirements Planning, 3rd ed., ch. 24–25.
    """

    product_code: str
    region_code: str
    sized_on_date: date
    """The day of as_of of the plan that sized it so."""
    usage_basis: UsageBasis
    history_basis: Basis
    """Which signals usage in the past is counted by."""
    usage_from_date: date
    usage_until_date: date
    """The window of past usage, half-open: today is not over."""
    excluded_usage: tuple[ExcludedUsage, ...] = ()
    excluded_usage_days: int = 0
    """Of the window; where that is all of it, everything counts nevertheless."""
    past_usage_units: float
    """What was used in the window, on days that are not excluded."""
    past_usage_units_per_day: float
    """By days that are not excluded."""
    forward_usage_units_per_day: float | None
    """By the forecast; None where the policy does not look at it."""
    usage_units_per_day: float
    adjusted_usage_units_per_day: float
    """× the demand adjustment factor."""
    lead_days: int
    """Decoupled lead time: make lead time and transit of the reference node."""
    has_reference_node: bool
    """No: nobody could ever make it; the lead time is taken for 0 days."""
    reference_node_code: str | None
    adjusted_lead_days: float
    """× the lead time adjustment factor."""
    yellow_units: float
    """Usage × lead days."""
    red_base_units: float
    """Usage × lead days × lead time factor."""
    red_safety_units: float
    """Red base × variability factor."""
    red_units: float
    green_by_lead_time_units: float
    """Usage × lead days × lead time factor."""
    green_by_order_cycle_units: float
    """Usage × days of the order cycle."""
    green_by_minimum_order_units: float
    green_units: float
    """The largest of the three."""
    top_of_red_units: float
    top_of_yellow_units: float
    top_of_green_units: float


class BufferDerivation(BufferSizing, frozen=True, kw_only=True):
    """One product × region's buffer at as_of: the zones in force, and every step from them to the order.

    Source: Ptak & Smith in Orlicky's Material Requirements Planning, 3rd ed., ch. 24–27.
    """

    as_of_date: date
    proposed: BufferSizing | None
    """As it would be sized today, where that is not in force: it is further from what is than the policy tolerates."""
    warnings: tuple[BufferWarning, ...]
    on_hand_units: float
    open_supply_units: float
    """All that is on its way, whenever it is due; what is overdue for too long counts as nothing."""
    past_due_units: float
    due_today_units: float
    spike_threshold_units: float
    spike_horizon_days: int
    spikes: tuple[Spike, ...]
    qualified_demand_units: float
    """Past due + due today + spikes."""
    net_flow_units: float
    """On hand + open supply − qualified demand."""
    priority_percent: float | None
    """Net flow of top of green; None where the buffer is of no size."""
    color: BufferColor
    on_hand_alert: OnHandAlert
    order_units: float
    """Where net flow is below the top of yellow: what fills it up to the top of green, raised to the minimum and multiple."""
    n_orders: int
    """That is split into, where the policy has a largest order; 0 where nothing is ordered."""
    largest_order_units: float
    """All orders but the last are of this size."""
    order_due_date: date
    """Today + lead days."""
    order_bucket: int
    """Where work of today's bucket arrives: the need's bucket; beyond the horizon it is none of the plan's."""
    projected_order_units: tuple[float, ...]
    """By bucket of the horizon: today's order and those that will follow it, by the bucket they are due in."""


class BufferChange(Fact, frozen=True, kw_only=True):
    """A buffer that is sized otherwise today than when its zones were accepted."""

    before: BufferSizing | None
    """What was accepted; None: nothing yet."""
    after: BufferSizing
    reasons: tuple[BufferReason, ...]
    changed_share: float
    """The largest change of any zone's top, of the larger of old and new; 1 where the reference node is another, or the first."""
    tolerance_share: float
    is_tolerated: bool
    """It needs nobody's word: it is the first, or inside the policy's tolerance."""
