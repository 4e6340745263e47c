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
    TIERS,
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
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing

_BucketOf = Callable[[date], int]
_SAME_TIER: dict[str, Tier] = {tier: tier for tier in TIERS}
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
    all_of = partial(_all_of, connection, plan_id)
    return Plan(
        **{
            name: head[name] for name in ("method", "tie_break", "reproducible", "snapshot_hash", "plan_hash")
        },
        stages=msgspec.convert(head["stages"], tuple[Stage, ...]),
        figures=msgspec.convert(head["figures"], Figures),
        stability=msgspec.convert(head["stability"], Stability | None),
        needs=await all_of(plans.NEEDS, _need_reader(bucket_of, facts)),
        assignments=await all_of(plans.ASSIGNMENTS, lambda row: _assignment(row, bucket_of)),
        shortfalls=await all_of(plans.SHORTFALLS, lambda row: _fields(row, Shortfall)),
        prices=await all_of(plans.PRICES, lambda row: _in_bucket(row, bucket_of, CapacityPrice)),
        production_orders=await all_of(
            plans.PRODUCTION_ORDERS,
            lambda row: _fields(row, ProductionOrder, start_bucket=bucket_of(row["start_bucket_date"])),
        ),
        loads=await all_of(plans.LOADS, lambda row: _in_bucket(row, bucket_of, ResourceLoad)),
    )


async def _all_of[F](
    connection: Connection, plan_id: UUID, listing: Listing, make: Callable[[asyncpg.Record], F]
) -> tuple[F, ...]:
    many = listings.stream_many(connection, listing, plan_id)
    return tuple([make(row) async for rows in many for row in rows])


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


# Of needs and lines there may be a million: written out, they are made four times as fast as by the names of their fields.


def _need_reader(bucket_of: _BucketOf, facts: PlanningFacts) -> Callable[[asyncpg.Record], Need]:
    @cache
    def latest_of(tier: Tier, bucket: int) -> int:
        return facts.parameters.latest_bucket(tier, bucket, facts.horizon.horizon_buckets)

    def need(row: asyncpg.Record) -> Need:
        tier = _SAME_TIER.get(row["tier"], row["tier"])
        bucket = bucket_of(row["bucket_date"])
        node_code, start = row["pinned_node_code"], row["pinned_start_bucket_date"]
        return Need(
            need_id=row["need_id"],
            product_code=intern(row["product_code"]),
            region_code=intern(row["region_code"]),
            bucket=bucket,
            tier=tier,
            rank=row["rank"],
            units=row["units"],
            latest_bucket=latest_of(tier, bucket),
            pinned_node_code=node_code and intern(node_code),
            pinned_start_bucket=None if start is None else bucket_of(start),
        )

    return need


def _assignment(row: asyncpg.Record, bucket_of: _BucketOf) -> Assignment:
    passed_over = row["passed_over"]
    return Assignment(
        assignment_id=row["assignment_id"],
        need_id=row["need_id"],
        node_code=intern(row["node_code"]),
        start_bucket=bucket_of(row["start_bucket_date"]),
        arrival_bucket=bucket_of(row["arrival_bucket_date"]),
        units=row["units"],
        started_units=row["started_units"],
        distance_km=row["distance_km"],
        cost_per_unit=row["cost_per_unit"],
        distance_rank=row["distance_rank"],
        passed_over=_PASSED_OVER(passed_over) if passed_over else (),
    )
