"""How is a plan stored with the facts it was made from, and read by callers?"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("plans")

NEEDS = Listing(
    SQL["list_needs"], key=("need_id",), start=(0,), filters=("product_code", "region_code", "tier")
)
ASSIGNMENTS = Listing(
    SQL["list_assignments"],
    key=("assignment_id",),
    start=(0,),
    filters=("product_code", "region_code", "node_code", "tier"),
)
SHORTFALLS = Listing(
    SQL["list_shortfalls"], key=("shortfall_id",), start=(0,), filters=("product_code", "region_code", "tier")
)
PRODUCTION_ORDERS = Listing(
    SQL["list_production_orders"],
    key=("production_order_id",),
    start=(0,),
    filters=("product_code", "node_code"),
)
PRICES = Listing(
    SQL["list_prices"],
    key=("stage", "node_code", "resource_code", "product_code", "bucket_date"),
    start=(-1, "", "", "", date.min),
    filters=("node_code",),
)
LOADS = Listing(
    SQL["list_loads"],
    key=("node_code", "resource_code", "bucket_date"),
    start=("", "", date.min),
    filters=("node_code",),
)

_ASSIGNMENT_COLUMNS = (
    *("plan_id", "assignment_id", "need_id", "product_code", "region_code", "node_code", "tier"),
    *("need_bucket_date", "start_bucket_date", "arrival_bucket_date", "units", "distance_km"),
    *("cost_per_unit", "distance_rank", "passed_over", "started_units"),
)
_AFTER_ALL = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
_BEFORE_ALL = datetime(1, 1, 2, tzinfo=UTC)
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
"""As the snapshot hash is made: it names the very bytes that are stored."""


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a plan besides its lines."""

    plan_id: UUID
    run_id: UUID
    forecast_id: UUID | None
    as_of: datetime
    parameters: dict[str, Any]
    snapshot_at: datetime
    wall_seconds: float
    code_version: str
    parent_plan_id: UUID | None = None
    base_plan_id: UUID | None = None
    """The plan whose rows it has but for those that are stored as changed; None: all rows are its own."""


async def insert(
    connection: Connection,
    record: PlanRecord,
    plan: Plan,
    facts: PlanningFacts,
    bucket_dates: Sequence[date],
) -> None:
    """Store a plan with its lines and its snapshot, inside the caller's transaction.

    Shapes: bucket_dates (horizon_buckets,)
    """
    await insert_head(connection, record, plan, facts, bucket_dates)
    await copy_rows(connection, rows_by_table(plan, bucket_dates, record.plan_id))


async def insert_head(
    connection: Connection,
    record: PlanRecord,
    plan: Plan,
    facts: PlanningFacts,
    bucket_dates: Sequence[date],
) -> None:
    """Store what a plan is besides its rows, and the facts that it was made from."""
    r, horizon = record, facts.horizon
    await connection.execute(
        SQL["insert_plan"],
        *(r.plan_id, r.run_id, r.forecast_id, r.as_of, horizon.bucket, bucket_dates[0]),
        *(horizon.horizon_buckets, facts.parameters.objective, r.parameters, r.snapshot_at),
        *(plan.snapshot_hash, plan.plan_hash, plan.method, plan.tie_break, plan.reproducible, plan.stages),
        *(plan.figures, r.wall_seconds, r.code_version, r.parent_plan_id, r.base_plan_id, plan.stability),
    )
    # Level 1 takes a third of the default's time, and a twentieth more room.
    packed = zlib.compress(_ENCODER.encode(facts), level=1)
    await connection.execute(SQL["insert_snapshot"], r.plan_id, packed)


async def copy_rows(connection: Connection, rows_of: Mapping[str, Iterable[tuple[Any, ...]]]) -> None:
    """Store rows of a plan, table by table."""
    for table, rows in rows_of.items():
        columns = _ASSIGNMENT_COLUMNS if table == "plan_assignments" else None
        await connection.copy_records_to_table(table, records=rows, columns=columns)


def rows_by_table(plan: Plan, dates: Sequence[date], plan_id: UUID) -> dict[str, Iterable[tuple[Any, ...]]]:
    """Lay lines out as rows, made while they are sent: a plan may have a million. A line's number follows the plan's id."""
    owner = asyncpg.pgproto.pgproto.UUID(plan_id.bytes)  # encoded ten times as fast as uuid's own
    need_of = {need.need_id: need for need in plan.needs}
    return {
        "plan_needs": _need_rows(plan, dates, owner),
        "plan_assignments": (
            (
                *(
                    owner,
                    a.assignment_id,
                    a.need_id,
                    need.product_code,
                    need.region_code,
                    a.node_code,
                    need.tier,
                ),
                *(dates[need.bucket], dates[a.start_bucket], dates[a.arrival_bucket], a.units, a.distance_km),
                *(a.cost_per_unit, a.distance_rank, a.passed_over, a.started_units),
            )
            for a in plan.assignments
            for need in (need_of[a.need_id],)
        ),
        "plan_shortfalls": (
            (
                *(owner, s.shortfall_id, s.need_id, need.product_code, need.region_code, need.tier),
                *(dates[need.bucket], s.units, s.reason, s.detail),
            )
            for s in plan.shortfalls
            for need in (need_of[s.need_id],)
        ),
        "plan_prices": (
            (
                owner,
                p.stage,
                p.node_code,
                p.resource_code or "",
                dates[p.bucket],
                p.price,
                p.product_code or "",
            )
            for p in plan.prices
        ),
        "plan_loads": (
            (owner, n.node_code, n.resource_code, dates[n.bucket], n.kind, n.capacity, n.used)
            for n in plan.loads
        ),
        "plan_production_orders": (
            (
                *(owner, o.production_order_id, o.product_code, o.node_code, dates[o.start_bucket], o.units),
                *(o.n_lots, o.lot_units, o.n_smaller_lots, o.smaller_lot_units, o.surplus_units),
                o.surplus_region_code,
            )
            for o in plan.production_orders
        ),
    }


def _need_rows(plan: Plan, dates: Sequence[date], owner: UUID) -> Iterator[tuple[Any, ...]]:
    assigned, short = defaultdict[int, float](float), defaultdict[int, float](float)
    for a in plan.assignments:
        assigned[a.need_id] += a.units
    for s in plan.shortfalls:
        short[s.need_id] += s.units
    for n in plan.needs:
        yield (
            *(owner, n.need_id, n.product_code, n.region_code, dates[n.bucket], n.tier, n.rank, n.units),
            *(assigned.get(n.need_id, 0.0), short.get(n.need_id, 0.0), n.pinned_node_code),
            None if n.pinned_start_bucket is None else dates[n.pinned_start_bucket],
        )


async def find(connection: Connection, plan_id: UUID) -> asyncpg.Record | None:
    """Find a plan without its lines."""
    return await connection.fetchrow(SQL["find_plan"], plan_id)


async def find_facts(connection: Connection, plan_id: UUID) -> PlanningFacts | None:
    """Unpack the facts that a plan was made from."""
    found = await find_snapshot(connection, plan_id)
    return None if found is None else found[0]


async def find_snapshot(connection: Connection, plan_id: UUID) -> tuple[PlanningFacts, str] | None:
    """Unpack the facts that a plan was made from, and hash what is stored: code that knows more fields hashes it alike."""
    packed = await connection.fetchval(SQL["find_snapshot"], plan_id)
    if packed is None:
        return None
    stored = zlib.decompress(packed)
    return msgspec.msgpack.decode(stored, type=PlanningFacts), hashlib.sha256(stored).hexdigest()


async def find_need(connection: Connection, plan_id: UUID, need_id: int) -> asyncpg.Record | None:
    """Find one need of a plan."""
    return await connection.fetchrow(SQL["find_need"], plan_id, need_id)


async def find_assignment(connection: Connection, plan_id: UUID, assignment_id: int) -> asyncpg.Record | None:
    """Find one line of a plan."""
    return await connection.fetchrow(SQL["find_assignment"], plan_id, assignment_id)


async def find_shortfall(connection: Connection, plan_id: UUID, shortfall_id: int) -> asyncpg.Record | None:
    """Find one shortfall of a plan."""
    return await connection.fetchrow(SQL["find_shortfall"], plan_id, shortfall_id)


async def list_all(
    connection: Connection,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    updated_since: datetime | None = None,
) -> list[asyncpg.Record]:
    """Read plans, newest first; the cursor's key is (created_at, plan_id)."""
    return await connection.fetch(
        SQL["list_plans"], *(after or _AFTER_ALL), updated_since or _BEFORE_ALL, limit
    )


async def list_busiest(connection: Connection, plan_id: UUID) -> list[asyncpg.Record]:
    """Add up each node's resources over the horizon, the busiest first."""
    return await connection.fetch(SQL["list_busiest"], plan_id)
