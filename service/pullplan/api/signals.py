"""What may a demand signal of each kind say?"""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from pullplan.api import fields, intake
from pullplan.api.row_types import RowType
from pullplan.storage import demand

Probability = Annotated[float, Meta(ge=0, le=1, description="That it becomes an order.")]
Multiplier = Annotated[float, Meta(ge=0, le=1000)]


class _Signal(intake.Row, kw_only=True, tag_field="kind"):
    source: fields.Source
    external_id: fields.ExternalId
    product_code: fields.Code
    region_code: fields.Code
    occurred_at: fields.Instant
    """When it became so; a plan never reads what happened after its `as_of`."""
    source_revision: fields.SourceRevision | None = None
    """The source's own count, where it keeps one: what says something else must then have a higher one than what is stored."""


class Consumption(_Signal, kw_only=True, tag="consumption"):
    """Units that were sold, used or returned."""

    units: fields.Units
    """Negative for a return only."""
    reason: fields.Text | None = None
    """`return` lets units be negative."""

    def __post_init__(self) -> None:
        fields.refuse_far_instant("occurred_at", self.occurred_at)
        if self.units < 0 and self.reason != "return":
            raise ValueError("units: must not be negative, except with the reason 'return'")


class Order(_Signal, kw_only=True, tag="order"):
    """Units that somebody ordered for a day, and what became of the order.

    Amended, it is told again: with the `occurred_at` of the amendment earlier plans keep what was true then, with the same one it is
    corrected for them, too. An order that two sources tell is two orders.
    """

    units: fields.Positive
    due_date: date
    """May lie before `occurred_at`: an order that is past due when it is placed is demanded in the first bucket."""
    shipped_units: fields.NonNegative = 0.0
    """All that ever went out. Above `units` nothing is open any longer, and all of it has left stock."""
    shipped_at: fields.Instant | None = None
    """When the last of it went out; earlier revisions say what had before."""
    cancelled: bool = False
    """What is not shipped is no longer demanded; what is shipped has left stock and was demanded."""
    priority: fields.Priority = 0
    """Smaller is served first."""

    def __post_init__(self) -> None:
        fields.refuse_far_instant("occurred_at", self.occurred_at)
        if self.shipped_at is not None:
            fields.refuse_far_instant("shipped_at", self.shipped_at)
        elif self.shipped_units:
            raise ValueError("shipped_at: say when the shipped_units went out")


class Lead(_Signal, kw_only=True, tag="lead"):
    """Units that may be ordered, with a probability."""

    units: fields.Positive
    probability: Probability
    due_date: date
    priority: fields.Priority = 0
    """Smaller is served first."""

    def __post_init__(self) -> None:
        fields.refuse_far_instant("occurred_at", self.occurred_at)


class Adjustment(_Signal, kw_only=True, tag="adjustment"):
    """A person's change of the forecast over days; multipliers count first, then added units."""

    from_date: date
    until_date: date
    """The first day that no longer counts."""
    multiplier: Multiplier | None = None
    units: fields.Units | None = None
    """Added over the whole range, by days; may be negative."""
    reason: fields.Text | None = None
    """`promotion`: what is consumed meanwhile is not taken for the usual demand afterwards."""

    def __post_init__(self) -> None:
        fields.refuse_far_instant("occurred_at", self.occurred_at)
        if self.until_date <= self.from_date:
            raise ValueError("until_date: must be after from_date; the day itself no longer counts")
        if self.multiplier is None and self.units is None:
            raise ValueError("multiplier: give a multiplier, or units, or both")


SignalRow = Consumption | Order | Lead | Adjustment

_ABSENT: dict[str, object] = dict.fromkeys(demand.COLUMNS) | {"cancelled": False, "priority": 0}
for _kind in (Consumption, Order, Lead, Adjustment):
    # What a kind doesn't have, its class answers for: one attrgetter then reads a line's columns from any kind.
    for _column, _value in {**_ABSENT, "kind": _kind.__struct_config__.tag}.items():
        if _column not in _kind.__struct_fields__:
            setattr(_kind, _column, _value)


INTAKE = intake.Intake(
    subject="demand-signals",
    rows=RowType(SignalRow),
    record=intake.in_columns(demand.TARGET),
    cells=intake.instants("occurred_at", "shipped_at"),
)


class SignalShown(msgspec.Struct, kw_only=True):
    """A stored revision of a signal; what its kind doesn't have is null."""

    source: str
    external_id: str
    kind: str
    product_code: str
    region_code: str
    units: float | None
    occurred_at: datetime
    due_date: date | None
    shipped_units: float | None
    shipped_at: datetime | None
    cancelled: bool
    priority: int
    probability: float | None
    from_date: date | None
    until_date: date | None
    multiplier: float | None
    reason: str | None
    source_revision: int | None
    revision: int
    """From 1; the same `source` and `external_id` with other words is the next."""
    received_at: datetime
    superseded_at: datetime | None
    """Until when this revision was the current one."""
