"""Which zones do plans propose for buffers, and who accepts or discards them?"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from pullplan.api import lists
from pullplan.api.access import Caller, require
from pullplan.api.dependencies import CallerOf, Transaction
from pullplan.api.fields import INT32_MAX, CodeFilter
from pullplan.api.preconditions import expected_revision, with_etag
from pullplan.api.requests import BATCH_ITEMS_MAX
from pullplan.engine.errors import LineProblem, LinesRefusedError, ResourceUnknownError, RevisionStaleError
from pullplan.engine.model import BufferReason, BufferSizing
from pullplan.storage import audit, buffer_proposals
from pullplan.storage.buffer_proposals import Decision, ProposalStatus
from pullplan.storage.database import Connection
from pullplan.storage.owned import Expected
from pullplan.storage.spool import MAX_PROBLEMS

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


class ProposalDecision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of one proposal."""

    proposal_id: UUID
    decision: Decision
    revision: Annotated[int, Meta(ge=1, le=INT32_MAX)]
    """The proposal's, as it was read: where it has been decided or superseded since, this is refused."""


class Decided(msgspec.Struct, kw_only=True):
    """What became of many proposals."""

    decided: int
    known: int
    """Decided like this before."""


@post(
    "/v1/buffer-proposals/decisions",
    guards=[require("network:write")],
    operation_id="decideBufferProposals",
    tags=["plans"],
    status_code=200,
)
async def decide_buffer_proposals(
    data: JSONBody[Annotated[list[ProposalDecision], Meta(max_length=BATCH_ITEMS_MAX)]],
    transaction: Transaction,
    caller: CallerOf,
) -> Decided:
    """Accept and discard many proposals at once, or none: what can't be decided is named, each with its reason. Sent again, it changes nothing."""
    n_decided = 0
    refused: dict[int, LineProblem] = {}
    # In one order everywhere: who decides the same at the same time waits, and nobody for ever.
    for at, wanted in sorted(enumerate(data), key=lambda one: one[1].proposal_id):
        try:
            n_decided += await _decide_one(
                transaction, caller, wanted.proposal_id, wanted.decision, wanted.revision
            )
        except (ResourceUnknownError, RevisionStaleError, buffer_proposals.ProposalDecidedError) as error:
            refused[at] = LineProblem(code=error.code, detail=str(error), pointer=f"/{at}")
    if refused:
        raise LinesRefusedError([refused[at] for at in sorted(refused)[:MAX_PROBLEMS]], len(refused))
    return Decided(decided=n_decided, known=len(data) - n_decided)


async def _decide(
    request: Request[Any, Any, Any],
    connection: Connection,
    caller: Caller,
    proposal_id: UUID,
    decision: Decision,
) -> Response[BufferProposal]:
    await _decide_one(connection, caller, proposal_id, decision, expected_revision(request))
    return await _shown(connection, proposal_id)


async def _decide_one(
    connection: Connection, caller: Caller, proposal_id: UUID, decision: Decision, expected: Expected
) -> bool:
    """Decide, and note it, unless it was decided like this before."""
    is_new = await buffer_proposals.decide(connection, proposal_id, decision, expected, caller.key_id)
    if is_new:
        action = {"accepted": "accept", "discarded": "discard"}[decision]
        subject = f"buffer-proposals/{proposal_id}"
        await audit.insert(connection, caller.key_id, action=action, subject=subject)
    return is_new


async def _shown(connection: Connection, proposal_id: UUID) -> Response[BufferProposal]:
    row = await buffer_proposals.get(connection, proposal_id)
    return with_etag(msgspec.convert(dict(row), BufferProposal), row)


ROUTES = [
    list_buffer_proposals,
    get_buffer_proposal,
    accept_buffer_proposal,
    discard_buffer_proposal,
    decide_buffer_proposals,
]
