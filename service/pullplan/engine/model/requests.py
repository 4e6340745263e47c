"""What can a forecast or a plan be asked for?"""

import uuid
from datetime import date
from typing import Annotated

from msgspec import Meta

from pullplan.engine.model.network import PullPolicy
from pullplan.engine.model.words import (
    Bucket,
    BucketCount,
    Code,
    Days,
    Fact,
    ForecastProfile,
    Instant,
    Lanes,
    Objective,
    PositiveShare,
    ShortfallMeasure,
    Tier,
)


class Horizon(Fact, frozen=True, kw_only=True):
    """Which days are planned. `as_of_date` is as_of's day in the deployment's time zone; it lies in bucket 0."""

    as_of_date: date
    bucket: Bucket = "week"
    horizon_buckets: int = 8


class Pin(Fact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of what a region needs that stay at one node, and where `start_date` is given, in its bucket."""

    product_code: Code
    region_code: Code
    due_date: date
    """Any day of the bucket in which they are needed."""
    node_code: Code
    units: Annotated[float, Meta(gt=0, le=1e12)]
    start_date: date | None = None
    """Any day of the bucket in which work starts; None: whichever is best."""


class PlanParameters(Fact, frozen=True, kw_only=True):
    objective: Objective = "nearest"
    weigh_distance: bool = False
    """With `nearest`: distance_km × weight_kg instead of distance_km."""
    shortfall_measure: ShortfallMeasure = "value"
    share_slices: Annotated[int, Meta(ge=1, le=100)] = 10
    """Where not all of a tier and priority can be served, every need is cut into so many equal slices, and a slice of
    any need is served before the next slice of another: shares are equal to within one slice. 1: no sharing."""
    late_buckets: BucketCount | None = None
    """How late orders, leads and buffers may be served; None: up to the end of the horizon."""
    forecast_late_buckets: BucketCount = 0
    earliest_start_date: date | None = None
    lanes: Lanes = "all"
    lanes_within_km: Annotated[float, Meta(ge=0, le=40_000)] | None = None
    pool_regions_within_km: Annotated[float, Meta(ge=0, le=40_000)] | None = None
    """Regions may send each other what they have on hand beyond their own needs and targets of the whole horizon, so far at
    most; by computed lanes, whatever `lanes` says. None: each keeps its own."""
    circuity_factor: Annotated[float, Meta(ge=1, le=10)] = 1.0
    same_day_km: Annotated[float, Meta(ge=0, le=40_000)] = 150.0
    transit_km_per_day: Annotated[float, Meta(ge=1, le=40_000)] = 600.0
    freight_cost_per_kg_km: Annotated[float, Meta(ge=0, le=1e9)] = 0.0001
    overdue_days: Days = 14
    largest_share: PositiveShare | None = None
    """The share limit of every product that has none of its own."""
    frozen_buckets: BucketCount = 1
    """Released work that starts in the first so many buckets stays whatever happens to its node; later work only while
    its node can still make it. New work may start there all the same."""
    pins: Annotated[tuple[Pin, ...], Meta(max_length=10_000)] = ()
    make_minimum: bool = False
    """Make a minimum lot even where it exceeds all that is left to make of its product."""

    def latest_bucket(self, tier: Tier, bucket: int, horizon_buckets: int) -> int:
        """Tell until when a need of a tier that is due in a bucket may arrive."""
        late, last = (
            self.forecast_late_buckets if tier == "forecast" else self.late_buckets,
            horizon_buckets - 1,
        )
        return last if late is None else min(bucket + late, last)


class ForecastRequest(Fact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks a forecast run for."""

    as_of: Instant | None = None
    """None: the moment at which the run is queued."""
    bucket: Bucket = "week"
    horizon_buckets: Annotated[int, Meta(ge=1, le=104)] = 8
    profile: ForecastProfile = "thorough"
    """`thorough` tries every model from thirteen origins in the past; `quick` takes about a sixth of the time: models that are
    estimated once, from seven origins."""
    refresh: bool = False
    """Make anew only what has news since the latest forecast of the same buckets and profile: late or corrected demand,
    adjustments, shelves found empty. All else stays as it was. Where buckets have ended since, every series goes on with its
    model, and those that have drifted farthest choose theirs again. Where there is no such forecast of up to three weeks (six
    days) ago, or the rules of history have changed since, all series are made anew."""


class PlanRequest(PlanParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks a plan run for: the horizon, the plan's parameters and policies laid over the stored ones."""

    as_of: Instant | None = None
    """None: the moment at which the run is queued."""
    bucket: Bucket = "week"
    horizon_buckets: Annotated[int, Meta(ge=1, le=104)] = 8
    solve_seconds_max: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    """How long to look for the best plan, after forecasting; the best that was found by then is stored, with the bounds
    that are proved by then, and is not `reproducible`. None: until the best is found."""
    forecast_id: uuid.UUID | None = None
    """None: a fresh forecast is made within the run where a policy needs one."""
    policy_overrides: Annotated[tuple[PullPolicy, ...], Meta(max_length=10_000)] = ()
    parent_plan_id: uuid.UUID | None = None
    """Re-plan: hold what this plan says where it can still stand. What the request leaves out is as the parent's."""
    churn_budget_units: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    """The most units that a re-plan may take off a node and start bucket where they could stay; None: any number."""
    least_saving_per_unit: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    """What each of those has to save, in the measure of the cost stage, unless it lessens shortfall or lateness."""
    verify: bool = False
    """Check what was stored, read back, before the run succeeds; a plan in which anything is found wrong is not kept."""


class PolicyPreviewRequest(Fact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks of policies before they are stored: what would they change?"""

    policy_overrides: Annotated[tuple[PullPolicy, ...], Meta(min_length=1, max_length=10_000)]
    """Laid over the stored ones, each in the place of that of the same codes."""
    as_of: Instant | None = None
    """None: the moment at which the run is queued."""
    bucket: Bucket = "week"
    horizon_buckets: Annotated[int, Meta(ge=1, le=104)] = 8
    forecast_id: uuid.UUID | None = None
    """None: a fresh forecast is made within the run where a policy needs one."""


class VerificationRequest(Fact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a verification run is asked for."""

    plan_id: uuid.UUID
