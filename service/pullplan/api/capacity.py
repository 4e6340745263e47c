"""How much can each node do on which day?"""

from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, put
from litestar.params import JSONBody
from msgspec import Meta

from pullplan.api import fields, formats, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.row_types import RowType
from pullplan.engine.model import ResourceKind
from pullplan.storage import audit, capacity, database
from pullplan.storage.nodes import NODES
from pullplan.storage.spool import Record

Weekday = Annotated[int, Meta(ge=1, le=7)]
Weekdays = Annotated[
    tuple[Weekday, ...],
    Meta(max_length=7, description="Monday is 1, Sunday is 7; in CSV `1;2;3;4;5`."),
]


class ResourceBody(intake.Row, kw_only=True):
    """What a node has a limited amount of, such as hours of a kiln.

    `renewed`: `capacity_per_day` on each working weekday, gone when its bucket ends. `stored`: `on_hand`, and `capacity_per_day`
    more on each working weekday, kept until used.
    """

    resource_code: fields.Code
    kind: ResourceKind = "renewed"
    capacity_per_day: fields.NonNegative
    working_weekdays: Weekdays = (1, 2, 3, 4, 5, 6, 7)
    on_hand: fields.NonNegative = 0.0

    def __post_init__(self) -> None:
        if len(set(self.working_weekdays)) < len(self.working_weekdays):
            raise ValueError("working_weekdays: name each weekday once")


class ResourceRow(ResourceBody, kw_only=True):
    """One line of a batch."""

    node_code: fields.Code


class ResourceShown(ResourceRow, kw_only=True):
    """A stored resource."""

    updated_at: datetime


class ExceptionBody(intake.Row, kw_only=True):
    """Another capacity per day from `from_date` until, not including, `until_date`, working weekday or not.

    On a day that several cover, the one that starts last wins.
    """

    resource_code: fields.Code
    from_date: date
    until_date: date
    capacity_per_day: fields.NonNegative

    def __post_init__(self) -> None:
        if self.until_date <= self.from_date:
            raise ValueError("until_date: must be after from_date; the day itself no longer counts")


class ExceptionRow(ExceptionBody, kw_only=True):
    """One line of a batch."""

    node_code: fields.Code


class ExceptionShown(ExceptionRow, kw_only=True):
    """A stored exception."""

    updated_at: datetime


class CalendarBody(intake.Row, kw_only=True):
    """The whole of a node's calendar."""

    resources: Annotated[list[ResourceBody], Meta(max_length=1000)]
    exceptions: Annotated[list[ExceptionBody], Meta(max_length=10_000)] = msgspec.field(default_factory=list)


class Calendar(msgspec.Struct, kw_only=True):
    """The whole of a node's calendar, as stored."""

    resources: list[ResourceShown]
    exceptions: list[ExceptionShown]


def in_columns(row: ResourceRow) -> Record:
    """Give a row's values in the order of the columns."""
    weekdays = "{" + ",".join(map(str, sorted(row.working_weekdays))) + "}"
    return (row.node_code, row.resource_code, row.kind, row.capacity_per_day, weekdays, row.on_hand)


RESOURCES = intake.Intake(
    subject="capacity",
    rows=RowType(ResourceRow),
    record=in_columns,
    cells={"working_weekdays": formats.list_cell},
)
EXCEPTIONS = intake.Intake(
    subject="capacity-exceptions",
    rows=RowType(ExceptionRow),
    record=intake.in_columns(capacity.EXCEPTIONS),
)


@get("/v1/capacity", guards=[require("read")], operation_id="listCapacity", tags=["network"])
async def list_capacity(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    node_code: fields.CodeFilter = None,
    resource_code: fields.CodeFilter = None,
) -> lists.Page[ResourceShown]:
    """List the resources of all nodes, by node and resource."""
    after = lists.decode_cursor(cursor, tuple[str, str])
    rows = await capacity.list_resources(
        transaction, after, limit + 1, updated_since, node_code, resource_code
    )
    shown = [ResourceShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.node_code, item.resource_code))


@put(
    "/v1/capacity",
    guards=[require("network:write")],
    operation_id="loadCapacity",
    tags=["network"],
    opt={"bulk_body": ResourceRow, "problems": (409,)},
    request_max_body_size=None,
)
async def load_capacity(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Say what nodes have how much of on each working weekday; load nodes first."""
    return await intake.load(
        request, RESOURCES, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get(
    "/v1/capacity-exceptions",
    guards=[require("read")],
    operation_id="listCapacityExceptions",
    tags=["network"],
)
async def list_capacity_exceptions(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    node_code: fields.CodeFilter = None,
    resource_code: fields.CodeFilter = None,
) -> lists.Page[ExceptionShown]:
    """List the exceptions of all nodes, by node, resource and first day."""
    after = lists.decode_cursor(cursor, tuple[str, str, date])
    rows = await capacity.list_exceptions(
        transaction, after, limit + 1, updated_since, node_code, resource_code
    )
    shown = [ExceptionShown(**row) for row in rows]
    return lists.page(shown, limit, key=lambda item: (item.node_code, item.resource_code, item.from_date))


@put(
    "/v1/capacity-exceptions",
    guards=[require("network:write")],
    operation_id="loadCapacityExceptions",
    tags=["network"],
    opt={"bulk_body": ExceptionRow},
    request_max_body_size=None,
)
async def load_capacity_exceptions(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Say on which days nodes can do more or less than usual; load capacity first."""
    return await intake.load(
        request,
        EXCEPTIONS,
        pool,
        caller,
        idempotency_key,
        prefer,
        partial=partial,
        dry_run=dry_run,
        mode=mode,
    )


async def _read_calendar(connection: database.Connection, node_code: str) -> Calendar:
    return Calendar(
        resources=[
            ResourceShown(**row) for row in await capacity.list_resources_for_node(connection, node_code)
        ],
        exceptions=[
            ExceptionShown(**row) for row in await capacity.list_exceptions_for_node(connection, node_code)
        ],
    )


@get(
    "/v1/nodes/{node_code:str}/capacity",
    guards=[require("read", own_node=True)],
    operation_id="getNodeCapacity",
    tags=["network"],
)
async def get_node_capacity(transaction: Transaction, node_code: fields.CodeInPath) -> Calendar:
    """Show the whole of one node's calendar."""
    await NODES.get(transaction, node_code)
    return await _read_calendar(transaction, node_code)


@put(
    "/v1/nodes/{node_code:str}/capacity",
    guards=[require("network:write", own_node=True)],
    operation_id="putNodeCapacity",
    tags=["network"],
    opt={"problems": (409,)},
)
async def put_node_capacity(
    node_code: fields.CodeInPath, data: JSONBody[CalendarBody], transaction: Transaction, caller: CallerOf
) -> Calendar:
    """Make this the whole of one node's calendar; a resource that a capability uses can't be left out."""
    await NODES.get(transaction, node_code)
    resources = [intake.named(body, ResourceRow, node_code=node_code) for body in data.resources]
    exceptions = [intake.named(body, ExceptionRow, node_code=node_code) for body in data.exceptions]
    with (
        RESOURCES.spooled(*resources, places="items", within="/resources") as renewed,
        EXCEPTIONS.spooled(*exceptions, places="items", within="/exceptions") as excepted,
    ):
        await capacity.replace_for_node(transaction, node_code, renewed, excepted)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"nodes/{node_code}/capacity")
    return await _read_calendar(transaction, node_code)


ROUTES = [
    list_capacity,
    load_capacity,
    list_capacity_exceptions,
    load_capacity_exceptions,
    get_node_capacity,
    put_node_capacity,
]
