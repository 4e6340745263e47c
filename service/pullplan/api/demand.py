"""What is demanded where: how is it told, and what was known when?"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody, QueryParameter

from pullplan.api import fields, intake, lists
from pullplan.api.access import Caller, require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.signals import INTAKE, SignalRow, SignalShown
from pullplan.storage import audit, database, demand

KindFilter = Annotated[
    Literal["consumption", "order", "lead", "adjustment"] | None,
    QueryParameter(description="Only signals of this kind."),
]
AsKnownAt = Annotated[
    datetime | None,
    lists.InstantParameter(description="The revisions that were current at this instant; without it, now."),
]


class History(msgspec.Struct, kw_only=True):
    """Every revision of one signal, the first one first."""

    items: list[SignalShown]


@post(
    "/v1/demand-signals",
    guards=[require("demand:write")],
    operation_id="addDemandSignal",
    tags=["demand"],
    opt={"also": (200,), "problems": (409,)},
)
async def add_demand_signal(
    request: Request[Any, Any, Any], data: JSONBody[SignalRow], pool: PoolOf
) -> Response[SignalShown]:
    """Tell one signal: 201 when it is stored, also as a new revision; 200 and `Idempotent-Replayed` when it is known already."""
    caller: Caller = request.state.caller  # a second dependency would be resolved in a task of its own
    subject = f"demand-signals/{data.source}/{data.external_id}"
    async with database.lent(pool) as connection:
        new = await demand.add_new(connection, INTAKE.record(data), caller.key_id, subject)
    if new is not None:
        return Response(SignalShown(**new), status_code=201)
    async with database.transaction(pool) as transaction:
        with INTAKE.spooled(data) as spool:
            outcome = await INTAKE.destination.put(transaction, spool)
        row = await demand.get_current(transaction, data.source, data.external_id)
        if outcome.stored:
            await audit.insert(transaction, caller.key_id, action="add", subject=subject)
    if not outcome.stored:
        return Response(SignalShown(**row), status_code=200, headers={"Idempotent-Replayed": "true"})
    return Response(SignalShown(**row), status_code=201)


@post(
    "/v1/demand-signals/batch",
    guards=[require("demand:write")],
    operation_id="addDemandSignals",
    tags=["demand"],
    opt={"bulk_body": SignalRow, "problems": (409,)},
    request_max_body_size=None,
    status_code=200,
)
async def add_demand_signals(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Tell many signals at once. The same `source` and `external_id` again: known when it says the same, else a new revision."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run
    )


@get("/v1/demand-signals", guards=[require("read")], operation_id="listDemandSignals", tags=["demand"])
async def list_demand_signals(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    product_code: fields.CodeFilter = None,
    region_code: fields.CodeFilter = None,
    kind: KindFilter = None,
    source: fields.CodeFilter = None,
    as_known_at: AsKnownAt = None,
) -> lists.Page[SignalShown]:
    """List signals in the order of their arrival: as they are now, or as they were known at an instant."""
    after = lists.decode_cursor(cursor, tuple[datetime, int])
    filters = (product_code, region_code, kind, source)
    rows = await demand.list_page(
        transaction, after, limit + 1, updated_since, *filters, as_known_at=as_known_at
    )
    page = lists.page(rows, limit, key=lambda row: (row["received_at"], row["signal_id"]))
    return lists.Page(
        items=[
            SignalShown(**{name: row[name] for name in SignalShown.__struct_fields__}) for row in page.items
        ],
        next_cursor=page.next_cursor,
    )


@get(
    "/v1/demand-signals/{source:str}/{external_id:str}/history",
    guards=[require("read")],
    operation_id="getDemandSignalHistory",
    tags=["demand"],
)
async def get_demand_signal_history(
    transaction: Transaction, source: fields.CodeInPath, external_id: fields.ExternalIdInPath
) -> History:
    """Show every revision of one signal."""
    rows = await demand.list_history(transaction, source, external_id)
    return History(items=[SignalShown(**row) for row in rows])


ROUTES = [add_demand_signal, add_demand_signals, list_demand_signals, get_demand_signal_history]
