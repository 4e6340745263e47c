"""How are two plans read side by side?"""

from collections.abc import AsyncGenerator
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from pullplan.engine.comparison import PlannedBuckets, PlanSide
from pullplan.engine.model import NeedInPlan, NeedKey, PlacedUnits
from pullplan.storage import plans
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("differences")

_BEFORE_ALL = ("", "", date.min, "", 0)
_PREFETCHED_NEEDS = 500

type NeedAfter = tuple[str, str, date, str, int]


def buckets_of(plan: asyncpg.Record) -> PlannedBuckets:
    """Say which buckets a stored plan is of."""
    return PlannedBuckets(plan["bucket"], plan["first_bucket_date"], plan["horizon_buckets"])


async def read_side(connection: Connection, plan: asyncpg.Record) -> PlanSide:
    """Read what a plan was made from, and what its capacities are and are worth in the cost stage."""
    plan_id = plan["plan_id"]
    facts = await plans.find_facts(connection, plan_id)
    assert facts is not None  # noqa: S101 - a plan is stored with its snapshot
    stage = next((s["stage"] for s in plan["stages"] if s["measure"].startswith("cost:")), 0)
    prices = await connection.fetch(SQL["list_cost_prices"], plan_id, stage)
    capacities = await connection.fetch(SQL["list_capacities"], plan_id)
    return PlanSide(facts, *({tuple(row)[:3]: row[3] for row in rows} for rows in (capacities, prices)))


async def stream_needs(
    connection: Connection,
    plan_ids: tuple[UUID, UUID],
    buckets: PlannedBuckets,
    *,
    after: NeedAfter | None = None,
    **filters: str | None,
) -> AsyncGenerator[tuple[NeedKey, NeedInPlan | None, NeedInPlan | None]]:
    """Read the needs that the two plans serve otherwise, in the order of their keys, from behind `after`.

    To be called inside a transaction.
    """
    wanted = (filters.get(name) for name in ("product_code", "region_code", "tier"))
    arguments = (*plan_ids, buckets.first_date, buckets.last_date, *(after or _BEFORE_ALL), *wanted)
    async for row in connection.cursor(SQL["list_needs"], *arguments, prefetch=_PREFETCHED_NEEDS):
        key = NeedKey(*(row[name] for name in NeedKey.__struct_fields__))
        yield key, _side(row, "before", key, buckets), _side(row, "after", key, buckets)


def _side(row: asyncpg.Record, when: str, key: NeedKey, buckets: PlannedBuckets) -> NeedInPlan | None:
    if row[f"units_{when}"] is None:
        return None
    return NeedInPlan(
        units=row[f"units_{when}"],
        shortfall_units=row[f"short_{when}"],
        lines=tuple(_line(line, key, buckets) for line in row[f"lines_{when}"] or ()),
    )


def _line(line: list[Any], key: NeedKey, buckets: PlannedBuckets) -> PlacedUnits:
    node_code, start, arrival, units, cost = line
    late = (date.fromisoformat(arrival) - key.bucket_date).days // buckets.days_per_bucket
    return PlacedUnits(
        node_code=node_code,
        start_bucket_date=date.fromisoformat(start),
        units=float(units),
        cost_per_unit=float(cost),
        late_buckets=max(0, late),
        early_buckets=max(0, -late),
    )
