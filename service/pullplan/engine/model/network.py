"""What is the network made of, and how does it pull?"""

import math
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from pullplan.engine.model.words import (
    EVERY,
    BucketCount,
    BufferRounding,
    CodeOrEvery,
    Fact,
    Factor,
    HistoryBasis,
    Multiplier,
    NodeStatus,
    PullPolicyName,
    ResourceKind,
    Share,
    UsageBasis,
    WindowDays,
)


class Product(Fact, frozen=True, kw_only=True):
    product_code: str
    weight_kg: float = 1.0
    value_per_unit: float = 1.0
    holding_cost_per_unit_per_day: float = 0.0
    largest_share: float | None = None
    """No node starts more than this share of what is started of it over the horizon; None: the plan's parameter."""
    shelf_life_days: int | None = None
    """How long it may lie in its region before it is due; None: for ever."""
    effective_from: date | None = None
    effective_until: date | None = None
    """Work starts on days from `effective_from` until (not including) `effective_until`; None: without end."""
    minimum_lot_units: float | None = None
    lot_multiple_units: float | None = None
    maximum_lot_units: float | None = None
    """Lot rules of every capability that says nothing of its own; None or 0: none."""


class Region(Fact, frozen=True, kw_only=True):
    region_code: str
    latitude: float | None = None
    longitude: float | None = None


class Node(Fact, frozen=True, kw_only=True):
    node_code: str
    latitude: float | None = None
    longitude: float | None = None
    status: NodeStatus = "online"
    capacity_share: float = 1.0
    """What is left of the calendar's capacity while the node is degraded; 1 otherwise."""
    stock_of: str | None = None
    """Of a store: the node at which what it sends lies finished. It makes nothing; None: a node that makes."""
    stock_of_region: str | None = None
    """Of a store: the region whose spare stock it sends. It makes nothing either."""

    @property
    def is_store(self) -> bool:
        """Tell whether it sends what there is, and makes nothing."""
        return self.stock_of is not None or self.stock_of_region is not None


class Resource(Fact, frozen=True, kw_only=True):
    """What a node has a limited amount of.

    `renewed`: `capacity_per_day` on each working weekday, gone at the end of its bucket.
    `stored`: `on_hand` at as_of plus `capacity_per_day` arriving on each working weekday, kept until used.
    """

    node_code: str
    resource_code: str
    kind: ResourceKind = "renewed"
    capacity_per_day: float
    working_weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    on_hand: float = 0.0


class CapacityException(Fact, frozen=True, kw_only=True):
    """Another capacity per day from `from_date` until (not including) `until_date`, working weekday or not."""

    node_code: str
    resource_code: str
    from_date: date
    until_date: date
    capacity_per_day: float


class Capability(Fact, frozen=True, kw_only=True):
    node_code: str
    product_code: str
    unit_cost: float = 0.0
    make_lead_time_days: int = 0
    use_per_unit: dict[str, float] = msgspec.field(default_factory=dict)
    """Resource code to the amount that one started unit takes."""
    yield_share: float = 1.0
    """Good units ÷ started units; `unit_cost` is of a good unit."""
    qualified: bool = True
    effective_from: date | None = None
    effective_until: date | None = None
    """As a product's: on which days work may start."""
    minimum_lot_units: float | None = None
    lot_multiple_units: float | None = None
    maximum_lot_units: float | None = None
    """None: as the product says; 0: no such rule here, whatever the product says."""
    setup_use_per_order: dict[str, float] = msgspec.field(default_factory=dict)
    """Resource code to the amount that one production order takes besides its units."""


class Lane(Fact, frozen=True, kw_only=True):
    """A given lane. What is None is computed; a forbidden lane is never used, nor one on a day outside its dates."""

    node_code: str
    region_code: str
    distance_km: float | None = None
    transit_days: int | None = None
    freight_cost_per_unit: float | None = None
    forbidden: bool = False
    effective_from: date | None = None
    effective_until: date | None = None
    """On which days goods may leave."""


def refuse_order_bounds(minimum_units: float, multiple_units: float, maximum_units: float | None) -> None:
    """Refuse a largest order of a policy that is below the smallest one its minimum and multiple allow.

    Raises: ValueError naming the field.
    """
    if maximum_units is None:
        return
    multiples = math.ceil(minimum_units / multiple_units) if multiple_units else 0
    smallest = max(minimum_units, max(1, multiples) * multiple_units)
    if maximum_units < smallest:
        raise ValueError(
            f"maximum_order_units: {maximum_units:.9g} is below {smallest:.9g}, the smallest order that minimum and multiple allow"
        )


def refuse_stock_bounds(policy: PullPolicyName, minimum_units: float, maximum_units: float | None) -> None:
    """Refuse a `minimum_maximum` policy without a maximum, and any maximum below the minimum.

    Raises: ValueError naming the field.
    """
    if maximum_units is None:
        if policy == "minimum_maximum":
            raise ValueError("maximum_stock_units: minimum_maximum needs it")
    elif maximum_units < minimum_units:
        raise ValueError("maximum_stock_units: must be at least minimum_stock_units")


class PullPolicy(Fact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a product × region pulls; EVERY stands for all. Pair beats product beats region beats all."""

    product_code: CodeOrEvery = EVERY
    region_code: CodeOrEvery = EVERY
    policy: PullPolicyName = "base_stock"
    service_level_share: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    review_period_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    """Days between planning runs; None: the bucket's days."""
    consume_buckets_back: BucketCount = 0
    consume_buckets_forward: BucketCount = 0
    lead_probability_min: Share = 0.5
    history_basis: HistoryBasis = "automatic"
    lead_time_factor: Factor = 0.5
    """Of a DDMRP buffer, as all that follows: the share of usage over the lead time that red base and green are of."""
    variability_factor: Factor = 0.5
    usage_basis: UsageBasis = "past"
    usage_past_days: WindowDays = 90
    """The days before today that past usage is averaged over."""
    usage_forward_days: WindowDays = 28
    """The days from today on that forecast usage is averaged over."""
    usage_past_share: Share = 0.5
    """Of the past in blended usage."""
    order_cycle_days: Annotated[int, Meta(ge=0, le=366)] | None = None
    """Days between orders at least; None: the bucket's days."""
    minimum_order_units: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    order_multiple_units: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    """0: any amount."""
    maximum_order_units: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    """What is larger is split; None: nothing is."""
    demand_adjustment_factor: Multiplier = 1.0
    lead_time_adjustment_factor: Multiplier = 1.0
    red_zone_factor: Multiplier = 1.0
    yellow_zone_factor: Multiplier = 1.0
    green_zone_factor: Multiplier = 1.0
    spike_threshold_units: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    """From which demand of one day on it is a spike; None: half of red."""
    spike_horizon_days: Annotated[int, Meta(ge=0, le=366)] | None = None
    """How many days ahead spikes are looked for; None: the decoupled lead time."""
    buffer_rounding: BufferRounding = "none"
    buffer_tolerance_share: Share = 0.1
    """Zones that differ no more from those in force take their place by themselves; 1: all do."""
    minimum_stock_units: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    """Of `minimum_maximum`: where less would be left at the end of a bucket, it is filled up to the maximum."""
    maximum_stock_units: Annotated[float, Meta(ge=0, le=1e12)] | None = None

    def __post_init__(self) -> None:
        """Refuse bounds of orders and stock that contradict each other.

        Raises: ValueError naming the field.
        """
        refuse_order_bounds(self.minimum_order_units, self.order_multiple_units, self.maximum_order_units)
        refuse_stock_bounds(self.policy, self.minimum_stock_units, self.maximum_stock_units)

    @property
    def counts_forecast(self) -> bool:
        """Tell whether forecast is demand: it is not where only orders, leads or a DDMRP buffer pull."""
        return self.policy in ("base_stock", "minimum_maximum")
