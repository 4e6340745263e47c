"""How does each product × region pull?"""

from datetime import date, datetime
from typing import Annotated, Any

from litestar import Request, get, put
from litestar.params import QueryParameter
from msgspec import Meta

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.engine.model import (
    EVERY,
    BufferRounding,
    HistoryBasis,
    PullPolicyName,
    UsageBasis,
    refuse_order_bounds,
    refuse_stock_bounds,
)
from pullplan.storage import policies

ReviewDays = Annotated[int, Meta(ge=1, le=366)]
Buckets = Annotated[int, Meta(ge=0, le=104)]
Factor = Annotated[float, Meta(gt=0, le=1)]
Multiplier = Annotated[float, Meta(ge=0, le=1000)]
WindowDays = Annotated[int, Meta(ge=1, le=366)]
CycleDays = Annotated[int, Meta(ge=0, le=366)]
ServiceLevel = Annotated[float, Meta(ge=0, lt=1)]
InForceOn = Annotated[date | None, QueryParameter(description="Only policies that are in force on this day.")]


class PolicyRow(intake.Row, intake.Effective, kw_only=True):
    """How a product × region pulls; `*` stands for every one. Pair beats product beats region beats all.

    A plan goes by the policies in force on the day of its as_of; of several for the same codes the one that began last is. Where
    none is in force for the pair, the next in that order is.
    """

    product_code: fields.CodeOrEvery = EVERY
    region_code: fields.CodeOrEvery = EVERY
    policy: PullPolicyName
    service_level_share: ServiceLevel = 0.95
    review_period_days: ReviewDays | None = None
    """Days between planning runs; null is the bucket's days."""
    consume_buckets_back: Buckets = 0
    consume_buckets_forward: Buckets = 0
    lead_probability_min: fields.Share = 0.5
    history_basis: HistoryBasis = "automatic"
    lead_time_factor: Factor = 0.5
    """Of a `ddmrp_buffer`, as all that follows: the share of usage over the lead time that red base and green are of."""
    variability_factor: Factor = 0.5
    """Red safety of red base."""
    usage_basis: UsageBasis = "past"
    usage_past_days: WindowDays = 90
    """The days before today that past usage is averaged over."""
    usage_forward_days: WindowDays = 28
    """The days from today on that forecast usage is averaged over."""
    usage_past_share: fields.Share = 0.5
    """Of the past in blended usage."""
    order_cycle_days: CycleDays | None = None
    """Days between orders at least; null is the bucket's days."""
    minimum_order_units: fields.NonNegative = 0
    """No order is smaller, and green is at least so large, be it larger than all the rest of the buffer."""
    order_multiple_units: fields.NonNegative = 0
    """0: any amount."""
    maximum_order_units: fields.Positive | None = None
    """What is larger is split: into orders of this size, and one of the rest, which is raised to the minimum and multiple."""
    demand_adjustment_factor: Multiplier = 1
    lead_time_adjustment_factor: Multiplier = 1
    red_zone_factor: Multiplier = 1
    yellow_zone_factor: Multiplier = 1
    green_zone_factor: Multiplier = 1
    spike_threshold_units: fields.Positive | None = None
    """From which demand of one day on it is a spike; null is half of red."""
    spike_horizon_days: CycleDays | None = None
    """How many days ahead spikes are looked for; null is the decoupled lead time, 0 looks at none."""
    buffer_rounding: BufferRounding = "none"
    buffer_tolerance_share: fields.Share = 0.1
    """Zones that differ no more from those in force take their place by themselves, others are proposed; 1: all do, 0: none."""
    minimum_stock_units: fields.NonNegative = 0
    """Of `minimum_maximum`: where less would be left at the end of a bucket, it is filled up to the maximum."""
    maximum_stock_units: fields.NonNegative | None = None
    """Of `minimum_maximum`, which needs it."""

    def __post_init__(self) -> None:
        """Refuse dates, and bounds of orders and stock, that contradict each other.

        Raises: ValueError naming the field.
        """
        super().__post_init__()
        refuse_order_bounds(self.minimum_order_units, self.order_multiple_units, self.maximum_order_units)
        refuse_stock_bounds(self.policy, self.minimum_stock_units, self.maximum_stock_units)


class PolicyShown(PolicyRow, kw_only=True):
    """A stored policy."""

    updated_at: datetime


INTAKE = intake.Intake(
    subject="policies",
    rows=RowType(PolicyRow),
    record=intake.in_columns(policies.TARGET),
)


@get("/v1/policies", guards=[require("read")], operation_id="listPolicies", tags=["network"])
async def list_policies(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    product_code: fields.CodeOrEveryFilter = None,
    region_code: fields.CodeOrEveryFilter = None,
    in_force_on: InForceOn = None,
) -> lists.Page[PolicyShown]:
    """List policies by product and region as they were given; what none is given for is `base_stock`."""
    after = lists.decode_cursor(cursor, tuple[str, str, date | None])
    rows = await policies.list_page(
        transaction, after, limit + 1, updated_since, product_code, region_code, in_force_on
    )
    shown = [PolicyShown(**row) for row in rows]
    return lists.page(
        shown, limit, key=lambda policy: (policy.product_code, policy.region_code, policy.effective_from)
    )


@put(
    "/v1/policies",
    guards=[require("network:write")],
    operation_id="loadPolicies",
    tags=["network"],
    opt={"bulk_body": PolicyRow},
    request_max_body_size=None,
)
async def load_policies(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Set how products pull in regions; with `mode=replace` policies not named are removed."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


ROUTES = [list_policies, load_policies]
