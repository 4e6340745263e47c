"""What is demanded, held and already coming?"""

from datetime import date, datetime

from pullplan.engine.model.words import Fact


class DailyUnits(Fact, frozen=True, kw_only=True):
    """Units of many product × region × day, as columns of equal length, ordered by (product, region, day)."""

    product_codes: tuple[str, ...] = ()
    region_codes: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    units: tuple[float, ...] = ()


class Order(Fact, frozen=True, kw_only=True):
    """A firm order, not cancelled. What is open of it is `ordered_units − shipped_units`."""

    external_id: str
    product_code: str
    region_code: str
    ordered_units: float
    shipped_units: float = 0.0
    due_date: date
    priority: int = 0
    """Smaller is served first."""


class LeadSignal(Fact, frozen=True, kw_only=True):
    external_id: str
    product_code: str
    region_code: str
    units: float
    probability: float
    due_date: date
    priority: int = 0


class Adjustment(Fact, frozen=True, kw_only=True):
    """A person's change of the forecast over [from_date, until_date): multipliers first, then additions."""

    external_id: str
    product_code: str
    region_code: str
    from_date: date
    until_date: date
    multiplier: float | None = None
    units: float | None = None
    """Added over the whole range, prorated by covered days."""


class Promotion(Fact, frozen=True, kw_only=True):
    """Days in the past on which a promotion that people had announced lifted demand, [from_date, until_date)."""

    external_id: str
    product_code: str
    region_code: str
    from_date: date
    until_date: date


class UsageExclusion(Fact, frozen=True, kw_only=True):
    """Days in [from_date, until_date) whose usage was not the usual one; EVERY stands for all products or regions."""

    product_code: str
    region_code: str
    from_date: date
    until_date: date
    reason: str


class OutOfStock(Fact, frozen=True, kw_only=True):
    """Days on which a region had nothing to give of a product, by its counts, [from_date, until_date)."""

    product_code: str
    region_code: str
    from_date: date
    until_date: date


class StockPosition(Fact, frozen=True, kw_only=True):
    """The last count of a product × region at or before as_of, and what moved between it and as_of."""

    product_code: str
    region_code: str
    counted_at: datetime | None = None
    count_units: float = 0.0
    """Without reserved and blocked units."""
    consumed_units_since: float = 0.0
    shipped_units_since: float = 0.0
    received_units_since: float = 0.0


class NodeStock(Fact, frozen=True, kw_only=True):
    """What lies finished at a node by its last count, and may be sent from there."""

    node_code: str
    product_code: str
    units: float
    """Without reserved and blocked units."""


class OpenSupply(Fact, frozen=True, kw_only=True):
    """What is already coming to a region, by the caller's word; `units` is what is still to arrive."""

    external_id: str
    product_code: str
    region_code: str
    units: float
    due_date: date
    work_order_id: str | None = None


class ReleasedWork(Fact, frozen=True, kw_only=True):
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
