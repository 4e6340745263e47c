"""What was counted at which node, and when?"""

from datetime import datetime
from typing import Any

from litestar import Request, get, post

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.storage import node_stock


class NodeStockCountRow(intake.Row, kw_only=True):
    """One count of finished units that lie at a node; a plan may send what the last one before its `as_of` found.

    It stands until the next one: nothing is taken off it for what was sent since, which the sender's next count tells. What is
    sent costs its freight alone, and is planned before anything is made wherever it is no dearer. Lines of a plan name it
    `(stock)` and the node's code.
    """

    source: fields.Source
    external_id: fields.ExternalId
    node_code: fields.Code
    product_code: fields.Code
    counted_at: fields.Instant
    on_hand_units: fields.Units
    """May be negative: sold before it was booked in; then there is nothing to send."""
    reserved_units: fields.NonNegative = 0.0
    blocked_units: fields.NonNegative = 0.0

    def __post_init__(self) -> None:
        fields.refuse_far_instant("counted_at", self.counted_at)


class NodeStockCountShown(NodeStockCountRow, kw_only=True):
    """A stored count."""

    received_at: datetime


INTAKE = intake.Intake(
    subject="node-stock-counts",
    rows=RowType(NodeStockCountRow),
    record=intake.in_columns(node_stock.TARGET),
    cells=intake.instants("counted_at"),
)


@get("/v1/node-stock-counts", guards=[require("read")], operation_id="listNodeStockCounts", tags=["stock"])
async def list_node_stock_counts(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    node_code: fields.CodeFilter = None,
    product_code: fields.CodeFilter = None,
    source: fields.CodeFilter = None,
) -> lists.Page[NodeStockCountShown]:
    """List counts by source and external id."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await node_stock.list_page(
        transaction, after, limit + 1, updated_since, node_code, product_code, source
    )
    shown = [NodeStockCountShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.source, item.external_id))


@post(
    "/v1/node-stock-counts",
    guards=[require("demand:write")],
    operation_id="addNodeStockCounts",
    tags=["stock"],
    opt={"bulk_body": NodeStockCountRow},
    request_max_body_size=None,
    status_code=200,
)
async def add_node_stock_counts(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Add counts. The same `source` and `external_id` again: known when it says the same, else corrected."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run
    )


ROUTES = [list_node_stock_counts, add_node_stock_counts]
