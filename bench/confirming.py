"""How near is the stated cost of making a line elsewhere to what it costs in truth?

    python -m bench.confirming PRODUCTS LINES

draws so many lines that pass over a nearer node, and solves the instance with each of them made there.
"""

import json
import sys
import time
from typing import Any

import numpy as np
from bench.apart import measured_apart
from bench.assigning import MEDIUM
from bench.facts import facts_of
from bench.figure import figure
from bench.instances import reference_instance

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import certify
from pullplan.engine.explanation import explain, solve_forced
from pullplan.engine.model import Forced
from pullplan.engine.netting import net
from pullplan.engine.options import build_options

CAPACITY_FACTOR = 1.25
N_LINES = 24
WITHIN_SHARE = 0.1
LEAST_SHARE = 0.75


def confirming() -> list[dict[str, Any]]:
    """Confirm lines of 60,000 needs."""
    found = measured_apart("bench.confirming", MEDIUM, N_LINES)
    return [
        figure(
            f"confirmed within {WITHIN_SHARE:.0%} of what is stated, of {N_LINES} lines of 60,000 needs",
            found["within_share"],
            "of lines",
            reference=1.0,
            must=f">= {LEAST_SHARE}",
            reached=found["within_share"] >= LEAST_SHARE,
        ),
        figure(
            "  the least that one was confirmed at",
            found["least_ratio"],
            "× stated",
            reference=1.0,
            must=">= 1",
            reached=found["least_ratio"] >= 1 - 1e-6,
        ),
        figure(
            "  seconds to confirm one",
            found["seconds"],
            "s",
            reference=found["assign_seconds"],
            must="-",
            reached=None,
        ),
    ]


def _measure(n_products: int, n_lines: int) -> dict[str, float]:
    facts = facts_of(reference_instance(n_products, capacity_factor=CAPACITY_FACTOR))
    needs = net(facts)
    options = build_options(facts, needs)
    started = time.perf_counter()
    solution = assign(options)
    assign_seconds = time.perf_counter() - started
    planned = {stage.measure: stage.value for stage in certify(options, solution)}
    elsewhere = [
        (line, passed)
        for line in explain(options, solution)[0]
        for passed in line.passed_over[:1]
        if passed.forcing_cost
    ]
    drawn = np.random.default_rng(1).choice(len(elsewhere), n_lines, replace=False).tolist()
    ratios = []
    started = time.perf_counter()
    for line, passed in (elsewhere[k] for k in drawn):
        forced = Forced(need_id=line.need_id, node_code=passed.node_code, units=line.units)
        missed_units, stages = solve_forced(facts, needs, forced, planned)
        worse = next(stage for stage in stages if stage.is_worse)
        if missed_units or worse.measure != passed.forcing_measure or not passed.forcing_cost:
            raise RuntimeError(f"{passed} was confirmed as {worse}, {missed_units} units missed")
        ratios.append(worse.extra / passed.forcing_cost)
    within = sum(ratio <= 1 + WITHIN_SHARE for ratio in ratios)
    return {
        "within_share": within / n_lines,
        "least_ratio": min(ratios),
        "seconds": (time.perf_counter() - started) / n_lines,
        "assign_seconds": assign_seconds,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))))
