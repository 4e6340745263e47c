"""Which node can make which product, and what does a unit take there?"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, put
from litestar.params import JSONBody
from msgspec import Meta

from pullplan.api import fields, formats, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.lots import LotFields
from pullplan.api.row_types import RowType
from pullplan.storage import audit, capabilities
from pullplan.storage.nodes import NODES
from pullplan.storage.spool import Record

UsePerUnit = Annotated[
    dict[fields.Code, fields.NonNegative],
    Meta(
        max_length=50,
        description="How much of each of the node's resources a started unit takes; in CSV `hours=0.5;kiln=0.2`.",
    ),
]


SetupUsePerOrder = Annotated[
    dict[fields.Code, fields.NonNegative],
    Meta(
        max_length=50,
        description="How much of each of the node's resources a production order takes besides its units; in CSV `hours=2`.",
    ),
]


class CapabilityBody(intake.Row, LotFields, kw_only=True):
    """What a node can make. Work starts on days of its dates only."""

    product_code: fields.Code
    unit_cost: fields.NonNegative = 0.0
    make_lead_time_days: fields.Days = 0
    use_per_unit: UsePerUnit = msgspec.field(default_factory=dict)
    yield_share: fields.PositiveShare = 1.0
    """Good units for each started unit: capacity and shares count started units, `unit_cost` is of a good one."""
    qualified: bool = True
    """False: never planned with, but named where it would have helped."""
    setup_use_per_order: SetupUsePerOrder = msgspec.field(default_factory=dict)


class CapabilityRow(CapabilityBody, kw_only=True):
    """One line of a batch."""

    node_code: fields.Code


class CapabilityShown(CapabilityRow, kw_only=True):
    """A stored capability."""

    updated_at: datetime


class NodeCapabilities(msgspec.Struct, kw_only=True):
    """Everything that a node can make."""

    items: list[CapabilityShown]


NodeCapabilitiesBody = Annotated[list[CapabilityBody], Meta(max_length=10_000)]


def in_columns(row: CapabilityRow) -> Record:
    """Give a row's values in the order of the columns."""
    written = {
        "use_per_unit": msgspec.json.encode(row.use_per_unit).decode(),
        "setup_use_per_order": msgspec.json.encode(row.setup_use_per_order).decode(),
    }
    return tuple(written.get(c, getattr(row, c)) for c in capabilities.COLUMNS)


INTAKE = intake.Intake(
    subject="capabilities",
    rows=RowType(CapabilityRow),
    record=in_columns,
    cells={"use_per_unit": formats.amounts_cell, "setup_use_per_order": formats.amounts_cell},
)


@get("/v1/capabilities", guards=[require("read")], operation_id="listCapabilities", tags=["network"])
async def list_capabilities(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    node_code: fields.CodeFilter = None,
    product_code: fields.CodeFilter = None,
) -> lists.Page[CapabilityShown]:
    """List by node and product who can make what."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await capabilities.list_page(transaction, after, limit + 1, updated_since, node_code, product_code)
    shown = [CapabilityShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.node_code, item.product_code))


@put(
    "/v1/capabilities",
    guards=[require("network:write")],
    operation_id="loadCapabilities",
    tags=["network"],
    opt={"bulk_body": CapabilityRow},
    request_max_body_size=None,
)
async def load_capabilities(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Say which nodes can make which products; load products, nodes and capacity first."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get(
    "/v1/nodes/{node_code:str}/capabilities",
    guards=[require("read", own_node=True)],
    operation_id="getNodeCapabilities",
    tags=["network"],
)
async def get_node_capabilities(transaction: Transaction, node_code: fields.CodeInPath) -> NodeCapabilities:
    """Show everything that one node can make, by product."""
    await NODES.get(transaction, node_code)
    rows = await capabilities.list_for_node(transaction, node_code)
    return NodeCapabilities(items=[CapabilityShown(**row) for row in rows])


@put(
    "/v1/nodes/{node_code:str}/capabilities",
    guards=[require("network:write")],
    operation_id="putNodeCapabilities",
    tags=["network"],
)
async def put_node_capabilities(
    node_code: fields.CodeInPath,
    data: JSONBody[NodeCapabilitiesBody],
    transaction: Transaction,
    caller: CallerOf,
) -> NodeCapabilities:
    """Make these the whole of what one node can make; what isn't named it can't make any more."""
    await NODES.get(transaction, node_code)
    rows = [intake.named(body, CapabilityRow, node_code=node_code) for body in data]
    with INTAKE.spooled(*rows, places="items") as spool:
        await capabilities.replace_for_node(transaction, node_code, spool)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"nodes/{node_code}/capabilities")
    stored = await capabilities.list_for_node(transaction, node_code)
    return NodeCapabilities(items=[CapabilityShown(**row) for row in stored])


ROUTES = [list_capabilities, load_capabilities, get_node_capabilities, put_node_capabilities]
