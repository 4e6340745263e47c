"""Which days do not count into the past usage of buffers, and why?"""

from datetime import date, datetime
from typing import Annotated, Any

from litestar import Request, get, put
from msgspec import Meta

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.engine.model import EVERY
from pullplan.storage import usage_exclusions

Reason = Annotated[str, Meta(min_length=1, max_length=200, pattern=fields.PRINTABLE_PATTERN)]


class UsageExclusionRow(intake.Row, kw_only=True):
    """Days whose usage is not the usual one: neither their units nor they themselves count into a DDMRP buffer's past usage.

    `*` stands for every product or region. Promotions that were announced as adjustments are left out without it.
    """

    product_code: fields.CodeOrEvery = EVERY
    region_code: fields.CodeOrEvery = EVERY
    from_date: date
    until_date: date
    """The first day that counts again."""
    reason: Reason
    """What the buffer's derivation will say."""

    def __post_init__(self) -> None:
        """Refuse dates that leave no day.

        Raises: ValueError naming the field.
        """
        if self.until_date <= self.from_date:
            raise ValueError("until_date: must be after from_date; the day itself counts again")


class UsageExclusionShown(UsageExclusionRow, kw_only=True):
    """A stored exclusion."""

    updated_at: datetime


INTAKE = intake.Intake(
    subject="usage-exclusions",
    rows=RowType(UsageExclusionRow),
    record=intake.in_columns(usage_exclusions.TARGET),
)


@get("/v1/usage-exclusions", guards=[require("read")], operation_id="listUsageExclusions", tags=["network"])
async def list_usage_exclusions(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    product_code: fields.CodeOrEveryFilter = None,
    region_code: fields.CodeOrEveryFilter = None,
) -> lists.Page[UsageExclusionShown]:
    """List exclusions by product, region and first day, as they were given."""
    after = lists.decode_cursor(cursor, tuple[str, str, date])
    rows = await usage_exclusions.list_page(
        transaction, after, limit + 1, updated_since, product_code, region_code
    )
    shown = [UsageExclusionShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda one: (one.product_code, one.region_code, one.from_date))


@put(
    "/v1/usage-exclusions",
    guards=[require("network:write")],
    operation_id="loadUsageExclusions",
    tags=["network"],
    opt={"bulk_body": UsageExclusionRow},
    request_max_body_size=None,
)
async def load_usage_exclusions(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Say which days do not count into past usage; with `mode=replace` those not named count again."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


ROUTES = [list_usage_exclusions, load_usage_exclusions]
