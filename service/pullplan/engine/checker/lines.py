"""Is every need covered exactly, and every line one that the facts allow, as it is described?"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from pullplan.engine.calendar import arrival_bucket
from pullplan.engine.checker.exactness import Judge, sum_of_products
from pullplan.engine.checker.ground import Ground, Ways
from pullplan.engine.model import TIERS, Assignment, Finding, FindingCode, Need, Plan, Shortfall

COVER_TOLERANCE_SHARE = 1e-9
"""Of a need's units: so much may its lines and shortfall miss it by."""
ROUTE_TOLERANCE_SHARE = 1e-9
"""Of a distance or a cost per unit."""
ROUTE_TOLERANCE = 1e-9
"""The same of one that is nearly 0: km, or the objective's measure per unit."""

type Problem = tuple[FindingCode, str]


@dataclass(frozen=True, slots=True)
class CountedLine:
    """An assignment that can be measured: its need, node and start bucket are known."""

    need: int
    """Position of its need."""
    node_code: str
    start_bucket: int
    units: float
    late_buckets: int
    early_buckets: int
    cost: float
    distance_km: float
    distance_rank: int


def check_needs(ground: Ground, needs: Sequence[Need]) -> Iterator[Finding]:
    """Look for needs that no plan of these facts could have."""
    times = Counter(need.need_id for need in needs)
    for need in needs:
        problems = [
            words
            for is_wrong, words in (
                (times[need.need_id] > 1, f"{times[need.need_id]} needs have this number"),
                (need.product_code not in ground.product, f"there is no product {need.product_code}"),
                (need.region_code not in ground.region, f"there is no region {need.region_code}"),
                (need.tier not in TIERS, f"there is no tier {need.tier}"),
                (not (math.isfinite(need.units) and need.units > 0), f"it is of {need.units:g} units"),
                (not 0 <= need.bucket < ground.n_buckets, f"bucket {need.bucket} is outside the horizon"),
                (
                    need.latest_bucket != ground.latest_bucket(need),
                    f"the plan's parameters let it arrive until bucket {ground.latest_bucket(need)}, not {need.latest_bucket}",
                ),
            )
            if is_wrong
        ]
        for words in problems:
            yield Finding(code="need_malformed", detail=f"need {need.need_id}: {words}", need_id=need.need_id)


def check_cover(ground: Ground, plan: Plan, judge: Judge) -> Iterator[Finding]:
    """Add assigned and short units up, need by need."""
    parts: dict[int, list[float]] = defaultdict(list)
    for assignment in plan.assignments:
        parts[assignment.need_id].append(assignment.units)
    for shortfall in plan.shortfalls:
        parts[shortfall.need_id].append(shortfall.units)
    for need in plan.needs:
        units = parts[need.need_id]
        if not all(map(math.isfinite, units)):
            continue  # found as a line
        covered = sum_of_products(units, [1.0] * len(units))
        if not judge.agrees(covered, need.units, COVER_TOLERANCE_SHARE * abs(need.units)):
            missing = need.units - covered.value
            yield Finding(
                code="need_not_covered",
                detail=f"{_say(ground, need)} wants {need.units:.12g} units; lines and shortfalls make "
                f"{covered.value:.12g}: {abs(missing):.6g} {'are missing' if missing > 0 else 'too many'}",
                need_id=need.need_id,
            )


def _say(ground: Ground, need: Need) -> str:
    return f"need {need.need_id} ({need.product_code} in {need.region_code}, {ground.when(need.bucket)})"


def check_shortfalls(plan: Plan) -> Iterator[Finding]:
    """Look for shortfalls that belong to no need or are of no units."""
    yield from _malformed("shortfall", [(s.shortfall_id, s) for s in plan.shortfalls], plan)


def _malformed(
    kind: Literal["assignment", "shortfall"],
    numbered: Sequence[tuple[int, Assignment | Shortfall]],
    plan: Plan,
) -> Iterator[Finding]:
    known = {need.need_id for need in plan.needs}
    times = Counter(number for number, _ in numbered)
    for number, line in numbered:
        problems: list[Problem] = []
        if times[number] > 1:
            problems.append(("line_malformed", f"it is one of {times[number]} with this number"))
        if line.need_id not in known:
            problems.append(("line_malformed", f"it is for need {line.need_id}, which there is not"))
        if not (math.isfinite(line.units) and line.units > 0):
            problems.append(("units_not_positive", f"it is of {line.units:g} units"))
        for code, words in problems:
            yield Finding(
                code=code,
                detail=f"{kind} {number}: {words}",
                need_id=line.need_id,
                assignment_id=number if kind == "assignment" else None,
                shortfall_id=number if kind == "shortfall" else None,
            )


class LineChecker:
    """Holds assignments to the facts, and keeps those that can be measured."""

    def __init__(self, ground: Ground, plan: Plan) -> None:
        self._ground = ground
        self._plan = plan
        self._position = {need.need_id: i for i, need in enumerate(plan.needs)}
        self.counted: list[CountedLine] = []

    def check(self) -> Iterator[Finding]:
        """Look at every assignment."""
        numbered = [(a.assignment_id, a) for a in self._plan.assignments]
        yield from _malformed("assignment", numbered, self._plan)
        for line in self._plan.assignments:
            if line.need_id not in self._position:
                continue
            need = self._plan.needs[self._position[line.need_id]]
            if not self._ground.can_serve(need):
                continue  # found as a need
            for code, words in self._problems(line, need):
                yield Finding(
                    code=code,
                    detail=f"assignment {line.assignment_id} to {line.node_code}: {words}",
                    need_id=line.need_id,
                    assignment_id=line.assignment_id,
                    node_code=line.node_code,
                )

    def _problems(self, line: Assignment, need: Need) -> Iterator[Problem]:
        ground = self._ground
        ways = ground.ways(need.product_code)
        if line.node_code not in ways.position:
            is_node = line.node_code in ground.node
            yield (
                "not_capable",
                f"it can't make {need.product_code}" if is_node else "there is no such node",
            )
            return
        c, r = ways.position[line.node_code], ground.region[need.region_code]
        if not 0 <= line.start_bucket < ground.n_buckets:
            yield "outside_horizon", f"bucket {line.start_bucket}, in which it starts, is outside the horizon"
            return
        if not ways.capabilities[c].qualified:
            yield "not_qualified", f"the node is not qualified for {need.product_code}"
        if line.node_code in ground.offline:
            yield "offline", "the node is offline"
        if not ways.has_lane[c, r]:
            yield "no_lane", f"no lane leads from there to {need.region_code}"
        yield from self._problems_in_time(line, need, ways, c, r)
        if math.isfinite(ways.distance_km[c, r]) and math.isfinite(line.units):
            yield from self._problems_of_route(line, need, ways, c, r)

    def _problems_in_time(
        self, line: Assignment, need: Need, ways: Ways, c: int, r: int
    ) -> Iterator[Problem]:
        ground = self._ground
        arrival, latest = self._arrival(line, ways, c, r), ground.latest_bucket(need)
        if line.start_bucket < ground.first_start:
            started, first = ground.when(line.start_bucket), ground.when(ground.first_start)
            yield "starts_too_early", f"it starts in {started}; new work may start from {first} on"
        if line.arrival_bucket != arrival:
            started, stated = ground.when(line.start_bucket), ground.when(line.arrival_bucket)
            yield (
                "arrival_wrong",
                f"what starts in {started} arrives in {ground.when(arrival)}, not in {stated}",
            )
        if arrival > latest:
            arrived = ground.when(arrival)
            yield "too_late", f"it arrives in {arrived}; it had to be there by {ground.when(latest)}"
        shelf_life_days = ground.product[need.product_code].shelf_life_days
        early_days = (need.bucket - arrival) * ground.days_per_bucket
        if shelf_life_days is not None and early_days > shelf_life_days:
            yield (
                "too_old",
                f"it lies there {early_days} days until it is due; it keeps for {shelf_life_days}",
            )
        yield from self._problems_of_dates(line, need, ways, c, r)

    def _problems_of_dates(
        self, line: Assignment, need: Need, ways: Ways, c: int, r: int
    ) -> Iterator[Problem]:
        ground = self._ground
        if line.start_bucket >= ground.first_start and not ways.may_start[c, line.start_bucket]:
            started = ground.when(line.start_bucket)
            yield (
                "not_effective",
                f"{started} is not wholly inside the dates of {need.product_code} and of its capability",
            )
        leaves = int(ways.ready_day[c]) + line.start_bucket * ground.days_per_bucket
        if not ways.leaves_from[c, r] <= leaves < ways.leaves_until[c, r]:
            day = date.fromordinal(leaves)
            yield "not_effective", f"it leaves on {day}, outside the dates of the lane to {need.region_code}"

    def _arrival(self, line: Assignment, ways: Ways, c: int, r: int) -> int:
        transit_days = self._ground.lanes.transit_days[self._ground.node[line.node_code], r]
        make_days = ways.capabilities[c].make_lead_time_days
        return arrival_bucket(
            line.start_bucket, make_days, int(transit_days), self._ground.facts.horizon.bucket
        )

    def _problems_of_route(
        self, line: Assignment, need: Need, ways: Ways, c: int, r: int
    ) -> Iterator[Problem]:
        arrival = self._arrival(line, ways, c, r)
        early = max(0, need.bucket - arrival)
        distance_km = float(ways.distance_km[c, r])
        cost = float(ways.cost[c, r]) + early * self._ground.holding_per_bucket(need.product_code)
        self.counted.append(
            CountedLine(
                need=self._position[need.need_id],
                node_code=line.node_code,
                start_bucket=line.start_bucket,
                units=line.units,
                late_buckets=max(0, arrival - need.bucket),
                early_buckets=early,
                cost=cost,
                distance_km=distance_km,
                distance_rank=line.distance_rank,
            )
        )
        started_units = line.units / ways.capabilities[c].yield_share
        if not abs(line.started_units - started_units) <= ROUTE_TOLERANCE_SHARE * started_units:
            yield (
                "started_wrong",
                f"{started_units:.9g} units must be started for it, not {line.started_units:.9g}",
            )
        if not _is_close(line.distance_km, distance_km):
            yield "distance_wrong", f"the way is {distance_km:.9g} km long, not {line.distance_km:.9g}"
        if not _is_close(line.cost_per_unit, cost):
            yield "cost_wrong", f"a unit costs {cost:.9g}, not {line.cost_per_unit:.9g}"
        if ways.allowed[c, r]:
            slack = ROUTE_TOLERANCE + ROUTE_TOLERANCE_SHARE * distance_km
            usable_km = ways.distance_km[ways.allowed[:, r], r]
            nearer = int(np.count_nonzero(usable_km < distance_km - slack))
            # Its own distance is among those that are as near.
            as_near = int(np.count_nonzero(usable_km <= distance_km + slack))
            if not nearer < line.distance_rank <= as_near:
                yield (
                    "rank_wrong",
                    f"{nearer} usable nodes are nearer: it is number {nearer + 1}, not {line.distance_rank}",
                )


def _is_close(stated: float, found: float) -> bool:
    return abs(stated - found) <= ROUTE_TOLERANCE + ROUTE_TOLERANCE_SHARE * abs(found)
