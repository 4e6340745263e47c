"""What is the optimum of a small network? Plain loops and scipy, option by option, sharing no code with the engine."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

import msgspec
import numpy as np
from scipy.optimize import linprog
from tests.engine.instances import MONDAY

from pullplan.engine.model import (
    TIERS,
    Capability,
    Lane,
    Need,
    Node,
    PlanningFacts,
    Product,
    Region,
    ReleasedWork,
    ShortfallStage,
    Stage,
)

EARTH_RADIUS_KM = 6371.0088
STAGE_GAP, EARLINESS_GAP = 1e-6, 2e-5


@dataclass(frozen=True)
class Way:
    """One column of the oracle: a need served from a node by work of a start bucket (daily buckets only)."""

    need: Need
    capability: Capability
    start: int
    late: int
    early: int
    cost: float


def ways_to_serve(facts: PlanningFacts, needs: Sequence[Need]) -> list[Way]:
    """Enumerate by plain loops what options.build_options should find."""
    status = {node.node_code: node.status for node in facts.nodes}
    lane_of = {(lane.node_code, lane.region_code): lane for lane in facts.lanes if not lane.forbidden}
    ways: list[Way] = []
    for need in needs:
        for c in facts.capabilities:
            lane = lane_of.get((c.node_code, need.region_code))
            if c.product_code != need.product_code or lane is None:
                continue
            if not c.qualified or status[c.node_code] == "offline":
                continue
            if need.pinned_node_code in (None, c.node_code):
                ways += _ways_over(facts, need, c, lane)
    return ways


def _ways_over(facts: PlanningFacts, need: Need, c: Capability, lane: Lane) -> Iterator[Way]:
    product = next(p for p in facts.products if p.product_code == need.product_code)
    assert lane.distance_km is not None
    assert lane.transit_days is not None
    assert lane.freight_cost_per_unit is not None
    for start in range(facts.horizon.horizon_buckets):
        arrival = start + c.make_lead_time_days + lane.transit_days
        if arrival > need.latest_bucket or need.pinned_start_bucket not in (None, start):
            continue
        started = MONDAY + timedelta(days=start)
        leaves = started + timedelta(days=c.make_lead_time_days)
        if not _may_start(facts, product, c, started) or not _on(leaves, lane):
            continue
        early = max(0, need.bucket - arrival)
        if product.shelf_life_days is not None and early > product.shelf_life_days:
            continue
        cost = lane.distance_km
        if facts.parameters.objective == "landed_cost":
            cost = c.unit_cost + lane.freight_cost_per_unit + product.holding_cost_per_unit_per_day * early
        yield Way(need, c, start, max(0, arrival - need.bucket), early, cost)


def _on(day: date, dated: Product | Capability | Lane) -> bool:
    after = dated.effective_from is None or day >= dated.effective_from
    return after and (dated.effective_until is None or day < dated.effective_until)


def _may_start(facts: PlanningFacts, product: Product, capability: Capability, day: date) -> bool:
    earliest = facts.parameters.earliest_start_date
    return (earliest is None or day >= earliest) and _on(day, product) and _on(day, capability)


def kept_work(facts: PlanningFacts) -> list[tuple[ReleasedWork, int]]:
    """Find the released work that counts, with the number of its start's day."""
    status = {node.node_code: node.status for node in facts.nodes}
    kept = []
    for work in facts.released_work:
        start = (work.start_date - MONDAY).days
        product = next(p for p in facts.products if p.product_code == work.product_code)
        can = any(
            c.qualified and _on(work.start_date, product) and _on(work.start_date, c)
            for c in facts.capabilities
            if (c.node_code, c.product_code) == (work.node_code, work.product_code)
        )
        can = can and status[work.node_code] != "offline" and start < facts.horizon.horizon_buckets
        if start < facts.parameters.frozen_buckets or can:
            kept.append((work, start))
    return kept


def share_rows(
    facts: PlanningFacts, needs: Sequence[Need], ways: Sequence[Way]
) -> tuple[list[list[float]], list[float]]:
    """Write started units ≤ share limit by plain loops, for every usable node of every product."""
    rows, limits = [], []
    days = [MONDAY + timedelta(days=d) for d in range(facts.horizon.horizon_buckets)]
    status = {node.node_code: node.status for node in facts.nodes}
    yields = {(c.node_code, c.product_code): c.yield_share for c in facts.capabilities}
    for product in facts.products:
        largest = product.largest_share or facts.parameters.largest_share
        makers = [
            c
            for c in facts.capabilities
            if c.product_code == product.product_code and c.qualified and status[c.node_code] != "offline"
            if any(lane.node_code == c.node_code and not lane.forbidden for lane in facts.lanes)
            if any(_may_start(facts, product, c, day) for day in days)
        ]
        if largest is None or not makers:
            continue
        made = [
            (w, s)
            for w, s in kept_work(facts)
            if w.product_code == product.product_code and s in range(len(days))
        ]
        total = sum(n.units for n in needs if n.product_code == product.product_code)
        total += sum(work.units for work, _ in made)
        share = max(largest, 1 / len(makers))
        for maker in makers:
            there = sum(work.units for work, _ in made if work.node_code == maker.node_code)
            rows.append([1 / maker.yield_share if way.capability is maker else 0.0 for way in ways])
            limit = share * total / min(c.yield_share for c in makers)
            limits.append(max(0.0, limit - there / yields[maker.node_code, product.product_code]))
    return rows, limits


def capacity_rows(
    facts: PlanningFacts, ways: Sequence[Way]
) -> tuple[list[list[float]], list[float], list[tuple[str, str, int]]]:
    """Write use ≤ capacity by plain loops; stored resources up to each bucket."""
    rows, limits, names = [], [], []
    for resource in facts.resources:
        key = (resource.node_code, resource.resource_code)
        node = next(n for n in facts.nodes if n.node_code == key[0])
        earliest = facts.parameters.earliest_start_date
        share = {"online": 1.0, "degraded": node.capacity_share, "offline": 0.0}[node.status]
        if resource.kind == "stored" and node.status != "offline":
            share = 1.0
        there = 0.0
        for b in range(facts.horizon.horizon_buckets):
            day = MONDAY + timedelta(days=b)
            today = resource.capacity_per_day
            for e in facts.capacity_exceptions:
                if (e.node_code, e.resource_code) == key and e.from_date <= day < e.until_date:
                    today = e.capacity_per_day
            is_stored = resource.kind == "stored"
            if not is_stored and earliest is not None and day < earliest:
                today = 0.0
            today = today * share - _released_use(facts, key, day)
            there = there + today + (resource.on_hand * share if b == 0 else 0.0) if is_stored else today
            rows.append(
                [
                    way.capability.use_per_unit.get(key[1], 0.0) / way.capability.yield_share
                    if way.capability.node_code == key[0]
                    and (way.start == b or (is_stored and way.start < b))
                    else 0.0
                    for way in ways
                ]
            )
            limits.append(max(0.0, there))
            names.append((*key, b))
    for w, way in enumerate(ways):
        owned = {r.resource_code for r in facts.resources if r.node_code == way.capability.node_code}
        if any(code not in owned for code in way.capability.use_per_unit):
            rows.append([1.0 if v == w else 0.0 for v in range(len(ways))])
            limits.append(0.0)
            names.append((way.capability.node_code, "missing", way.start))
    return rows, limits, names


def _released_use(facts: PlanningFacts, key: tuple[str, str], day: date) -> float:
    use = {
        (c.node_code, c.product_code): c.use_per_unit.get(key[1], 0.0) / c.yield_share
        for c in facts.capabilities
    }
    return sum(
        work.units * use.get((work.node_code, work.product_code), 0.0)
        for work, _ in kept_work(facts)
        if work.node_code == key[0] and work.start_date == day
    )


def cut_into_slices(
    facts: PlanningFacts, needs: Sequence[Need], slice_units: Mapping[int, float] = MappingProxyType({})
) -> list[Need]:
    """Make every slice a need of its own, of a rank of its own; need_ids stay.

    `slice_units` says, by need_id, what the slices from the last on are of where that is not the need ÷ share_slices.
    """
    n_slices = facts.parameters.share_slices
    slices = []
    for need in needs:
        one = slice_units.get(need.need_id, need.units / n_slices)
        for k in range(1, n_slices + 1):
            units = min(need.units, one * (n_slices - k + 1)) - min(need.units, one * (n_slices - k))
            slices.append(msgspec.structs.replace(need, rank=need.rank * n_slices + k - 1, units=units))
    return slices


def is_proven(stage: Stage) -> bool:
    """Tell whether a stage's bound is at its value; what was made early, in one sum with the cost, is a difference of amounts
    up to ten orders larger, and a bound in float64 is no nearer than that leaves of it."""
    return abs(stage.gap) < (EARLINESS_GAP if stage.measure.startswith("earliness") else STAGE_GAP)


def optimum_by_stage(
    facts: PlanningFacts,
    needs: Sequence[Need],
    names: Sequence[str],
    only_node: Mapping[int, str] = MappingProxyType({}),
    slice_units: Mapping[int, float] = MappingProxyType({}),
) -> list[float]:
    """Solve slice by slice, and add up what the slices of each of a plan's stages are short of."""
    n_slices = facts.parameters.share_slices
    slices = cut_into_slices(facts, needs, slice_units)
    ranks = sorted({(TIERS.index(need.tier), need.rank) for need in slices})
    values = lexicographic_optimum(facts, slices, only_node)
    of_rank = dict(zip(ranks, values, strict=False))
    found = []
    for name in names[:-3]:
        stage = ShortfallStage.read(name)
        assert stage is not None
        first, last = stage.first_slice or 1, stage.last_slice or n_slices
        tier = TIERS.index(stage.tier)
        found.append(sum(of_rank[tier, stage.rank * n_slices + k - 1] for k in range(first, last + 1)))
    return [*found, *values[-3:]]


def lexicographic_optimum(
    facts: PlanningFacts,
    needs: Sequence[Need],
    only_node: Mapping[int, str] = MappingProxyType({}),
    achieved: Sequence[float] | None = None,
) -> list[float]:
    """Solve stage by stage, each earlier value a row of the next programme: one value per stage.

    `only_node` names, by need_id, the one node that may serve a need. `achieved`: instead, what can each stage be when
    those before it are no worse than this?
    """
    ways = [
        way
        for way in ways_to_serve(facts, needs)
        if only_node.get(way.need.need_id, way.capability.node_code) == way.capability.node_code
    ]
    value_of = {p.product_code: p.value_per_unit for p in facts.products}
    n = len(ways) + len(needs)
    stages = []
    for tier, rank in sorted({(TIERS.index(need.tier), need.rank) for need in needs}):
        weights = [
            (value_of[need.product_code] if facts.parameters.shortfall_measure == "value" else 1.0)
            if (need.tier, need.rank) == (TIERS[tier], rank)
            else 0.0
            for need in needs
        ]
        stages.append([0.0] * len(ways) + weights)
    nothing = [0.0] * len(needs)
    stages.append([float(way.late) for way in ways] + nothing)
    stages.append([way.cost for way in ways] + nothing)
    stages.append([float(way.early) for way in ways] + nothing)
    served = [
        [1.0 if way.need is need else 0.0 for way in ways]
        + [1.0 if other is need else 0.0 for other in needs]
        for need in needs
    ]
    rows, limits, _ = capacity_rows(facts, ways)
    of_shares, share_limits = share_rows(facts, needs, ways)
    upper = [row + nothing for row in [*rows, *of_shares]]
    limits += share_limits
    values: list[float] = []
    for k, stage in enumerate(stages):
        result = linprog(
            stage,
            A_ub=np.array(upper) if upper else None,
            b_ub=limits if upper else None,
            A_eq=np.array(served).reshape(len(needs), n),
            b_eq=[need.units for need in needs],
            method="highs",
            options={"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
        )
        assert result.status == 0, result.message
        assert result.fun is not None
        values.append(max(0.0, float(result.fun)))
        upper.append(stage)
        kept = values[-1] if achieved is None else achieved[k]
        limits.append(kept + 1e-8 * max(1.0, kept))
    return values


def is_close(value: float, expected: float, *, share: float) -> bool:
    """Compare two measures, absolutely where they are below 1."""
    return math.isclose(value, expected, rel_tol=share, abs_tol=share)


def computed_lanes(facts: PlanningFacts) -> tuple[Lane, ...]:
    """Measure every lane between places on the globe; all within the same day, all for nothing."""
    return tuple(
        Lane(
            node_code=node.node_code,
            region_code=region.region_code,
            distance_km=_great_circle_km(node, region),
            transit_days=0,
            freight_cost_per_unit=0.0,
        )
        for node in facts.nodes
        for region in facts.regions
    )


def _great_circle_km(one: Node, other: Region) -> float:
    """Take the angle between two unit vectors: another way than the engine's haversine."""
    ends = []
    for place in (one, other):
        assert place.latitude is not None
        assert place.longitude is not None
        north, east = math.radians(place.latitude), math.radians(place.longitude)
        ends.append((math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)))
    apart = math.dist(*ends)
    return EARTH_RADIUS_KM * 2 * math.atan2(apart, math.sqrt(4 - apart**2))
