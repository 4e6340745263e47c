"""What do the facts allow? Lanes and ways to make each product, worked out anew."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, bucket_of
from pullplan.engine.checker.columns import (
    BoolArray,
    FloatArray,
    IntArray,
    days,
    floats,
    last_places,
    places,
    truths,
    whole_numbers,
)
from pullplan.engine.model import Capability, PlanningFacts, Product

EARTH_RADIUS_KM = 6371.0088
_FAR_BUCKETS = 5000
"""Beyond this a bucket may have no date."""
_FIRST_DAY, _LAST_DAY = date.min.toordinal(), date.max.toordinal() + 1


@dataclass(frozen=True)
class Lanes:
    """Every node × region: (n_nodes, n_regions), both in the order of their codes."""

    distance_km: FloatArray
    transit_days: IntArray
    usable: BoolArray
    given_freight: FloatArray
    """NaN where none is given."""
    leaves_from: IntArray
    leaves_until: IntArray
    """The days (ordinals) from which and until which goods may leave."""


@dataclass(frozen=True)
class Capabilities:
    """Ways to make a known product at a known node, in the order of their codes; arrays are (n_capabilities,)."""

    rows: tuple[Capability, ...]
    product: IntArray
    node: IntArray
    first: IntArray
    """(n_products + 1,): where those of each product begin."""
    n_nodes: int
    qualified: BoolArray
    allowed: BoolArray
    """Qualified, and the node is not offline."""
    unit_cost: FloatArray
    make_days: IntArray
    yield_share: FloatArray
    may_start: BoolArray
    """(n_capabilities, n_buckets): inside the dates of product and capability."""

    def find(self, product: IntArray, node: IntArray) -> IntArray:
        """Find what makes products at nodes; UNKNOWN where nothing does."""
        asked = np.where(np.minimum(product, node) < 0, -1, product * self.n_nodes + node)
        return last_places(self.product * self.n_nodes + self.node, asked)


@dataclass(frozen=True)
class Ground:
    """All that lines and proofs are held to, but for the room on resources."""

    facts: PlanningFacts
    first_start: int
    days_per_bucket: int
    product: dict[str, int]
    node: dict[str, int]
    region: dict[str, int]
    """Places by code, in the order of the codes."""
    products: tuple[Product, ...]
    weight_kg: FloatArray
    """(n_products,)"""
    shelf_life_days: FloatArray
    """(n_products,): infinite for ever."""
    holding_per_bucket: FloatArray
    """(n_products,): of one unit; under `nearest` it costs nothing."""
    is_offline: BoolArray
    is_store: BoolArray
    """(n_nodes,): it sends what lies there, and makes nothing."""
    lanes: Lanes
    capabilities: Capabilities

    @property
    def n_buckets(self) -> int:
        """Count the horizon's buckets."""
        return self.facts.horizon.horizon_buckets

    def when(self, bucket: int) -> str:
        """Name a bucket as people do."""
        horizon = self.facts.horizon
        if not -_FAR_BUCKETS <= bucket <= _FAR_BUCKETS:
            return f"bucket {bucket}"
        day = bucket_dates(horizon)[0] + timedelta(days=bucket * self.days_per_bucket)
        return f"the week of {day}" if horizon.bucket == "week" else str(day)

    def cost_per_unit(self, product: IntArray, capability: IntArray, region: IntArray) -> FloatArray:
        """Price a unit from a capability to a region in the objective's measure, without holding."""
        node, parameters = self.capabilities.node[capability], self.facts.parameters
        distance_km, weight_kg = self.lanes.distance_km[node, region], self.weight_kg[product]
        if parameters.objective != "landed_cost":
            return distance_km * weight_kg if parameters.weigh_distance else distance_km
        given = self.lanes.given_freight[node, region]
        computed = parameters.freight_cost_per_kg_km * weight_kg * distance_km
        return self.capabilities.unit_cost[capability] + np.where(np.isnan(given), computed, given)


def survey(facts: PlanningFacts) -> Ground:
    """Work out what plans of these facts are held to."""
    earliest = facts.parameters.earliest_start_date
    products = tuple(sorted(facts.products, key=lambda p: p.product_code))
    nodes = sorted(facts.nodes, key=lambda n: n.node_code)
    product = {p.product_code: i for i, p in enumerate(products)}
    node = {n.node_code: i for i, n in enumerate(nodes)}
    region = {code: i for i, code in enumerate(sorted(region.region_code for region in facts.regions))}
    days_per_bucket = DAYS_PER_BUCKET[facts.horizon.bucket]
    holding = floats(products, "holding_cost_per_unit_per_day") * days_per_bucket
    shelf_life_days = floats(products, "shelf_life_days")
    is_offline = np.array([n.status == "offline" for n in nodes], dtype=np.bool_)
    return Ground(
        facts=facts,
        first_start=0 if earliest is None else max(0, bucket_of(earliest, facts.horizon)),
        days_per_bucket=days_per_bucket,
        product=product,
        node=node,
        region=region,
        products=products,
        weight_kg=floats(products, "weight_kg"),
        shelf_life_days=np.where(np.isnan(shelf_life_days), np.inf, shelf_life_days),
        holding_per_bucket=holding
        if facts.parameters.objective == "landed_cost"
        else np.zeros(len(products)),
        is_offline=is_offline,
        is_store=np.array([n.is_store for n in nodes], dtype=np.bool_),
        lanes=_survey_lanes(facts, node, region),
        capabilities=_survey_capabilities(facts, products, product, node, is_offline),
    )


def _survey_lanes(facts: PlanningFacts, node: dict[str, int], region: dict[str, int]) -> Lanes:
    """Compute every pair's lane; a given one beats it, field by field."""
    nodes = sorted(facts.nodes, key=lambda n: n.node_code)
    regions = sorted(facts.regions, key=lambda r: r.region_code)
    parameters = facts.parameters
    distance_km = parameters.circuity_factor * _haversine_km(
        np.stack([floats(nodes, "latitude"), floats(nodes, "longitude")], axis=-1)[:, None],
        np.stack([floats(regions, "latitude"), floats(regions, "longitude")], axis=-1)[None],
    )
    match parameters.lanes:
        case "given_only":
            usable = np.zeros(distance_km.shape, dtype=np.bool_)
        case "within_km" if parameters.lanes_within_km is not None:
            usable = distance_km <= parameters.lanes_within_km
        case _:
            usable = np.ones(distance_km.shape, dtype=np.bool_)
    is_pooled = np.array([n.stock_of_region is not None for n in nodes], dtype=np.bool_)
    usable[is_pooled] = distance_km[is_pooled] <= (parameters.pool_regions_within_km or 0.0)
    given = [lane for lane in facts.lanes if lane.node_code in node and lane.region_code in region]
    pair = places(given, "node_code", node), places(given, "region_code", region)
    usable[pair] = ~truths(given, "forbidden")
    transit, freight = np.full(distance_km.shape, np.nan), np.full(distance_km.shape, np.nan)
    for table, name in (
        (distance_km, "distance_km"),
        (transit, "transit_days"),
        (freight, "freight_cost_per_unit"),
    ):
        said = floats(given, name)
        table[pair] = np.where(np.isnan(said), table[pair], said)
    leaves_from = np.full(distance_km.shape, _FIRST_DAY)
    leaves_until = np.full(distance_km.shape, _LAST_DAY)
    leaves_from[pair] = days(given, "effective_from", _FIRST_DAY)
    leaves_until[pair] = days(given, "effective_until", _LAST_DAY)
    known = np.isfinite(distance_km)
    km = np.where(known, distance_km, 0.0)
    computed = np.where(km <= parameters.same_day_km, 0.0, np.ceil(km / parameters.transit_km_per_day))
    transit_days = np.where(np.isfinite(transit), transit, computed).astype(np.int64)
    return Lanes(distance_km, transit_days, usable & known, freight, leaves_from, leaves_until)


def _haversine_km(here: FloatArray, there: FloatArray) -> FloatArray:
    """Measure along the great circle; degrees (latitude, longitude) on the last axis."""
    latitude_1, latitude_2 = np.radians(here[..., 0]), np.radians(there[..., 0])
    half_turn = np.radians(there[..., 1]) - np.radians(here[..., 1])
    haversine = (
        np.sin((latitude_2 - latitude_1) / 2) ** 2
        + np.cos(latitude_1) * np.cos(latitude_2) * np.sin(half_turn / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(1.0, haversine))))


def _survey_capabilities(
    facts: PlanningFacts,
    products: tuple[Product, ...],
    product: dict[str, int],
    node: dict[str, int],
    is_offline: BoolArray,
) -> Capabilities:
    known = [c for c in facts.capabilities if c.product_code in product and c.node_code in node]
    rows = tuple(sorted(known, key=lambda c: (c.product_code, c.node_code)))
    of_product, at_node = places(rows, "product_code", product), places(rows, "node_code", node)
    qualified = truths(rows, "qualified")
    opens = np.maximum(
        days(rows, "effective_from", _FIRST_DAY), days(products, "effective_from", _FIRST_DAY)[of_product]
    )
    closes = np.minimum(
        days(rows, "effective_until", _LAST_DAY), days(products, "effective_until", _LAST_DAY)[of_product]
    )
    return Capabilities(
        rows=rows,
        product=of_product,
        node=at_node,
        first=np.searchsorted(of_product, np.arange(len(products) + 1)),
        n_nodes=len(node),
        qualified=qualified,
        allowed=qualified & ~is_offline[at_node],
        unit_cost=floats(rows, "unit_cost"),
        make_days=whole_numbers(rows, "make_lead_time_days"),
        yield_share=floats(rows, "yield_share"),
        may_start=_may_start(facts, opens, closes),
    )


def _may_start(facts: PlanningFacts, opens: IntArray, closes: IntArray) -> BoolArray:
    """Tell of every bucket whether work may start on each of its days that are left: (n, n_buckets)."""
    horizon, earliest = facts.horizon, facts.parameters.earliest_start_date
    first_day = np.array([day.toordinal() for day in bucket_dates(horizon)[:-1]])
    last_day = first_day + DAYS_PER_BUCKET[horizon.bucket] - 1
    since = horizon.as_of_date if earliest is None else max(horizon.as_of_date, earliest)
    first_left = np.maximum(first_day, since.toordinal())
    may: BoolArray = (opens[:, None] <= first_left) & (last_day < closes[:, None]) & (first_left <= last_day)
    return may
