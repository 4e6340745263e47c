"""How far is every region from every node, how long is the way and what does it cost?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pullplan.engine.model import Lane, Node, PlanParameters, Region

EARTH_RADIUS_KM = 6371.0088

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LaneTable:
    """Every node × region pair, both ordered by code; arrays are (n_nodes, n_regions)."""

    node_codes: tuple[str, ...]
    region_codes: tuple[str, ...]
    distance_km: FloatArray
    """NaN where neither a lane nor coordinates say it; known also for pairs that are not usable."""
    transit_days: IntArray
    usable: BoolArray
    given_freight_cost_per_unit: FloatArray
    """NaN where it is computed."""
    freight_cost_per_kg_km: float
    leaves_from: IntArray
    leaves_until: IntArray
    """The days, as ordinals, from which and until (not including) which goods may leave."""
    has_dates: bool
    """Any lane is bound to days."""

    def freight_cost_per_unit(self, weight_kg: float, nodes: IntArray, regions: IntArray) -> FloatArray:
        """Price one unit of that weight: the given freight, else rate × weight × distance.

        Shapes: positions (n,), (m,) → (n, m)
        """
        freight: FloatArray = (
            self.freight_cost_per_kg_km * weight_kg * pairs(self.distance_km, nodes, regions)
        )
        if self._has_given_freight:
            given = pairs(self.given_freight_cost_per_unit, nodes, regions)
            np.copyto(freight, given, where=~np.isnan(given))
        return freight

    @cached_property
    def _has_given_freight(self) -> bool:
        return not np.isnan(self.given_freight_cost_per_unit).all()


def pairs[T: np.generic](table: npt.NDArray[T], nodes: IntArray, regions: IntArray) -> npt.NDArray[T]:
    """Take some nodes × some regions of one of a lane table's arrays.

    Shapes: positions (n,), (m,), in any order, also repeated → (n, m)
    """
    return table[nodes].take(regions, axis=1)


def great_circle_km(
    from_latitudes: FloatArray,
    from_longitudes: FloatArray,
    to_latitudes: FloatArray,
    to_longitudes: FloatArray,
) -> FloatArray:
    """Measure the haversine distance of every pair, coordinates in degrees.

    Shapes: (n_from,), (n_from,), (n_to,), (n_to,) → (n_from, n_to)
    Source: R. W. Sinnott, Virtues of the haversine, 1984; mean Earth radius of the IUGG.
    """
    phi_1, lambda_1 = np.radians(from_latitudes)[:, None], np.radians(from_longitudes)[:, None]
    phi_2, lambda_2 = np.radians(to_latitudes)[None, :], np.radians(to_longitudes)[None, :]
    half_chord = (
        np.sin((phi_2 - phi_1) / 2) ** 2
        + np.cos(phi_1) * np.cos(phi_2) * np.sin((lambda_2 - lambda_1) / 2) ** 2
    )
    distance_km: FloatArray = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half_chord, 0.0, 1.0)))
    return distance_km


def resolve_lanes(
    nodes: Sequence[Node], regions: Sequence[Region], lanes: Sequence[Lane], parameters: PlanParameters
) -> LaneTable:
    """Compute every pair's lane, override it field by field where one is given, and drop what is forbidden.

    A given lane counts under every setting of `lanes`; `within_km` limits the computed ones, of regions' stores
    `pool_regions_within_km` alone. A pair of unknown distance is no lane.
    """
    nodes = sorted(nodes, key=lambda n: n.node_code)
    regions = sorted(regions, key=lambda r: r.region_code)
    distance_km = _computed_distance_km(nodes, regions) * parameters.circuity_factor
    usable = _computed_pairs_wanted(distance_km, parameters)
    pooled = [n for n, node in enumerate(nodes) if node.stock_of_region is not None]
    usable[pooled] = distance_km[pooled] <= (parameters.pool_regions_within_km or 0.0)
    given_transit_days = np.full(distance_km.shape, np.nan)
    given_freight = np.full(distance_km.shape, np.nan)
    leaves_from = np.full(distance_km.shape, date.min.toordinal())
    leaves_until = np.full(distance_km.shape, date.max.toordinal() + 1)
    row_of = {node.node_code: n for n, node in enumerate(nodes)}
    column_of = {region.region_code: r for r, region in enumerate(regions)}
    for lane in lanes:
        if lane.node_code not in row_of or lane.region_code not in column_of:
            continue
        pair = row_of[lane.node_code], column_of[lane.region_code]
        usable[pair] = not lane.forbidden
        if lane.distance_km is not None:
            distance_km[pair] = lane.distance_km
        if lane.transit_days is not None:
            given_transit_days[pair] = lane.transit_days
        if lane.freight_cost_per_unit is not None:
            given_freight[pair] = lane.freight_cost_per_unit
        if lane.effective_from is not None:
            leaves_from[pair] = lane.effective_from.toordinal()
        if lane.effective_until is not None:
            leaves_until[pair] = lane.effective_until.toordinal()
    usable &= ~np.isnan(distance_km)
    return LaneTable(
        node_codes=tuple(row_of),
        region_codes=tuple(column_of),
        distance_km=distance_km,
        transit_days=_transit_days(distance_km, given_transit_days, parameters),
        usable=usable,
        given_freight_cost_per_unit=given_freight,
        freight_cost_per_kg_km=parameters.freight_cost_per_kg_km,
        leaves_from=leaves_from,
        leaves_until=leaves_until,
        has_dates=any(lane.effective_from or lane.effective_until for lane in lanes),
    )


def _computed_distance_km(nodes: Sequence[Node], regions: Sequence[Region]) -> FloatArray:
    return great_circle_km(
        np.array([n.latitude for n in nodes], dtype=np.float64),
        np.array([n.longitude for n in nodes], dtype=np.float64),
        np.array([r.latitude for r in regions], dtype=np.float64),
        np.array([r.longitude for r in regions], dtype=np.float64),
    )


def _computed_pairs_wanted(distance_km: FloatArray, parameters: PlanParameters) -> BoolArray:
    if parameters.lanes == "given_only":
        return np.zeros(distance_km.shape, dtype=np.bool_)
    if parameters.lanes == "within_km" and parameters.lanes_within_km is not None:
        return distance_km <= parameters.lanes_within_km
    return np.ones(distance_km.shape, dtype=np.bool_)


def _transit_days(distance_km: FloatArray, given_days: FloatArray, parameters: PlanParameters) -> IntArray:
    known_km = np.nan_to_num(distance_km)
    computed = np.where(
        known_km <= parameters.same_day_km, 0.0, np.ceil(known_km / parameters.transit_km_per_day)
    )
    return np.where(np.isnan(given_days), computed, given_days).astype(np.int64)
