"""What does a plan propose for its buffers, after all that was proposed and decided before?"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pullplan.engine.model import BufferChange
from pullplan.engine.netting import changed_share
from pullplan.storage import buffer_proposals
from pullplan.storage.buffer_proposals import LatestProposal
from pullplan.storage.database import Connection


async def propose_buffers(
    connection: Connection, plan_id: UUID, as_of: datetime, changes: Sequence[BufferChange]
) -> None:
    """Store the changes of buffers that a plan has found, inside the caller's transaction.

    What is tolerated is accepted by itself. What is proposed already stays as it is; what the plan no longer finds is
    superseded. Nothing is said where a later plan has spoken, nor again what somebody has discarded, until it
    is further from that than the policy tolerates.
    """
    latest = await buffer_proposals.lock_and_list_latest(connection, changes)
    new, kept = [], []
    for change in changes:
        last = latest.get((change.after.product_code, change.after.region_code))
        if last is None:
            new.append(change)
        elif _is_said(last, change):
            kept.append(last.proposal_id)
        elif last.as_of <= as_of and not _was_discarded(last, change):
            new.append(change)
    await buffer_proposals.supersede(connection, as_of, kept)
    await buffer_proposals.insert(connection, plan_id, as_of, new)


def _is_said(last: LatestProposal, change: BufferChange) -> bool:
    """Tell whether just this is open, or was accepted while the plan was being made."""
    is_in_place = last.status == "accepted" or (last.status == "open" and not change.is_tolerated)
    return is_in_place and changed_share(last.after, change.after) == 0


def _was_discarded(last: LatestProposal, change: BufferChange) -> bool:
    is_near = changed_share(last.after, change.after) <= change.tolerance_share
    return last.status == "discarded" and not change.is_tolerated and is_near
