"""How long does the best assignment take where demand has a season and work may start early, and how near is its bound?

    python -m bench.seasonal PRODUCTS CAPACITY_FACTOR [priced|whole]

measures one instance in a process of its own, so that its memory is its own.
"""

import json
import sys
import time
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt
from bench.apart import measured_apart
from bench.figure import figure, peak_megabytes
from bench.instances import Instance, seasonal_instance
from bench.one_pass import seconds_per_pass
from scipy.sparse import csr_array

from pullplan.engine.assignment.blocks import Block, Market, Timing
from pullplan.engine.assignment.pricing import PricedPlan, price

FloatArray = npt.NDArray[np.float64]

SMALL, LARGE = 10, 417
"""Products: 24,000 and 1,000,800 needs in 8 buckets."""
FACTORS = (1.10, 1.25)
HOLDING_SHARE = 0.005
"""Of the unit cost, for a bucket."""


def seasonal_assignment() -> list[dict[str, Any]]:
    """Measure a million needs in eight buckets."""
    figures = []
    for factor in FACTORS:
        large = measure(LARGE, factor, "priced")
        name = f"1,000,800 needs in 8 buckets at {factor} ({large['early_share']:.1%} start early)"
        passes = large["seconds"] / large["seconds_per_pass"]
        gap = max(large["gap"], large["early_gap"])
        figures += [
            figure(f"{name}, total", passes, "passes", reference=1.0, must="<= 300", reached=passes <= 300),
            figure(
                f"{name}, memory",
                large["megabytes"],
                "MB",
                reference=large["instance_megabytes"],
                must="<= 1500",
                reached=large["megabytes"] <= 1500,
            ),
            figure(f"{name}, gap", gap, "of value", reference=0.0, must="<= 1e-06", reached=gap <= 1e-6),
        ]
        if factor == min(FACTORS):
            share = large["early_share"]
            figures.append(
                figure(f"{name}", share, "of units", reference=0.1, must=">= 0.1", reached=share >= 0.1)
            )
    return figures


def seasonal_assignment_whole() -> list[dict[str, Any]]:
    """Measure 24,000 needs in eight buckets, also in HiGHS whole: minutes."""
    figures = []
    for factor in FACTORS:
        priced, whole = measure(SMALL, factor, "priced"), measure(SMALL, factor, "whole")
        if abs(priced["cost"] - whole["cost"]) > 1e-7 * whole["cost"]:
            raise RuntimeError(f"prices found {priced['cost']}, HiGHS {whole['cost']}")
        figures.append(
            figure(
                f"24,000 needs in 8 buckets at {factor}, faster than HiGHS whole",
                whole["seconds"] / priced["seconds"],
                "×",
                reference=whole["seconds"],
                must="-",
                reached=None,
            )
        )
    return figures


def measure(n_products: int, capacity_factor: float, way: str) -> dict[str, float]:
    """Run one instance in a process of its own, on one thread."""
    return measured_apart("bench.seasonal", n_products, capacity_factor, way)


def to_market(instance: Instance) -> Market:
    """Lay an instance's facts out for pricing: nothing else is counted as building."""
    n_buckets, n_regions = len(instance.season), instance.units.shape[1]
    due = np.repeat(np.arange(n_buckets), n_regions)
    early = np.arange(n_buckets)[:, None] - np.arange(n_buckets)
    early_buckets, stage = np.maximum(0.0, early), np.zeros(len(due), dtype=np.int64)
    blocks = []
    for p, units in enumerate(instance.units):
        rows = np.flatnonzero(instance.is_made[p])
        held = HOLDING_SHARE * instance.unit_cost[p, rows]
        timing = Timing(
            due=due,
            start_cost=np.where(early >= 0, held[:, None, None] * early_buckets, np.inf),
            early_buckets=np.broadcast_to(early_buckets, (len(rows), n_buckets, n_buckets)),
            late_buckets=np.zeros((len(rows), n_buckets, n_buckets)),
        )
        blocks.append(
            Block(
                cost=np.tile(instance.route_cost(p), n_buckets),
                units=np.outer(instance.season, units).ravel(),
                rows=rows,
                use=np.diag(instance.use_per_unit[p, rows]),
                stage=stage,
                shortfall_weight=1.0,
                timing=timing,
            )
        )
    capacity = np.repeat(instance.capacity, n_buckets)
    return Market(
        blocks,
        capacity,
        is_full=np.zeros(len(capacity), dtype=bool),
        n_starts=n_buckets,
        is_stored=np.zeros(len(instance.capacity), dtype=bool),
    )


def _measure_priced(instance: Instance) -> dict[str, float]:
    started = time.perf_counter()
    market = to_market(instance)
    plan = price(market, n_stages=1)
    seconds = time.perf_counter() - started
    if plan is None:
        raise RuntimeError("prices did not settle")
    megabytes = peak_megabytes()
    return {"seconds": seconds, "megabytes": megabytes, **_prove(market, plan)}


def _prove(market: Market, plan: PricedPlan) -> dict[str, float]:
    """Compute values from the lines and bounds from the prices alone, over every way and start, in float64."""
    lines, of_early = plan.lines, plan.lines.early.solved
    weight = of_early.early_weight
    prices = plan.cost.by_start, of_early.by_start
    bounds = [-float((by_start.ravel() * market.capacity).sum()) for by_start in prices]
    cost = early = early_units = 0.0
    used = np.zeros_like(plan.cost.by_start)
    cut = np.searchsorted(lines.need, market.first_need)
    weighed = market.with_early_weight(weight)
    for b, block in enumerate(market.blocks):
        of_block = slice(cut[b], cut[b + 1])
        need = lines.need[of_block] - market.first_need[b]
        way, start, units = lines.way[of_block], lines.start[of_block], lines.units[of_block]
        if block.timing is None or not np.allclose(np.bincount(need, units), block.units):
            raise RuntimeError("needs are not served")
        at = way, block.due[need], start
        waited = block.timing.early_buckets[at]
        cost += float(((block.cost[way, need] + block.timing.start_cost[at]) * units).sum())
        early += float((waited * units).sum())
        early_units += float(units[waited > 0].sum())
        np.add.at(used, (block.rows[way], start), block.use[way, way] * units)
        for k, of_stage in enumerate((block, weighed.blocks[b])):
            bounds[k] += float((of_stage.priced(prices[k]).min(axis=0) * block.units).sum())
    if (used.ravel() > market.capacity * (1 + 1e-9)).any():
        raise RuntimeError("capacity does not hold")
    return {
        "cost": cost,
        "gap": (cost - bounds[0]) / cost,
        "early_gap": (early + (cost - bounds[1]) / weight) / early,
        "early_share": early_units / float(lines.units.sum()),
    }


def _measure_whole(instance: Instance) -> dict[str, float]:
    """Give HiGHS every way of every need, and every start of every way and due bucket, at once."""
    market = to_market(instance)
    started = time.perf_counter()
    n_needs, n_batches, n_starts = instance.n_needs, len(market.batches.way), market.n_starts
    cost, need, batch = [], [], []
    for b, block in enumerate(market.blocks):
        way, of_block = np.divmod(np.arange(block.cost.size), len(block.units))
        cost.append(block.cost.ravel())
        need.append(market.first_need[b] + of_block)
        batch.append(market.batches.first[b] + way * block.n_dues + block.due[of_block])
    shipped, shipment_batch = np.concatenate(need), np.concatenate(batch)
    start_batch, start = np.nonzero(np.isfinite(market.batches.start_cost))
    use = market.batches.use.tocsr()[market.batches.way[start_batch]].tocoo()
    shipment = np.arange(len(shipped))
    begun = len(shipped) + np.arange(len(start))
    entries = [
        (np.ones(len(shipped)), shipped, shipment),
        (-np.ones(len(shipped)), n_needs + shipment_batch, shipment),
        (np.ones(len(start)), n_needs + start_batch, begun),
        (
            use.data,
            n_needs + n_batches + use.coords[1] * n_starts + start[use.coords[0]],
            begun[use.coords[0]],
        ),
    ]
    value, row, column = (np.concatenate(of) for of in zip(*entries, strict=True))
    shape = n_needs + n_batches + len(market.capacity), len(shipped) + len(start)
    matrix = csr_array((value, (row, column)), shape=shape)
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = shape
    lp.col_cost_ = np.concatenate([*cost, market.batches.start_cost[start_batch, start]])
    lp.col_lower_, lp.col_upper_ = np.zeros(shape[1]), np.full(shape[1], highspy.kHighsInf)
    amounts = np.concatenate([*(block.units for block in market.blocks), np.zeros(n_batches)])
    lp.row_lower_ = np.append(amounts, np.full(len(market.capacity), -np.inf))
    lp.row_upper_ = np.append(amounts, market.capacity)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.passModel(lp)
    highs.run()
    return {"seconds": time.perf_counter() - started, "cost": highs.getInfo().objective_function_value}


def main() -> None:
    n_products, capacity_factor, way = sys.argv[1:]
    instance = seasonal_instance(int(n_products), capacity_factor=float(capacity_factor))
    before = peak_megabytes()
    measured = _measure_whole(instance) if way == "whole" else _measure_priced(instance)
    measured |= {"instance_megabytes": before}
    if way == "priced":
        measured |= {"seconds_per_pass": seconds_per_pass(instance)}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
