"""How long does the best assignment take where a product needs two resources, and no node may make too much of it?

    python -m bench.sharing PRODUCTS [LARGEST_SHARE]

measures one instance in a process of its own: without LARGEST_SHARE, one resource and no limit.
"""

import json
import sys
import time
from typing import Any

import msgspec
import numpy as np
from bench.apart import measured_apart
from bench.assigning import MEDIUM, measure
from bench.facts import facts_of
from bench.figure import figure
from bench.instances import N_NODES, Instance, reference_instance

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import certify
from pullplan.engine.model import Capability, PlanningFacts, Resource
from pullplan.engine.netting import net
from pullplan.engine.options import build_options

CAPACITY_FACTOR = 1.25
LARGEST_SHARE = 0.3
MOST_TIMES = 8
"""The time of the same needs with one resource and without limits, from arrays."""


def sharing() -> list[dict[str, Any]]:
    """Measure 60,000 needs of two resources inside share limits, beside one resource without.

    The first row of the assignment's figures goes from arrays and breaks no ties; this one goes from facts and does.
    """
    first = measure(MEDIUM, CAPACITY_FACTOR, "priced")
    plain, limited = _measure_apart(MEDIUM), _measure_apart(MEDIUM, LARGEST_SHARE)
    times = limited["seconds"] / first["seconds"]
    name = (
        f"60,000, two resources, largest_share {LARGEST_SHARE:g} "
        f"({limited['n_binding']:.0f} of {limited['n_limits']:.0f} limits bind)"
    )
    return [
        figure(
            f"{name}, total",
            times,
            "× of 1.25",
            reference=first["seconds"],
            must=f"<= {MOST_TIMES}",
            reached=times <= MOST_TIMES,
        ),
        figure(
            "  total, beside one resource by the same way",
            limited["seconds"] / plain["seconds"],
            "×",
            reference=plain["seconds"],
            must="-",
            reached=None,
        ),
        figure(
            f"{name}, gap",
            limited["gap"],
            "of value",
            reference=plain["gap"],
            must="<= 1e-06",
            reached=limited["gap"] <= 1e-6,
        ),
    ]


def two_resources(instance: Instance, seed: int = 2) -> PlanningFacts:
    """Let every product take a second resource of its nodes as well, drawn as the first is."""
    chance = np.random.default_rng(seed)
    facts = facts_of(instance)
    shape = instance.is_made.shape
    use = chance.uniform(0.5, 2, (shape[0], 1)) * chance.uniform(0.8, 1.3, shape)
    mean_use = (use * instance.is_made).sum(axis=1) / instance.is_made.sum(axis=1)
    wanted = CAPACITY_FACTOR * float(instance.units.sum(axis=1) @ mean_use)
    capacity = chance.dirichlet(np.full(N_NODES, 3.0)) * wanted
    second = use[instance.is_made]

    def with_second(capability: Capability, kilograms: float) -> Capability:
        return msgspec.structs.replace(
            capability, use_per_unit=capability.use_per_unit | {"kilograms": kilograms}
        )

    resources = (
        Resource(node_code=node.node_code, resource_code="kilograms", capacity_per_day=per_day)
        for node, per_day in zip(facts.nodes, capacity.tolist(), strict=True)
    )
    return msgspec.structs.replace(
        facts,
        capabilities=tuple(map(with_second, facts.capabilities, second.tolist())),
        resources=(*facts.resources, *resources),
    )


def _measure_apart(n_products: int, *largest_share: float) -> dict[str, float]:
    return measured_apart("bench.sharing", n_products, *largest_share)


def _measure(n_products: int, largest_share: float | None) -> dict[str, float]:
    """Build from facts and assign; net and read nothing: needs are what was drawn."""
    instance = reference_instance(n_products, capacity_factor=CAPACITY_FACTOR)
    facts = facts_of(instance) if largest_share is None else two_resources(instance)
    parameters = msgspec.structs.replace(facts.parameters, largest_share=largest_share)
    facts = msgspec.structs.replace(facts, parameters=parameters)
    needs = net(facts)
    started = time.perf_counter()
    options = build_options(facts, needs)
    solution = assign(options)
    seconds = time.perf_counter() - started
    if not solution.method.startswith("prices"):
        raise RuntimeError(f"not priced: {solution.method}")
    stages = certify(options, solution)
    cost = next(k for k, stage in enumerate(stages) if stage.measure.startswith("cost:"))
    is_binding = solution.stage_prices[cost].capacity.any(axis=1) & options.capacities.is_share
    return {
        "seconds": seconds,
        "gap": max(stage.gap for stage in stages),
        "n_limits": int(options.capacities.is_share.sum()),
        "n_binding": int(is_binding.sum()),
    }


if __name__ == "__main__":
    share = float(sys.argv[2]) if len(sys.argv) > 2 else None
    print(json.dumps(_measure(int(sys.argv[1]), share)))
