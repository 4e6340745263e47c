"""How is a stored plan read back as the plan that it was?"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cache, partial
from sys import intern
from typing import Any
from uuid import UUID

import msgspec

from pullplan.engine.model import (
    Assignment,
    CapacityPrice,
    Figures,
    Need,
    PassedOver,
    Plan,
    PlanningFacts,
    ProductionOrder,
    ResourceLoad,
    Shortfall,
    Stability,
    Stage,
    Tier,
)
from pullplan.storage import listings, plans
from pullplan.storage.columns import Columns, columns_of, made_of
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing

_BucketOf = Callable[[date], int]
_Column = Callable[[Columns], Iterable[Any]]
"""Made of what was read."""
_PASSED_OVER = partial(msgspec.convert, type=tuple[PassedOver, ...])


class WholePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A stored plan with every line, and the facts that it was made from."""

    plan_id: UUID
    facts: PlanningFacts
    plan: Plan
    bucket_dates: Sequence[date]
    """(horizon_buckets,): each bucket's first day."""
    facts_hash: str | None = None
    """Of the facts as they are stored, where the plan was read back."""


async def find_plan(
    connection: Connection, plan_id: UUID, facts: PlanningFacts, *, days_per_bucket: int
) -> Plan | None:
    """Read a plan back with every line, as it was when it was stored with these facts."""
    head = await plans.find(connection, plan_id)
    if head is None:
        return None
    bucket_of = _counting_from(head["first_bucket_date"], days_per_bucket)
    all_of = partial(_all_of, connection, plan_id)

    @cache
    def latest_of(tier: Tier, day: date) -> int:
        return facts.parameters.latest_bucket(tier, bucket_of(day), facts.horizon.horizon_buckets)

    def bucket(name: str) -> _Column:
        return lambda columns: map(bucket_of, columns[name])

    return Plan(
        **{
            name: head[name] for name in ("method", "tie_break", "reproducible", "snapshot_hash", "plan_hash")
        },
        stages=msgspec.convert(head["stages"], tuple[Stage, ...]),
        figures=msgspec.convert(head["figures"], Figures),
        stability=msgspec.convert(head["stability"], Stability | None),
        needs=await all_of(
            *(plans.NEEDS, Need),
            bucket=bucket("bucket_date"),
            latest_bucket=lambda columns: map(latest_of, columns["tier"], columns["bucket_date"]),
            pinned_start_bucket=lambda columns: (
                None if day is None else bucket_of(day) for day in columns["pinned_start_bucket_date"]
            ),
        ),
        assignments=await all_of(
            *(plans.ASSIGNMENTS, Assignment),
            start_bucket=bucket("start_bucket_date"),
            arrival_bucket=bucket("arrival_bucket_date"),
            passed_over=lambda columns: (
                _PASSED_OVER(said) if said else () for said in columns["passed_over"]
            ),
        ),
        shortfalls=await all_of(plans.SHORTFALLS, Shortfall),
        prices=await all_of(plans.PRICES, CapacityPrice, bucket=bucket("bucket_date")),
        production_orders=await all_of(
            plans.PRODUCTION_ORDERS, ProductionOrder, start_bucket=bucket("start_bucket_date")
        ),
        loads=await all_of(plans.LOADS, ResourceLoad, bucket=bucket("bucket_date")),
    )


async def _all_of[F: msgspec.Struct](
    connection: Connection, plan_id: UUID, listing: Listing, kind: type[F], **others: _Column
) -> tuple[F, ...]:
    """Make facts of all rows: of columns that are named as their fields are, and of `others`."""
    facts: list[F] = []
    async for rows in listings.stream_many(connection, listing, plan_id):
        columns = columns_of(rows)
        own = {name: _shared(columns[name]) for name in kind.__struct_fields__ if name not in others}
        facts += made_of(kind, {**own, **{name: of(columns) for name, of in others.items()}})
    return tuple(facts)


def _counting_from(first: date, days_per_bucket: int) -> _BucketOf:
    @cache
    def bucket_of(day: date) -> int:
        return (day - first).days // days_per_bucket

    return bucket_of


def _shared(column: Sequence[Any]) -> Sequence[Any]:
    """Hold a code that a million rows share once."""
    if type(next((one for one in column if one is not None), None)) is not str:
        return column
    return [one and intern(one) for one in column]
