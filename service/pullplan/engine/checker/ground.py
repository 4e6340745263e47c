"""What do the facts allow? Lanes, ways to make each product, and room on every resource, worked out anew."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, bucket_of, capacity_by_bucket
from pullplan.engine.checker.limits import kept_work, open_starts, share_limits
from pullplan.engine.model import Capability, CapacityException, Need, PlanningFacts, Product

EARTH_RADIUS_KM = 6371.0088
_FAR_BUCKETS = 5000
"""Beyond this a bucket may have no date."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


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
class Ways:
    """One product's capabilities, in the order of their nodes; arrays are (n_capabilities, n_regions)."""

    capabilities: tuple[Capability, ...]
    position: dict[str, int]
    """By node code."""
    allowed: BoolArray
    """Qualified, not offline, and with a lane."""
    has_lane: BoolArray
    distance_km: FloatArray
    cost: FloatArray
    """Per unit, without holding."""
    offset_buckets: IntArray
    """From start to arrival."""
    leaves_from: IntArray
    leaves_until: IntArray
    ready_day: IntArray
    """(n_capabilities,): the day (an ordinal) on which work of bucket 0 is made and leaves."""
    may_start: BoolArray
    """(n_capabilities, n_buckets): inside the dates of product and capability."""
    use: FloatArray
    """(n_capabilities, n_resources): of one good unit."""


@dataclass(frozen=True)
class Room:
    """Every node × resource, then every share limit, in the order of their codes; arrays are (n_resources, n_buckets).

    A share limit is a store: all that may be started is there from the beginning.
    """

    keys: tuple[tuple[str, str], ...]
    row: dict[tuple[str, str], int]
    """By node and resource."""
    share_row: dict[tuple[str, str], int]
    """By node and product."""
    is_stored: list[bool]
    calendar: FloatArray
    released: FloatArray
    allowed: FloatArray
    """What new work may take: renewed in the bucket, stored from the first bucket up to the end of this one."""


@dataclass(frozen=True)
class Ground:
    """All that lines and proofs are held to."""

    facts: PlanningFacts
    first_start: int
    days_per_bucket: int
    product: dict[str, Product]
    node: dict[str, int]
    region: dict[str, int]
    offline: frozenset[str]
    lanes: Lanes
    room: Room
    _ways: dict[str, Ways] = field(default_factory=dict)

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

    def latest_bucket(self, need: Need) -> int:
        """Tell until when a need may arrive, by the plan's parameters."""
        parameters, last = self.facts.parameters, self.n_buckets - 1
        late = parameters.forecast_late_buckets if need.tier == "forecast" else parameters.late_buckets
        return last if late is None else min(need.bucket + late, last)

    def holding_per_bucket(self, product_code: str) -> float:
        """Price holding one unit for one bucket; under `nearest` it costs nothing."""
        if self.facts.parameters.objective != "landed_cost":
            return 0.0
        return self.product[product_code].holding_cost_per_unit_per_day * self.days_per_bucket

    def can_serve(self, need: Need) -> bool:
        """Tell whether a need's product and region are known."""
        return need.product_code in self.product and need.region_code in self.region

    def ways(self, product_code: str) -> Ways:
        """Work out the ways to make a product, once."""
        if product_code not in self._ways:
            self._ways[product_code] = _ways_of(self, product_code)
        return self._ways[product_code]


def survey(facts: PlanningFacts, needs: Sequence[Need]) -> Ground:
    """Work out what plans of these facts, with these needs, are held to."""
    earliest = facts.parameters.earliest_start_date
    nodes = sorted(facts.nodes, key=lambda n: n.node_code)
    lanes = _survey_lanes(facts)
    return Ground(
        facts=facts,
        first_start=0 if earliest is None else max(0, bucket_of(earliest, facts.horizon)),
        days_per_bucket=DAYS_PER_BUCKET[facts.horizon.bucket],
        product={product.product_code: product for product in facts.products},
        node={node.node_code: n for n, node in enumerate(nodes)},
        region={code: r for r, code in enumerate(sorted(region.region_code for region in facts.regions))},
        offline=frozenset(node.node_code for node in nodes if node.status == "offline"),
        lanes=lanes,
        room=_survey_room(facts, share_limits(facts, needs, _usable(facts, lanes))),
    )


def _survey_lanes(facts: PlanningFacts) -> Lanes:
    """Compute every pair's lane; a given one beats it, field by field."""
    nodes = sorted(facts.nodes, key=lambda n: n.node_code)
    regions = sorted(facts.regions, key=lambda r: r.region_code)
    parameters = facts.parameters
    distance_km = parameters.circuity_factor * _haversine_km(
        np.array([[n.latitude, n.longitude] for n in nodes], dtype=np.float64).reshape(-1, 1, 2),
        np.array([[r.latitude, r.longitude] for r in regions], dtype=np.float64).reshape(1, -1, 2),
    )
    match parameters.lanes:
        case "given_only":
            usable = np.zeros(distance_km.shape, dtype=bool)
        case "within_km" if parameters.lanes_within_km is not None:
            usable = distance_km <= parameters.lanes_within_km
        case _:
            usable = np.ones(distance_km.shape, dtype=bool)
    transit = np.full(distance_km.shape, np.nan)
    freight = np.full(distance_km.shape, np.nan)
    leaves_from = np.full(distance_km.shape, date.min.toordinal())
    leaves_until = np.full(distance_km.shape, date.max.toordinal() + 1)
    node = {n.node_code: i for i, n in enumerate(nodes)}
    region = {r.region_code: i for i, r in enumerate(regions)}
    for lane in facts.lanes:
        if lane.node_code in node and lane.region_code in region:
            pair = node[lane.node_code], region[lane.region_code]
            usable[pair] = not lane.forbidden
            for table, value in (
                (distance_km, lane.distance_km),
                (transit, lane.transit_days),
                (freight, lane.freight_cost_per_unit),
            ):
                if value is not None:
                    table[pair] = value
            for limit, day in ((leaves_from, lane.effective_from), (leaves_until, lane.effective_until)):
                if day is not None:
                    limit[pair] = day.toordinal()
    known = np.isfinite(distance_km)
    km = np.where(known, distance_km, 0.0)
    computed = np.where(km <= parameters.same_day_km, 0.0, np.ceil(km / parameters.transit_km_per_day))
    days = np.where(np.isfinite(transit), transit, computed).astype(np.int64)
    return Lanes(distance_km, days, usable & known, freight, leaves_from, leaves_until)


def _usable(facts: PlanningFacts, lanes: Lanes) -> dict[str, list[Capability]]:
    """List by product the capabilities that could serve some region with work of some bucket."""
    nodes = sorted(facts.nodes, key=lambda n: n.node_code)
    can_ship = {
        n.node_code
        for n, usable in zip(nodes, lanes.usable, strict=True)
        if n.status != "offline" and usable.any()
    }
    product = {p.product_code: p for p in facts.products}
    usable: dict[str, list[Capability]] = defaultdict(list)
    for c in facts.capabilities:
        is_usable = c.qualified and c.node_code in can_ship and c.product_code in product
        if is_usable and any(open_starts(facts, product[c.product_code], c)):
            usable[c.product_code].append(c)
    return usable


def _haversine_km(here: FloatArray, there: FloatArray) -> FloatArray:
    """Measure along the great circle; degrees (latitude, longitude) on the last axis."""
    latitude_1, latitude_2 = np.radians(here[..., 0]), np.radians(there[..., 0])
    half_turn = np.radians(there[..., 1]) - np.radians(here[..., 1])
    haversine = (
        np.sin((latitude_2 - latitude_1) / 2) ** 2
        + np.cos(latitude_1) * np.cos(latitude_2) * np.sin(half_turn / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(1.0, haversine))))


def _ways_of(ground: Ground, product_code: str) -> Ways:
    facts, lanes, parameters = ground.facts, ground.lanes, ground.facts.parameters
    product = ground.product[product_code]
    capabilities = tuple(
        sorted(
            (c for c in facts.capabilities if c.product_code == product_code and c.node_code in ground.node),
            key=lambda c: c.node_code,
        )
    )
    at = np.array([ground.node[c.node_code] for c in capabilities], dtype=np.int64)
    distance_km = lanes.distance_km[at]
    if parameters.objective == "landed_cost":
        computed = parameters.freight_cost_per_kg_km * product.weight_kg * distance_km
        freight = np.where(np.isnan(lanes.given_freight[at]), computed, lanes.given_freight[at])
        cost = np.array([[c.unit_cost] for c in capabilities]).reshape(-1, 1) + freight
    else:
        cost = distance_km * product.weight_kg if parameters.weigh_distance else distance_km
    may = np.array([c.qualified and c.node_code not in ground.offline for c in capabilities], dtype=bool)
    make_days = np.array([c.make_lead_time_days for c in capabilities], dtype=np.int64)
    use = np.zeros((len(capabilities), len(ground.room.calendar)))
    for c, capability in enumerate(capabilities):
        for resource_code, amount in capability.use_per_unit.items():
            use[c, ground.room.row[capability.node_code, resource_code]] = amount / capability.yield_share
        if (capability.node_code, product_code) in ground.room.share_row:
            row = ground.room.share_row[capability.node_code, product_code]
            use[c, row] = 1 / capability.yield_share
    days = ground.days_per_bucket
    last_day_of_bucket_0 = bucket_dates(facts.horizon)[0].toordinal() + days - 1
    return Ways(
        capabilities=capabilities,
        position={c.node_code: i for i, c in enumerate(capabilities)},
        allowed=may[:, None] & lanes.usable[at],
        has_lane=lanes.usable[at],
        distance_km=distance_km,
        cost=cost,
        # Ready at the end of its start bucket's last day, then made and sent.
        leaves_from=lanes.leaves_from[at],
        leaves_until=lanes.leaves_until[at],
        ready_day=last_day_of_bucket_0 + make_days,
        may_start=np.array([open_starts(facts, product, c) for c in capabilities], dtype=bool).reshape(
            -1, ground.n_buckets
        ),
        offset_buckets=(days - 1 + make_days[:, None] + lanes.transit_days[at]) // days,
        use=use,
    )


def _survey_room(facts: PlanningFacts, shares: Mapping[tuple[str, str], float]) -> Room:
    node = {n.node_code: n for n in facts.nodes}
    resource = {(r.node_code, r.resource_code): r for r in facts.resources}
    named = {
        *resource,
        *(
            (c.node_code, code)
            for c in facts.capabilities
            for code in (*c.use_per_unit, *c.setup_use_per_order)
        ),
    }
    keys = tuple(sorted(key for key in named if key[0] in node))
    row = {key: k for k, key in enumerate(keys)}
    exceptions: dict[tuple[str, str], list[CapacityException]] = defaultdict(list)
    for exception in facts.capacity_exceptions:
        exceptions[exception.node_code, exception.resource_code].append(exception)
    share_row = {key: len(keys) + k for k, key in enumerate(sorted(shares))}
    calendar = np.zeros((len(keys) + len(shares), facts.horizon.horizon_buckets))
    for key, k in share_row.items():
        calendar[k, 0] = shares[key]
    for key, k in row.items():
        if key in resource:
            calendar[k] = capacity_by_bucket(
                resource[key],
                exceptions[key],
                node[key[0]],
                facts.horizon,
                facts.parameters.earliest_start_date,
            )
    is_stored = [key in resource and resource[key].kind == "stored" for key in keys] + [True] * len(shares)
    released = _released(facts, row, share_row, calendar.shape)
    return Room(keys, row, share_row, is_stored, calendar, released, _allowed(calendar, released, is_stored))


def _released(
    facts: PlanningFacts,
    row: dict[tuple[str, str], int],
    share_row: dict[tuple[str, str], int],
    shape: tuple[int, ...],
) -> FloatArray:
    """Add up what released work takes in its start bucket; what started before the horizon took it then."""
    released = np.zeros(shape)
    for work, start, made in kept_work(facts):
        if made is None:
            continue
        started_units = work.units / made.yield_share
        for resource_code, use in made.use_per_unit.items():
            if (work.node_code, resource_code) in row:
                released[row[work.node_code, resource_code], start] += use * started_units
        if (work.node_code, work.product_code) in share_row:
            released[share_row[work.node_code, work.product_code], start] += started_units
    return released


def _allowed(calendar: FloatArray, released: FloatArray, is_stored: list[bool]) -> FloatArray:
    allowed = np.maximum(0.0, calendar - released)
    for k in np.flatnonzero(is_stored).tolist():
        left = np.maximum(0.0, np.cumsum(calendar[k] - released[k]))
        # Nothing may be taken that released work of a later bucket still needs.
        for b in reversed(range(len(left) - 1)):
            left[b] = min(left[b], left[b + 1])
        allowed[k] = left
    return allowed
