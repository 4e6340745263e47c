"""What does long work say about itself while it goes on?"""

from typing import Protocol

from pullplan.engine.model.words import Fact


class SearchProgress(Fact, frozen=True, kw_only=True):
    """How far the search for an assignment is."""

    stage: str
    """The measure that is being made least; `lots` while orders are sized."""
    done_share: float
    """Of the stages."""
    round: int = 0
    """Looks at all needs at new prices (by prices), or steps of the simplex method (in HiGHS), or products sized (lots), in this stage so far."""
    value: float | None = None
    """The stage's measure in the best plan so far, once there is one."""
    bound: float | None = None
    """What no plan can be below in this stage, as far as is known."""
    needs_settled: int | None = None
    """Needs whose assignment no longer changes; None where that can't be told."""

    @property
    def step(self) -> str:
        """Name the step of the whole work."""
        return f"assigning: {self.stage.partition(':')[0]}"


class LineProgress(Fact, frozen=True, kw_only=True):
    """How far the storing of a file is."""

    lines_done: int
    """Copied so far; they count once all is stored."""
    lines: int
    """Of the file."""


class Progress(Protocol):
    """Hears the step that long work is at and the share of it that is done; with more of a search, or of a file."""

    def __call__(
        self, step: str, done_share: float, more: SearchProgress | LineProgress | None = None, /
    ) -> None:
        """Say how far the work is."""
