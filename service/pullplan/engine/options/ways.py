"""Over which ways may units of one product reach some regions?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.calendar import DAYS_PER_BUCKET, first_day_of_bucket
from pullplan.engine.lanes import LaneTable, pairs
from pullplan.engine.model import Capability, Horizon, PlanParameters, Product

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

COMPARED_AT_ONCE = 1 << 16
"""Distances: what bounds the memory of a comparison."""


@dataclass(frozen=True)
class Capabilities:
    """Every capability of a known node, ordered by (product_code, node_code)."""

    rows: tuple[Capability, ...]
    node: IntArray
    product: IntArray
    is_qualified: BoolArray
    is_usable: BoolArray
    """Qualified, and the node is not offline."""
    is_store: BoolArray
    """It sends what there is, and makes nothing."""
    unit_cost: FloatArray
    make_lead_time_days: IntArray
    first_start_bucket: IntArray
    last_start_bucket: IntArray
    """Work may start in these and between, by the dates of capability and product."""
    yield_share: FloatArray
    use: csr_array
    """(n_capabilities, n_resources): what one good unit takes."""
    of_product: tuple[IntArray, ...]
    """Positions by product."""

    @cached_property
    def position(self) -> dict[tuple[str, str], int]:
        """Find a capability by product_code and node_code."""
        return {(row.product_code, row.node_code): c for c, row in enumerate(self.rows)}

    def tie_ranks(self, capability: IntArray, distance_rank: IntArray) -> IntArray:
        """Rank equally good ways: nearer first, and of those what makes nothing.

        Shapes: (n,), (n,) → (n,)
        """
        ranks: IntArray = 2 * distance_rank - self.is_store[capability]
        return ranks


@dataclass(frozen=True)
class Ways:
    """One product's capabilities × some regions: arrays are (n_ways, n_regions), nothing depends on a need."""

    capability: IntArray
    """(n_ways,), ascending."""
    is_store: BoolArray
    """(n_ways,)"""
    usable: BoolArray
    distance_km: FloatArray
    route_cost: FloatArray
    """Cost per unit without holding, in the objective's measure."""
    offset_buckets: IntArray
    """From start bucket to arrival bucket."""
    first_start_bucket: IntArray
    last_start_bucket: IntArray
    """Work may start in these and between, whatever it is for: like the others, or (n_ways, 1) where lanes have no dates."""

    def starts(
        self, latest_bucket: IntArray | int, earliest_bucket: IntArray | None = None
    ) -> tuple[IntArray, IntArray]:
        """Tell the first start, and how many there are, that reach each region in its earliest bucket to its latest.

        Shapes: (n_regions,), or one for all, (n_regions,) → twice (n_ways, n_regions)
        """
        first = self.first_start_bucket
        if earliest_bucket is not None:
            first = np.maximum(first, earliest_bucket - self.offset_buckets)
        last = np.minimum(self.last_start_bucket, latest_bucket - self.offset_buckets)
        n_starts = np.where(self.usable, np.maximum(0, last - first + 1), 0)
        return np.broadcast_to(first, n_starts.shape), n_starts

    def distance_rank(self, way: IntArray, region: IntArray) -> IntArray:
        """Number a way among the nodes that could make it, by distance, ties by code; stores don't count.

        Shapes: (n,), (n,) positions → (n,)
        """
        own = np.where(self.usable[way, region], self.distance_km[way, region], np.inf)
        distance_km = np.where(self.usable & ~self.is_store[:, None], self.distance_km, np.inf)
        if distance_km.shape[0] * len(way) <= COMPARED_AT_ONCE:
            theirs = distance_km[:, region]
            comes_before = np.arange(len(theirs))[:, None] < way
            before: IntArray = ((theirs < own) | ((theirs == own) & comes_before)).sum(axis=0)
            return 1 + before
        rank = np.ones(len(way), dtype=np.int64)
        for other, of_other in enumerate(distance_km):
            theirs = of_other[region]
            rank += (theirs < own) | ((theirs == own) & (other < way))
        return rank


def ways_of_product(
    product: Product,
    regions: IntArray,
    *,
    capabilities: Capabilities,
    positions: IntArray,
    lanes: LaneTable,
    horizon: Horizon,
    parameters: PlanParameters,
) -> Ways:
    """Work out the ways of one product to some regions.

    Shapes: `positions` of its capabilities (n_ways,), `regions` by position (n_regions,)
    """
    nodes = capabilities.node[positions]
    distance_km = pairs(lanes.distance_km, nodes, regions)
    if parameters.objective == "landed_cost":
        freight = lanes.freight_cost_per_unit(product.weight_kg, nodes, regions)
        route_cost = capabilities.unit_cost[positions][:, None] + freight
    else:
        route_cost = distance_km * (product.weight_kg if parameters.weigh_distance else 1.0)
    days = DAYS_PER_BUCKET[horizon.bucket]
    make_days = capabilities.make_lead_time_days[positions][:, None]
    # As calendar.arrival_bucket, for all pairs at once: the offset is the same for every start bucket.
    offset = (days - 1 + make_days + pairs(lanes.transit_days, nodes, regions)) // days
    first = capabilities.first_start_bucket[positions][:, None]
    last = capabilities.last_start_bucket[positions][:, None]
    if lanes.has_dates:
        # Work of bucket s leaves on the day origin + (s + 1) × days − 1 + make days.
        origin = first_day_of_bucket(horizon.as_of_date, horizon.bucket).toordinal()
        leaves_from = pairs(lanes.leaves_from, nodes, regions)
        leaves_until = pairs(lanes.leaves_until, nodes, regions)
        first = np.maximum(first, -((origin + make_days - leaves_from - 1) // days) - 1)
        last = np.minimum(last, (leaves_until - origin - make_days) // days - 1)
    return Ways(
        capability=positions,
        is_store=capabilities.is_store[positions],
        usable=pairs(lanes.usable, nodes, regions) & capabilities.is_usable[positions][:, None],
        distance_km=distance_km,
        route_cost=route_cost,
        offset_buckets=offset,
        first_start_bucket=first,
        last_start_bucket=last,
    )


def holding_cost_per_bucket(
    products: Sequence[Product], horizon: Horizon, parameters: PlanParameters
) -> FloatArray:
    """Price holding one unit of each product for one bucket; under `nearest` it costs nothing: (n_products,)."""
    if parameters.objective != "landed_cost":
        return np.zeros(len(products))
    per_day = np.array([p.holding_cost_per_unit_per_day for p in products], dtype=np.float64)
    return per_day * DAYS_PER_BUCKET[horizon.bucket]
