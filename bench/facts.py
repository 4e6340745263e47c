"""How are the reference instances said as facts, so that the whole of planning can be measured and not the search alone?"""

from datetime import date

import numpy as np
from bench.instances import FREIGHT_PER_KG_KM, Instance

from pullplan.engine.model import (
    Capability,
    Horizon,
    Lane,
    Node,
    Order,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
)

DAY = date(2026, 1, 5)


def facts_of(instance: Instance) -> PlanningFacts:
    """Make every need an order due on the one day; lanes are given, freight and landed cost follow."""
    n_products, n_regions = instance.units.shape
    products = [f"P{p:05}" for p in range(n_products)]
    regions = [f"R{r:03}" for r in range(n_regions)]
    nodes = [f"N{n:02}" for n in range(len(instance.capacity))]
    return PlanningFacts(
        horizon=Horizon(as_of_date=DAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(
            objective="landed_cost", lanes="given_only", freight_cost_per_kg_km=FREIGHT_PER_KG_KM
        ),
        products=tuple(
            Product(product_code=code, weight_kg=weight)
            for code, weight in zip(products, instance.weight_kg.tolist(), strict=True)
        ),
        regions=tuple(Region(region_code=code) for code in regions),
        nodes=tuple(Node(node_code=code) for code in nodes),
        resources=tuple(
            Resource(node_code=code, resource_code="hours", capacity_per_day=capacity)
            for code, capacity in zip(nodes, instance.capacity.tolist(), strict=True)
        ),
        capabilities=tuple(
            Capability(
                node_code=nodes[n],
                product_code=products[p],
                unit_cost=float(instance.unit_cost[p, n]),
                use_per_unit={"hours": float(instance.use_per_unit[p, n])},
            )
            for p, n in np.argwhere(instance.is_made).tolist()
        ),
        lanes=tuple(
            Lane(
                node_code=node,
                region_code=region,
                distance_km=float(instance.distance_km[n, r]),
                transit_days=0,
            )
            for n, node in enumerate(nodes)
            for r, region in enumerate(regions)
        ),
        policies=(PullPolicy(policy="make_to_order"),),
        orders=tuple(
            Order(
                external_id=f"{product}-{region}",
                product_code=product,
                region_code=region,
                ordered_units=units,
                due_date=DAY,
            )
            for product, of_product in zip(products, instance.units.tolist(), strict=True)
            for region, units in zip(regions, of_product, strict=True)
        ),
    )
