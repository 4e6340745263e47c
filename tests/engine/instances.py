"""Networks for the assignment tests: published, real, and drawn at random."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from pullplan.engine.model import (
    DEMAND_TIERS,
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
    ReleasedWork,
    Resource,
    ResourceKind,
    Tier,
)

MONDAY = date(2021, 3, 1)
PUBLISHED: dict[str, Any] = {"shortfall_measure": "units", "share_slices": 1}
"""What every published case says of its plan's parameters."""


def facts_of_case(case: Mapping[str, Any]) -> tuple[PlanningFacts, list[Need]]:
    """Read a case of assignment_cases.json: daily buckets, every lane given.

    The horizon is longer than the case's by the buckets that a need may be late; nothing can be made in them.
    """
    late_buckets = case.get("late_buckets", 0)
    n_buckets = case["buckets"] + late_buckets
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
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=n_buckets),
        parameters=PlanParameters(
            objective=case["objective"],
            lanes="given_only",
            late_buckets=late_buckets,
            largest_share=case.get("largest_share"),
            **PUBLISHED,
        ),
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
    """Read a classic of allocation.json."""
    return _transportation(
        {node["name"].replace(" ", "-"): node["capacity"] for node in case["nodes"]},
        {region["name"].replace(" ", "-"): region["demand"] for region in case["regions"]},
        case["unit_cost"],
    )


def orlib_facts(case: Mapping[str, Any]) -> tuple[PlanningFacts, list[Need]]:
    """Read a case of orlib_allocation.json: its open warehouses are the nodes."""
    units = case["demand"]
    return _transportation(
        {f"W{n}": case["capacity"][n] for n in case["open_nodes"]},
        {f"C{r}": demand for r, demand in enumerate(units)},
        [[case["cost_full"][r][n] / units[r] for r in range(len(units))] for n in case["open_nodes"]],
    )


def _transportation(
    capacity: Mapping[str, float], units: Mapping[str, float], unit_cost: Sequence[Sequence[float]]
) -> tuple[PlanningFacts, list[Need]]:
    """Lay out one product and one day: capacity by node, units by region, freight by node and region."""
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(objective="landed_cost", lanes="given_only", **PUBLISHED),
        products=(Product(product_code="CASE"),),
        regions=tuple(Region(region_code=code) for code in units),
        nodes=tuple(Node(node_code=code) for code in capacity),
        resources=tuple(
            Resource(node_code=code, resource_code="line", capacity_per_day=most)
            for code, most in capacity.items()
        ),
        capabilities=tuple(
            Capability(node_code=code, product_code="CASE", use_per_unit={"line": 1.0}) for code in capacity
        ),
        lanes=tuple(
            Lane(
                node_code=node,
                region_code=region,
                distance_km=1.0,
                transit_days=0,
                freight_cost_per_unit=cost,
            )
            for node, costs in zip(capacity, unit_cost, strict=True)
            for region, cost in zip(units, costs, strict=True)
        ),
    )
    needs = [
        Need(
            need_id=i + 1,
            product_code="CASE",
            region_code=code,
            bucket=0,
            tier="order",
            units=demand,
            latest_bucket=0,
        )
        for i, (code, demand) in enumerate(units.items())
    ]
    return facts, needs


@cache
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
        parameters=parameters or PlanParameters(same_day_km=20_000.0, **PUBLISHED),
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
        kinds: dict[str, ResourceKind] = {"hours": "renewed", "kiln": "renewed", "resin": "stored"}
        for code, kind in kinds.items():
            if code != "hours" and draw(st.booleans()):
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
            use_per_unit={"hours": draw(_rates)}
            | {code: draw(_rates) for code in ("kiln", "resin") if draw(st.integers(0, 2)) == 0},
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
    released = [
        ReleasedWork(
            work_order_id=f"W{i}",
            product_code=draw(st.sampled_from(products)),
            region_code=regions[0],
            node_code=draw(st.sampled_from(nodes)),
            units=draw(st.integers(1, 20)) * 1.0,
            start_date=MONDAY + timedelta(days=draw(st.integers(-1, n_buckets - 1))),
            arrival_date=MONDAY + timedelta(days=n_buckets),
        )
        for i in range(draw(st.integers(0, 2)))
    ]
    tiers = st.sampled_from(DEMAND_TIERS)
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
            share_slices=draw(st.sampled_from((1, 2, 3, 10))),
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
            Node(
                node_code=code,
                status=draw(st.sampled_from(("online", "online", "online", "online", "degraded", "offline"))),
                capacity_share=draw(st.integers(0, 4)) / 4,
            )
            for code in nodes
        ),
        resources=tuple(resources),
        capacity_exceptions=tuple(exceptions),
        capabilities=tuple(capabilities),
        lanes=tuple(lanes),
        released_work=tuple(released),
    )
    return facts, needs


def regional_network(
    seed: int,
    *,
    load: float,
    tiers: Sequence[Tier],
    n_nodes: int = 8,
    n_products: int = 5,
    n_regions: int = 12,
    n_buckets: int = 6,
) -> tuple[PlanningFacts, list[Need]]:
    """Draw regions, nodes (one of them offline) and products; `load` is needs ÷ capacity, roughly."""
    chance = np.random.default_rng(seed)

    def place() -> dict[str, Any]:
        return {"latitude": float(chance.uniform(41, 43)), "longitude": float(chance.uniform(-96, -91))}

    nodes = [
        Node(node_code=f"N{n}", status="offline" if n == 3 else "online", **place()) for n in range(n_nodes)
    ]
    products = [
        Product(
            product_code=f"P{p}",
            value_per_unit=float(10 ** chance.uniform(-2, 3)),
            holding_cost_per_unit_per_day=float(chance.uniform(0.01, 0.2)),
        )
        for p in range(n_products)
    ]
    regions = [Region(region_code=f"R{r:02}", **place()) for r in range(n_regions)]
    needs = [
        Need(
            need_id=0,
            product_code=product.product_code,
            region_code=region.region_code,
            bucket=bucket,
            tier=tier,
            rank=int(chance.integers(0, 3)),
            units=float(chance.lognormal(3, 2)),
            latest_bucket=bucket if tier == "forecast" else n_buckets - 1,
        )
        for product in products
        for region in regions
        for bucket in range(n_buckets)
        for tier in tiers
    ]
    hours_per_day = 1.2 * sum(n.units for n in needs) / load / (len(nodes) - 1) / n_buckets / 7
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="week", horizon_buckets=n_buckets),
        parameters=PlanParameters(objective="landed_cost" if seed % 2 else "nearest"),
        products=tuple(products),
        regions=tuple(regions),
        nodes=tuple(nodes),
        resources=tuple(
            Resource(
                node_code=node.node_code,
                resource_code="hours",
                capacity_per_day=hours_per_day * float(chance.lognormal(0, 0.4)),
            )
            for node in nodes
        ),
        capabilities=tuple(
            Capability(
                node_code=node.node_code,
                product_code=product.product_code,
                unit_cost=float(chance.uniform(1, 10)),
                make_lead_time_days=int(chance.integers(0, 3)),
                use_per_unit={"hours": float(chance.uniform(0.5, 2))},
            )
            for node in nodes
            for product in products
            if chance.random() < 0.6
        ),
    )
    return facts, [msgspec.structs.replace(need, need_id=i + 1) for i, need in enumerate(needs)]
