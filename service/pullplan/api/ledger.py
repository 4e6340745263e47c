"""Where does every demanded unit of a plan's horizon come from?"""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from pullplan.api import lists
from pullplan.api.access import require
from pullplan.api.dependencies import PoolOf
from pullplan.api.fields import CodeFilter
from pullplan.api.plans import get_stored
from pullplan.api.rows import Table, TierFilter
from pullplan.engine.model import ShortUnits, Tier
from pullplan.storage import ledger

TotalledByFilter = Annotated[
    Literal["all", "bucket", "product", "region", "tier"] | None,
    QueryParameter(
        description="Only the total of everything, or totals of buckets, of products, of regions, or of tiers."
    ),
]


class LedgerLine(msgspec.Struct, kw_only=True):
    """What a region demands of a product in a bucket, tier by tier, and where it comes from.

    demanded = from stock + from supply + from buffer + from node stock + from region stock + assigned + shortfall, to within a millionth
    of a unit. What a region sends to others stands beside: it demands nothing for them.
    """

    line: int
    """From 1, by product, region, bucket and tier."""
    product_code: str
    region_code: str
    bucket_date: date
    """When it is due; what is past due is due in the first bucket."""
    tier: Tier
    """`order`, `lead`, `forecast` or `buffer`; pinned units stand under the tier that they were pinned of."""
    demanded_units: float
    """Of orders what is still open, of leads that qualify units × probability, of the forecast what both leave of it; of tier
    `buffer` what stock and supply leave open of a target, or what a DDMRP buffer orders."""
    from_stock_units: float
    """Of what is on hand at `as_of`."""
    from_supply_units: float
    """Of open supply and released work that has arrived by then, and of released work that comes later and that orders and
    leads wait for."""
    from_buffer_units: float
    """Of safety stock that this plan makes for an earlier bucket (there assigned, or short, under tier `buffer`), and that
    need not be held any longer."""
    from_node_stock_units: float
    """Of what lies finished at nodes, and is sent."""
    from_region_stock_units: float
    """Of what other regions have on hand and need for nothing over the horizon, and send; only where a plan asks for it
    (`pool_regions_within_km`)."""
    sent_to_regions_units: float
    """Sent to others of what this region has on hand: in the bucket in which it leaves, under the tier that it serves there. All
    regions send what all receive."""
    assigned_units: float
    """Made anew."""
    shortfall_units: float
    """Made by nobody."""
    shortfalls: list[ShortUnits]
    """The same, reason by reason."""


class LedgerTotal(msgspec.Struct, kw_only=True):
    """The ledger of everything, of a bucket, of a product, of a region or of a tier."""

    totalled_by: Literal["all", "bucket", "product", "region", "tier"]
    code: str
    """The bucket's first day, or a code, or the tier; empty for everything."""
    demanded_units: float
    from_stock_units: float
    from_supply_units: float
    from_buffer_units: float
    from_node_stock_units: float
    from_region_stock_units: float
    sent_to_regions_units: float
    assigned_units: float
    shortfall_units: float
    unaccounted_units: float
    """Demanded, and none of these: nothing but rounding, else it is a defect of ours."""
    shortfalls: list[ShortUnits]


LINES = Table(ledger.LINES, LedgerLine, get_stored)
TOTALS = Table(ledger.TOTALS, LedgerTotal, get_stored)


@get(
    "/v1/plans/{plan_id:uuid}/ledger",
    guards=[require("read")],
    operation_id="listPlanLedger",
    tags=["plans"],
    opt={"rows": LedgerLine},
)
async def list_plan_ledger(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    tier: TierFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[LedgerLine]] | Stream:
    """Read where every demanded unit of the horizon comes from: stock, open supply, what the plan makes, or nowhere, and why; as CSV, NDJSON or XLSX the whole of it."""
    return await LINES.answer(
        request, pool, plan_id, limit, cursor, product_code=product_code, region_code=region_code, tier=tier
    )


@get(
    "/v1/plans/{plan_id:uuid}/ledger-totals",
    guards=[require("read")],
    operation_id="listPlanLedgerTotals",
    tags=["plans"],
    opt={"rows": LedgerTotal},
)
async def list_plan_ledger_totals(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    totalled_by: TotalledByFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[LedgerTotal]] | Stream:
    """Read what the ledger adds up to, in all, by bucket, product, region and tier; as CSV, NDJSON or XLSX the whole of it."""
    return await TOTALS.answer(request, pool, plan_id, limit, cursor, totalled_by=totalled_by)


ROUTES = [list_plan_ledger, list_plan_ledger_totals]
