"""How does one need come about?"""

from collections import defaultdict
from datetime import date
from uuid import UUID

import asyncpg
import msgspec
from litestar import get
from litestar.params import FromPath

from pullplan.api.access import require
from pullplan.api.dependencies import Transaction
from pullplan.api.fields import LineInPath
from pullplan.api.plan_lines import NeedRow
from pullplan.api.plans import StoredPlan, get_stored
from pullplan.engine.comparison import PlannedBuckets
from pullplan.engine.derivation import Served, Terms, derive_need
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import BufferDerivation, Derivation
from pullplan.storage import buffers, database, ledger, listings, plans, pull_terms

CLAUSES = {
    "signals": "each unit is demanded once: of an order what is not shipped, of a lead that qualifies units × probability",
    "stock": "on hand = last count − issues after it by the one history that counts + receipts after it",
    "supply": "open supply and released work by due date, a work order that supply stands for once; "
    "orders and leads wait for released work that comes later and that nobody will need then",
    "forecast": "orders and leads take their own bucket's forecast, then earlier, then later ones inside the window",
    "target": "safety stock = quantile − mean of demand over the protection days that follow the bucket",
    "need": "demand − what stock and supply give, oldest first, due date then tier then priority; no rounding",
}
"""Which rule each part follows; lots round later, when a node is chosen."""


class NeedDerivation(Derivation, frozen=True, kw_only=True):
    """A need, and everything that it follows from: a planner can recompute it by hand."""

    plan_id: UUID
    need: NeedRow
    rules: dict[str, str] = msgspec.field(default_factory=lambda: CLAUSES)
    """By part: what it is computed by."""


@get(
    "/v1/plans/{plan_id:uuid}/needs/{need_id:int}",
    guards=[require("read")],
    operation_id="getPlanNeed",
    tags=["plans"],
)
async def get_plan_need(
    transaction: Transaction, plan_id: FromPath[UUID], need_id: LineInPath
) -> NeedDerivation:
    """Show a need with every intermediate: which signals, which count, which supply, bucket by bucket, and by which rule."""
    plan = await get_stored(transaction, plan_id)
    row = await plans.find_need(transaction, plan_id, need_id)
    if row is None:
        raise ResourceUnknownError("need", str(need_id))
    need = NeedRow(**row)
    facts = await plans.find_facts(transaction, plan_id)
    terms = await pull_terms.find(transaction, plan_id, need.product_code, need.region_code)
    if facts is None or terms is None:
        raise ResourceUnknownError(
            "derivation of need", f"{need_id} in plan {plan_id}, made before such were kept"
        )
    derived = derive_need(
        facts,
        (need.product_code, need.region_code),
        PlannedBuckets(plan.bucket, plan.first_bucket_date, plan.horizon_buckets),
        Terms(**terms),
        await _served(transaction, plan, need),
        buffer=await _buffer(transaction, plan_id, need),
    )
    return NeedDerivation(plan_id=plan_id, need=need, **msgspec.structs.asdict(derived))


async def _served(connection: database.Connection, plan: StoredPlan, need: NeedRow) -> list[Served]:
    """Read what the ledger says of the need's product × region, bucket by bucket."""
    of_bucket: dict[date, list[asyncpg.Record]] = defaultdict(list)
    pair = {"product_code": need.product_code, "region_code": need.region_code}
    async for row in listings.stream(connection, ledger.LINES, plan.plan_id, **pair):
        of_bucket[row["bucket_date"]].append(row)
    buckets = PlannedBuckets(plan.bucket, plan.first_bucket_date, plan.horizon_buckets)
    return [
        Served(
            {row["tier"]: row["demanded_units"] for row in rows},
            *(
                sum(row[name] for row in rows)
                for name in ("from_stock_units", "from_supply_units", "from_buffer_units")
            ),
        )
        for rows in (of_bucket[day] for day in buckets.dates)
    ]


async def _buffer(connection: database.Connection, plan_id: UUID, need: NeedRow) -> BufferDerivation | None:
    pair = {"product_code": need.product_code, "region_code": need.region_code}
    rows = await listings.list_page(connection, buffers.OF_PLAN, plan_id, after=None, limit=1, **pair)
    return msgspec.convert(dict(rows[0]), BufferDerivation) if rows else None


ROUTES = [get_plan_need]
