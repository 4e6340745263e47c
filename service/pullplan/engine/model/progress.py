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


class Progress(Protocol):
    """Hears the step that long work is at and the share of it that is done; while assigning, how far the search is."""

    def __call__(self, step: str, done_share: float, search: SearchProgress | None = None, /) -> None:
        """Say how far the work is."""
