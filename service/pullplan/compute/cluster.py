"""How do the workers of a Dask cluster keep shards between rounds, though any of them may die?

A shard is sent to one worker once; each round sends prices, and gets sums back. What a dead worker kept is sent to
another from here, prepared as it was, and looked at again.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import distributed

from pullplan.engine.errors import PullplanError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
"""No look at a shard takes as long: a worker that is silent for so long, or a cluster without workers, is away."""
MOST_TRIES = 5


class ComputeAwayError(PullplanError):
    """The cluster that is to compute does not answer, or can't: start it, or unset PULLPLAN_COMPUTE."""

    code = "compute-away"


@contextmanager
def connected(place: str) -> Iterator[Any]:
    """Lend a client of the cluster at `host:port`, whose workers find what this process would find.

    Raises: ComputeAwayError.
    """
    try:
        client: Any = distributed.Client(  # type: ignore[no-untyped-call]  # its constructor has no types
            f"tcp://{place}", timeout=CONNECT_SECONDS, set_as_default=False, asynchronous=False
        )
    except (OSError, TimeoutError) as error:
        raise ComputeAwayError(
            f"the cluster dask://{place} does not answer: {error}"
        ) from None  # else it would pass for an outage of the database
    try:
        _check_workers(client, place)
        yield client
    finally:
        client.close()


def _check_workers(client: Any, place: str) -> None:
    """Hold the workers to the versions here: others would find other sums."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeAwayError(f"the cluster dask://{place} has no workers") from None
    ours = _versions()
    for worker, theirs in client.run(_versions, on_error="return").items():
        if theirs != ours:
            raise ComputeAwayError(
                f"the worker {worker} of dask://{place} has {theirs}, this process has {ours}"
            )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("pullplan", "numpy", "statsforecast")}


class OnCluster:
    """Shards on workers, each with what is prepared of it."""

    def __init__(self, client: Any, place: str, shards: Sequence[Any]) -> None:
        self._client = client
        self._place = place
        self._shards = shards
        self._recipe: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._held: list[Any] = [None] * len(shards)
        self._prepared: list[Any] = [None] * len(shards)
        for number in range(len(shards)):
            self._send(number)

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        """Let every worker prepare its shards; nothing waits for it."""
        self._recipe = make, asked
        for number in range(len(self._shards)):
            self._prepare(number)

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        """Ask for every shard at once, then read the answers in order."""
        asked_for = [self._submit(at, prepared, asked) for prepared in self._prepared]
        for number, future in enumerate(asked_for):
            answer: R = self._answer(number, future, at, asked)
            yield answer

    def _answer(self, number: int, future: Any, at: Callable[..., Any], asked: tuple[Any, ...]) -> Any:
        """Wait for a shard's answer; ask again where its worker died with it."""
        for _ in range(MOST_TRIES):
            try:
                return future.result(timeout=ANSWER_SECONDS)
            except TimeoutError:
                raise ComputeAwayError(f"no worker of dask://{self._place} answers any more") from None
            except (CancelledError, distributed.scheduler.KilledWorker):
                self._send(number)
                future = self._submit(at, self._prepared[number], asked)
        raise ComputeAwayError(f"the workers of dask://{self._place} die again and again")

    def _send(self, number: int) -> None:
        """Give a shard to the worker whose turn it is, of those that are there."""
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise ComputeAwayError(f"the cluster dask://{self._place} has lost its workers")
        worker = workers[number % len(workers)]
        # In a list, because scatter takes a list apart.
        (self._held[number],) = self._client.scatter([self._shards[number]], workers=[worker], hash=False)
        self._prepare(number)

    def _prepare(self, number: int) -> None:
        held = self._held[number]
        self._prepared[number] = (
            held if self._recipe is None else self._submit(self._recipe[0], held, self._recipe[1])
        )

    def _submit(self, function: Callable[..., Any], shard: Any, asked: tuple[Any, ...]) -> Any:
        return self._client.submit(function, shard, *asked, pure=False)
