"""Where can things be made, and how are these places now?"""

from datetime import datetime
from typing import Any

from litestar import Request, Response, delete, get, put
from litestar.params import JSONBody

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.preconditions import expected_revision, with_etag
from pullplan.api.row_types import RowType
from pullplan.engine.model import NodeStatus
from pullplan.storage import audit, nodes
from pullplan.storage.nodes import NODES


class NodeBody(intake.Row, kw_only=True):
    """Where things are made."""

    name: fields.Text = ""
    latitude: fields.Latitude | None = None
    longitude: fields.Longitude | None = None
    status: NodeStatus | None = None
    """Null leaves what the node reported of itself; a new node is online."""
    capacity_share: fields.Share | None = None
    """What is left of the calendar's capacity while degraded; null leaves it, and is 1 for a new node."""
    source_revision: fields.SourceRevision | None = None

    def __post_init__(self) -> None:
        intake.require_together(self, "latitude", "longitude")


class NodeRow(NodeBody, kw_only=True):
    """One line of a batch."""

    node_code: fields.Code


class NodeShown(NodeRow, kw_only=True):
    """A stored node."""

    status: NodeStatus
    capacity_share: fields.Share
    revision: int
    updated_at: datetime
    retired_at: datetime | None
    """Since when it can't be used anew; what refers to it stays readable."""


INTAKE = intake.Intake(subject="nodes", rows=RowType(NodeRow), record=intake.in_columns(NODES.target))


@get("/v1/nodes", guards=[require("read")], operation_id="listNodes", tags=["network"])
async def list_nodes(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    retired: lists.Retired = False,
) -> lists.Page[NodeShown]:
    """List nodes by code; retired ones only with `retired=true`."""
    after = lists.decode_cursor(cursor, tuple[str])
    rows = await NODES.list_page(transaction, after, limit + 1, updated_since, retired)
    return lists.page([NodeShown(**row) for row in rows], limit, key=lambda node: (node.node_code,))


@put(
    "/v1/nodes",
    guards=[require("network:write")],
    operation_id="loadNodes",
    tags=["network"],
    opt={"bulk_body": NodeRow, "problems": (409,)},
    request_max_body_size=None,
)
async def load_nodes(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Add and change nodes, as many as an ERP has. The last writer wins, unless a line's `source_revision` is older than the stored one."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get(
    "/v1/nodes/{node_code:str}",
    guards=[require("read", own_node=True)],
    operation_id="getNode",
    tags=["network"],
)
async def get_node(transaction: Transaction, node_code: fields.CodeInPath) -> Response[NodeShown]:
    """Show one node, retired or not; `ETag` is its revision."""
    row = await NODES.get(transaction, node_code)
    return with_etag(NodeShown(**row), row)


@put(
    "/v1/nodes/{node_code:str}",
    guards=[require("network:write")],
    operation_id="putNode",
    tags=["network"],
    opt={"problems": (409, 412, 428)},
)
async def put_node(
    request: Request[Any, Any, Any],
    node_code: fields.CodeInPath,
    data: JSONBody[NodeBody],
    transaction: Transaction,
    caller: CallerOf,
) -> Response[NodeShown]:
    """Create one node (`If-None-Match: *`) or replace it as it was read (`If-Match`)."""
    expected = expected_revision(request)
    existed = await NODES.expect(transaction, expected, node_code)
    with INTAKE.spooled(intake.named(data, NodeRow, node_code=node_code)) as spool:
        await INTAKE.destination.put(transaction, spool)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"nodes/{node_code}")
    row = await NODES.get(transaction, node_code)
    return with_etag(NodeShown(**row), row, created=not existed)


@delete(
    "/v1/nodes/{node_code:str}",
    guards=[require("network:write")],
    operation_id="retireNode",
    tags=["network"],
    opt={"problems": (412, 428)},
)
async def retire_node(
    request: Request[Any, Any, Any], node_code: fields.CodeInPath, transaction: Transaction, caller: CallerOf
) -> None:
    """Retire one node: it stays readable where something refers to it, and can't be used anew."""
    await NODES.retire(transaction, expected_revision(request), node_code)
    await audit.insert(transaction, caller.key_id, action="retire", subject=f"nodes/{node_code}")


class NodeStateBody(intake.Row, kw_only=True):
    """What a node says of itself."""

    status: NodeStatus
    capacity_share: fields.Share | None = None
    """What is left of the calendar's capacity while degraded; null leaves it as it is."""


class NodeState(intake.Row, kw_only=True):
    """A node's last reported state."""

    node_code: str
    status: NodeStatus
    capacity_share: float
    updated_at: datetime


@get(
    "/v1/nodes/{node_code:str}/state",
    guards=[require("read", own_node=True)],
    operation_id="getNodeState",
    tags=["network"],
)
async def get_node_state(transaction: Transaction, node_code: fields.CodeInPath) -> NodeState:
    """Show how a node is."""
    row = await NODES.get(transaction, node_code)
    return NodeState(**{name: row[name] for name in NodeState.__struct_fields__})


@put(
    "/v1/nodes/{node_code:str}/state",
    guards=[require("network:write", own_node=True)],
    operation_id="reportNodeState",
    tags=["network"],
)
async def report_node_state(
    node_code: fields.CodeInPath, data: JSONBody[NodeStateBody], transaction: Transaction, caller: CallerOf
) -> NodeState:
    """Report how a node is: online, degraded to a share of its capacity, or offline. Plans made from now on count with it."""
    row = await nodes.report_state(transaction, node_code, data.status, data.capacity_share)
    await audit.insert(transaction, caller.key_id, action="report", subject=f"nodes/{node_code}/state")
    return NodeState(**row)


ROUTES = [list_nodes, load_nodes, get_node, put_node, retire_node, get_node_state, report_node_state]
