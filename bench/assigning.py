"""How long does the best assignment take, how near is its bound, and what does HiGHS take for the same?

    python -m bench.assigning PRODUCTS CAPACITY_FACTOR [priced|whole] SHARE_SLICES SEED

measures one instance in a process of its own, so that its memory is its own.
"""

import json
import statistics
import sys
import time
from dataclasses import replace
from itertools import product
from typing import Any

import highspy
import numpy as np
from bench.apart import measured_apart
from bench.figure import figure, peak_megabytes
from bench.instances import FloatArray, Instance, reference_instance
from bench.one_pass import seconds_per_pass
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.pricing import PricedPlan, price, price_short
from pullplan.engine.assignment.shortage import least_shortage
from pullplan.engine.assignment.slices import ProvedSlices

SMALL, MEDIUM, LARGE = 40, 200, 3_334
"""Products: 12,000, 60,000 and 1,000,200 needs."""
SHORT_FACTORS = (0.80, 0.75, 0.50)
SHARE_SLICES = (1, 10)
FACTOR_TOLERANCE = 1e-7
OTHER_SEEDS = range(2, 11)
N_RUNS = 3
"""Of which the median counts."""
RUN_ONCE_FROM_NEEDS = 500_000


def assignment() -> list[dict[str, Any]]:
    """Measure prices on the reference instances; HiGHS on the small one."""
    small, whole = measure(SMALL, 1.25, "priced"), measure(SMALL, 1.25, "whole")
    ample = measure(MEDIUM, 1.25, "priced")
    others = [measure(MEDIUM, 1.25, "priced", seed=seed) for seed in OTHER_SEEDS]
    slowest = max([ample, *others], key=lambda measured: measured["seconds"])
    figures = [
        _against_whole("12,000", small, whole),
        _at_most("assignment of 60,000, total", ample["seconds"], "s", 0.6, ample["seconds_per_pass"]),
        _at_most("assignment of 60,000, gap", ample["gap"], "of value", 1e-8, 0.0),
        _at_most(
            "assignment of 60,000, slowest of ten networks", slowest["seconds"], "s", 0.6, ample["seconds"]
        ),
        _at_most("assignment of 60,000, gap of that one", slowest["gap"], "of value", 1e-8, 0.0),
    ]
    edge = 0.999 * smallest_factor(MEDIUM)
    for factor, n_slices in product((*SHORT_FACTORS, edge), SHARE_SLICES):
        short = measure(MEDIUM, factor, "priced", n_slices)
        where = (
            f"{factor:.2f}"
            if factor in SHORT_FACTORS
            else f"{factor:.5f}, 0.999 of the least that serves all,"
        )
        name = f"60,000 at {where} of mean use, {n_slices} slices ({abs(short['short_share']):.2%} short)"
        times = short["seconds"] / ample["seconds"]
        figures += [
            _at_most(f"{name}, total", times, "× of 1.25", 10, 1.0),
            _at_most(f"{name}, gap", max(short["gap"], short["shortfall_gap"]), "of value", 1e-6, 0.0),
        ]
    large = measure(LARGE, 1.25, "priced")
    passes = large["seconds"] / large["seconds_per_pass"]
    return [
        *figures,
        _at_most("assignment of 1,000,000, total", passes, "passes", 60, 1.0),
        _at_most(
            "assignment of 1,000,000, memory", large["megabytes"], "MB", 600, large["instance_megabytes"]
        ),
        _at_most("assignment of 1,000,000, gap", large["gap"], "of value", 1e-8, 0.0),
    ]


def assignment_whole() -> list[dict[str, Any]]:
    """Measure HiGHS on 60,000 needs as well: minutes."""
    return [_against_whole("60,000", measure(MEDIUM, 1.25, "priced"), measure(MEDIUM, 1.25, "whole"))]


def smallest_factor(n_products: int) -> float:
    """Find the least capacity that serves all, by bisection on what must stay short."""
    short, served = 0.5, 1.25
    while served - short > FACTOR_TOLERANCE:
        factor = (short + served) / 2
        market = to_market(reference_instance(n_products, capacity_factor=factor))
        if least_shortage(market, n_stages=1).proofs[0].value > 0:
            short = factor
        else:
            served = factor
    return served


def measure(
    n_products: int, capacity_factor: float, way: str, n_slices: int = 1, seed: int = 1
) -> dict[str, float]:
    """Run one instance in a process of its own, on one thread."""
    return measured_apart("bench.assigning", n_products, capacity_factor, way, n_slices, seed)


def _against_whole(name: str, priced: dict[str, float], whole: dict[str, float]) -> dict[str, Any]:
    if abs(priced["cost"] - whole["cost"]) > 1e-7 * whole["cost"]:
        raise RuntimeError(f"prices found {priced['cost']}, HiGHS {whole['cost']}")
    times = whole["seconds"] / priced["seconds"]
    must = 200 if name == "60,000" else None
    return figure(
        f"assignment of {name}, faster than HiGHS whole",
        times,
        "×",
        reference=whole["seconds"],
        must="-" if must is None else f">= {must}",
        reached=None if must is None else times >= must,
    )


def _at_most(name: str, value: float, unit: str, most: float, reference: float) -> dict[str, Any]:
    return figure(name, value, unit, reference=reference, must=f"<= {most:g}", reached=value <= most)


def to_market(instance: Instance) -> Market:
    """Lay an instance's facts out for pricing: nothing else is counted as building."""
    stage = np.zeros(instance.units.shape[1], dtype=np.int64)
    blocks = []
    for p, units in enumerate(instance.units):
        rows = np.flatnonzero(instance.is_made[p])
        use = np.diag(instance.use_per_unit[p, rows])
        blocks.append(Block(instance.route_cost(p), units, rows, use, stage, shortfall_weight=1.0))
    return Market(blocks, instance.capacity, np.zeros(len(instance.capacity), dtype=bool))


def _measure_priced(instance: Instance, n_slices: int) -> dict[str, float]:
    times = []
    for _ in range(N_RUNS if instance.n_needs < RUN_ONCE_FROM_NEEDS else 1):
        started = time.perf_counter()
        market = replace(to_market(instance), n_slices=n_slices)
        plan = price(market, n_stages=1) or price_short(market, n_stages=1)
        times.append(time.perf_counter() - started)
    if plan is None:
        raise RuntimeError("prices did not settle")
    megabytes = peak_megabytes()
    return {"seconds": statistics.median(times), "megabytes": megabytes, **_prove(market, plan)}


def _prove(market: Market, plan: PricedPlan) -> dict[str, float]:
    """Compute values from the lines and bounds from the prices alone, over every way, in float64."""
    units = np.concatenate([block.units for block in market.blocks])
    served, cost = np.zeros(len(units)), 0.0
    stages = [ProvedSlices(1, market.n_slices, 0)]
    proofs = [(np.zeros(len(market.capacity)), np.empty(0))]
    if plan.shortage is not None:
        stages = list(plan.shortage.stages[0])
        proofs = [(proof.row_prices, proof.multipliers) for proof in plan.shortage.proofs]
    cheapest = np.empty((len(stages) + 1, len(units)))
    cut = np.searchsorted(plan.lines.need, market.first_need)
    for b, block in enumerate(market.blocks):
        needs = slice(market.first_need[b], market.first_need[b + 1])
        lines = slice(cut[b], cut[b + 1])
        need, way = plan.lines.need[lines] - market.first_need[b], plan.lines.way[lines]
        made = way < len(block.use)
        cost += float(block.cost[way[made], need[made]] @ plan.lines.units[lines][made])
        np.add.at(served, plan.lines.need[lines][made], plan.lines.units[lines][made])
        for k, stage in enumerate(stages):
            cheapest[k, needs] = (block.use @ proofs[stage.proof][0][block.rows]).min()
        cheapest[-1, needs] = block.priced(plan.cost.by_start).min(axis=0)
    n_slices = market.n_slices
    counted = [(stage.last - stage.first + 1) / n_slices for stage in stages]
    values = [
        float(np.clip(units - served - (n_slices - s.last) / n_slices * units, 0, share * units).sum())
        for s, share in zip(stages, counted, strict=True)
    ]

    def bound(k: int, prices: FloatArray, multipliers: FloatArray) -> float:
        covered = sum(
            share * float(units @ np.minimum(cheapest[k], multiplier))
            for share, multiplier in zip(counted, multipliers.tolist(), strict=False)
        )
        return covered - float(prices @ market.capacity) - float(multipliers @ values[: len(multipliers)])

    gaps = [0.0]
    for k, stage in enumerate(stages):
        first = float(units @ np.minimum(cheapest[k], 1.0)) / n_slices
        joined = stage.last - stage.first + 1
        least = joined * (first + bound(k, *proofs[stage.proof]))
        gaps.append((values[k] - least) / max(values[k], float(units.mean())))
    return {
        "cost": cost,
        "gap": (cost - bound(len(stages), plan.cost.by_start.ravel(), plan.cost.multipliers[:-1])) / cost,
        "shortfall_gap": max(gaps),
        "short_share": float((units - served).sum() / units.sum()),
    }


def _measure_whole(instance: Instance) -> dict[str, float]:
    """Give HiGHS every option of every need at once, shortage left out."""
    market = to_market(instance)
    started = time.perf_counter()
    n_needs, n_regions = instance.n_needs, instance.units.shape[1]
    cost, need, row, use = [], [], [], []
    for b, block in enumerate(market.blocks):
        cost.append(block.cost.ravel())
        need.append(np.tile(b * n_regions + np.arange(n_regions), len(block.rows)))
        row.append(n_needs + np.repeat(block.rows, n_regions))
        use.append(np.repeat(np.diag(block.use), n_regions))
    costs = np.concatenate(cost)
    column = np.arange(len(costs))
    matrix = csr_array(
        (
            np.concatenate([np.ones(len(costs)), *use]),
            (np.concatenate([*need, *row]), np.concatenate([column, column])),
        ),
        shape=(n_needs + len(market.capacity), len(costs)),
    )
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_, lp.col_lower_ = costs, np.zeros(len(costs))
    lp.col_upper_ = np.full(len(costs), highspy.kHighsInf)
    units = instance.units.ravel()
    lp.row_lower_ = np.append(units, np.full(len(market.capacity), -highspy.kHighsInf))
    lp.row_upper_ = np.append(units, market.capacity)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.passModel(lp)
    highs.run()
    return {"seconds": time.perf_counter() - started, "cost": highs.getInfo().objective_function_value}


def main() -> None:
    n_products, capacity_factor, way, n_slices, seed = sys.argv[1:]
    instance = reference_instance(int(n_products), capacity_factor=float(capacity_factor), seed=int(seed))
    before = peak_megabytes()
    measured = _measure_whole(instance) if way == "whole" else _measure_priced(instance, int(n_slices))
    measured |= {"instance_megabytes": before}
    if way == "priced":
        measured |= {"seconds_per_pass": seconds_per_pass(instance)}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
