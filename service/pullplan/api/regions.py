"""Where is the demand?"""

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
from pullplan.storage import audit
from pullplan.storage.regions import REGIONS


class RegionBody(intake.Row, kw_only=True):
    """Where demand is; coordinates give distances where no lane does."""

    name: fields.Text = ""
    latitude: fields.Latitude | None = None
    longitude: fields.Longitude | None = None
    source_revision: fields.SourceRevision | None = None

    def __post_init__(self) -> None:
        intake.require_together(self, "latitude", "longitude")


class RegionRow(RegionBody, kw_only=True):
    """One line of a batch."""

    region_code: fields.Code


class RegionShown(RegionRow, kw_only=True):
    """A stored region."""

    revision: int
    updated_at: datetime
    retired_at: datetime | None
    """Since when it can't be used anew; what refers to it stays readable."""


INTAKE = intake.Intake(
    subject="regions",
    rows=RowType(RegionRow),
    record=intake.in_columns(REGIONS.target),
)


@get("/v1/regions", guards=[require("read")], operation_id="listRegions", tags=["network"])
async def list_regions(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    retired: lists.Retired = False,
) -> lists.Page[RegionShown]:
    """List regions by code; retired ones only with `retired=true`."""
    after = lists.decode_cursor(cursor, tuple[str])
    rows = await REGIONS.list_page(transaction, after, limit + 1, updated_since, retired)
    return lists.page([RegionShown(**row) for row in rows], limit, key=lambda region: (region.region_code,))


@put(
    "/v1/regions",
    guards=[require("network:write")],
    operation_id="loadRegions",
    tags=["network"],
    opt={"bulk_body": RegionRow, "problems": (409,)},
    request_max_body_size=None,
)
async def load_regions(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Add and change regions, as many as an ERP has. The last writer wins, unless a line's `source_revision` is older than the stored one."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get("/v1/regions/{region_code:str}", guards=[require("read")], operation_id="getRegion", tags=["network"])
async def get_region(transaction: Transaction, region_code: fields.CodeInPath) -> Response[RegionShown]:
    """Show one region, retired or not; `ETag` is its revision."""
    row = await REGIONS.get(transaction, region_code)
    return with_etag(RegionShown(**row), row)


@put(
    "/v1/regions/{region_code:str}",
    guards=[require("network:write")],
    operation_id="putRegion",
    tags=["network"],
    opt={"problems": (409, 412, 428)},
)
async def put_region(
    request: Request[Any, Any, Any],
    region_code: fields.CodeInPath,
    data: JSONBody[RegionBody],
    transaction: Transaction,
    caller: CallerOf,
) -> Response[RegionShown]:
    """Create one region (`If-None-Match: *`) or replace it as it was read (`If-Match`)."""
    expected = expected_revision(request)
    existed = await REGIONS.expect(transaction, expected, region_code)
    with INTAKE.spooled(intake.named(data, RegionRow, region_code=region_code)) as spool:
        await INTAKE.destination.put(transaction, spool)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"regions/{region_code}")
    row = await REGIONS.get(transaction, region_code)
    return with_etag(RegionShown(**row), row, created=not existed)


@delete(
    "/v1/regions/{region_code:str}",
    guards=[require("network:write")],
    operation_id="retireRegion",
    tags=["network"],
    opt={"problems": (412, 428)},
)
async def retire_region(
    request: Request[Any, Any, Any],
    region_code: fields.CodeInPath,
    transaction: Transaction,
    caller: CallerOf,
) -> None:
    """Retire one region: it stays readable where something refers to it, and can't be used anew."""
    await REGIONS.retire(transaction, expected_revision(request), region_code)
    await audit.insert(transaction, caller.key_id, action="retire", subject=f"regions/{region_code}")


ROUTES = [list_regions, load_regions, get_region, put_region, retire_region]
