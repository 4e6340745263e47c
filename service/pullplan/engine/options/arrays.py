"""What do the stages of an assignment hand to each other? Arrays over needs, options and resources."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.lanes import LaneTable
from pullplan.engine.model import Capability, Horizon, Need, Node, PlanParameters, Product
from pullplan.engine.options.capacities import Capacities

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Capabilities:
    """Every capability of a known node, ordered by (product_code, node_code)."""

    rows: tuple[Capability, ...]
    node: IntArray
    product: IntArray
    is_usable: BoolArray
    """Qualified, and the node is not offline."""
    use: csr_array
    """(n_capabilities, n_resources): what one unit takes."""
    of_product: tuple[IntArray, ...]
    """Positions by product."""


@dataclass(frozen=True)
class Options:
    """Every way in which any need may be served: need × node × start bucket, ordered so.

    `need_*` arrays are (n_needs,), `option_*` arrays (n_options,). An option arrives no later than its need's
    latest bucket; it may arrive early, and is then held.
    """

    horizon: Horizon
    parameters: PlanParameters
    products: tuple[Product, ...]
    nodes: tuple[Node, ...]
    lanes: LaneTable
    capacities: Capacities
    capabilities: Capabilities
    needs: Sequence[Need]
    need_units: FloatArray
    need_product: IntArray
    need_region: IntArray
    need_bucket: IntArray
    need_latest_bucket: IntArray
    option_need: IntArray
    option_capability: IntArray
    option_start_bucket: IntArray
    option_arrival_bucket: IntArray
    option_distance_km: FloatArray
    option_distance_rank: IntArray
    """1: the nearest of the nodes that are capable, qualified, not offline and have a lane; ties by code."""
    option_route_cost: FloatArray
    """Cost per unit without holding, in the objective's measure."""
    option_holding_cost: FloatArray
    """Holding per unit until the bucket in which it is due; 0 under `nearest`."""

    @property
    def option_node(self) -> IntArray:
        """Name each option's node by its position."""
        return self.capabilities.node[self.option_capability]

    @property
    def option_cost(self) -> FloatArray:
        """Price one unit of each option in the objective's measure."""
        return self.option_route_cost + self.option_holding_cost

    @property
    def option_late_buckets(self) -> IntArray:
        """Count the buckets from due to arrival."""
        late: IntArray = np.maximum(0, self.option_arrival_bucket - self.need_bucket[self.option_need])
        return late

    @property
    def option_early_buckets(self) -> IntArray:
        """Count the buckets from arrival to due."""
        early: IntArray = np.maximum(0, self.need_bucket[self.option_need] - self.option_arrival_bucket)
        return early

    def option_capacity_price(self, prices: FloatArray) -> FloatArray:
        """Sum price × use of one unit of each option.

        Shapes: (n_resources, n_buckets) → (n_options,)
        """
        if len(self.capacities.keys) == 0:
            return np.zeros(len(self.option_need))
        by_capability: FloatArray = self.capabilities.use @ prices
        return by_capability[self.option_capability, self.option_start_bucket]

    def use_by_bucket(self, option_index: IntArray, units: FloatArray) -> FloatArray:
        """Add up what lines take of every resource in their start buckets.

        Shapes: (n_lines,), (n_lines,) → (n_resources, n_buckets)
        """
        made = np.zeros((len(self.capabilities.rows), self.horizon.horizon_buckets))
        np.add.at(made, (self.option_capability[option_index], self.option_start_bucket[option_index]), units)
        used: FloatArray = self.capabilities.use.T @ made
        return used


@dataclass(frozen=True)
class StagePrices:
    """What proves one stage.

    `capacity` (n_resources, n_buckets) prices one more unit of capacity that is there (stored: arrives) in a
    bucket; `multipliers` price one unit of each earlier stage's measure. All ≥ 0.
    """

    measure: str
    capacity: FloatArray
    multipliers: FloatArray


@dataclass(frozen=True)
class Solution:
    """Who makes what when: one line per used option, what stays short of every need, and the proof's prices."""

    option_index: IntArray
    units: FloatArray
    shortfall_units: FloatArray
    stage_prices: tuple[StagePrices, ...]
    capacity_savings: FloatArray
    """(n_resources, n_buckets): what one more unit of capacity would save in the cost stage alone, earlier stages
    being kept: for people. The stage's own prices prove, and count what a unit is worth to shortfall as well."""
    method: str
    tie_break: str
