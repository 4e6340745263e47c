"""Which words and bounds do all nouns share?"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EVERY = "*"
"""In a policy: every product, or every region."""

Bucket = Literal["day", "week"]
Tier = Literal["pinned", "order", "lead", "forecast", "buffer"]
TIERS: tuple[Tier, ...] = ("pinned", "order", "lead", "forecast", "buffer")
"""In the order in which they are served."""
DEMAND_TIERS: tuple[Tier, ...] = ("order", "lead", "forecast", "buffer")
"""Those that netting knows; `pinned` is of what a person has put in its place."""
NodeStatus = Literal["online", "degraded", "offline"]
LineKind = Literal["production", "transfer"]
ResourceKind = Literal["renewed", "stored"]
PullPolicyName = Literal["make_to_order", "base_stock", "ddmrp_buffer", "minimum_maximum", "do_not_produce"]
UsageBasis = Literal["past", "forward", "blended"]
BufferColor = Literal["red", "yellow", "green", "above"]
OnHandAlert = Literal["none", "yellow", "red"]
BufferReason = Literal["first", "usage", "lead_time", "reference_node", "policy"]
"""Why a buffer is sized otherwise than it was accepted: nothing was, or the policy's factors are others."""
BufferWarning = Literal[
    "zones_await_acceptance",
    "no_reference_node",
    "no_lead_time",
    "no_usage",
    "all_usage_excluded",
    "minimum_above_buffer",
    "lead_time_beyond_horizon",
]
"""What a planner should know of a buffer: other zones are proposed than are in force; nobody could make it; without a lead time
it has neither red nor yellow, and orders once net flow is below nothing; nothing is used, so that green is its minimum order alone; all days of
its window are excluded, which therefore count after all;
the minimum order is larger than all the rest of it; what it orders today arrives beyond the horizon."""
Basis = Literal["consumption", "order"]
BufferRounding = Literal["none", "half_up_component", "half_up_zone", "at_order"]
HistoryBasis = Literal["automatic", "consumption", "order"]
Objective = Literal["nearest", "landed_cost"]
ShortfallMeasure = Literal["value", "units", "resource_hours"]
Lanes = Literal["all", "given_only", "within_km"]
DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy", "new"]
ForecastProfile = Literal["quick", "thorough"]
CoherenceMethod = Literal["bottom_up", "top_down", "mint_shrink"]
"""How the forecasts of a product's regions were made to agree with that of the product: by adding up, by sharing the
product's out in their proportions, or by the covariance of all their errors."""
TotalledBy = Literal["product", "region", "all"]
Mark = Literal["missing", "promotion", "outlier", "censored"]
"""Why a bucket of history does not tell the usual demand: its source was silent, people had announced a promotion, it
stands alone far above all around it, or the region was out of stock."""
RefreshReason = Literal["news", "bucket", "drift"]
"""Why a series was forecast again: something was told of it, a bucket has ended, or its forecasts had drifted away."""
PassedOverCause = Literal[
    "not_qualified",
    "offline",
    "not_effective",
    "too_late",
    "no_lane",
    "at_capacity",
    "share_limit",
    "keeps_released_work",
    "lot_rule",
    "costs_more",
    "pinned",
    "search_stopped",
]
ShortfallReason = Literal[
    "do_not_produce",
    "no_capable_node",
    "not_qualified",
    "offline",
    "not_effective",
    "no_lane",
    "too_late",
    "at_capacity",
    "share_limit",
    "lot_rule",
]

Share = Annotated[float, Meta(ge=0, le=1)]
PositiveShare = Annotated[float, Meta(gt=0, le=1)]
Factor = Annotated[float, Meta(gt=0, le=1)]
"""Of lead time or variability; DDMRP knows 0.2 to 1."""
Multiplier = Annotated[float, Meta(ge=0, le=1000)]
Days = Annotated[int, Meta(ge=0, le=3650)]
WindowDays = Annotated[int, Meta(ge=1, le=366)]
BucketCount = Annotated[int, Meta(ge=0, le=104)]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:~-]{1,64}\Z")]
CodeOrEvery = Annotated[str, Meta(pattern=r"^(?:\*|[A-Za-z0-9._:~-]{1,64})\Z")]
Instant = Annotated[datetime, Meta(tz=True)]


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of everything that is read or made: immutable (said by each again: type checkers do not look into the base); fields by name.

    Facts hold facts, never themselves: the garbage collector, which would walk through millions of them, leaves them alone.
    """
