"""What does a plan say line by line: needs, assignments, shortfalls, prices and loads?"""

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
from pullplan.engine.model import LineKind, PassedOver, ResourceKind, ShortfallReason, Tier
from pullplan.storage import plans


class NeedRow(msgspec.Struct, kw_only=True):
    """Units that must arrive in a region in a bucket."""

    need_id: int
    product_code: str
    region_code: str
    bucket_date: date
    tier: Tier
    rank: int
    """Smaller is served first within its tier."""
    units: float
    assigned_units: float
    shortfall_units: float
    pinned_node_code: str | None
    """Of tier `pinned`: the node that the plan's request pins the units to."""
    pinned_start_bucket_date: date | None
    """The same of the start; null where the pin leaves it open."""


class AssignmentRow(msgspec.Struct, kw_only=True):
    """Units of a need that a node makes, or sends of what lies there."""

    assignment_id: int
    need_id: int
    product_code: str
    region_code: str
    node_code: str
    tier: Tier
    need_bucket_date: date
    start_bucket_date: date
    arrival_bucket_date: date
    units: float
    """Good units, as they arrive."""
    started_units: float
    """What must be started for them: units ÷ the node's yield."""
    distance_km: float
    cost_per_unit: float
    """In the objective's measure: km, kg·km or money."""
    distance_rank: int
    """1: the nearest of the nodes that are capable, qualified, online and have a lane."""
    passed_over: list[PassedOver]
    """Nearer (or cheaper) nodes that were not used, and why."""
    kind: LineKind
    """`transfer`: sent of what lies finished at a node, which is named `(stock)` and its code, or in
    another region, named `(region)` and its code; nothing is made."""


class ShortfallRow(msgspec.Struct, kw_only=True):
    """Units of a need that nobody makes, and what binds."""

    shortfall_id: int
    need_id: int
    product_code: str
    region_code: str
    tier: Tier
    need_bucket_date: date
    units: float
    reason: ShortfallReason
    detail: str


class ProductionOrderRow(msgspec.Struct, kw_only=True):
    """What one node starts of a product in a bucket: `n_lots` of `lot_units` each, then `n_smaller_lots` of `smaller_lot_units`."""

    production_order_id: int
    product_code: str
    node_code: str
    start_bucket_date: date
    units: float
    n_lots: int
    lot_units: float
    n_smaller_lots: int
    smaller_lot_units: float
    surplus_units: float
    """Above all that the horizon needs of it."""
    surplus_region_code: str | None
    """Where the surplus goes: the region that will need it soonest."""


class PriceRow(msgspec.Struct, kw_only=True):
    """What one more unit of a capacity, or of a share limit, would be worth to a stage; zero is not listed."""

    stage: int
    node_code: str
    resource_code: str | None
    """Null where the price is of a share limit."""
    product_code: str | None
    """Of a share limit: the product, of which the node may start no more over the whole horizon. Null where the price is
    of a resource."""
    bucket_date: date
    """Of a share limit: the first bucket's."""
    price: float


class LoadRow(msgspec.Struct, kw_only=True):
    """How much of a resource a bucket uses."""

    node_code: str
    resource_code: str
    bucket_date: date
    kind: ResourceKind
    capacity: float
    """Of a stored resource: what is there in this bucket."""
    used: float


SORT = QueryParameter(
    description="In this order instead, `-` for the largest or latest first; pages and whole tables alike. A cursor goes on in its own order only."
)
NeedSort = Annotated[
    Literal[
        "units",
        "-units",
        "assigned_units",
        "-assigned_units",
        "shortfall_units",
        "-shortfall_units",
        "bucket_date",
        "-bucket_date",
        "rank",
        "-rank",
    ]
    | None,
    SORT,
]
AssignmentSort = Annotated[
    Literal[
        "units",
        "-units",
        "distance_km",
        "-distance_km",
        "cost_per_unit",
        "-cost_per_unit",
        "distance_rank",
        "-distance_rank",
        "start_bucket_date",
        "-start_bucket_date",
        "arrival_bucket_date",
        "-arrival_bucket_date",
    ]
    | None,
    SORT,
]
ShortfallSort = Annotated[Literal["units", "-units", "need_bucket_date", "-need_bucket_date"] | None, SORT]
ProductionOrderSort = Annotated[
    Literal["units", "-units", "surplus_units", "-surplus_units", "start_bucket_date", "-start_bucket_date"]
    | None,
    SORT,
]
LoadSort = Annotated[
    Literal["used", "-used", "capacity", "-capacity", "bucket_date", "-bucket_date"] | None, SORT
]

NEEDS = Table(plans.NEEDS, NeedRow, get_stored)
ASSIGNMENTS = Table(plans.ASSIGNMENTS, AssignmentRow, get_stored)
SHORTFALLS = Table(plans.SHORTFALLS, ShortfallRow, get_stored)
PRODUCTION_ORDERS = Table(plans.PRODUCTION_ORDERS, ProductionOrderRow, get_stored)
PRICES = Table(plans.PRICES, PriceRow, get_stored)
LOADS = Table(plans.LOADS, LoadRow, get_stored)


@get(
    "/v1/plans/{plan_id:uuid}/needs",
    guards=[require("read")],
    operation_id="listPlanNeeds",
    tags=["plans"],
    opt={"rows": NeedRow},
)
async def list_plan_needs(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    tier: TierFilter = None,
    sort: NeedSort = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[NeedRow]] | Stream:
    """Read what must arrive where and when, and how much of it is assigned; as CSV, NDJSON or XLSX the whole of it."""
    return await NEEDS.answer(
        request,
        pool,
        plan_id,
        limit,
        cursor,
        sort,
        product_code=product_code,
        region_code=region_code,
        tier=tier,
    )


@get(
    "/v1/plans/{plan_id:uuid}/assignments",
    guards=[require("read")],
    operation_id="listPlanAssignments",
    tags=["plans"],
    opt={"rows": AssignmentRow},
)
async def list_plan_assignments(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    node_code: CodeFilter = None,
    tier: TierFilter = None,
    sort: AssignmentSort = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[AssignmentRow]] | Stream:
    """Read which node makes what for which region, its rank by distance, and which nearer nodes were passed over and why; as CSV, NDJSON or XLSX the whole of it."""
    return await ASSIGNMENTS.answer(
        request, pool, plan_id, limit, cursor, sort,
        product_code=product_code, region_code=region_code, node_code=node_code, tier=tier,
    )  # fmt: skip


@get(
    "/v1/plans/{plan_id:uuid}/shortfalls",
    guards=[require("read")],
    operation_id="listPlanShortfalls",
    tags=["plans"],
    opt={"rows": ShortfallRow},
)
async def list_plan_shortfalls(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    tier: TierFilter = None,
    sort: ShortfallSort = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[ShortfallRow]] | Stream:
    """Read what nobody makes, and what binds; as CSV, NDJSON or XLSX the whole of it."""
    return await SHORTFALLS.answer(
        request,
        pool,
        plan_id,
        limit,
        cursor,
        sort,
        product_code=product_code,
        region_code=region_code,
        tier=tier,
    )


@get(
    "/v1/plans/{plan_id:uuid}/production-orders",
    guards=[require("read")],
    operation_id="listPlanProductionOrders",
    tags=["plans"],
    opt={"rows": ProductionOrderRow},
)
async def list_plan_production_orders(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    node_code: CodeFilter = None,
    sort: ProductionOrderSort = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[ProductionOrderRow]] | Stream:
    """Read the orders that gather assignments of products with lot rules, and the lots that each is cut into; as CSV, NDJSON or XLSX the whole of it."""
    return await PRODUCTION_ORDERS.answer(
        request, pool, plan_id, limit, cursor, sort, product_code=product_code, node_code=node_code
    )


@get(
    "/v1/plans/{plan_id:uuid}/prices",
    guards=[require("read")],
    operation_id="listPlanPrices",
    tags=["plans"],
    opt={"rows": PriceRow},
)
async def list_plan_prices(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    node_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[PriceRow]] | Stream:
    """Read what one more unit of each capacity would be worth to each stage; as CSV, NDJSON or XLSX the whole of it."""
    return await PRICES.answer(request, pool, plan_id, limit, cursor, node_code=node_code)


@get(
    "/v1/plans/{plan_id:uuid}/loads",
    guards=[require("read")],
    operation_id="listPlanLoads",
    tags=["plans"],
    opt={"rows": LoadRow},
)
async def list_plan_loads(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    node_code: CodeFilter = None,
    sort: LoadSort = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[LoadRow]] | Stream:
    """Read how much of each resource each bucket uses; as CSV, NDJSON or XLSX the whole of it."""
    return await LOADS.answer(request, pool, plan_id, limit, cursor, sort, node_code=node_code)


ROUTES = [
    list_plan_needs,
    list_plan_assignments,
    list_plan_shortfalls,
    list_plan_production_orders,
    list_plan_prices,
    list_plan_loads,
]
