"""Small networks for the assignment tests, and an oracle that solves them option by option with scipy."""

import csv
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from pullplan.engine.model import (
    TIERS,
    Capability,
    CapacityException,
    Horizon,
    Lane,
    Need,
    Node,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    Resource,
    ResourceKind,
)

MONDAY = date(2021, 3, 1)


def facts_of_case(case: Mapping[str, Any]) -> tuple[PlanningFacts, list[Need]]:
    """Read a case of assignment_cases.json: daily buckets, every lane given."""
    stored = set(case.get("stored", []))
    holding = case.get("holding", {})
    resources, exceptions = [], []
    for node, capacity_of in case["nodes"].items():
        for code, by_bucket in capacity_of.items():
            kind: ResourceKind = "stored" if code in stored else "renewed"
            resources.append(Resource(node_code=node, resource_code=code, kind=kind, capacity_per_day=0.0))
            exceptions += [
                CapacityException(
                    node_code=node,
                    resource_code=code,
                    from_date=MONDAY + timedelta(days=b),
                    until_date=MONDAY + timedelta(days=b + 1),
                    capacity_per_day=capacity,
                )
                for b, capacity in enumerate(by_bucket)
            ]
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=case["buckets"]),
        parameters=PlanParameters(objective=case["objective"], shortfall_measure="units", lanes="given_only"),
        products=tuple(
            Product(product_code=code, holding_cost_per_unit_per_day=holding.get(code, 0.0))
            for code in dict.fromkeys(c["product"] for c in case["capabilities"])
        ),
        regions=tuple(
            Region(region_code=code) for code in dict.fromkeys(r for to in case["lanes"].values() for r in to)
        ),
        nodes=tuple(Node(node_code=code) for code in case["nodes"]),
        resources=tuple(resources),
        capacity_exceptions=tuple(exceptions),
        capabilities=tuple(
            Capability(
                node_code=c["node"],
                product_code=c["product"],
                unit_cost=c["unit_cost"],
                make_lead_time_days=c["lead_days"],
                use_per_unit=c["use"],
            )
            for c in case["capabilities"]
        ),
        lanes=tuple(
            Lane(
                node_code=node,
                region_code=region,
                distance_km=distance_km,
                freight_cost_per_unit=freight,
                transit_days=transit_days,
            )
            for node, to in case["lanes"].items()
            for region, (distance_km, freight, transit_days) in to.items()
        ),
    )
    late_buckets = case.get("late_buckets", 0)
    needs = [
        Need(
            need_id=i + 1,
            product_code=need["product"],
            region_code=need["region"],
            bucket=need["bucket"],
            tier="order",
            units=need["units"],
            latest_bucket=need["bucket"] + late_buckets,
        )
        for i, need in enumerate(case["needs"])
    ]
    return facts, needs


def transportation_facts(case: Mapping[str, Any]) -> tuple[PlanningFacts, list[Need]]:
    """Read a classic of allocation.json: one product, one day, freight given on every lane."""
    nodes = [node["name"] for node in case["nodes"]]
    regions = [region["name"] for region in case["regions"]]
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(objective="landed_cost", shortfall_measure="units", lanes="given_only"),
        products=(Product(product_code="CASE"),),
        regions=tuple(Region(region_code=code) for code in regions),
        nodes=tuple(Node(node_code=code) for code in nodes),
        resources=tuple(
            Resource(node_code=node["name"], resource_code="line", capacity_per_day=node["capacity"])
            for node in case["nodes"]
        ),
        capabilities=tuple(
            Capability(node_code=code, product_code="CASE", use_per_unit={"line": 1.0}) for code in nodes
        ),
        lanes=tuple(
            Lane(
                node_code=node,
                region_code=region,
                distance_km=1.0,
                transit_days=0,
                freight_cost_per_unit=case["unit_cost"][n][r],
            )
            for n, node in enumerate(nodes)
            for r, region in enumerate(regions)
        ),
    )
    needs = [
        Need(
            need_id=r + 1,
            product_code="CASE",
            region_code=region["name"],
            bucket=0,
            tier="order",
            units=region["demand"],
            latest_bucket=0,
        )
        for r, region in enumerate(case["regions"])
    ]
    return facts, needs


def _rows(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode())))


def iowa_facts(
    folder: Path,
    weeks: Sequence[date],
    *,
    capacity_factor: float = 1.0,
    node_out: str | None = None,
    parameters: PlanParameters | None = None,
    make_lead_time_days: int = 0,
) -> tuple[PlanningFacts, list[Need]]:
    """Read the Iowa distilleries with the real demand of some weeks as need, one bucket per week."""
    nodes = _rows(folder / "nodes.csv")
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=weeks[0], bucket="week", horizon_buckets=len(weeks)),
        parameters=parameters or PlanParameters(shortfall_measure="units", same_day_km=1e6),
        products=tuple(Product(product_code=row["code"]) for row in _rows(folder / "products.csv")),
        regions=tuple(
            Region(region_code=row["code"], latitude=float(row["lat"]), longitude=float(row["lon"]))
            for row in _rows(folder / "regions.csv")
        ),
        nodes=tuple(
            Node(
                node_code=row["code"],
                latitude=float(row["lat"]),
                longitude=float(row["lon"]),
                status="offline" if row["code"] == node_out else "online",
            )
            for row in nodes
        ),
        resources=tuple(
            Resource(
                node_code=row["code"],
                resource_code="bottling",
                capacity_per_day=float(row["weekly_capacity_bottles"]) / 7 * capacity_factor,
            )
            for row in nodes
        ),
        capabilities=tuple(
            Capability(
                node_code=row["node"],
                product_code=row["product"],
                make_lead_time_days=make_lead_time_days,
                use_per_unit={"bottling": 1.0},
            )
            for row in _rows(folder / "capabilities.csv")
        ),
    )
    bucket_of_week = {week.isoformat(): b for b, week in enumerate(weeks)}
    demand = [row for row in _rows(folder / "demand_weekly.csv.gz") if row["week"] in bucket_of_week]
    needs = [
        Need(
            need_id=i + 1,
            product_code=row["product"],
            region_code=row["region"],
            bucket=bucket_of_week[row["week"]],
            tier="order",
            units=float(row["quantity"]),
            latest_bucket=bucket_of_week[row["week"]],
        )
        for i, row in enumerate(row for row in demand if float(row["quantity"]) > 0)
    ]
    return facts, needs


# --- random small networks -----------------------------------------------------------------------------------

_amounts = st.integers(0, 40).map(float)
_rates = st.integers(1, 8).map(lambda quarter: quarter / 4)


@st.composite
def networks(draw: st.DrawFn) -> tuple[PlanningFacts, list[Need]]:
    """Draw up to 4 nodes, 3 products, 3 regions and 3 buckets with every kind of obstacle."""
    nodes = [f"N{n}" for n in range(draw(st.integers(1, 4)))]
    products = [f"P{p}" for p in range(draw(st.integers(1, 3)))]
    regions = [f"R{r}" for r in range(draw(st.integers(1, 3)))]
    n_buckets = draw(st.integers(1, 3))
    resources, exceptions = [], []
    for node in nodes:
        kinds: dict[str, ResourceKind] = {"hours": "renewed", "resin": "stored"}
        for code, kind in kinds.items():
            if code == "resin" and draw(st.booleans()):
                continue
            on_hand = draw(_amounts) if kind == "stored" else 0.0
            resources.append(
                Resource(
                    node_code=node,
                    resource_code=code,
                    kind=kind,
                    capacity_per_day=draw(_amounts),
                    on_hand=on_hand,
                )
            )
        exceptions.append(
            CapacityException(
                node_code=node,
                resource_code="hours",
                from_date=MONDAY + timedelta(days=n_buckets - 1),
                until_date=MONDAY + timedelta(days=n_buckets),
                capacity_per_day=draw(_amounts),
            )
        )
    capabilities = [
        Capability(
            node_code=node,
            product_code=product,
            unit_cost=draw(_amounts),
            make_lead_time_days=draw(st.integers(0, 1)),
            use_per_unit={"hours": draw(_rates)} | ({"resin": draw(_rates)} if draw(st.booleans()) else {}),
            qualified=draw(st.integers(0, 9)) > 0,
        )
        for node in nodes
        for product in products
        if draw(st.integers(0, 4)) > 0
    ]
    lanes = [
        Lane(
            node_code=node,
            region_code=region,
            distance_km=draw(st.integers(1, 500)) * 1.0,
            transit_days=draw(st.integers(0, 1)),
            freight_cost_per_unit=draw(_amounts),
            forbidden=draw(st.integers(0, 9)) == 0,
        )
        for node in nodes
        for region in regions
        if draw(st.integers(0, 9)) > 0
    ]
    tiers = st.sampled_from(TIERS)
    needs = []
    for i in range(draw(st.integers(1, 8))):
        bucket = draw(st.integers(0, n_buckets - 1))
        needs.append(
            Need(
                need_id=i + 1,
                product_code=draw(st.sampled_from(products)),
                region_code=draw(st.sampled_from(regions)),
                bucket=bucket,
                tier=draw(tiers),
                rank=draw(st.integers(0, 1)),
                units=draw(st.integers(1, 60)) * 1.0,
                latest_bucket=draw(st.integers(bucket, n_buckets - 1)),
            )
        )
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=n_buckets),
        parameters=PlanParameters(
            objective=draw(st.sampled_from(("nearest", "landed_cost"))),
            shortfall_measure=draw(st.sampled_from(("units", "value"))),
            lanes="given_only",
        ),
        products=tuple(
            Product(
                product_code=code,
                value_per_unit=draw(st.integers(1, 9)) * 1.0,
                holding_cost_per_unit_per_day=draw(st.integers(0, 4)) / 2,
            )
            for code in products
        ),
        regions=tuple(Region(region_code=code) for code in regions),
        nodes=tuple(
            Node(node_code=code, status="offline" if draw(st.integers(0, 7)) == 0 else "online")
            for code in nodes
        ),
        resources=tuple(resources),
        capacity_exceptions=tuple(exceptions),
        capabilities=tuple(capabilities),
        lanes=tuple(lanes),
    )
    return facts, needs


# --- the oracle ----------------------------------------------------------------------------------------------


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
    product_of = {product.product_code: product for product in facts.products}
    lane_of = {(lane.node_code, lane.region_code): lane for lane in facts.lanes if not lane.forbidden}
    ways = []
    for need in needs:
        product = product_of[need.product_code]
        for c in facts.capabilities:
            lane = lane_of.get((c.node_code, need.region_code))
            if c.product_code != need.product_code or lane is None:
                continue
            if not c.qualified or status[c.node_code] == "offline":
                continue
            assert lane.distance_km is not None
            assert lane.transit_days is not None
            assert lane.freight_cost_per_unit is not None
            for start in range(facts.horizon.horizon_buckets):
                arrival = start + c.make_lead_time_days + lane.transit_days
                if arrival > need.latest_bucket:
                    continue
                early = max(0, need.bucket - arrival)
                cost = lane.distance_km
                if facts.parameters.objective == "landed_cost":
                    cost = (
                        c.unit_cost
                        + lane.freight_cost_per_unit
                        + product.holding_cost_per_unit_per_day * early
                    )
                ways.append(Way(need, c, start, max(0, arrival - need.bucket), early, cost))
    return ways


def capacity_rows(
    facts: PlanningFacts, ways: Sequence[Way]
) -> tuple[list[list[float]], list[float], list[tuple[str, str, int]]]:
    """Write use ≤ capacity by plain loops; stored resources up to each bucket."""
    rows, limits, names = [], [], []
    for resource in facts.resources:
        key = (resource.node_code, resource.resource_code)
        online = next(n for n in facts.nodes if n.node_code == key[0]).status != "offline"
        there = 0.0
        for b in range(facts.horizon.horizon_buckets):
            day = MONDAY + timedelta(days=b)
            today = resource.capacity_per_day
            for e in facts.capacity_exceptions:
                if (e.node_code, e.resource_code) == key and e.from_date <= day < e.until_date:
                    today = e.capacity_per_day
            is_stored = resource.kind == "stored"
            there = there + today + (resource.on_hand if b == 0 else 0.0) if is_stored else today
            rows.append(
                [
                    way.capability.use_per_unit.get(key[1], 0.0)
                    if way.capability.node_code == key[0]
                    and (way.start == b or (is_stored and way.start < b))
                    else 0.0
                    for way in ways
                ]
            )
            limits.append(there if online else 0.0)
            names.append((*key, b))
    for w, way in enumerate(ways):
        owned = {r.resource_code for r in facts.resources if r.node_code == way.capability.node_code}
        if any(code not in owned for code in way.capability.use_per_unit):
            rows.append([1.0 if v == w else 0.0 for v in range(len(ways))])
            limits.append(0.0)
            names.append((way.capability.node_code, "missing", way.start))
    return rows, limits, names


def lexicographic_optimum(facts: PlanningFacts, needs: Sequence[Need]) -> list[float]:
    """Solve stage by stage, each earlier value a row of the next programme: one value per stage."""
    ways = ways_to_serve(facts, needs)
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
    upper = [row + nothing for row in rows]
    values: list[float] = []
    for stage in stages:
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
        limits.append(values[-1] + 1e-8 * max(1.0, values[-1]))
    return values


def is_close(value: float, expected: float, *, share: float) -> bool:
    """Compare two measures, absolutely where they are below 1."""
    return math.isclose(value, expected, rel_tol=share, abs_tol=share)
