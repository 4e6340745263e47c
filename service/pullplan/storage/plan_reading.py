"""How is a stored plan read back as the plan that it was?"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import cache, partial
from sys import intern
from typing import Any
from uuid import UUID

import asyncpg
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
)
from pullplan.storage import listings, plans
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing

_BucketOf = Callable[[date], int]
_PASSED_OVER = partial(msgspec.convert, type=tuple[PassedOver, ...])


class WholePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A stored plan with every line, and the facts that it was made from."""

    plan_id: UUID
    facts: PlanningFacts
    plan: Plan
    bucket_dates: Sequence[date]
    """(horizon_buckets,): each bucket's first day."""


async def find_plan(
    connection: Connection, plan_id: UUID, facts: PlanningFacts, *, days_per_bucket: int
) -> Plan | None:
    """Read a plan back with every line, as it was when it was stored with these facts."""
    head = await plans.find(connection, plan_id)
    if head is None:
        return None
    bucket_of = _counting_from(head["first_bucket_date"], days_per_bucket)

    async def all_of[F](listing: Listing, make: Callable[[asyncpg.Record], F]) -> tuple[F, ...]:
        return tuple([make(row) async for row in listings.stream(connection, listing, plan_id)])

    return Plan(
        **{
            name: head[name] for name in ("method", "tie_break", "reproducible", "snapshot_hash", "plan_hash")
        },
        stages=msgspec.convert(head["stages"], tuple[Stage, ...]),
        figures=msgspec.convert(head["figures"], Figures),
        stability=msgspec.convert(head["stability"], Stability | None),
        needs=await all_of(plans.NEEDS, lambda row: _need(row, bucket_of, facts)),
        assignments=await all_of(plans.ASSIGNMENTS, lambda row: _assignment(row, bucket_of)),
        shortfalls=await all_of(plans.SHORTFALLS, lambda row: _fields(row, Shortfall)),
        prices=await all_of(plans.PRICES, lambda row: _in_bucket(row, bucket_of, CapacityPrice)),
        production_orders=await all_of(
            plans.PRODUCTION_ORDERS,
            lambda row: _fields(row, ProductionOrder, start_bucket=bucket_of(row["start_bucket_date"])),
        ),
        loads=await all_of(plans.LOADS, lambda row: _in_bucket(row, bucket_of, ResourceLoad)),
    )


async def find_needs(
    connection: Connection, plan_id: UUID, facts: PlanningFacts, *, days_per_bucket: int
) -> tuple[Need, ...]:
    """Read a plan's needs alone, as they were when it was stored with these facts."""
    head = await plans.find(connection, plan_id)
    if head is None:
        return ()
    bucket_of = _counting_from(head["first_bucket_date"], days_per_bucket)
    rows = listings.stream(connection, plans.NEEDS, plan_id)
    return tuple([_need(row, bucket_of, facts) async for row in rows])


def _counting_from(first: date, days_per_bucket: int) -> _BucketOf:
    @cache
    def bucket_of(day: date) -> int:
        return (day - first).days // days_per_bucket

    return bucket_of


def _fields[F: msgspec.Struct](row: asyncpg.Record, kind: type[F], **others: Any) -> F:
    """Make a fact of a row; a code that a million rows share is held once."""
    return kind(
        **{
            name: intern(value) if type(value := row[name]) is str else value
            for name in kind.__struct_fields__
            if name not in others
        },
        **others,
    )


def _in_bucket[F: msgspec.Struct](row: asyncpg.Record, bucket_of: _BucketOf, kind: type[F]) -> F:
    return _fields(row, kind, bucket=bucket_of(row["bucket_date"]))


def _need(row: asyncpg.Record, bucket_of: _BucketOf, facts: PlanningFacts) -> Need:
    bucket = bucket_of(row["bucket_date"])
    latest = facts.parameters.latest_bucket(row["tier"], bucket, facts.horizon.horizon_buckets)
    pinned = row["pinned_start_bucket_date"]
    return _fields(
        row,
        Need,
        bucket=bucket,
        latest_bucket=latest,
        pinned_start_bucket=None if pinned is None else bucket_of(pinned),
    )


def _assignment(row: asyncpg.Record, bucket_of: _BucketOf) -> Assignment:
    return _fields(
        row,
        Assignment,
        start_bucket=bucket_of(row["start_bucket_date"]),
        arrival_bucket=bucket_of(row["arrival_bucket_date"]),
        passed_over=_PASSED_OVER(row["passed_over"]) if row["passed_over"] else (),
    )
