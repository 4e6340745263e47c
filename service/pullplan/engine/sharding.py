"""Who looks at the needs, round after round? Workers who keep a shard of them each, wherever they are.

Where shards begin depends on the instance alone, and what is found in them is added up in their order: any number of
workers finds the very same sums.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import numpy as np

SHARD_CELLS = 150_000
"""Ways × needs, at least: a look at fewer is not worth the way there."""
MOST_SHARDS = 32


class Held(Protocol):
    """Shards, kept where they are looked at."""

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        """Keep `make(shard, *asked)` of every shard beside it, in place of what was prepared before."""

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        """Call `at(prepared, *asked)` of every shard: answers come in the order of shards, and are read to their end."""


class Spread(Protocol):
    """Gives shards to workers until the end of a block. What they are asked are functions of modules, and arrays."""

    def __call__(self, shards: Sequence[Any], /) -> AbstractContextManager[Held]:
        """Lend the shards, held."""


class HeldHere:
    """Shards that this process looks at itself, one after the other."""

    def __init__(self, shards: Sequence[Any]) -> None:
        self._shards = self._prepared = shards

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        """Make what is asked of every shard."""
        self._prepared = [make(shard, *asked) for shard in self._shards]

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        """Look at one after the other."""
        return (at(prepared, *asked) for prepared in self._prepared)


@contextmanager
def here(shards: Sequence[Any], /) -> Iterator[Held]:
    """Keep shards in this process: what spreads where nothing else is given."""
    yield HeldHere(shards)


def cut[B](blocks: Sequence[B], n_cells: Sequence[int]) -> list[Sequence[B]]:
    """Cut blocks into shards of like size, in order; into one where they are few."""
    ends = np.cumsum(n_cells)
    n_shards = int(min(MOST_SHARDS, len(blocks), max(1, ends[-1] // SHARD_CELLS))) if len(blocks) else 1
    borders = (
        np.searchsorted(ends, np.arange(1, n_shards) * (ends[-1] / n_shards)).tolist() if len(blocks) else []
    )
    return [blocks[first:last] for first, last in zip([0, *borders], [*borders, len(blocks)], strict=True)]
