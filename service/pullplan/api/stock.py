"""What was counted where, and when?"""

from datetime import datetime
from typing import Any

from litestar import Request, get, post

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.storage import stock


class StockCountRow(intake.Row, kw_only=True):
    """One count of a product in a region; a plan starts from the last one before its `as_of`.

    It stands against whatever was expected: what went out or came in before it no longer counts.
    """

    source: fields.Source
    external_id: fields.ExternalId
    product_code: fields.Code
    region_code: fields.Code
    counted_at: fields.Instant
    on_hand_units: fields.Units
    """May be negative: sold before it was booked in. What is missing is made up for in the first bucket, as tier `buffer`."""
    reserved_units: fields.NonNegative = 0.0
    blocked_units: fields.NonNegative = 0.0

    def __post_init__(self) -> None:
        fields.refuse_far_instant("counted_at", self.counted_at)


class StockCountShown(StockCountRow, kw_only=True):
    """A stored count."""

    received_at: datetime


INTAKE = intake.Intake(
    subject="stock-counts",
    rows=RowType(StockCountRow),
    record=intake.in_columns(stock.TARGET),
    cells=intake.instants("counted_at"),
)


@get("/v1/stock-counts", guards=[require("read")], operation_id="listStockCounts", tags=["stock"])
async def list_stock_counts(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    product_code: fields.CodeFilter = None,
    region_code: fields.CodeFilter = None,
    source: fields.CodeFilter = None,
) -> lists.Page[StockCountShown]:
    """List counts by source and external id."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await stock.list_page(
        transaction, after, limit + 1, updated_since, product_code, region_code, source
    )
    shown = [StockCountShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.source, item.external_id))


@post(
    "/v1/stock-counts",
    guards=[require("demand:write")],
    operation_id="addStockCounts",
    tags=["stock"],
    opt={"bulk_body": StockCountRow},
    request_max_body_size=None,
    status_code=200,
)
async def add_stock_counts(
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


ROUTES = [list_stock_counts, add_stock_counts]
