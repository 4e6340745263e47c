"""What does a bar say of a run?"""

from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn

from pullplan.cli.progress import run_bar

NOTHING_SAID = dict.fromkeys(
    ("step", "detail", "stage", "round", "value", "bound", "needs_settled", "lines_done", "lines")
) | {"done_share": 0.0}


def told(state: str, **said: Any) -> tuple[float, str]:
    progress = Progress(TextColumn("{task.fields[note]}"), console=Console(quiet=True))
    run_bar(progress, "Plan")({"state": state, "progress": NOTHING_SAID | said})
    (task,) = progress.tasks
    return task.completed, task.fields["note"]


def test_a_bar_tells_state_step_and_how_far_a_search_is():
    assert told("queued") == (0.0, "queued")
    assert told("running", step="forecasting: backtest", done_share=0.25) == (0.25, "forecasting: backtest")
    search = {"step": "assigning: cost", "stage": "cost:nearest", "round": 1200, "done_share": 0.5}
    assert told("running", **search) == (0.5, "assigning: cost, round 1,200")
    assert told("running", **search, value=1234567.0, bound=1234000.0, needs_settled=59000)[1] == (
        "assigning: cost, round 1,200, at 1,234,567, never below 1,234,000, 59,000 needs settled"
    )
    assert told("succeeded", step="done", done_share=1.0) == (1.0, "")
