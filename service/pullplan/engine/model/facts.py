"""What are forecasts and plans made from?"""

from pullplan.engine.model.buffers import BufferSizing
from pullplan.engine.model.demand import (
    Adjustment,
    DailyUnits,
    LeadSignal,
    OpenSupply,
    Order,
    OutOfStock,
    Promotion,
    ReleasedWork,
    StockPosition,
    UsageExclusion,
)
from pullplan.engine.model.forecasts import Forecast
from pullplan.engine.model.network import (
    Capability,
    CapacityException,
    Lane,
    Node,
    Product,
    PullPolicy,
    Region,
    Resource,
)
from pullplan.engine.model.requests import Horizon, PlanParameters
from pullplan.engine.model.words import Fact, ForecastProfile


class ForecastFacts(Fact, frozen=True, kw_only=True):
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
    promotions: tuple[Promotion, ...] = ()
    out_of_stock: tuple[OutOfStock, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """Product × region pairs that must get a forecast though they may have no history."""
    profile: ForecastProfile = "thorough"
    """How many candidates are tried, and from how many origins."""


class PlanningFacts(Fact, frozen=True, kw_only=True):
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
    recent_consumption: DailyUnits = DailyUnits()
    recent_orders: DailyUnits = DailyUnits()
    """Of the days that DDMRP buffers average usage over, as in ForecastFacts; empty where no policy is of that kind."""
    usage_exclusions: tuple[UsageExclusion, ...] = ()
    """Of those days: what people have excluded, and promotions that they had announced."""
    accepted_sizings: tuple[BufferSizing, ...] = ()
    """Of each DDMRP buffer the one accepted last; a buffer without one is sized anew."""
    stock: tuple[StockPosition, ...] = ()
    open_supply: tuple[OpenSupply, ...] = ()
    released_work: tuple[ReleasedWork, ...] = ()
    forecast: Forecast | None = None
