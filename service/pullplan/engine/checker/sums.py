"""Do the loads fit into the capacities, and are loads and figures added up rightly?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pullplan.engine.checker.columns import UNKNOWN, FloatArray, IntArray, floats, whole_numbers
from pullplan.engine.checker.exactness import CellSums, Judge, add_up
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.lines import Counted
from pullplan.engine.checker.lots import Surplus, figures_of_lots
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.report import Report
from pullplan.engine.checker.room import Room
from pullplan.engine.model import Figures, Finding, LotFigures, Plan, ResourceLoad

FIT_TOLERANCE_SHARE = 1e-7
"""Of the capacity, or of what one mean need takes where that is more: so much may a load exceed it by."""
FIGURE_TOLERANCE_SHARE = 1e-9
"""Of a resource's capacity over the horizon, or of a figure."""
FIGURE_TOLERANCE = 1e-12
"""The same of a figure that is nearly 0."""


class LoadChecker:
    """Adds up what lines, surplus and setups take of all room, and holds it to what is there and to what is stated."""

    def __init__(self, ground: Ground, room: Room, needs: Needs, judge: Judge, report: Report) -> None:
        self._ground = ground
        self._room = room
        self._needs = needs
        self._judge = judge
        self._report = report

    def check(self, plan: Plan, counted: Counted, surplus: Sequence[Surplus]) -> None:
        """Look at every resource and share limit, bucket by bucket, and at every load."""
        cell, units, use = self._takings(plan, counted, surplus)
        taken = CellSums.of(cell, units, use, self._room.allowed.size)
        self._check_fit(taken, cell, use)
        self._check_stated(plan.loads, taken)

    def _takings(
        self, plan: Plan, counted: Counted, surplus: Sequence[Surplus]
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """List the cell (row × n_buckets + start bucket), units and use per unit of all that is taken: (n_terms,)."""
        ground, room = self._ground, self._room
        capability = np.append(counted.capability, [left.capability for left in surplus]).astype(np.int64)
        start = np.append(counted.start_bucket, [left.order.start_bucket for left in surplus]).astype(
            np.int64
        )
        units = np.append(counted.units, [left.order.surplus_units for left in surplus])
        made = {(c.product_code, c.node_code): c for c in ground.capabilities.rows if c.setup_use_per_order}
        setups = [
            (room.row[order.node_code, code] * ground.n_buckets + order.start_bucket, use)
            for order in plan.production_orders
            if (order.product_code, order.node_code) in made and 0 <= order.start_bucket < ground.n_buckets
            for code, use in made[order.product_code, order.node_code].setup_use_per_order.items()
        ]
        cells = [np.array([cell for cell, _ in setups], dtype=np.int64)]
        amounts, uses = [np.ones(len(setups))], [np.array([use for _, use in setups])]
        for j in range(room.used.shape[1]):
            use = room.used[capability, j]
            takes = use > 0
            cells.append((room.used_row[capability, j] * ground.n_buckets + start)[takes])
            amounts.append(units[takes])
            uses.append(use[takes])
        return np.concatenate(cells), np.concatenate(amounts), np.concatenate(uses)

    def _check_fit(self, taken: CellSums, cell: IntArray, use: FloatArray) -> None:
        ground, room = self._ground, self._room
        up_to_now = taken.cumulated(room.is_stored)
        allowed = room.allowed.ravel()
        most_use = np.zeros(room.allowed.shape)
        np.maximum.at(most_use.ravel(), cell, use)
        most_use[room.is_stored] = np.maximum.accumulate(most_use[room.is_stored], axis=1)
        tolerance = FIT_TOLERANCE_SHARE * np.maximum(allowed, self._needs.mean_units * most_use.ravel())
        fits = self._judge.are_at_most(up_to_now, allowed, tolerance)
        is_looked_at = (taken.n_terms > 0).reshape(room.allowed.shape)
        # A share limit is one for the whole horizon.
        is_looked_at[len(room.keys) :, :-1] = False
        is_looked_at[len(room.keys) :, -1] = True

        def say(i: int) -> Finding:
            row, bucket = divmod(i, ground.n_buckets)
            found = up_to_now.sum_of(i).value
            if row >= len(room.keys):
                node_code, product_code = list(room.share_row)[row - len(room.keys)]
                return Finding(
                    code="over_share",
                    detail=f"{node_code} may start {allowed[i]:.9g} of {product_code} over the horizon besides "
                    f"released work; the plan starts {found:.9g}",
                    node_code=node_code,
                )
            node_code, resource_code = room.keys[row]
            return Finding(
                code="over_capacity",
                detail=f"{node_code} has {allowed[i]:.9g} of {resource_code} for new work "
                f"{'up to' if room.is_stored[row] else 'in'} {ground.when(bucket)}; the plan takes {found:.9g}",
                node_code=node_code,
                resource_code=resource_code,
            )

        self._report.add_where(is_looked_at.ravel() & ~fits, say)

    def _check_stated(self, loads: Sequence[ResourceLoad], taken: CellSums) -> None:
        ground, room = self._ground, self._room
        n_rows, n_buckets = len(room.keys), ground.n_buckets
        row = np.fromiter(
            (room.row.get((load.node_code, load.resource_code), UNKNOWN) for load in loads),
            np.int64,
            len(loads),
        )
        bucket = whole_numbers(loads, "bucket")
        is_there = (row != UNKNOWN) & (bucket >= 0) & (bucket < n_buckets)
        cell = row * n_buckets + bucket
        times = np.bincount(cell[is_there], minlength=n_rows * n_buckets)

        def wrong(node_code: str, resource_code: str, bucket: int, words: str) -> Finding:
            return Finding(
                code="load_wrong",
                detail=f"the load of {resource_code} at {node_code} in {ground.when(bucket)} {words}",
                node_code=node_code,
                resource_code=resource_code,
            )

        def say_missing(i: int) -> Finding:
            words = f"is stated {times[i]} times" if times[i] else "is missing"
            return wrong(*room.keys[i // n_buckets], i % n_buckets, words)

        def say(load: ResourceLoad, words: str) -> Finding:
            return wrong(load.node_code, load.resource_code, load.bucket, words)

        self._report.add_where(times != 1, say_missing)
        self._report.add_where(~is_there, lambda i: say(loads[i], "is of nothing that there is"))
        loads = [load for load, there in zip(loads, is_there.tolist(), strict=True) if there]
        row, cell = row[is_there], cell[is_there]
        used = taken.value.reshape(room.allowed.shape) + room.released
        left = np.cumsum(room.calendar, axis=1) - np.cumsum(used, axis=1) + used
        capacity = np.where(room.is_stored[:, None], left, room.calendar)
        slack = FIGURE_TOLERANCE_SHARE * np.maximum(room.calendar.sum(axis=1), used.sum(axis=1))[row]
        is_stored = np.array([load.kind == "stored" for load in loads], dtype=np.bool_)
        for name, said, found in (
            ("capacity", floats(loads, "capacity"), capacity.ravel()[cell]),
            ("use", floats(loads, "used"), used.ravel()[cell]),
        ):
            agrees = (np.abs(said - found) <= slack) & (is_stored == room.is_stored[row])
            for i in np.flatnonzero(~agrees).tolist():
                kind = "stored" if room.is_stored[row[i]] else "renewed"
                words = (
                    f"has a {name} of {found[i]:.9g}, {kind}; the plan says {said[i]:.9g}, {loads[i].kind}"
                )
                self._report.add([say(loads[i], words)])


def check_figures(plan: Plan, counted: Counted) -> Iterator[Finding]:
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


def _add_up(plan: Plan, counted: Counted) -> Figures:
    def total(units: FloatArray) -> float:
        return add_up(units.tolist())

    def share(part: float, whole: float) -> float | None:
        return part / whole if whole > 0 else None

    needs_units, assigned_units = (total(floats(rows, "units")) for rows in (plan.needs, plan.assignments))
    unit_km = total(counted.units * counted.distance_km)
    renewed = [load for load in plan.loads if load.kind == "renewed"]
    return Figures(
        needs_units=needs_units,
        assigned_units=assigned_units,
        shortfall_units=total(floats(plan.shortfalls, "units")),
        served_share=share(assigned_units, needs_units),
        nearest_share=share(total(counted.units[counted.is_nearest]), assigned_units),
        unit_km=unit_km,
        km_per_unit=share(unit_km, assigned_units),
        late_unit_buckets=total(counted.units * counted.late_buckets),
        early_unit_buckets=total(counted.units * counted.early_buckets),
        capacity_use_share=share(total(floats(renewed, "used")), total(floats(renewed, "capacity"))),
        n_needs=len(plan.needs),
        n_assignments=len(plan.assignments),
        n_shortfalls=len(plan.shortfalls),
        lots=figures_of_lots(plan) if plan.figures.lots is not None or plan.production_orders else None,
    )
