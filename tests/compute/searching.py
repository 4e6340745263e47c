"""Searches by prices in a process of their own: print what each found, a line each, to be compared.

    python -m tests.compute.searching COMPUTE[@PID] …

`@PID` kills that process between two rounds; `@0` the first that the search has forked.
"""

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
from bench.assigning import to_market
from bench.instances import reference_instance

from pullplan.compute import spread_of
from pullplan.engine.assignment import Spread
from pullplan.engine.assignment.pricing import price
from pullplan.engine.sharding import Held

BEFORE_LOOK = 3


class Killing:
    """Shards, before one of whose looks a process is killed."""

    def __init__(self, held: Held, pid: int) -> None:
        self._held = held
        self._pid = pid
        self._n_looks = 0

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        self._held.prepare(make, *asked)

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        self._n_looks += 1
        if self._n_looks == BEFORE_LOOK:
            os.kill(self._pid or psutil.Process().children()[0].pid, signal.SIGKILL)
        return self._held.look(at, *asked)


def spread_over(place: str, killing: Callable[[Held, int], Held] = Killing) -> Spread:
    """Spread shards as COMPUTE says, and let `killing` kill @PID, if one is named."""
    compute, _, pid = place.partition("@")
    spread = spread_of(compute)

    @contextmanager
    def spread_and_kill(shards: Sequence[Any], /) -> Iterator[Held]:
        with spread(shards) as held:
            # The totals of a few products are one chunk: nobody is forked for it.
            yield killing(held, int(pid)) if pid and len(shards) > 2 else held

    return spread_and_kill


def main() -> None:
    market = to_market(reference_instance(100, capacity_factor=1.1))
    for place in sys.argv[1:]:
        plan = price(market, 1, spread=spread_over(place))
        assert plan is not None
        lines = plan.lines
        found = [lines.need, lines.way, lines.start, lines.units, plan.cost.by_start, plan.cost.multipliers]
        digest = hashlib.sha256(b"".join(array.tobytes() for array in found)).hexdigest()
        sys.stdout.write(f"{digest} {plan.lines.cost.value}\n")


if __name__ == "__main__":
    main()
