"""How long does it take to look at every option of every need once? What the assignment's times are counted in."""

import statistics
import time

import numpy as np
import numpy.typing as npt
from bench.instances import Instance

FloatArray32 = npt.NDArray[np.float32]

N_RUNS = 15
CHUNK_NEEDS = 16_384


def seconds_per_pass(instance: Instance) -> float:
    """Take the median time of float32 cost + price × use and its argmin, padded to the most options, one thread."""
    n_ways = instance.is_made.sum(axis=1)
    n_buckets = len(instance.season)
    n_needs_of_product = instance.distance_km.shape[1] * n_buckets
    shape = (instance.n_needs, int(n_ways.max()))
    cost = np.full(shape, np.inf, dtype=np.float32)
    use = np.zeros(shape, dtype=np.float32)
    node = np.zeros(shape, dtype=np.int32)
    for p, n in enumerate(n_ways.tolist()):
        rows = slice(p * n_needs_of_product, (p + 1) * n_needs_of_product)
        cost[rows, :n] = np.tile(instance.route_cost(p).T, (n_buckets, 1))
        use[rows, :n] = instance.use_per_unit[p, instance.is_made[p]]
        node[rows, :n] = np.flatnonzero(instance.is_made[p])
    prices = np.random.default_rng(0).random(len(instance.capacity)).astype(np.float32)
    seconds = []
    for _ in range(N_RUNS):
        started = time.perf_counter()
        _look(cost, use, node, prices)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _look(cost: FloatArray32, use: FloatArray32, node: npt.NDArray[np.int32], prices: FloatArray32) -> None:
    best = np.empty(len(cost), dtype=np.int64)
    for first in range(0, len(cost), CHUNK_NEEDS):
        chunk = slice(first, first + CHUNK_NEEDS)
        best[chunk] = np.argmin(cost[chunk] + prices[node[chunk]] * use[chunk], axis=1)
