"""What demand is known, since when, and what was known before?

A ledger: a signal that says something else than before is a new revision, and the old one stays readable.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from pullplan.engine.errors import ResourceUnknownError
from pullplan.storage import batches
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries
from pullplan.storage.spool import Spool

SQL = load_queries("demand")
COLUMNS = (
    "source",
    "external_id",
    "kind",
    "product_code",
    "region_code",
    "units",
    "occurred_at",
    "due_date",
    "shipped_units",
    "shipped_at",
    "cancelled",
    "priority",
    "probability",
    "from_date",
    "until_date",
    "multiplier",
    "reason",
    "source_revision",
)
TARGET = batches.target(SQL, "staged_signals", COLUMNS, gathered=("product_code", "region_code"))
_MERGE_ATTEMPTS = 10
"""Each that fails has waited for another batch of the same signals to be stored: there are no more of them than connections."""

_LEAST_ANALYZED = 10_000
"""Lines: a first load of so many, or more, is not left for the server to look at by itself within a minute or two."""


async def add_new(
    connection: Connection, record: Sequence[Any], key_id: UUID, subject: str
) -> asyncpg.Record | None:
    """Add a signal that nobody has told before, with its entry in the audit, in one statement; None where `add` has to look closer.

    Shapes: record (n_columns,)
    """
    return await connection.fetchrow(SQL["add_new"], *record, key_id, subject)


async def add(connection: Connection, spool: Spool, *, partial: bool = False) -> batches.Outcome:
    """Add a batch of signals, inside the caller's transaction: new ones, and new revisions of known ones.

    Raises: LinesRefusedError when a line is refused and `partial` isn't asked for; then nothing may be kept.
    """
    outcome = await _add(connection, spool, partial=partial)
    if outcome.stored >= _LEAST_ANALYZED and await connection.fetchval(SQL["is_unknown"]):
        await connection.execute(SQL["analyze"], timeout=batches.BATCH_SECONDS)
    return outcome


async def _add(connection: Connection, spool: Spool, *, partial: bool) -> batches.Outcome:
    if spool.n_refused == 0 and await _add_new(connection, spool):
        return batches.Outcome(stored=spool.n_lines, known=0)
    for _ in range(_MERGE_ATTEMPTS - 1):
        try:
            return await _merge(connection, spool, partial=partial)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            continue  # the same signals came twice at the same moment; now the other's are visible
    return await _merge(connection, spool, partial=partial)


async def _add_new(connection: Connection, spool: Spool) -> bool:
    """Copy signals of which none is known straight into the ledger; False leaves it as it was."""
    products, regions = spool.gathered("product_code"), spool.gathered("region_code")
    if products is None or regions is None:
        return False
    if await connection.fetchval(SQL["has_unknown_codes"], products, regions):
        return False
    await batches.take_time(connection)
    try:
        async with connection.transaction():
            await spool.copy_into(connection, "demand_signals", batches.BATCH_SECONDS)
    except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
        return False
    return True


async def _merge(connection: Connection, spool: Spool, *, partial: bool) -> batches.Outcome:
    async with connection.transaction():
        return await batches.merge(connection, spool, TARGET, partial=partial)


async def get_current(connection: Connection, source: str, external_id: str) -> asyncpg.Record:
    """Read the current revision of a signal.

    Raises: ResourceUnknownError.
    """
    row = await connection.fetchrow(SQL["find_current"], source, external_id)
    if row is None:
        raise ResourceUnknownError("demand signal", f"{source} {external_id}")
    return row


async def list_history(connection: Connection, source: str, external_id: str) -> list[asyncpg.Record]:
    """List every revision of a signal, the first one first.

    Raises: ResourceUnknownError.
    """
    rows = await connection.fetch(SQL["list_history"], source, external_id)
    if not rows:
        raise ResourceUnknownError("demand signal", f"{source} {external_id}")
    return rows


async def list_page(
    connection: Connection,
    after: tuple[datetime, int] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | None,
    as_known_at: datetime | None = None,
) -> list[asyncpg.Record]:
    """List signals in the order of their arrival: the current ones, or those that were current at an instant.

    `after`: received_at and signal_id of the last one that is known. `filters`: product_code, region_code, kind, source;
    None is any.
    """
    after_id = None if after is None else after[1]
    if as_known_at is not None:
        return await connection.fetch(
            SQL["list_as_known_at"], after_id, limit, updated_since, *filters, as_known_at
        )
    if updated_since is not None:
        start = after or (updated_since, 0)  # ids count from 1: what was told at that very instant follows
        return await connection.fetch(SQL["list_changed"], *start, limit, *filters)
    product_code, region_code, *_ = filters
    name = "list_current" if product_code is None or region_code is None else "list_current_of_pair"
    return await connection.fetch(SQL[name], after_id, limit, *filters)
