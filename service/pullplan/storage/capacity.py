"""How much can each node do on which day?"""

from datetime import date, datetime

import asyncpg

from pullplan.engine.errors import ResourceInUseError
from pullplan.storage import batches
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries
from pullplan.storage.spool import Spool

SQL = load_queries("capacity")
RESOURCE_COLUMNS = (
    "node_code",
    "resource_code",
    "kind",
    "capacity_per_day",
    "working_weekdays",
    "on_hand",
)
EXCEPTION_COLUMNS = ("node_code", "resource_code", "from_date", "until_date", "capacity_per_day")
RESOURCES = batches.target(SQL, "staged_resources", RESOURCE_COLUMNS, "_resources")
EXCEPTIONS = batches.target(SQL, "staged_capacity_exceptions", EXCEPTION_COLUMNS, "_exceptions")


async def merge_resources(
    connection: Connection, spool: Spool, *, partial: bool = False, replace: bool = False
) -> batches.Outcome:
    """Merge a batch of resources.

    Raises: LinesRefusedError; ResourceInUseError when one is retired that a capability uses.
    """
    outcome = await batches.merge(connection, spool, RESOURCES, partial=partial, replace=replace)
    await _refuse_missing(connection)
    return outcome


async def replace_for_node(
    connection: Connection, node_code: str, resources: Spool, exceptions: Spool
) -> None:
    """Make these the whole of a node's calendar.

    Raises: LinesRefusedError; ResourceInUseError when a resource is left out that a capability uses.
    """
    await batches.merge(connection, resources, RESOURCES)
    await connection.execute(SQL["retire_absent_resources_of_node"], node_code)
    await _refuse_missing(connection)
    await batches.merge(connection, exceptions, EXCEPTIONS)
    await connection.execute(SQL["retire_absent_exceptions_of_node"], node_code)


async def _refuse_missing(connection: Connection) -> None:
    missing = await connection.fetchrow(SQL["find_resource_in_use"])
    if missing is not None:
        raise ResourceInUseError(missing["node_code"], missing["resource_code"])


async def list_resources(
    connection: Connection,
    after: tuple[str, str] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List resources by node and code; `filters`: node_code, resource_code."""
    start = after or (None, None)
    return await connection.fetch(SQL["list_resources"], *start, limit, updated_since, *filters)


async def list_exceptions(
    connection: Connection,
    after: tuple[str, str, date] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
) -> list[asyncpg.Record]:
    """List exceptions by node, resource and first day; `filters`: node_code, resource_code."""
    start = after or (None, None, None)
    return await connection.fetch(SQL["list_exceptions"], *start, limit, updated_since, *filters)


async def list_resources_for_node(connection: Connection, node_code: str) -> list[asyncpg.Record]:
    """List the resources of one node."""
    return await connection.fetch(SQL["list_resources_for_node"], node_code)


async def list_exceptions_for_node(connection: Connection, node_code: str) -> list[asyncpg.Record]:
    """List the exceptions of one node."""
    return await connection.fetch(SQL["list_exceptions_for_node"], node_code)
