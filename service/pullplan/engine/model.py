"""What are the nouns of planning? Plain structs without numpy, so that storage and the API can speak them.

Units stand in the names. Days are `date`s of the deployment's time zone; ranges are half-open; codes are the caller's.
Everything is ordered by code, so that equal facts make equal plans however they were inserted.
"""

import uuid
from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EVERY = "*"
"""In a policy: every product, or every region."""

Bucket = Literal["day", "week"]
Tier = Literal["order", "lead", "forecast", "buffer"]
TIERS: tuple[Tier, ...] = ("order", "lead", "forecast", "buffer")
NodeStatus = Literal["online", "degraded", "offline"]
ResourceKind = Literal["renewed", "stored"]
PullPolicyName = Literal["make_to_order", "base_stock"]
HistoryBasis = Literal["automatic", "consumption", "order"]
Objective = Literal["nearest", "landed_cost"]
ShortfallMeasure = Literal["value", "units", "resource_hours"]
Lanes = Literal["all", "given_only", "within_km"]
DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy", "new"]
PassedOverCause = Literal["not_qualified", "offline", "too_late", "no_lane", "at_capacity", "costs_more"]
ShortfallReason = Literal["no_capable_node", "not_qualified", "offline", "no_lane", "too_late", "at_capacity"]

Share = Annotated[float, Meta(ge=0, le=1)]
Days = Annotated[int, Meta(ge=0, le=3650)]
BucketCount = Annotated[int, Meta(ge=0, le=104)]
CodeOrEvery = Annotated[str, Meta(pattern=r"^(?:\*|[A-Za-z0-9._:~-]{1,64})\Z")]
Instant = Annotated[datetime, Meta(tz=True)]


class Fact(msgspec.Struct, frozen=True):
    """Base of everything that is read or made: immutable; fields are given by name."""


# --- the network ---------------------------------------------------------------------------------------------


class Product(Fact, kw_only=True):
    product_code: str
    weight_kg: float = 1.0
    value_per_unit: float = 1.0
    holding_cost_per_unit_per_day: float = 0.0


class Region(Fact, kw_only=True):
    region_code: str
    latitude: float | None = None
    longitude: float | None = None


class Node(Fact, kw_only=True):
    node_code: str
    latitude: float | None = None
    longitude: float | None = None
    status: NodeStatus = "online"
    capacity_share: float = 1.0
    """What is left of the calendar's capacity while the node is degraded; 1 otherwise."""


class Resource(Fact, kw_only=True):
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


class CapacityException(Fact, kw_only=True):
    """Another capacity per day from `from_date` until (not including) `until_date`, working weekday or not."""

    node_code: str
    resource_code: str
    from_date: date
    until_date: date
    capacity_per_day: float


class Capability(Fact, kw_only=True):
    node_code: str
    product_code: str
    unit_cost: float = 0.0
    make_lead_time_days: int = 0
    use_per_unit: dict[str, float] = {}
    """Resource code to the amount that one unit takes."""
    qualified: bool = True


class Lane(Fact, kw_only=True):
    """A given lane. What is None is computed; a forbidden lane is never used."""

    node_code: str
    region_code: str
    distance_km: float | None = None
    transit_days: int | None = None
    freight_cost_per_unit: float | None = None
    forbidden: bool = False


class PullPolicy(Fact, kw_only=True, forbid_unknown_fields=True):
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


# --- demand --------------------------------------------------------------------------------------------------


class DailyUnits(Fact, kw_only=True):
    """Units of many product × region × day, as columns of equal length, ordered by (product, region, day)."""

    product_codes: tuple[str, ...] = ()
    region_codes: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    units: tuple[float, ...] = ()


class Order(Fact, kw_only=True):
    """A firm order, not cancelled. What is open of it is `ordered_units − shipped_units`."""

    external_id: str
    product_code: str
    region_code: str
    ordered_units: float
    shipped_units: float = 0.0
    due_date: date
    priority: int = 0
    """Smaller is served first."""


class LeadSignal(Fact, kw_only=True):
    external_id: str
    product_code: str
    region_code: str
    units: float
    probability: float
    due_date: date
    priority: int = 0


class Adjustment(Fact, kw_only=True):
    """A person's change of the forecast over [from_date, until_date): multipliers first, then additions."""

    external_id: str
    product_code: str
    region_code: str
    from_date: date
    until_date: date
    multiplier: float | None = None
    units: float | None = None
    """Added over the whole range, prorated by covered days."""


class StockPosition(Fact, kw_only=True):
    """The last count of a product × region at or before as_of, and what moved between it and as_of."""

    product_code: str
    region_code: str
    counted_at: datetime | None = None
    count_units: float = 0.0
    """Without reserved and blocked units."""
    consumed_units_since: float = 0.0
    shipped_units_since: float = 0.0
    received_units_since: float = 0.0


class OpenSupply(Fact, kw_only=True):
    """What is already coming to a region, by the caller's word; `units` is what is still to arrive."""

    external_id: str
    product_code: str
    region_code: str
    units: float
    due_date: date
    work_order_id: str | None = None


class ReleasedWork(Fact, kw_only=True):
    """A released, unreceived work order of ours."""

    work_order_id: str
    product_code: str
    region_code: str
    node_code: str
    units: float
    start_date: date
    arrival_date: date
    export_ids: tuple[str, ...] = ()
    """External ids that exports of ours gave out for it."""


# --- what is asked -------------------------------------------------------------------------------------------


class Horizon(Fact, kw_only=True):
    """Which days are planned. `as_of_date` is as_of's day in the deployment's time zone; it lies in bucket 0."""

    as_of_date: date
    bucket: Bucket = "week"
    horizon_buckets: int = 8


class PlanParameters(Fact, kw_only=True):
    objective: Objective = "nearest"
    weigh_distance: bool = False
    """With `nearest`: distance_km × weight_kg instead of distance_km."""
    shortfall_measure: ShortfallMeasure = "value"
    late_buckets: BucketCount | None = None
    """How late orders, leads and buffers may be served; None: up to the end of the horizon."""
    forecast_late_buckets: BucketCount = 0
    earliest_start_date: date | None = None
    lanes: Lanes = "all"
    lanes_within_km: Annotated[float, Meta(ge=0, le=40_000)] | None = None
    circuity_factor: Annotated[float, Meta(ge=1, le=10)] = 1.0
    same_day_km: Annotated[float, Meta(ge=0, le=40_000)] = 150.0
    transit_km_per_day: Annotated[float, Meta(ge=1, le=40_000)] = 600.0
    freight_cost_per_kg_km: Annotated[float, Meta(ge=0, le=1e9)] = 0.0001
    overdue_days: Days = 14


class ForecastRequest(Fact, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks a forecast run for."""

    as_of: Instant | None = None
    """None: the moment at which the run is queued."""
    bucket: Bucket = "week"
    horizon_buckets: Annotated[int, Meta(ge=1, le=104)] = 8


class PlanRequest(PlanParameters, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks a plan run for: the horizon, the plan's parameters and policies laid over the stored ones."""

    as_of: Instant | None = None
    """None: the moment at which the run is queued."""
    bucket: Bucket = "week"
    horizon_buckets: Annotated[int, Meta(ge=1, le=104)] = 8
    forecast_id: uuid.UUID | None = None
    """None: a fresh forecast is made within the run where a policy needs one."""
    policy_overrides: Annotated[tuple[PullPolicy, ...], Meta(max_length=10_000)] = ()


class ForecastFacts(Fact, kw_only=True):
    """Everything that a forecast is made from."""

    horizon: Horizon
    n_steps: int
    """Buckets to forecast, bucket 0 included: horizon plus the longest protection interval."""
    policies: tuple[PullPolicy, ...] = ()
    consumption: DailyUnits = DailyUnits()
    """Consumed units by day, returns negative, days before as_of_date only."""
    order_history: DailyUnits = DailyUnits()
    """Ordered units by due day, days before as_of_date only."""
    adjustments: tuple[Adjustment, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """Product × region pairs that must get a forecast though they may have no history."""


class PlanningFacts(Fact, kw_only=True):
    """Everything that a plan is made from: what the snapshot hash covers."""

    horizon: Horizon
    parameters: PlanParameters
    products: tuple[Product, ...] = ()
    regions: tuple[Region, ...] = ()
    nodes: tuple[Node, ...] = ()
    resources: tuple[Resource, ...] = ()
    capacity_exceptions: tuple[CapacityException, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    lanes: tuple[Lane, ...] = ()
    policies: tuple[PullPolicy, ...] = ()
    consumption_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs with any consumption at or before as_of: their `automatic` history basis is consumption."""
    orders: tuple[Order, ...] = ()
    lead_signals: tuple[LeadSignal, ...] = ()
    stock: tuple[StockPosition, ...] = ()
    open_supply: tuple[OpenSupply, ...] = ()
    released_work: tuple[ReleasedWork, ...] = ()
    forecast: "Forecast | None" = None


# --- forecasts -----------------------------------------------------------------------------------------------


class Accuracy(Fact, kw_only=True):
    """Measures of a rolling-origin backtest over the plan's horizon; None where they have no denominator."""

    n_origins: int = 0
    wape_share: float | None = None
    naive_wape_share: float | None = None
    """WAPE of seasonal naive (of the plain naive below one season) on the same origins."""
    mase: float | None = None
    rmsse: float | None = None
    bias_share: float | None = None
    """Sum of forecasts ÷ sum of actuals − 1."""
    pinball_units: float | None = None
    coverage_share: float | None = None
    """Share of actuals inside p10–p90."""


class SeriesForecast(Fact, kw_only=True):
    """One product × region; sequences over steps, step 0 being the whole of bucket 0."""

    product_code: str
    region_code: str
    demand_class: DemandClass
    model: str
    fallback_reason: str | None = None
    history_buckets: int
    mean_units: tuple[float, ...]
    p10_units: tuple[float, ...]
    p50_units: tuple[float, ...]
    p90_units: tuple[float, ...]
    adjustment_units: tuple[float, ...]
    """What adjustments changed of mean_units."""
    error_paths_units: tuple[tuple[float, ...], ...] = ()
    """Actual − forecast along backtest origins, (n_paths, n_steps): its own and those of like series, scaled to its
    errors. Demand summed over any interval is the sum of means plus the sum along a path, so its quantiles come
    from here."""
    accuracy: Accuracy = Accuracy()


class Forecast(Fact, kw_only=True):
    first_bucket_date: date
    bucket: Bucket
    n_steps: int
    series: tuple[SeriesForecast, ...]
    measures: Accuracy
    """Over the whole panel."""


# --- the plan ------------------------------------------------------------------------------------------------


class Need(Fact, kw_only=True):
    """Units that must arrive in a region in a bucket. need_id counts from 1 in the order of the facts."""

    need_id: int
    product_code: str
    region_code: str
    bucket: int
    tier: Tier
    rank: int = 0
    """Smaller is served first within its tier."""
    units: float
    latest_bucket: int
    """The last bucket in which it may still arrive."""


class PassedOver(Fact, kw_only=True):
    """A nearer (under landed cost: or cheaper) capable node that a line does not use, and why."""

    node_code: str
    cause: PassedOverCause
    distance_km: float | None = None
    capacity_price: float | None = None
    """For at_capacity: what one more unit made there would be worth in the cost stage."""


class Assignment(Fact, kw_only=True):
    assignment_id: int
    need_id: int
    node_code: str
    start_bucket: int
    arrival_bucket: int
    units: float
    distance_km: float
    cost_per_unit: float
    """In the objective's measure: km, kg·km or money."""
    distance_rank: int
    """1: the nearest of the nodes that are capable, qualified, online and have a lane."""
    passed_over: tuple[PassedOver, ...] = ()


class Shortfall(Fact, kw_only=True):
    shortfall_id: int
    need_id: int
    units: float
    reason: ShortfallReason
    detail: str


class CapacityPrice(Fact, kw_only=True):
    """One stage's price of one more unit of a capacity (≥ 0); prices that are zero are not listed."""

    stage: int
    node_code: str
    resource_code: str
    bucket: int
    price: float


class Stage(Fact, kw_only=True):
    """One stage of the lexicographic objective with its proof.

    measure: `shortfall:<tier>:<rank>`, `lateness_unit_buckets`, `cost:nearest` or `cost:landed_cost`,
    `earliness_unit_buckets`.
    """

    stage: int
    measure: str
    value: float
    lower_bound: float
    gap: float
    """(value − lower bound) ÷ max(|value|, the measure of one mean need)."""
    gap_absolute: float
    multipliers: tuple[float, ...] = ()
    """One per earlier stage: what relaxing that stage's achieved value by one would save here."""


class ResourceLoad(Fact, kw_only=True):
    node_code: str
    resource_code: str
    bucket: int
    kind: ResourceKind = "renewed"
    capacity: float
    """Of a `stored` resource: what is there in this bucket."""
    used: float


class Figures(Fact, kw_only=True):
    """What a planner reads first; units are summed over products."""

    needs_units: float = 0.0
    assigned_units: float = 0.0
    shortfall_units: float = 0.0
    served_share: float | None = None
    nearest_share: float | None = None
    """Units whose node is the nearest of the capable, qualified, online nodes ÷ units assigned."""
    unit_km: float = 0.0
    km_per_unit: float | None = None
    late_unit_buckets: float = 0.0
    early_unit_buckets: float = 0.0
    capacity_use_share: float | None = None
    """Of renewed capacity over the horizon, mean over node × resource weighted by capacity."""
    n_needs: int = 0
    n_assignments: int = 0
    n_shortfalls: int = 0


class Plan(Fact, kw_only=True):
    method: str
    reproducible: bool
    snapshot_hash: str
    plan_hash: str
    needs: tuple[Need, ...]
    assignments: tuple[Assignment, ...]
    shortfalls: tuple[Shortfall, ...]
    stages: tuple[Stage, ...]
    prices: tuple[CapacityPrice, ...]
    loads: tuple[ResourceLoad, ...]
    figures: Figures
    tie_break: str
    """What the last stage adds to break ties, as the certificate declares it."""
