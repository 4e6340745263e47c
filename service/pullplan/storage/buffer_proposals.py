"""Which zones of buffers are proposed, which were accepted, by whom, and which are in force?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import msgspec

from pullplan.engine.errors import PullplanError, ResourceUnknownError, RevisionStaleError
from pullplan.engine.model import BufferChange, BufferSizing
from pullplan.storage.database import Connection
from pullplan.storage.owned import Expected
from pullplan.storage.queries import load_queries

SQL = load_queries("buffer_proposals")

type ProposalStatus = Literal["open", "accepted", "discarded", "superseded"]
type Decision = Literal["accepted", "discarded"]


class ProposalDecidedError(PullplanError):
    """The proposal was decided otherwise before, or a later plan has said something else since."""

    code = "proposal-decided"


class LatestProposal(msgspec.Struct, frozen=True, kw_only=True):
    """What was proposed last of one buffer."""

    proposal_id: UUID
    product_code: str
    region_code: str
    as_of: datetime
    status: ProposalStatus
    after: BufferSizing


async def read_accepted(connection: Connection, as_of: datetime) -> tuple[BufferSizing, ...]:
    """Read of each buffer what is in force for plans of an instant."""
    rows = await connection.fetch(SQL["list_accepted"], as_of)
    return tuple(msgspec.convert(row["after"], BufferSizing) for row in rows)


async def lock_and_list_latest(
    connection: Connection, changes: Sequence[BufferChange]
) -> dict[tuple[str, str], LatestProposal]:
    """Read what was proposed last of each of these buffers, and let nobody else propose until the transaction's end."""
    await connection.execute(SQL["lock"])
    codes = ([c.after.product_code for c in changes], [c.after.region_code for c in changes])
    rows = await connection.fetch(SQL["list_latest"], *codes)
    latest = (msgspec.convert(dict(row), LatestProposal) for row in rows)
    return {(one.product_code, one.region_code): one for one in latest}


async def supersede(connection: Connection, as_of: datetime, kept: Sequence[UUID]) -> None:
    """Close what plans up to an instant had proposed, and a plan of that instant does not say again."""
    await connection.execute(SQL["supersede"], as_of, kept)


async def insert(
    connection: Connection, plan_id: UUID, as_of: datetime, changes: Sequence[BufferChange]
) -> None:
    """Store what a plan proposes; what is tolerated is accepted with it."""
    now = await connection.fetchval(SQL["read_now"])
    await connection.copy_records_to_table(
        "buffer_proposals",
        columns=(
            *("proposal_id", "plan_id", "as_of", "product_code", "region_code", "before", "after", "reasons"),
            *("changed_share", "tolerance_share", "status", "decided_at"),
        ),
        records=(
            (
                *(uuid4(), plan_id, as_of, change.after.product_code, change.after.region_code),
                *(change.before, change.after, change.reasons, change.changed_share, change.tolerance_share),
                *(("accepted", now) if change.is_tolerated else ("open", None)),
            )
            for change in changes
        ),
    )


async def get(connection: Connection, proposal_id: UUID) -> asyncpg.Record:
    """Read one proposal.

    Raises: ResourceUnknownError.
    """
    row = await connection.fetchrow(SQL["get"], proposal_id)
    if row is None:
        raise ResourceUnknownError("buffer proposal", proposal_id)
    return row


async def decide(
    connection: Connection, proposal_id: UUID, decision: Decision, expected: Expected, key_id: UUID
) -> bool:
    """Accept or discard a proposal; tell whether that was still to be done. Deciding again alike changes nothing.

    Raises: ResourceUnknownError, RevisionStaleError, ProposalDecidedError.
    """
    row = await connection.fetchrow(SQL["find"], proposal_id)
    if row is None:
        raise ResourceUnknownError("buffer proposal", proposal_id)
    if row["status"] == decision:
        return False
    if row["status"] != "open":
        raise ProposalDecidedError(
            f"status: the proposal {proposal_id} is {row['status']} since {row['decided_at'].isoformat()}, it can't be {decision}"
        )
    if expected == "absent" or (isinstance(expected, int) and row["revision"] != expected):
        raise RevisionStaleError(
            f"the proposal {proposal_id} is at revision {row['revision']}, not {expected}; read it again"
        )
    await connection.execute(SQL["decide"], proposal_id, decision, key_id)
    return True


async def list_page(
    connection: Connection, after: tuple[datetime, UUID] | None, limit: int, *filters: str | None
) -> list[asyncpg.Record]:
    """List proposals, the newest first; `filters`: status, product_code, region_code."""
    return await connection.fetch(SQL["list_page"], *(after or (None, None)), *filters, limit)
