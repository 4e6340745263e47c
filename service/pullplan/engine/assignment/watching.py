"""Who watches a search? Somebody who hears how far it is, and may end it early."""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.model import SearchProgress

Hear = Callable[[SearchProgress], None]
ShouldStop = Callable[[], bool]


class SearchStoppedError(Exception):
    """Time is up: what is known by now has to do."""

    def __init__(self, *row_prices: npt.NDArray[np.float64]) -> None:
        """Say how it is known: `row_prices` are the good ones by now, where prices are searched for."""
        super().__init__()
        self.row_prices = row_prices


class Watch:
    """Tells how far a search is to whoever hears it, and asks whether it should stop."""

    def __init__(self, hear: Hear | None = None, should_stop: ShouldStop | None = None) -> None:
        self._hear = hear
        self._should_stop = should_stop
        self._now = SearchProgress(stage="", done_share=0.0)

    def begin(self, stage: str, done_share: float) -> None:
        """Say that a stage begins, and which share of all stages is done."""
        self._now = SearchProgress(stage=stage, done_share=done_share)
        self._tell()

    def note(
        self, *, value: float | None = None, bound: float | None = None, needs_settled: int | None = None
    ) -> None:
        """Say what is known of the stage by now; what is left out is as it was."""
        known = {"value": value, "bound": bound, "needs_settled": needs_settled}
        changes = {name: number for name, number in known.items() if number is not None}
        self._now = msgspec.structs.replace(self._now, **changes)
        self._tell()

    def should_stop(self, *, tell_every: int = 1) -> bool:
        """Count a round, say so every so many rounds, and ask whether it should be the last."""
        rounds = self._now.round + 1
        self._now = msgspec.structs.replace(self._now, round=rounds)
        if rounds % tell_every == 0:
            self._tell()
        return self._should_stop is not None and self._should_stop()

    def _tell(self) -> None:
        if self._hear is not None:
            self._hear(self._now)
