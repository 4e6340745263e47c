"""Over which ways may units of one product reach some regions?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_of
from pullplan.engine.lanes import LaneTable, pairs
from pullplan.engine.model import Capability, Horizon, PlanParameters, Product

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Capabilities:
    """Every capability of a known node, ordered by (product_code, node_code)."""

    rows: tuple[Capability, ...]
    node: IntArray
    product: IntArray
    is_qualified: BoolArray
    is_usable: BoolArray
    """Qualified, and the node is not offline."""
    unit_cost: FloatArray
    make_lead_time_days: IntArray
    use: csr_array
    """(n_capabilities, n_resources): what one unit takes."""
    of_product: tuple[IntArray, ...]
    """Positions by product."""


@dataclass(frozen=True)
class Ways:
    """One product's capabilities × some regions: arrays are (n_ways, n_regions), nothing depends on a need."""

    capability: IntArray
    """(n_ways,), ascending."""
    usable: BoolArray
    distance_km: FloatArray
    route_cost: FloatArray
    """Cost per unit without holding, in the objective's measure."""
    offset_buckets: IntArray
    """From start bucket to arrival bucket."""
    first_start_bucket: IntArray
    last_start_bucket: IntArray
    """Work may start in these and between, whatever it is for: like the others, or (1, 1) where all are equal."""

    def starts(self, latest_bucket: IntArray | int) -> tuple[IntArray, IntArray]:
        """Tell the first start, and how many there are, that reach each region no later than its latest bucket.

        Shapes: (n_regions,), or one for all → twice (n_ways, n_regions)
        """
        last = np.minimum(self.last_start_bucket, latest_bucket - self.offset_buckets)
        n_starts = np.where(self.usable, np.maximum(0, last - self.first_start_bucket + 1), 0)
        return np.broadcast_to(self.first_start_bucket, n_starts.shape), n_starts

    def distance_rank(self, way: IntArray, region: IntArray) -> IntArray:
        """Count the usable ways that are nearer, ties by code, the way itself included.

        Shapes: (n,), (n,) positions → (n,)
        """
        distance_km = np.where(self.usable, self.distance_km, np.inf)
        own = distance_km[way, region]
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
    return Ways(
        capability=positions,
        usable=pairs(lanes.usable, nodes, regions) & capabilities.is_usable[positions][:, None],
        distance_km=distance_km,
        route_cost=route_cost,
        offset_buckets=offset,
        first_start_bucket=np.array([[_first_start(horizon, parameters)]]),
        last_start_bucket=np.array([[horizon.horizon_buckets - 1]]),
    )


def _first_start(horizon: Horizon, parameters: PlanParameters) -> int:
    earliest = parameters.earliest_start_date
    return 0 if earliest is None else max(0, bucket_of(earliest, horizon))


def holding_cost_per_bucket(
    products: Sequence[Product], horizon: Horizon, parameters: PlanParameters
) -> FloatArray:
    """Price holding one unit of each product for one bucket; under `nearest` it costs nothing: (n_products,)."""
    if parameters.objective != "landed_cost":
        return np.zeros(len(products))
    per_day = np.array([p.holding_cost_per_unit_per_day for p in products], dtype=np.float64)
    return per_day * DAYS_PER_BUCKET[horizon.bucket]
