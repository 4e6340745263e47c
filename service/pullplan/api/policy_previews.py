"""What would other policies change? A run nets the facts by those in force and by others; nothing of them is stored."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from pullplan.api import lists, runs
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, Clock, PoolOf, RunNewsOf, Transaction
from pullplan.api.fields import CodeFilter
from pullplan.api.horizon import fill_as_of
from pullplan.api.idempotency import Answer, IdempotencyKey, answer_once
from pullplan.api.plans import check_references, check_request
from pullplan.api.rows import Table
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import PlanRequest, PolicyEffect, PolicyPreviewRequest
from pullplan.storage import database, policy_previews
from pullplan.storage.runs import Run


class PolicyPreview(msgspec.Struct, kw_only=True):
    """What policies would change in all, where they were accepted."""

    preview_id: UUID
    parameters: PolicyPreviewRequest
    as_of: datetime
    first_bucket_date: date
    n_effects: int
    """Product × regions that would pull otherwise."""
    needed_units_before: float
    """Of these, over the horizon: what must be made, as stock and open supply don't cover it."""
    needed_units_after: float
    wall_seconds: float
    code_version: str
    created_at: datetime


async def _get(connection: database.Connection, preview_id: UUID) -> PolicyPreview:
    row = await policy_previews.find(connection, preview_id)
    if row is None:
        raise ResourceUnknownError("preview", preview_id)
    return msgspec.convert(dict(row), PolicyPreview)


EFFECTS = Table(policy_previews.EFFECTS, PolicyEffect, _get)


@post(
    "/v1/policies/previews",
    guards=[require("plans:run")],
    operation_id="previewPolicies",
    tags=["network"],
    status_code=202,
    opt={"result": "getPolicyPreview"},
)
async def start_preview(
    request: Request[Any, Any, Any],
    data: JSONBody[PolicyPreviewRequest],
    pool: PoolOf,
    news: RunNewsOf,
    caller: CallerOf,
    clock: Clock,
    idempotency_key: IdempotencyKey = None,
    prefer: runs.Prefer = None,
) -> Response[Run]:
    """Start a run that shows what policies would change before they are stored: targets, zones and what must be made, by product and region.

    Both sides see the same facts and the same forecast. Without a `forecast_id` a fresh one is made where a policy needs it.
    """
    async with database.transaction(pool) as connection:

        async def queue() -> Answer:
            asked = fill_as_of(PlanRequest(**msgspec.structs.asdict(data)), clock())
            check_request(asked)
            await check_references(connection, asked)
            filled = msgspec.structs.replace(data, as_of=asked.as_of)
            return await runs.start(connection, caller, "policy_preview", msgspec.to_builtins(filled))

        answer = await answer_once(connection, caller, idempotency_key, request, queue)
    return await runs.respond_when_ended(pool, news, answer, prefer)


@get(
    "/v1/policies/previews/{preview_id:uuid}",
    guards=[require("read")],
    operation_id="getPolicyPreview",
    tags=["network"],
)
async def get_preview(transaction: Transaction, preview_id: FromPath[UUID]) -> PolicyPreview:
    """Show what policies would change in all."""
    return await _get(transaction, preview_id)


@get(
    "/v1/policies/previews/{preview_id:uuid}/effects",
    guards=[require("read")],
    operation_id="listPolicyEffects",
    tags=["network"],
    opt={"rows": PolicyEffect},
)
async def list_effects(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    preview_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[PolicyEffect]] | Stream:
    """List every product × region that would pull otherwise, before and after; as CSV, NDJSON or XLSX the whole of them."""
    return await EFFECTS.answer(
        request, pool, preview_id, limit, cursor, product_code=product_code, region_code=region_code
    )


ROUTES = [start_preview, get_preview, list_effects]
