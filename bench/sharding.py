"""How much quicker is a search by prices when two processes look at the shards, and not one?

    python -m bench.sharding PRODUCTS

measures one instance in a process of its own, on one thread a process; both numbers of processes take turns.
"""

import json
import statistics
import sys
import time
from typing import Any

from bench.apart import measured_apart
from bench.assigning import to_market
from bench.figure import figure
from bench.instances import reference_instance

from pullplan.compute import spread_of
from pullplan.engine.assignment.pricing import price

PRODUCTS = {"60,000": 200, "300,000": 1_000}
CAPACITY_FACTOR = 1.25
N_TURNS = 5
"""Of which the median counts."""


def sharding() -> list[dict[str, Any]]:
    """Compare whole searches, the completion in HiGHS included, by one and by two processes."""
    figures = []
    for name, n_products in PRODUCTS.items():
        one, two = _measure(n_products)
        figures.append(
            figure(
                f"search of {name} by two processes, faster than by one",
                one / two,
                "×",
                reference=one,
                must="-",
                reached=None,
            )
        )
    return figures


def _measure(n_products: int) -> tuple[float, float]:
    found = measured_apart("bench.sharding", n_products)
    return found["one"], found["two"]


def main() -> None:
    market = to_market(reference_instance(int(sys.argv[1]), capacity_factor=CAPACITY_FACTOR))
    seconds: dict[int, list[float]] = {1: [], 2: []}
    values = set()
    for _ in range(N_TURNS):
        for n_processes, taken in seconds.items():
            started = time.perf_counter()
            plan = price(market, 1, spread=spread_of(f"local:{n_processes}"))
            taken.append(time.perf_counter() - started)
            values.add(None if plan is None else plan.lines.cost.value)
    if None in values or len(values) > 1:
        raise RuntimeError(f"the searches found {values}")
    one, two = (statistics.median(taken) for taken in seconds.values())
    print(json.dumps({"one": one, "two": two}))


if __name__ == "__main__":
    main()
