"""How large are DDMRP buffers, where do they stand, and why do they order what they order?"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from pullplan.api import lists
from pullplan.api.access import require
from pullplan.api.dependencies import PoolOf, Transaction
from pullplan.api.fields import CodeFilter, CodeInPath
from pullplan.api.plans import get_stored
from pullplan.api.rows import Table
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import BufferColor, BufferDerivation, BufferWarning, OnHandAlert
from pullplan.storage import buffers

ColorFilter = Annotated[
    BufferColor | None, QueryParameter(description="Only buffers whose net flow is of this color.")
]
AlertFilter = Annotated[
    OnHandAlert | None,
    QueryParameter(
        description="Only buffers with this alert of execution: `red` where less than half of red is on hand, `yellow` where less than red."
    ),
]

WarningFilter = Annotated[
    BufferWarning | None,
    QueryParameter(description="Only buffers with this warning, such as `zones_await_acceptance`."),
]


class BufferShown(BufferDerivation, frozen=True, kw_only=True):
    """One buffer as a plan saw it, with every step on the way from signals to its order."""

    plan_id: UUID
    planned_at: datetime


OF_PLAN = Table(buffers.OF_PLAN, BufferDerivation, get_stored)


@get(
    "/v1/plans/{plan_id:uuid}/buffers",
    guards=[require("read")],
    operation_id="listPlanBuffers",
    tags=["plans"],
    opt={"rows": BufferDerivation},
)
async def list_plan_buffers(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    color: ColorFilter = None,
    on_hand_alert: AlertFilter = None,
    warning: WarningFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[BufferDerivation]] | Stream:
    """Read every DDMRP buffer as the plan saw it, by product and region; as CSV, NDJSON or XLSX the whole of them."""
    return await OF_PLAN.answer(
        *(request, pool, plan_id, limit, cursor),
        product_code=product_code,
        region_code=region_code,
        color=color,
        on_hand_alert=on_hand_alert,
        warning=warning,
    )


@get(
    "/v1/buffers/{product_code:str}/{region_code:str}",
    guards=[require("read")],
    operation_id="getBuffer",
    tags=["plans"],
)
async def get_buffer(
    transaction: Transaction, product_code: CodeInPath, region_code: CodeInPath
) -> BufferShown:
    """Show a product × region's buffer as the latest plan saw it: zones, net flow and order, and how each came about."""
    rows = await buffers.list_history(transaction, product_code, region_code, after=None, limit=1)
    if not rows:
        raise ResourceUnknownError("buffer", f"{product_code} {region_code}")
    return msgspec.convert(dict(rows[0]), BufferShown)


@get(
    "/v1/buffers/{product_code:str}/{region_code:str}/history",
    guards=[require("read")],
    operation_id="listBufferHistory",
    tags=["plans"],
)
async def list_buffer_history(
    transaction: Transaction,
    product_code: CodeInPath,
    region_code: CodeInPath,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> lists.Page[BufferShown]:
    """List what a buffer said in every plan, the newest first: how its zones have changed."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await buffers.list_history(transaction, product_code, region_code, after=after, limit=limit + 1)
    items = [msgspec.convert(dict(row), BufferShown) for row in rows]
    return lists.page(items, limit, key=lambda item: (item.planned_at, item.plan_id))


ROUTES = [list_plan_buffers, get_buffer, list_buffer_history]
