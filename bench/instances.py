"""What does a reference network of the assignment look like? Drawn from a seed, as arrays of facts."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

N_NODES = 50
N_REGIONS = 300
SIDE_KM = 4000.0
MADE_AT_SHARE = 0.35
FEWEST_NODES = 3
FREIGHT_PER_KG_KM = 0.01


@dataclass(frozen=True)
class Instance:
    """Every product is needed in every region, in every bucket; capacity is one resource per node."""

    is_made: BoolArray
    """(n_products, n_nodes)"""
    use_per_unit: FloatArray
    """(n_products, n_nodes)"""
    unit_cost: FloatArray
    """(n_products, n_nodes)"""
    weight_kg: FloatArray
    """(n_products,)"""
    distance_km: FloatArray
    """(n_nodes, n_regions)"""
    units: FloatArray
    """(n_products, n_regions)"""
    capacity: FloatArray
    """(n_nodes,): in each bucket"""
    season: FloatArray = field(default_factory=lambda: np.ones(1))
    """(n_buckets,): what units are multiplied by"""

    @property
    def n_needs(self) -> int:
        return self.units.size * len(self.season)

    def route_cost(self, product: int) -> FloatArray:
        """Price one unit of a product from each of its nodes to each region: (n_ways, n_regions)."""
        made = self.is_made[product]
        freight = FREIGHT_PER_KG_KM * self.weight_kg[product] * self.distance_km[made]
        cost: FloatArray = self.unit_cost[product, made][:, None] + freight
        return cost


def reference_instance(n_products: int, *, capacity_factor: float, seed: int = 1) -> Instance:
    """Draw `n_products` × 300 needs; capacity is `capacity_factor` × what they use on average."""
    chance = np.random.default_rng(seed)
    nodes = chance.uniform(0, SIDE_KM, (N_NODES, 2))
    regions = chance.uniform(0, SIDE_KM, (N_REGIONS, 2))
    shape = (n_products, N_NODES)
    is_made = chance.random(shape) < MADE_AT_SHARE
    for product in np.flatnonzero(is_made.sum(axis=1) < FEWEST_NODES):
        is_made[product] = False
        is_made[product, chance.choice(N_NODES, FEWEST_NODES, replace=False)] = True
    use_per_unit = chance.uniform(0.5, 2, (n_products, 1)) * chance.uniform(0.8, 1.3, shape)
    unit_cost = chance.uniform(5, 50, (n_products, 1)) * chance.uniform(0.9, 1.2, shape)
    weight_kg = chance.uniform(0.2, 3, n_products)
    units = chance.gamma(1, 20, (n_products, N_REGIONS))
    mean_use = (use_per_unit * is_made).sum(axis=1) / is_made.sum(axis=1)
    capacity = chance.dirichlet(np.full(N_NODES, 3.0)) * capacity_factor * float(units.sum(axis=1) @ mean_use)
    return Instance(
        is_made=is_made,
        use_per_unit=use_per_unit,
        unit_cost=unit_cost,
        weight_kg=weight_kg,
        distance_km=np.hypot(*(nodes[:, None] - regions[None]).transpose(2, 0, 1)),
        units=units,
        capacity=capacity,
    )


def seasonal_instance(n_products: int, *, capacity_factor: float, n_buckets: int = 8) -> Instance:
    """Let demand swing by half within the horizon; capacity is `capacity_factor` × what the mean bucket uses."""
    of_mean_bucket = reference_instance(n_products, capacity_factor=capacity_factor)
    angle = 2 * np.pi * (np.arange(n_buckets) - 2) / n_buckets
    return replace(of_mean_bucket, season=1 + 0.5 * np.sin(angle))
