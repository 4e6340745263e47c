"""Do the loads fit into the capacities, and are loads and figures added up rightly?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.checker.exactness import Judge, sum_of_products
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.lines import CountedLine
from pullplan.engine.checker.lots import Surplus, figures_of_lots
from pullplan.engine.model import Figures, Finding, LotFigures, Plan

FIT_TOLERANCE_SHARE = 1e-7
"""Of the capacity, or of what one mean need takes where that is more: so much may a load exceed it by."""
FIGURE_TOLERANCE_SHARE = 1e-9
"""Of a resource's capacity over the horizon, or of a figure."""
FIGURE_TOLERANCE = 1e-12
"""The same of a figure that is nearly 0."""


def check_loads(
    ground: Ground, plan: Plan, counted: Sequence[CountedLine], surplus: Sequence[Surplus], judge: Judge
) -> Iterator[Finding]:
    """Hold what lines, surplus and setups take of every resource to what is there, and to the stated loads."""
    takings = _takings(ground, plan, counted)
    _add_orders(takings, ground, plan, surplus)
    used = np.zeros(ground.room.calendar.shape)
    mean_need = math.fsum(n.units for n in plan.needs) / max(1, len(plan.needs))
    for k, (node_code, resource_code) in enumerate(ground.room.keys):
        units: list[float] = []
        uses: list[float] = []
        for b in range(ground.n_buckets):
            if not ground.room.is_stored[k]:
                units, uses = [], []
            of_bucket = takings.get((k, b), [])
            used[k, b] = math.fsum(u * use for u, use in of_bucket)
            units += [u for u, _ in of_bucket]
            uses += [use for _, use in of_bucket]
            allowed = float(ground.room.allowed[k, b])
            taken = sum_of_products(units, uses)
            tolerance = FIT_TOLERANCE_SHARE * max(allowed, mean_need * max(uses, default=0.0))
            if of_bucket and not judge.is_at_most(taken, allowed, tolerance):
                yield Finding(
                    code="over_capacity",
                    detail=f"{node_code} has {allowed:.9g} of {resource_code} for new work "
                    f"{'up to' if ground.room.is_stored[k] else 'in'} {ground.when(b)}; "
                    f"the plan takes {taken.value:.9g}",
                    node_code=node_code,
                    resource_code=resource_code,
                )
    yield from _check_stated_loads(ground, plan, used + ground.room.released)


def check_shares(
    ground: Ground, plan: Plan, counted: Sequence[CountedLine], surplus: Sequence[Surplus], judge: Judge
) -> Iterator[Finding]:
    """Hold what every node starts of every product to its share limit."""
    started: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for line in counted:
        product_code = plan.needs[line.need].product_code
        ways = ground.ways(product_code)
        row = ground.room.share_row.get((line.node_code, product_code))
        if row is not None:
            use = float(ways.use[ways.position[line.node_code], row])
            started.setdefault((line.node_code, product_code), []).append((line.units, use))
    for left in surplus:
        place = (left.order.node_code, left.order.product_code)
        if place in ground.room.share_row:
            use = 1 / left.capability.yield_share
            started.setdefault(place, []).append((left.order.surplus_units, use))
    mean_need = math.fsum(n.units for n in plan.needs) / max(1, len(plan.needs))
    for (node_code, product_code), lines in started.items():
        limit = float(ground.room.allowed[ground.room.share_row[node_code, product_code], -1])
        taken = sum_of_products([units for units, _ in lines], [use for _, use in lines])
        tolerance = FIT_TOLERANCE_SHARE * max(limit, mean_need * max(use for _, use in lines))
        if not judge.is_at_most(taken, limit, tolerance):
            yield Finding(
                code="over_share",
                detail=f"{node_code} may start {limit:.9g} of {product_code} over the horizon besides released work; "
                f"the plan starts {taken.value:.9g}",
                node_code=node_code,
            )


def _takings(
    ground: Ground, plan: Plan, counted: Sequence[CountedLine]
) -> dict[tuple[int, int], list[tuple[float, float]]]:
    """List (units, use per unit) by resource row and start bucket."""
    takings: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for line in counted:
        ways = ground.ways(plan.needs[line.need].product_code)
        capability = ways.capabilities[ways.position[line.node_code]]
        for resource_code, use_per_started_unit in capability.use_per_unit.items():
            row = ground.room.row[line.node_code, resource_code]
            use = use_per_started_unit / capability.yield_share
            takings.setdefault((row, line.start_bucket), []).append((line.units, use))
    return takings


def _add_orders(
    takings: dict[tuple[int, int], list[tuple[float, float]]],
    ground: Ground,
    plan: Plan,
    surplus: Sequence[Surplus],
) -> None:
    """Add what orders take besides their lines: surplus by the unit, setups once."""
    capability = {(c.product_code, c.node_code): c for c in ground.facts.capabilities}
    for order in plan.production_orders:
        made = capability.get((order.product_code, order.node_code))
        for code, use in made.setup_use_per_order.items() if made else ():
            row = ground.room.row[order.node_code, code]
            takings.setdefault((row, order.start_bucket), []).append((1.0, use))
    for left in surplus:
        for code, use_per_started_unit in left.capability.use_per_unit.items():
            row = ground.room.row[left.order.node_code, code]
            use = use_per_started_unit / left.capability.yield_share
            takings.setdefault((row, left.order.start_bucket), []).append((left.order.surplus_units, use))


def _check_stated_loads(ground: Ground, plan: Plan, used: npt.NDArray[np.float64]) -> Iterator[Finding]:
    room = ground.room
    stated = {(load.node_code, load.resource_code, load.bucket): load for load in plan.loads}
    wanted = {(*key, b) for key in room.keys for b in range(ground.n_buckets)}
    for node_code, resource_code, bucket in sorted(stated.keys() ^ wanted):
        yield Finding(
            code="load_wrong",
            detail=f"the load of {resource_code} at {node_code} in {ground.when(bucket)} "
            f"is {'missing' if (node_code, resource_code, bucket) in wanted else 'of nothing that there is'}",
            node_code=node_code,
            resource_code=resource_code,
        )
    for node_code, resource_code, bucket in sorted(stated.keys() & wanted):
        k = room.row[node_code, resource_code]
        load = stated[node_code, resource_code, bucket]
        there = float(room.calendar[k, bucket])
        if room.is_stored[k]:
            there = float(room.calendar[k, : bucket + 1].sum() - used[k, :bucket].sum())
        scale = max(float(room.calendar[k].sum()), float(used[k].sum()))
        kind = "stored" if room.is_stored[k] else "renewed"
        for name, said, found in (
            ("capacity", load.capacity, there),
            ("use", load.used, float(used[k, bucket])),
        ):
            if not abs(said - found) <= FIGURE_TOLERANCE_SHARE * scale or load.kind != kind:
                yield Finding(
                    code="load_wrong",
                    detail=f"the {name} of {kind} {resource_code} at {node_code} in {ground.when(bucket)} is {found:.9g}; "
                    f"the plan says {said:.9g} of a {load.kind} resource",
                    node_code=node_code,
                    resource_code=resource_code,
                )


def check_figures(plan: Plan, counted: Sequence[CountedLine]) -> Iterator[Finding]:
    """Add up anew what a planner reads first."""
    found = _add_up(plan, counted)
    for name in Figures.__struct_fields__:
        said, right = getattr(plan.figures, name), getattr(found, name)
        if said is None or right is None:
            agrees = said is right
        elif isinstance(said, LotFigures):
            agrees = _close_figures(said, right)
        else:
            agrees = abs(said - right) <= FIGURE_TOLERANCE_SHARE * abs(right) + FIGURE_TOLERANCE
        if not agrees:
            yield Finding(
                code="figure_wrong", detail=f"the plan says {name} = {said}; its lines add up to {right}"
            )


def _close_figures(said: LotFigures, right: LotFigures) -> bool:
    pairs = ((getattr(said, name), getattr(right, name)) for name in LotFigures.__struct_fields__)
    return all(
        a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=FIGURE_TOLERANCE)
        for a, b in pairs
    )


def _add_up(plan: Plan, counted: Sequence[CountedLine]) -> Figures:
    needs_units = math.fsum(need.units for need in plan.needs)
    assigned_units = math.fsum(line.units for line in plan.assignments)
    unit_km = math.fsum(line.units * line.distance_km for line in counted)
    renewed = [load for load in plan.loads if load.kind == "renewed"]
    capacity = math.fsum(load.capacity for load in renewed)
    nearest_units = math.fsum(line.units for line in counted if line.distance_rank == 1)
    return Figures(
        needs_units=needs_units,
        assigned_units=assigned_units,
        shortfall_units=math.fsum(shortfall.units for shortfall in plan.shortfalls),
        served_share=assigned_units / needs_units if needs_units > 0 else None,
        nearest_share=nearest_units / assigned_units if assigned_units > 0 else None,
        unit_km=unit_km,
        km_per_unit=unit_km / assigned_units if assigned_units > 0 else None,
        late_unit_buckets=math.fsum(line.units * line.late_buckets for line in counted),
        early_unit_buckets=math.fsum(line.units * line.early_buckets for line in counted),
        capacity_use_share=math.fsum(load.used for load in renewed) / capacity if capacity > 0 else None,
        n_needs=len(plan.needs),
        n_assignments=len(plan.assignments),
        n_shortfalls=len(plan.shortfalls),
        lots=figures_of_lots(plan) if plan.figures.lots is not None or plan.production_orders else None,
    )
