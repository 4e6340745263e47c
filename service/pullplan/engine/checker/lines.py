"""Is every need covered exactly, and every line one that the facts allow, as it is described?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from pullplan.engine.checker.columns import (
    UNKNOWN,
    BoolArray,
    FloatArray,
    IntArray,
    floats,
    in_portions,
    last_places,
    n_alike,
    places,
    spread,
    whole_numbers,
)
from pullplan.engine.checker.exactness import CellSums, Judge
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.options import Work
from pullplan.engine.checker.report import Report
from pullplan.engine.model import Assignment, Finding, FindingCode, Need, Plan, Shortfall

COVER_TOLERANCE_SHARE = 1e-9
"""Of a need's units: so much may its lines and shortfall miss it by."""
ROUTE_TOLERANCE_SHARE = 1e-9
"""Of a distance or a cost per unit."""
ROUTE_TOLERANCE = 1e-9
"""The same of one that is nearly 0: km, or the objective's measure per unit."""
PAIRS_TOGETHER = 1 << 18
"""Lines × nodes that are ranked together: so memory stays small."""


@dataclass(frozen=True)
class Counted:
    """Assignments that can be measured, as need, node and start bucket are known; arrays are (n_counted,)."""

    need: IntArray
    """Position of its need."""
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    late_buckets: FloatArray
    early_buckets: FloatArray
    cost: FloatArray
    distance_km: FloatArray
    is_nearest: BoolArray
    """By the line's own word."""


@dataclass(frozen=True)
class Shorts:
    """Shortfalls of needs that there are; arrays are (n_shortfalls,)."""

    need: IntArray
    """Position of its need."""
    units: FloatArray


def check_shortfalls(needs: Needs, shortfalls: Sequence[Shortfall], report: Report) -> Shorts:
    """Look for shortfalls that belong to no need or are of no units; keep those that can be measured."""
    need, units = (
        last_places(needs.need_id, whole_numbers(shortfalls, "need_id")),
        floats(shortfalls, "units"),
    )
    _check_numbers("shortfall", shortfalls, need, units, report)
    is_counted = (need != UNKNOWN) & np.isfinite(units)
    return Shorts(need[is_counted], units[is_counted])


def check_cover(ground: Ground, plan: Plan, needs: Needs, judge: Judge, report: Report) -> None:
    """Add assigned and short units up, need by need."""
    lines = (*plan.assignments, *plan.shortfalls)
    need, units = last_places(needs.need_id, whole_numbers(lines, "need_id")), floats(lines, "units")
    is_counted = (need != UNKNOWN) & np.isfinite(units)
    # Lines of no number are found as such.
    can_tell = np.bincount(need[(need != UNKNOWN) & ~is_counted], minlength=len(needs.rows)) == 0
    covered = CellSums.of(
        need[is_counted], units[is_counted], np.ones(int(is_counted.sum())), len(needs.rows)
    )
    agree = judge.agree(covered, needs.units, COVER_TOLERANCE_SHARE * np.abs(needs.units))

    def say(i: int) -> Finding:
        wanted, made = needs.rows[i], covered.sum_of(i).value
        missing = wanted.units - made
        return Finding(
            code="need_not_covered",
            detail=f"{_say(ground, wanted)} wants {wanted.units:.12g} units; lines and shortfalls make "
            f"{made:.12g}: {abs(missing):.6g} {'are missing' if missing > 0 else 'too many'}",
            need_id=wanted.need_id,
        )

    report.add_where(can_tell & ~agree, say)


def _say(ground: Ground, need: Need) -> str:
    return f"need {need.need_id} ({need.product_code} in {need.region_code}, {ground.when(need.bucket)})"


def _check_numbers(
    kind: Literal["assignment", "shortfall"],
    rows: Sequence[Assignment] | Sequence[Shortfall],
    need: IntArray,
    units: FloatArray,
    report: Report,
) -> None:
    number_of = f"{kind}_id"
    numbers = whole_numbers(rows, number_of)
    times = n_alike(numbers)

    def wrong(is_wrong: BoolArray, code: FindingCode, words: Callable[[int], str]) -> None:
        def say(i: int) -> Finding:
            number = getattr(rows[i], number_of)
            return Finding(
                code=code,
                detail=f"{kind} {number}: {words(i)}",
                need_id=rows[i].need_id,
                assignment_id=number if kind == "assignment" else None,
                shortfall_id=number if kind == "shortfall" else None,
            )

        report.add_where(is_wrong, say)

    wrong(numbers < 1, "line_malformed", lambda _: f"{kind}s are numbered from 1")
    wrong(times > 1, "line_malformed", lambda i: f"it is one of {times[i]} with this number")
    wrong(
        need == UNKNOWN, "line_malformed", lambda i: f"it is for need {rows[i].need_id}, which there is not"
    )
    wrong(
        ~(np.isfinite(units) & (units > 0)),
        "units_not_positive",
        lambda i: f"it is of {rows[i].units:g} units",
    )


class LineChecker:
    """Holds assignments to the facts, and keeps those that can be measured."""

    def __init__(self, ground: Ground, needs: Needs, lines: Sequence[Assignment], report: Report) -> None:
        self._ground = ground
        self._needs = needs
        self._lines = lines
        self._report = report
        self._need = last_places(needs.need_id, whole_numbers(lines, "need_id"))

    def check(self) -> Counted:
        """Look at every assignment."""
        ground, needs, lines = self._ground, self._needs, self._lines
        need, units = self._need, floats(lines, "units")
        _check_numbers("assignment", lines, need, units, self._report)
        at = np.flatnonzero(need != UNKNOWN)
        at = at[needs.is_known[need[at]]]  # others are found as needs
        capability = ground.capabilities.find(
            needs.product[need[at]], places(lines, "node_code", ground.node)[at]
        )
        self._find(
            at,
            capability == UNKNOWN,
            "not_capable",
            lambda _, line, need: (
                f"it can't make {need.product_code}"
                if line.node_code in ground.node
                else "there is no such node"
            ),
        )
        at, capability = at[capability != UNKNOWN], capability[capability != UNKNOWN]
        start = whole_numbers(lines, "start_bucket")[at]
        is_inside = (start >= 0) & (start < ground.n_buckets)
        self._find(
            at,
            ~is_inside,
            "outside_horizon",
            lambda _, line, __: f"bucket {line.start_bucket}, in which it starts, is outside the horizon",
        )
        at, capability, start = at[is_inside], capability[is_inside], start[is_inside]
        work = Work.of(ground, needs, need[at], capability, start)
        self._find(
            at,
            ~needs.may_be_made[work.need],
            "do_not_produce",
            lambda _, __, need: f"by its policy no {need.product_code} is made for {need.region_code}",
        )
        self._check_place(at, work)
        self._check_time(at, work)
        return self._check_route(at, work, units[at])

    def _find(
        self,
        at: IntArray,
        is_wrong: BoolArray,
        code: FindingCode,
        words: Callable[[int, Assignment, Need], str],
    ) -> None:
        """Report what is wrong with some of the lines at some positions; `words` hears which of the positions it is."""

        def say(i: int) -> Finding:
            line = self._lines[at[i]]
            need = self._needs.rows[self._need[at[i]]]
            return Finding(
                code=code,
                detail=f"assignment {line.assignment_id} to {line.node_code}: {words(i, line, need)}",
                need_id=line.need_id,
                assignment_id=line.assignment_id,
                node_code=line.node_code,
            )

        self._report.add_where(is_wrong, say)

    def _check_place(self, at: IntArray, work: Work) -> None:
        ground = self._ground
        self._find(
            at,
            ~ground.capabilities.qualified[work.capability],
            "not_qualified",
            lambda _, __, need: f"the node is not qualified for {need.product_code}",
        )
        self._find(at, ground.is_offline[work.node], "offline", lambda *_: "the node is offline")
        self._find(
            at,
            ~work.has_lane,
            "no_lane",
            lambda _, __, need: f"no lane leads from there to {need.region_code}",
        )

    def _check_time(self, at: IntArray, work: Work) -> None:
        ground, needs, when = self._ground, self._needs, self._ground.when
        is_early = work.start < ground.first_start
        self._find(
            at,
            is_early,
            "starts_too_early",
            lambda _, line, __: (
                f"it starts in {when(line.start_bucket)}; "
                f"new work may start from {when(ground.first_start)} on"
            ),
        )
        self._find(
            at,
            whole_numbers(self._lines, "arrival_bucket")[at] != work.arrival,
            "arrival_wrong",
            lambda i, line, _: (
                f"what starts in {when(line.start_bucket)} arrives in {when(int(work.arrival[i]))}, "
                f"not in {when(line.arrival_bucket)}"
            ),
        )
        self._find(
            at,
            ~work.is_in_time,
            "too_late",
            lambda i, *_: (
                f"it arrives in {when(int(work.arrival[i]))}; "
                f"it had to be there by {when(int(needs.latest_bucket[work.need[i]]))}"
            ),
        )
        self._find(
            at,
            ~work.is_fresh,
            "too_old",
            lambda i, *_: (
                f"it lies there {work.early_buckets[i] * ground.days_per_bucket:.0f} days until it is due; "
                f"it keeps for {ground.shelf_life_days[work.product[i]]:.0f}"
            ),
        )
        self._find(
            at,
            ~is_early & ~work.is_effective,
            "not_effective",
            lambda _, line, need: (
                f"{when(line.start_bucket)} is not wholly inside the dates of {need.product_code} "
                f"and of its capability"
            ),
        )
        self._find(
            at,
            ~work.may_leave,
            "not_effective",
            lambda i, _, need: (
                f"it leaves on {date.fromordinal(int(work.leaves[i]))}, "
                f"outside the dates of the lane to {need.region_code}"
            ),
        )

    def _check_route(self, at: IntArray, work: Work, units: FloatArray) -> Counted:
        is_counted = np.isfinite(work.distance_km) & np.isfinite(units)
        at, units = at[is_counted], units[is_counted]
        work = Work.of(
            self._ground, self._needs, *(of[is_counted] for of in (work.need, work.capability, work.start))
        )
        started = units / self._ground.capabilities.yield_share[work.capability]
        lines = [self._lines[i] for i in at.tolist()]
        self._find(
            at,
            ~(np.abs(floats(lines, "started_units") - started) <= ROUTE_TOLERANCE_SHARE * started),
            "started_wrong",
            lambda i, line, _: f"{started[i]:.9g} units must be started for it, not {line.started_units:.9g}",
        )
        distance_km, cost = work.distance_km, work.cost_per_unit
        self._find(
            at,
            ~_is_close(floats(lines, "distance_km"), distance_km),
            "distance_wrong",
            lambda i, line, _: f"the way is {distance_km[i]:.9g} km long, not {line.distance_km:.9g}",
        )
        self._find(
            at,
            ~_is_close(floats(lines, "cost_per_unit"), cost),
            "cost_wrong",
            lambda i, line, _: f"a unit costs {cost[i]:.9g}, not {line.cost_per_unit:.9g}",
        )
        rank = whole_numbers(lines, "distance_rank")
        nearer, as_near = self._count_nearer(work)
        is_ranked = self._ground.capabilities.allowed[work.capability] & work.has_lane
        self._find(
            at,
            is_ranked & ~((nearer < rank) & (rank <= as_near)),
            "rank_wrong",
            lambda i, line, _: (
                f"{nearer[i]} usable nodes are nearer: it is number {nearer[i] + 1}, not {line.distance_rank}"
            ),
        )
        return Counted(
            need=work.need,
            capability=work.capability,
            start_bucket=work.start,
            units=units,
            late_buckets=work.late_buckets,
            early_buckets=work.early_buckets,
            cost=cost,
            distance_km=distance_km,
            is_nearest=rank == 1,
        )

    def _count_nearer(self, work: Work) -> tuple[IntArray, IntArray]:
        """Count the usable nodes that are nearer than a line's, and what is no farther, stores and its own included.

        Stores don't count, but did in plans of before: what lies between is right.
        """
        capabilities, lanes = self._ground.capabilities, self._ground.lanes
        slack = ROUTE_TOLERANCE + ROUTE_TOLERANCE_SHARE * work.distance_km
        first = capabilities.first[work.product]
        n_ways = capabilities.first[work.product + 1] - first
        counts: list[tuple[IntArray, IntArray]] = []
        for some in in_portions(n_ways, PAIRS_TOGETHER):
            owner, capability = spread(first[some], n_ways[some])
            pair = capabilities.node[capability], work.region[some][owner]
            usable_km = np.where(
                capabilities.allowed[capability] & lanes.usable[pair], lanes.distance_km[pair], np.inf
            )
            farther_km = usable_km - work.distance_km[some][owner]
            n = len(slack[some])
            counts.append(
                (
                    np.bincount(
                        owner[(farther_km < -slack[some][owner]) & ~self._ground.is_store[pair[0]]],
                        minlength=n,
                    ),
                    np.bincount(owner[farther_km <= slack[some][owner]], minlength=n),
                )
            )
        none = np.zeros(0, dtype=np.int64)
        nearer, as_near = zip(*counts, strict=True) if counts else ((none,), (none,))
        return np.concatenate(nearer), np.concatenate(as_near)


def _is_close(stated: FloatArray, found: FloatArray) -> BoolArray:
    return np.abs(stated - found) <= ROUTE_TOLERANCE + ROUTE_TOLERANCE_SHARE * np.abs(found)
