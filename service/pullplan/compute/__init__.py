"""Where is an assignment computed: in processes of this machine, or on a cluster?"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pullplan.compute.local import forking
from pullplan.engine.assignment import Spread
from pullplan.engine.sharding import Held, here

_CLUSTER = "dask://"


def spread_of(compute: str, runs_at_once: int = 1) -> Spread:
    """Find who holds the shards of a search.

    `compute` is `local` (as many processes as there are processors for each of the runs), `local:N` (N processes), or
    `dask://host:port` (the workers of that Dask cluster, which are asked when there is more than one shard).
    """
    if compute.startswith(_CLUSTER):
        return _on_cluster(compute.removeprefix(_CLUSTER))
    _, _, n_processes = compute.partition(":")
    return forking(int(n_processes) if n_processes else max(1, _processors() // runs_at_once))


def _on_cluster(place: str) -> Spread:
    @contextmanager
    def spread(shards: Sequence[Any], /) -> Iterator[Held]:
        if len(shards) < 2:
            with here(shards) as held:
                yield held
            return
        from pullplan.compute import cluster  # noqa: PLC0415 - a second to load, and installed only where it is wanted

        with cluster.connected(place) as client:
            yield cluster.OnCluster(client, place, shards)

    return spread


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
