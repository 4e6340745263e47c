"""How is a stored plan read back as the plan that it was?"""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import (
    Assignment,
    CapacityPrice,
    Need,
    Plan,
    PlanningFacts,
    ResourceLoad,
    Shortfall,
)
from pullplan.storage import plans
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing

_BucketOf = Callable[[date], int]


async def find_plan(
    connection: Connection, plan_id: UUID, facts: PlanningFacts, *, days_per_bucket: int
) -> Plan | None:
    """Read a plan back with every line, as it was when it was stored with these facts."""
    head = await plans.find(connection, plan_id)
    if head is None:
        return None

    first: date = head["first_bucket_date"]

    def bucket_of(day: date) -> int:
        return (day - first).days // days_per_bucket

    async def rows(listing: Listing) -> list[asyncpg.Record]:
        return await connection.fetch(listing.statement, *listing.arguments(plan_id, None, None, {}))

    return msgspec.convert(
        {
            **{name: head[name] for name in ("method", "tie_break", "reproducible", "stages", "figures")},
            **{name: head[name] for name in ("snapshot_hash", "plan_hash")},
            "needs": tuple(_need(row, bucket_of, facts) for row in await rows(plans.NEEDS)),
            "assignments": tuple(_assignment(row, bucket_of) for row in await rows(plans.ASSIGNMENTS)),
            "shortfalls": tuple(_fields(row, Shortfall) for row in await rows(plans.SHORTFALLS)),
            "prices": tuple(_in_bucket(row, bucket_of, CapacityPrice) for row in await rows(plans.PRICES)),
            "loads": tuple(_in_bucket(row, bucket_of, ResourceLoad) for row in await rows(plans.LOADS)),
        },
        Plan,
    )


def _fields[F: msgspec.Struct](row: asyncpg.Record, kind: type[F], **others: Any) -> F:
    names = set(kind.__struct_fields__) - others.keys()
    return msgspec.convert({name: row[name] for name in names} | others, kind)


def _in_bucket[F: msgspec.Struct](row: asyncpg.Record, bucket_of: _BucketOf, kind: type[F]) -> F:
    return _fields(row, kind, bucket=bucket_of(row["bucket_date"]))


def _need(row: asyncpg.Record, bucket_of: _BucketOf, facts: PlanningFacts) -> Need:
    bucket = bucket_of(row["bucket_date"])
    latest = facts.parameters.latest_bucket(row["tier"], bucket, facts.horizon.horizon_buckets)
    return _fields(row, Need, bucket=bucket, latest_bucket=latest)


def _assignment(row: asyncpg.Record, bucket_of: _BucketOf) -> Assignment:
    return _fields(
        row,
        Assignment,
        start_bucket=bucket_of(row["start_bucket_date"]),
        arrival_bucket=bucket_of(row["arrival_bucket_date"]),
    )
