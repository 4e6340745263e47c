"""Which zones do plans propose for buffers, and who accepts or discards them?"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, QueryParameter

from pullplan.api import lists
from pullplan.api.access import Caller, require
from pullplan.api.dependencies import CallerOf, Transaction
from pullplan.api.fields import CodeFilter
from pullplan.api.preconditions import expected_revision, with_etag
from pullplan.engine.model import BufferReason, BufferSizing
from pullplan.storage import audit, buffer_proposals
from pullplan.storage.buffer_proposals import Decision, ProposalStatus
from pullplan.storage.database import Connection

StatusFilter = Annotated[
    ProposalStatus | None,
    QueryParameter(
        description="Only `open` ones, those `accepted` (by a person or, inside the tolerance, by themselves), `discarded` ones, or those that a later plan has `superseded`."
    ),
]


class BufferProposal(msgspec.Struct, kw_only=True):
    """Other zones for a buffer than those in force, as a plan found them. Until it is accepted, the old ones stay in force."""

    proposal_id: UUID
    plan_id: UUID
    """The plan that found it."""
    as_of: datetime
    """That plan's: once accepted, it is in force for every plan as of then or later."""
    proposed_at: datetime
    product_code: str
    region_code: str
    before: BufferSizing | None
    """What was in force; null: nothing yet, and the first is accepted by itself."""
    after: BufferSizing
    reasons: list[BufferReason]
    changed_share: float
    """The largest change of any zone's top, of the larger of old and new; 1 where the reference node is another."""
    tolerance_share: float
    """The policy's `buffer_tolerance_share`: what changes no more is accepted by itself."""
    status: ProposalStatus
    decided_at: datetime | None
    decided_by_key_id: UUID | None
    """The key that decided; null where it is open, or was decided by itself."""
    decided_by_name: str | None
    """Whose key it is."""
    revision: int


@get("/v1/buffer-proposals", guards=[require("read")], operation_id="listBufferProposals", tags=["plans"])
async def list_buffer_proposals(
    transaction: Transaction,
    status: StatusFilter = None,
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> lists.Page[BufferProposal]:
    """List proposals, the newest first. `status=accepted` of a pair is the history of its zones: what, when, by whom, from which plan."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await buffer_proposals.list_page(transaction, after, limit + 1, status, product_code, region_code)
    items = [msgspec.convert(dict(row), BufferProposal) for row in rows]
    return lists.page(items, limit, key=lambda item: (item.proposed_at, item.proposal_id))


@get(
    "/v1/buffer-proposals/{proposal_id:uuid}",
    guards=[require("read")],
    operation_id="getBufferProposal",
    tags=["plans"],
)
async def get_buffer_proposal(
    transaction: Transaction, proposal_id: FromPath[UUID]
) -> Response[BufferProposal]:
    """Show one proposal."""
    return await _shown(transaction, proposal_id)


@post(
    "/v1/buffer-proposals/{proposal_id:uuid}/accept",
    guards=[require("network:write")],
    operation_id="acceptBufferProposal",
    tags=["plans"],
    status_code=200,
    opt={"problems": (409, 412, 428)},
)
async def accept_buffer_proposal(
    request: Request[Any, Any, Any],
    transaction: Transaction,
    caller: CallerOf,
    proposal_id: FromPath[UUID],
) -> Response[BufferProposal]:
    """Put the proposed zones, lead time and reference node in force (`If-Match`). Accepting again changes nothing."""
    return await _decide(request, transaction, caller, proposal_id, "accepted")


@post(
    "/v1/buffer-proposals/{proposal_id:uuid}/discard",
    guards=[require("network:write")],
    operation_id="discardBufferProposal",
    tags=["plans"],
    status_code=200,
    opt={"problems": (409, 412, 428)},
)
async def discard_buffer_proposal(
    request: Request[Any, Any, Any],
    transaction: Transaction,
    caller: CallerOf,
    proposal_id: FromPath[UUID],
) -> Response[BufferProposal]:
    """Keep what is in force (`If-Match`). The like is not proposed again, until it differs by more than the tolerance."""
    return await _decide(request, transaction, caller, proposal_id, "discarded")


async def _decide(
    request: Request[Any, Any, Any],
    connection: Connection,
    caller: Caller,
    proposal_id: UUID,
    decision: Decision,
) -> Response[BufferProposal]:
    expected = expected_revision(request)
    if await buffer_proposals.decide(connection, proposal_id, decision, expected, caller.key_id):
        action = {"accepted": "accept", "discarded": "discard"}[decision]
        subject = f"buffer-proposals/{proposal_id}"
        await audit.insert(connection, caller.key_id, action=action, subject=subject)
    return await _shown(connection, proposal_id)


async def _shown(connection: Connection, proposal_id: UUID) -> Response[BufferProposal]:
    row = await buffer_proposals.get(connection, proposal_id)
    return with_etag(msgspec.convert(dict(row), BufferProposal), row)


ROUTES = [list_buffer_proposals, get_buffer_proposal, accept_buffer_proposal, discard_buffer_proposal]
