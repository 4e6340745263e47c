"""How soon does a plan of a million needs follow one changed signal, where the last plan is kept warm?

    python -m bench.warm PRODUCTS

measures one instance in a process of its own, so that its memory is its own.
"""

import json
import statistics
import sys
import time
from functools import partial
from typing import Any

import msgspec
import numpy as np
from bench.apart import measured_apart
from bench.facts import facts_of
from bench.figure import figure
from bench.instances import reference_instance

from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, Warm

LARGE = 3_334
"""Products × 300 regions: 1,000,200 needs."""
N_CHANGES = 5


def one_signal() -> list[dict[str, Any]]:
    """Change one order of a large plan after another, and look at the time from its needs being known to its lines."""
    found = measured_apart("bench.warm", LARGE)
    name = f"one signal changed in a warm plan of {found['needs']:,.0f} needs"
    return [
        figure(
            f"{name}: search and proof",
            found["engine"],
            "s",
            reference=found["whole"],
            must="<= 0.1 s",
            reached=found["engine"] <= 0.1,
        ),
        figure(
            "  all: facts compared, all lines listed, figures and hashes as well",
            found["all"],
            "s",
            reference=found["whole"],
            must="-",
            reached=None,
        ),
    ]


def measure(n_products: int) -> dict[str, float]:
    """Plan an instance, and change it one order at a time; the first change, which prices every way once, is not counted."""
    facts = facts_of(reference_instance(n_products, capacity_factor=1.25))
    begun = time.perf_counter()
    warm = Warm.of(facts, make_plan(facts))
    whole = time.perf_counter() - begun
    chance = np.random.default_rng(3)
    engine, every = [], []
    for _ in range(N_CHANGES + 1):
        orders = list(facts.orders)
        at = int(chance.integers(len(orders)))
        orders[at] = msgspec.structs.replace(orders[at], ordered_units=float(chance.gamma(1, 20)))
        facts = msgspec.structs.replace(facts, orders=tuple(orders))
        times: dict[str, float] = {}
        begun = time.perf_counter()
        plan, warm = warm.replan(facts, Churn(), partial(_note, times))
        every.append(time.perf_counter() - begun)
        engine.append(times["explaining"] - times["assigning"])
        gap = max(stage.gap for stage in plan.stages)
        if gap > 1e-8:
            raise RuntimeError(f"a gap of {gap}")
    return {
        "needs": plan.figures.n_needs,
        "whole": whole,
        "engine": statistics.median(engine[1:]),
        "all": statistics.median(every[1:]),
    }


def _note(times: dict[str, float], step: str, _done_share: float) -> None:
    times.setdefault(step, time.perf_counter())


def main() -> None:
    print(json.dumps(measure(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
