"""What is already coming to a region, by its caller's word?"""

from datetime import date, datetime
from typing import Any

import msgspec
from litestar import Request, get, post

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.storage import supply


class OpenSupplyRow(intake.Row, kw_only=True):
    """One expected receipt of a product in a region, such as a line of a purchase order."""

    source: fields.Source
    external_id: fields.ExternalId
    product_code: fields.Code
    region_code: fields.Code
    units: fields.NonNegative
    due_date: date
    """Past, it is believed for the plan's `overdue_days` and counts in the first bucket; after that it counts as nothing."""
    work_order_id: fields.Text | None = None
    """Of ours, where this line stands for a released work order: it is then counted once, and orders that fell due before it
    comes wait for what of it nobody will need then, rather than being made again."""
    received_units: fields.NonNegative = 0.0
    """All that has come of it. Above `units` nothing more is expected, and all of it is in stock."""
    receipt_at: fields.Instant | None = None
    """When the last of it came. Of a line that is received in parts, what earlier revisions said tells when the others did."""
    closed: bool = False
    """Nothing more of it will come."""
    source_revision: fields.SourceRevision | None = None
    """The source's own count, where it keeps one: what says something else must then have a higher one than what is stored."""

    def __post_init__(self) -> None:
        if self.receipt_at is not None:
            fields.refuse_far_instant("receipt_at", self.receipt_at)
        elif self.received_units:
            raise ValueError("receipt_at: say when the received_units came")


class OpenSupplyShown(OpenSupplyRow, kw_only=True):
    """A stored line."""

    revision: int
    """From 1, one more each time that the line says something else."""
    updated_at: datetime


class OpenSupplyHistory(msgspec.Struct, kw_only=True):
    """All that was ever said of a line."""

    items: list[OpenSupplyShown]
    """The first revision first."""


INTAKE = intake.Intake(
    subject="open-supply",
    rows=RowType(OpenSupplyRow),
    record=intake.in_columns(supply.TARGET),
    cells=intake.instants("receipt_at"),
)


@get("/v1/open-supply", guards=[require("read")], operation_id="listOpenSupply", tags=["stock"])
async def list_open_supply(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    product_code: fields.CodeFilter = None,
    region_code: fields.CodeFilter = None,
    source: fields.CodeFilter = None,
) -> lists.Page[OpenSupplyShown]:
    """List lines by source and external id, closed ones too."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await supply.list_page(
        transaction, after, limit + 1, updated_since, product_code, region_code, source
    )
    shown = [OpenSupplyShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.source, item.external_id))


@post(
    "/v1/open-supply",
    guards=[require("demand:write")],
    operation_id="addOpenSupply",
    tags=["stock"],
    opt={"bulk_body": OpenSupplyRow, "problems": (409,)},
    request_max_body_size=None,
    status_code=200,
)
async def add_open_supply(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Add expected receipts, and report what has come. The same `source` and `external_id` again is a new revision of the line."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run
    )


@get(
    "/v1/open-supply/{source:str}/{external_id:str}/history",
    guards=[require("read")],
    operation_id="getOpenSupplyHistory",
    tags=["stock"],
)
async def get_open_supply_history(
    transaction: Transaction, source: fields.CodeInPath, external_id: fields.ExternalIdInPath
) -> OpenSupplyHistory:
    """Show every revision of one line."""
    rows = await supply.list_history(transaction, source, external_id)
    return OpenSupplyHistory(items=[OpenSupplyShown(**row) for row in rows])


ROUTES = [list_open_supply, add_open_supply, get_open_supply_history]
