"""Which steps store a received file: its lines and the report on them, all at once, with the run's success."""

import msgspec

from pullplan.engine.model import LineProgress
from pullplan.storage import imports
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results

_COPIED_SHARE = 0.5
"""Of the work, roughly: then lines are held against what is stored already."""


async def run_import(desk: Desk, run: Claimed) -> None:
    """Store the lines that were kept for this run as the parameters (an ImportRequest) say; the import's id is the run's.

    Raises: LinesRefusedError, ResourceInUseError, RunLostError, DatabaseAwayError
    """
    request = msgspec.convert(run.parameters, imports.ImportRequest)

    def tell(n_copied: int) -> None:
        done = LineProgress(lines_done=n_copied, lines=request.lines)
        desk.progress("copying", _COPIED_SHARE * n_copied / max(request.lines, 1), done)

    desk.progress("reading", 0.0)
    async with storing_results(desk, run, f"/v1/imports/{run.run_id}") as storing:
        await imports.store(storing, run.run_id, request, tell)
