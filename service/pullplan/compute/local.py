"""How do several processes of one machine look at shards that none of them copies?

They are forked from the one that has laid the shards out, so that all read the same memory, and end with the search.
Threads were slower than one alone: the arrays of a look are small, and every operation on them hands the interpreter's
lock over (measured: 0.7 × one process with two threads, 1.8 × with two processes).
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from pullplan.engine.sharding import Held, Spread, here


def forking(n_processes: int) -> Spread:
    """Spread shards over so many processes, this one among them."""

    @contextmanager
    def spread(shards: Sequence[Any], /) -> Iterator[Held]:
        n_helpers = min(n_processes, len(shards)) - 1
        if n_helpers < 1 or not hasattr(os, "fork"):
            with here(shards) as held:
                yield held
            return
        helpers: list[_Helper] = []
        try:
            for number in range(n_helpers):
                helpers.append(_Helper(shards, range(number + 1, len(shards), n_helpers + 1), helpers))
            yield _Forked(shards, helpers)
        finally:
            for helper in helpers:
                helper.end()

    return spread


class _Helper:
    """A forked process that keeps some of the shards and what is prepared of them."""

    def __init__(self, shards: Sequence[Any], numbers: range, siblings: "Sequence[_Helper]") -> None:
        self.numbers = numbers
        self.is_lost = False
        self._here, there = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for helper in (self, *siblings):
                    helper.let_go()
                _serve(there, [shards[number] for number in numbers])
            finally:
                os._exit(1)  # nothing of the parent's is to be cleaned up here
        there.close()

    def let_go(self) -> None:
        """Close this end: else no helper would notice that the process at this end is gone."""
        self._here.close()

    def ask(self, task: tuple[bool, Callable[..., Any], tuple[Any, ...]]) -> None:
        """Ask for a look at every shard, or for something to be prepared, which is not answered."""
        try:
            self._here.send(task)
        except OSError:
            self.is_lost = True

    def answer(self) -> Any:
        """Wait for what the next shard looks like.

        Raises: EOFError, OSError when the helper is gone.
        """
        return self._here.recv()

    def end(self) -> None:
        """End it, busy or not."""
        self._here.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(parent: "Connection[Any, Any]", shards: Sequence[Any]) -> None:
    """Do as asked until the parent is gone. A look that fails ends the helper: it fails again where it can be raised."""
    prepared = shards
    while True:
        is_look, function, asked = parent.recv()
        if is_look:
            for shard in prepared:
                parent.send(function(shard, *asked))
        else:
            prepared = [function(shard, *asked) for shard in shards]


class _Forked:
    """Shards of which helpers look at theirs, and this process at the others and at those of lost helpers."""

    def __init__(self, shards: Sequence[Any], helpers: Sequence[_Helper]) -> None:
        self._shards = shards
        self._helpers = helpers
        self._helper_of = {number: helper for helper in helpers for number in helper.numbers}
        self._recipe: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._prepared: dict[int, Any] = {}

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        """Let the helpers prepare theirs, and prepare one's own meanwhile."""
        self._recipe, self._prepared = (make, asked), {}
        for helper in self._helpers:
            helper.ask((False, make, asked))
        for number in range(len(self._shards)):
            if not self._is_away(number):
                self._prepare(number)

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        """Ask the helpers, then look while they do."""
        for helper in self._helpers:
            helper.ask((True, at, asked))
        for number in range(len(self._shards)):
            if self._is_away(number):
                try:
                    answer: R = self._helper_of[number].answer()
                except (EOFError, OSError):
                    self._helper_of[number].is_lost = True
                else:
                    yield answer
                    continue
            yield at(self._prepare(number), *asked)

    def _is_away(self, number: int) -> bool:
        return number in self._helper_of and not self._helper_of[number].is_lost

    def _prepare(self, number: int) -> Any:
        """Find what is prepared of a shard here; a lost helper's is prepared again."""
        if self._recipe is None:
            return self._shards[number]
        if number not in self._prepared:
            make, asked = self._recipe
            self._prepared[number] = make(self._shards[number], *asked)
        return self._prepared[number]
