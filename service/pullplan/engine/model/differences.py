"""What do two plans have otherwise?"""

from datetime import date
from typing import Literal

from pullplan.engine.model.words import Fact, Tier

Change = Literal["added", "removed", "moved", "left_short", "no_longer_short"]
ChangeCause = Literal[
    "new_demand",
    "demand_gone",
    "stock_or_supply",
    "forecast_or_target",
    "time_went_on",
    "node_offline",
    "node_online",
    "not_qualified",
    "qualified",
    "lane_closed",
    "lane_opened",
    "less_capacity",
    "more_capacity",
    "cost_changed",
    "capacity_price",
    "freed_capacity",
    "parameters",
    "other",
]


class NeedKey(Fact, frozen=True, order=True):
    """What a need is of, in whichever plan."""

    product_code: str
    region_code: str
    bucket_date: date
    tier: Tier
    rank: int


class PlacedUnits(Fact, frozen=True, kw_only=True):
    """Units of a need at a node from a start bucket, with what one of them measures."""

    node_code: str
    start_bucket_date: date
    units: float
    cost_per_unit: float
    late_buckets: int
    early_buckets: int


class NeedInPlan(Fact, frozen=True, kw_only=True):
    """How a plan serves a need."""

    units: float
    shortfall_units: float
    lines: tuple[PlacedUnits, ...]


class Difference(Fact, frozen=True, kw_only=True):
    """Units of a need that one plan has elsewhere than the other.

    `added` is new at a node, `removed` no longer at one (its need is gone, or short), `moved` goes from node and start
    bucket to others; `left_short` and `no_longer_short` never had a line. Savings are of the second plan over the first:
    below 0 it costs more.
    """

    product_code: str
    region_code: str
    need_bucket_date: date
    tier: Tier
    rank: int
    part: int
    """Counts the differences of one need."""
    change: Change
    units: float
    from_node_code: str | None = None
    from_start_bucket_date: date | None = None
    to_node_code: str | None = None
    to_start_bucket_date: date | None = None
    cause: ChangeCause
    detail: str
    shortfall_units_saved: float
    late_unit_buckets_saved: float
    cost_saved: float
    early_unit_buckets_saved: float
