"""Which ways from a node to a region are given, and which are forbidden?"""

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
from pullplan.storage.lanes import LANES


class LaneBody(intake.Row, intake.Effective, kw_only=True):
    """A way from a node to a region; what is null is computed from their coordinates. Goods leave on days of its dates only."""

    distance_km: fields.NonNegative | None = None
    transit_days: fields.Days | None = None
    freight_cost_per_unit: fields.NonNegative | None = None
    forbidden: bool = False
    """Never used, whatever it would cost."""
    source_revision: fields.SourceRevision | None = None


class LaneRow(LaneBody, kw_only=True):
    """One line of a batch."""

    node_code: fields.Code
    region_code: fields.Code


class LaneShown(LaneRow, kw_only=True):
    """A given lane."""

    revision: int
    updated_at: datetime


INTAKE = intake.Intake(subject="lanes", rows=RowType(LaneRow), record=intake.in_columns(LANES.target))


@get("/v1/lanes", guards=[require("read")], operation_id="listLanes", tags=["network"])
async def list_lanes(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    node_code: fields.CodeFilter = None,
    region_code: fields.CodeFilter = None,
) -> lists.Page[LaneShown]:
    """List the given lanes by node and region; every other way is computed."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await LANES.list_page(transaction, after, limit + 1, updated_since, node_code, region_code)
    return lists.page(
        [LaneShown(**row) for row in rows], limit, key=lambda lane: (lane.node_code, lane.region_code)
    )


@put(
    "/v1/lanes",
    guards=[require("network:write")],
    operation_id="loadLanes",
    tags=["network"],
    opt={"bulk_body": LaneRow, "problems": (409,)},
    request_max_body_size=None,
)
async def load_lanes(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Give and change lanes; with `mode=replace` those not named are computed again."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get(
    "/v1/lanes/{node_code:str}/{region_code:str}",
    guards=[require("read")],
    operation_id="getLane",
    tags=["network"],
)
async def get_lane(
    transaction: Transaction, node_code: fields.CodeInPath, region_code: fields.CodeInPath
) -> Response[LaneShown]:
    """Show one given lane; `ETag` is its revision."""
    row = await LANES.get(transaction, node_code, region_code)
    return with_etag(LaneShown(**row), row)


@put(
    "/v1/lanes/{node_code:str}/{region_code:str}",
    guards=[require("network:write")],
    operation_id="putLane",
    tags=["network"],
    opt={"problems": (409, 412, 428)},
)
async def put_lane(
    request: Request[Any, Any, Any],
    node_code: fields.CodeInPath,
    region_code: fields.CodeInPath,
    data: JSONBody[LaneBody],
    transaction: Transaction,
    caller: CallerOf,
) -> Response[LaneShown]:
    """Give one lane (`If-None-Match: *`) or replace it as it was read (`If-Match`)."""
    existed = await LANES.expect(transaction, expected_revision(request), node_code, region_code)
    with INTAKE.spooled(intake.named(data, LaneRow, node_code=node_code, region_code=region_code)) as spool:
        await INTAKE.destination.put(transaction, spool)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"lanes/{node_code}/{region_code}")
    row = await LANES.get(transaction, node_code, region_code)
    return with_etag(LaneShown(**row), row, created=not existed)


@delete(
    "/v1/lanes/{node_code:str}/{region_code:str}",
    guards=[require("network:write")],
    operation_id="forbidLane",
    tags=["network"],
    opt={"problems": (412, 428)},
)
async def forbid_lane(
    request: Request[Any, Any, Any],
    node_code: fields.CodeInPath,
    region_code: fields.CodeInPath,
    transaction: Transaction,
    caller: CallerOf,
) -> None:
    """Forbid one given lane: it stays in the list as `forbidden` and is never used."""
    await LANES.retire(transaction, expected_revision(request), node_code, region_code)
    await audit.insert(
        transaction, caller.key_id, action="forbid", subject=f"lanes/{node_code}/{region_code}"
    )


ROUTES = [list_lanes, load_lanes, get_lane, put_lane, forbid_lane]
