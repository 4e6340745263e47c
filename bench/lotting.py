"""How near to the best possible are plans with lots, and what do lots cost?

    python -m bench.lotting FIRST_SEED LAST_SEED

prints what each of some small instances costs, beside HiGHS on all of its orders at once.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from bench.figure import figure
from bench.instances import FREIGHT_PER_KG_KM, SIDE_KM, reference_instance
from bench.whole_lots import Best, best_with_lots

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import stage_values
from pullplan.engine.lots import cut_into_lots
from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    Resource,
)
from pullplan.engine.options import build_options, stage_measures

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MONDAY = date(2026, 4, 13)
MULTIPLE, MINIMUM = 10.0, 100.0
LARGE_PRODUCTS = 200
SMALL_SHAPES = (
    (1, 300, 1, 30),
    (3, 100, 1, 30),
    (10, 30, 1, 12),
    (5, 10, 6, 8),
    (3, 20, 5, 10),
    (10, 10, 3, 8),
)
"""Products, regions, buckets, nodes: 300 needs each."""
CAPACITY_FACTORS = (1.25, 1.5, 2.0)
ONE_FACTORS = (1.1, 1.25, 1.5)
N_ONE, ONE_SECONDS = 200, 30.0
N_SEVERAL, SEVERAL_SECONDS = 12, 15.0
"""How many small instances, and what HiGHS gets for each whole; in one bucket it proves most in one second."""
SAMPLE_SHARE = 10
WHOLE_GAP = 1e-3
SHORT_TOLERANCE_UNITS = 1e-3


def lots_large() -> list[dict[str, Any]]:
    """Measure what lots cost the reference instance of 60,000 needs."""
    instance = reference_instance(LARGE_PRODUCTS, capacity_factor=1.25)
    facts, needs = _facts(
        instance.is_made, instance.use_per_unit, instance.unit_cost, instance.weight_kg,
        instance.distance_km, instance.units[:, :, None], instance.capacity, holding_share=0.0,
    )  # fmt: skip
    options = build_options(facts, needs)
    started = time.perf_counter()
    relaxation = assign(options)
    assigned = time.perf_counter()
    lots = cut_into_lots(options, relaxation)
    ended = time.perf_counter()
    if lots is None:
        raise RuntimeError("there are lot rules")
    relaxed = stage_values(options, stage_measures(options, relaxation.stage_names), relaxation)
    surplus = sum(order.surplus_units for order in lots.production_orders) / float(options.need_units.sum())
    price = lots.values[-2] / relaxed[-2] - 1
    short = lots.values[0] - relaxed[0]
    times = (ended - assigned) / (assigned - started)
    return [
        _at_most("lots of 60,000, price", price, "of cost", 0.005, relaxed[-2]),
        _at_most("lots of 60,000, surplus", surplus, "of units", 0.002, float(options.need_units.sum())),
        _at_most("lots of 60,000, short by lots", short, "units", 1e-6, relaxed[0]),
        figure(
            "lots of 60,000, time", times, "× assigning", reference=assigned - started, must="-", reached=None
        ),
    ]


def lots_against_mip() -> list[dict[str, Any]]:
    """Measure some of the small instances in one bucket."""
    n_one = N_ONE // SAMPLE_SHARE
    with ProcessPoolExecutor() as processes:
        return _one_bucket(n_one, processes)


def many_lots_against_mip() -> list[dict[str, Any]]:
    """Measure all small instances, in one bucket and in several: many minutes."""
    several = f"lots of {N_SEVERAL} × 300 in several buckets"
    seeds = [seed for seed in range(4 * N_SEVERAL) if SMALL_SHAPES[seed % len(SMALL_SHAPES)][2] > 1]
    with ProcessPoolExecutor() as processes:
        of_one = _one_bucket(N_ONE, processes)
        instances = map(small_instance, seeds[:N_SEVERAL])
        of_several = list(processes.map(compare, instances, repeat(SEVERAL_SECONDS)))
    name = f"{several}, above HiGHS's best in {SEVERAL_SECONDS:g} s"
    return [*of_one, *_against(name, of_several, lambda of: of.above_best)]


def _one_bucket(n_instances: int, processes: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """Measure small instances against what HiGHS proves of all their orders at once."""
    one = f"lots of {n_instances} × 300 in one bucket"
    of_one = list(processes.map(compare, map(one_product, range(n_instances)), repeat(ONE_SECONDS)))
    return [
        _at_least(f"{one}, optima that HiGHS proves", statistics.mean(of.is_proven for of in of_one), 0.95),
        *_against(f"{one}, above what HiGHS proves to be least", of_one, lambda of: of.above_bound),
    ]


def _against(
    name: str, compared: "Sequence[Compared]", above: "Callable[[Compared], float]"
) -> list[dict[str, Any]]:
    """Sum up instances of equal shortfall, and count those that are left shorter.

    Only those have costs to compare: within its time HiGHS may find no more than to leave everything short, at no cost.
    """
    equal = [above(of) for of in compared if not (of.is_shorter or of.is_less_short)]
    n_shorter, n_less = sum(of.is_shorter for of in compared), sum(of.is_less_short for of in compared)
    return [
        _at_most(f"{name}, mean", statistics.mean(equal), "of cost", 0.01, len(equal)),
        _at_most(f"{name}, worst", max(equal), "of cost", 0.05, len(equal)),
        _at_most(f"{name}: shorter than HiGHS", n_shorter, "instances", 0, n_less),
    ]


@dataclass(frozen=True)
class Compared:
    """One instance, planned both ways."""

    cost: float
    short_units: float
    best: Best
    cpu_seconds: float
    """What cutting into lots took."""

    @property
    def is_shorter(self) -> bool:
        return self.short_units > self.best.short_units + SHORT_TOLERANCE_UNITS

    @property
    def is_less_short(self) -> bool:
        return self.short_units < self.best.short_units - SHORT_TOLERANCE_UNITS

    @property
    def is_proven(self) -> bool:
        return self.best.is_proven

    @property
    def above_best(self) -> float:
        return self.cost / self.best.cost - 1

    @property
    def above_bound(self) -> float:
        """Where nothing is short or in excess, the bound is one of the cost."""
        return self.cost / self.best.bound - 1


def compare(instance: tuple[PlanningFacts, list[Need]], whole_seconds: float) -> Compared:
    """Plan one small instance both ways."""
    facts, needs = instance
    options = build_options(facts, needs)
    relaxation = assign(options)
    started = time.process_time()
    lots = cut_into_lots(options, relaxation)
    seconds = time.process_time() - started
    if lots is None:
        raise RuntimeError("there are lot rules")
    best = best_with_lots(facts, needs, seconds=whole_seconds, gap=WHOLE_GAP)
    return Compared(lots.values[-2], float(lots.solution.shortfall_units.sum()), best, seconds)


def _at_most(name: str, value: float, unit: str, most: float, reference: float) -> dict[str, Any]:
    return figure(name, value, unit, reference=reference, must=f"<= {most:g}", reached=value <= most)


def _at_least(name: str, value: float, least: float) -> dict[str, Any]:
    return figure(name, value, "of all", reference=WHOLE_GAP, must=f">= {least:g}", reached=value >= least)


def one_product(seed: int) -> tuple[PlanningFacts, list[Need]]:
    """Draw the reference network with one product, room for it at the nodes that make it, one bucket."""
    factor = ONE_FACTORS[seed % len(ONE_FACTORS)]
    drawn = reference_instance(1, capacity_factor=factor, seed=seed)
    # Of the room of all nodes a product has that of those that make it; here nobody else takes any.
    share = float(drawn.capacity[drawn.is_made[0]].sum() / drawn.capacity.sum())
    return _facts(
        drawn.is_made, drawn.use_per_unit, drawn.unit_cost, drawn.weight_kg,
        drawn.distance_km, drawn.units[:, :, None], drawn.capacity / share, holding_share=0.0,
    )  # fmt: skip


def small_instance(
    seed: int, shape: tuple[int, int, int, int] | None = None
) -> tuple[PlanningFacts, list[Need]]:
    """Draw 300 needs, or so many as a shape has: one product everywhere, or several over regions and buckets with a season."""
    chance = np.random.default_rng(seed)
    n_products, n_regions, n_buckets, n_nodes = shape or SMALL_SHAPES[seed % len(SMALL_SHAPES)]
    factor = CAPACITY_FACTORS[chance.integers(len(CAPACITY_FACTORS))]
    nodes = chance.uniform(0, SIDE_KM, (n_nodes, 2))
    regions = chance.uniform(0, SIDE_KM, (n_regions, 2))
    is_made = chance.random((n_products, n_nodes)) < (1.0 if n_products == 1 else 0.5)
    for product in np.flatnonzero(is_made.sum(axis=1) < 3):
        is_made[product, chance.choice(n_nodes, 3, replace=False)] = True
    use = chance.uniform(0.5, 2, (n_products, 1)) * chance.uniform(0.8, 1.3, is_made.shape)
    cost = chance.uniform(5, 50, (n_products, 1)) * chance.uniform(0.9, 1.2, is_made.shape)
    weight_kg = chance.uniform(0.2, 3, n_products)
    season = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(n_buckets) - 2) / 8) * (n_buckets > 1)
    units = chance.gamma(1, 20, (n_products, n_regions, n_buckets)) * season
    mean_use = (use * is_made).sum(axis=1) / is_made.sum(axis=1)
    total = factor * float(units.sum(axis=(1, 2)) @ mean_use) / n_buckets
    capacity = chance.dirichlet(np.full(n_nodes, 3.0)) * total
    distance_km = np.hypot(*(nodes[:, None] - regions[None]).transpose(2, 0, 1))
    holding = float(chance.choice([0.0, 0.005]))
    return _facts(is_made, use, cost, weight_kg, distance_km, units, capacity, holding_share=holding)


def _facts(  # noqa: PLR0917 - arrays in their order
    is_made: BoolArray,
    use: FloatArray,
    cost: FloatArray,
    weight_kg: FloatArray,
    distance_km: FloatArray,
    units: FloatArray,
    capacity: FloatArray,
    *,
    holding_share: float,
) -> tuple[PlanningFacts, list[Need]]:
    """Write arrays down as facts: weekly buckets, holding a share of the unit cost each.

    Shapes: `units` (n_products, n_regions, n_buckets), `capacity` (n_nodes,) by bucket
    """
    n_products, n_regions, n_buckets = units.shape
    products = [f"P{p:04d}" for p in range(n_products)]
    regions = [f"R{r:04d}" for r in range(n_regions)]
    nodes = [f"N{n:02d}" for n in range(len(capacity))]
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="week", horizon_buckets=n_buckets),
        parameters=PlanParameters(
            objective="landed_cost",
            shortfall_measure="units",
            lanes="given_only",
            freight_cost_per_kg_km=FREIGHT_PER_KG_KM,
            late_buckets=0,
        ),
        products=tuple(
            Product(
                product_code=code,
                weight_kg=float(weight_kg[p]),
                holding_cost_per_unit_per_day=holding_share * float(cost[p].mean()) / 7,
                minimum_lot_units=MINIMUM,
                lot_multiple_units=MULTIPLE,
            )
            for p, code in enumerate(products)
        ),
        regions=tuple(Region(region_code=code) for code in regions),
        nodes=tuple(Node(node_code=code) for code in nodes),
        resources=tuple(
            Resource(node_code=code, resource_code="hours", capacity_per_day=float(capacity[n]) / 7)
            for n, code in enumerate(nodes)
        ),
        capabilities=tuple(
            Capability(
                node_code=nodes[n],
                product_code=products[p],
                unit_cost=float(cost[p, n]),
                use_per_unit={"hours": float(use[p, n])},
            )
            for p, n in np.argwhere(is_made).tolist()
        ),
        lanes=tuple(
            Lane(node_code=node, region_code=region, distance_km=float(distance_km[n, r]), transit_days=0)
            for n, node in enumerate(nodes)
            for r, region in enumerate(regions)
        ),
    )
    needs = [
        Need(
            need_id=i + 1,
            product_code=products[p],
            region_code=regions[r],
            bucket=b,
            tier="order",
            units=float(units[p, r, b]),
            latest_bucket=b,
        )
        for i, (p, r, b) in enumerate(np.ndindex(units.shape))
    ]
    return facts, needs


def main() -> None:
    first, last = map(int, sys.argv[1:])
    for seed in range(first, last + 1):
        for name, draw in (("one product", one_product), ("several", small_instance)):
            of = compare(draw(seed), SEVERAL_SECONDS)
            print(seed, name, f"{of.above_best:.3%} {of.above_bound:.3%}", of, flush=True)


if __name__ == "__main__":
    main()
