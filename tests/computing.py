"""How do tests compute a run as a worker's child would, from queue to storage?"""

from typing import Any
from uuid import UUID

import msgspec

from pullplan.storage import queue
from pullplan.storage.database import Connection, Line
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.run_confirmation import run_confirmation
from pullplan.workflows.run_forecast import run_forecast
from pullplan.workflows.run_import import run_import
from pullplan.workflows.run_plan import run_plan
from pullplan.workflows.run_policy_preview import run_policy_preview
from pullplan.workflows.run_remedy import run_remedy
from pullplan.workflows.verify_plan import verify_plan

WORKFLOWS = {
    "forecast": run_forecast,
    "plan": run_plan,
    "verification": verify_plan,
    "confirmation": run_confirmation,
    "remedy": run_remedy,
    "policy_preview": run_policy_preview,
    "import": run_import,
}


def silent(*_: Any) -> None:
    """Hear of progress, and say nothing."""


async def claimed(connection: Connection, kind: str, asked: Any) -> Claimed:
    """Queue a run and claim it."""
    await queue.enqueue(connection, kind, msgspec.to_builtins(asked), None)
    run = await queue.claim(connection, 60.0)
    assert run is not None
    return run


async def compute(url: str, run: Claimed, **lent: Any) -> None:
    """Compute a run in a process that knows of no other."""
    line = Line(url)
    try:
        await WORKFLOWS[run.kind](Desk(**{"line": line, "time_zone": "UTC", "progress": silent, **lent}), run)
    finally:
        await line.close()


async def compute_next(url: str) -> UUID:
    """Claim the run that was queued first and compute it; answer its id."""
    line = Line(url)
    try:
        async with line.lent() as connection:
            run = await queue.claim(connection, 60.0)
    finally:
        await line.close()
    assert run is not None
    await compute(url, run)
    return run.run_id


async def computed(connection: Connection, url: str, kind: str, asked: Any, **lent: Any) -> UUID:
    """Queue a run, claim it and compute it; answer its id."""
    run = await claimed(connection, kind, asked)
    await compute(url, run, **lent)
    return run.run_id
