"""How far is it? Bars on the error stream, so that results on the output stream stay clean."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pullplan.cli.client import Json, OnProgress
from pullplan.cli.dataset import Dataset
from pullplan.cli.loading import OnRows


@contextmanager
def bars() -> Iterator[Progress]:
    """Show bars until the work is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=100)
    with Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>4.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
    ) as progress:
        yield progress


def run_bar(progress: Progress, description: str) -> OnProgress:
    """Add a bar that follows a run."""
    task = progress.add_task(description, total=1.0, note="")

    def follow(run: Json) -> None:
        done = run["state"] == "succeeded"
        share = 1.0 if done else float(run["progress"]["done_share"])
        progress.update(task, completed=share, note="" if done else _note(run))

    return follow


def _note(run: Json) -> str:
    """Word what a run does now: its step and, while a plan is assigned, how far the search is."""
    now = run["progress"]
    if now["stage"] is None:
        return str(now["step"] or run["state"]).replace("_", " ")
    words = [str(now["step"]).replace("_", " "), f"round {now['round']:,}"]
    if now["value"] is not None:
        words.append(f"at {now['value']:,.0f}")
    if now["bound"] is not None:
        words.append(f"never below {now['bound']:,.0f}")
    if now["needs_settled"] is not None:
        words.append(f"{now['needs_settled']:,} needs settled")
    return ", ".join(words)


def rows_bar(progress: Progress, description: str, dataset: Dataset) -> OnRows:
    """Add a bar that counts the rows of a data set."""
    task = progress.add_task(description, total=sum(table.n_rows for table in dataset.tables) or 1, note="")
    stored = 0

    def count(_: str, n_rows: int) -> None:
        nonlocal stored
        stored += n_rows
        progress.update(task, advance=n_rows, note=f"{stored:,} rows")

    return count
