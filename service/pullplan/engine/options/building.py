"""How are facts and needs laid out as options?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_of
from pullplan.engine.lanes import LaneTable, resolve_lanes
from pullplan.engine.model import Need, PlanningFacts, Product
from pullplan.engine.options.arrays import Capabilities, Options
from pullplan.engine.options.capacities import Capacities, build_capacities

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Ways:
    """One product's capabilities × regions: what its options are cut from."""

    capability: IntArray
    usable: npt.NDArray[np.bool_]
    distance_km: FloatArray
    distance_rank: IntArray
    route_cost: FloatArray
    offset_buckets: IntArray
    """From start bucket to arrival bucket."""


def build_options(facts: PlanningFacts, needs: Sequence[Need]) -> Options:
    """List every option of every need; needs and facts name known codes only.

    Shapes: options are ordered by need, node code and start bucket
    """
    products = tuple(sorted(facts.products, key=lambda p: p.product_code))
    nodes = tuple(sorted(facts.nodes, key=lambda n: n.node_code))
    lanes = resolve_lanes(nodes, facts.regions, facts.lanes, facts.parameters)
    capacities = build_capacities(facts)
    product_at = {product.product_code: p for p, product in enumerate(products)}
    region_at = {code: r for r, code in enumerate(lanes.region_codes)}
    capabilities = _lay_out_capabilities(facts, lanes.node_codes, product_at, capacities)
    need_product = np.array([product_at[n.product_code] for n in needs], dtype=np.int64)
    need_region = np.array([region_at[n.region_code] for n in needs], dtype=np.int64)
    need_bucket = np.array([n.bucket for n in needs], dtype=np.int64)
    need_latest = np.array([n.latest_bucket for n in needs], dtype=np.int64)
    columns = [np.empty((7, 0))]
    for p, product in enumerate(products):
        ways = _ways_of_product(facts, product, capabilities, capabilities.of_product[p], lanes)
        of_product = np.flatnonzero(need_product == p)
        columns.append(_cut_options(facts, ways, of_product, need_region, need_latest))
    table = np.concatenate(columns, axis=1)
    table = table[:, np.argsort(table[0], kind="stable")]
    option_need, capability, start, arrival, rank = table[:5].astype(np.int64)
    early_days = np.maximum(0, need_bucket[option_need] - arrival) * DAYS_PER_BUCKET[facts.horizon.bucket]
    return Options(
        horizon=facts.horizon,
        parameters=facts.parameters,
        products=products,
        nodes=nodes,
        lanes=lanes,
        capacities=capacities,
        capabilities=capabilities,
        needs=needs,
        need_units=np.array([n.units for n in needs], dtype=np.float64),
        need_product=need_product,
        need_region=need_region,
        need_bucket=need_bucket,
        need_latest_bucket=need_latest,
        option_need=option_need,
        option_capability=capability,
        option_start_bucket=start,
        option_arrival_bucket=arrival,
        option_distance_km=table[5],
        option_distance_rank=rank,
        option_route_cost=table[6],
        option_holding_cost=_holding_rate(facts, products)[need_product[option_need]] * early_days,
    )


def _lay_out_capabilities(
    facts: PlanningFacts, node_codes: Sequence[str], product_at: dict[str, int], capacities: Capacities
) -> Capabilities:
    node_at = {code: n for n, code in enumerate(node_codes)}
    row_of = {key: k for k, key in enumerate(capacities.keys)}
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    rows = tuple(
        sorted(
            (c for c in facts.capabilities if c.node_code in node_at and c.product_code in product_at),
            key=lambda c: (c.product_code, c.node_code),
        )
    )
    uses = [
        (c, row_of[capability.node_code, code], use)
        for c, capability in enumerate(rows)
        for code, use in sorted(capability.use_per_unit.items())
    ]
    product = np.array([product_at[c.product_code] for c in rows], dtype=np.int64)
    return Capabilities(
        rows=rows,
        node=np.array([node_at[c.node_code] for c in rows], dtype=np.int64),
        product=product,
        is_usable=np.array([c.qualified and c.node_code not in offline for c in rows], dtype=bool),
        use=csr_array(
            (
                np.array([use for _, _, use in uses], dtype=np.float64),
                (
                    np.array([c for c, _, _ in uses], dtype=np.int64),
                    np.array([k for _, k, _ in uses], dtype=np.int64),
                ),
            ),
            shape=(len(rows), len(capacities.keys)),
        ),
        of_product=tuple(np.flatnonzero(product == p) for p in range(len(product_at))),
    )


def _ways_of_product(
    facts: PlanningFacts, product: Product, capabilities: Capabilities, positions: IntArray, lanes: LaneTable
) -> _Ways:
    nodes = capabilities.node[positions]
    usable = lanes.usable[nodes] & capabilities.is_usable[positions][:, None]
    distance_km = lanes.distance_km[nodes]
    order = np.argsort(np.where(usable, distance_km, np.inf), axis=0, kind="stable")
    rank = np.argsort(order, axis=0, kind="stable") + 1
    parameters = facts.parameters
    if parameters.objective == "landed_cost":
        unit_cost = np.array([capabilities.rows[c].unit_cost for c in positions], dtype=np.float64)
        route_cost = unit_cost[:, None] + lanes.freight_cost_per_unit(product.weight_kg)[nodes]
    else:
        route_cost = distance_km * (product.weight_kg if parameters.weigh_distance else 1.0)
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    make_days = np.array([capabilities.rows[c].make_lead_time_days for c in positions], dtype=np.int64)
    # As calendar.arrival_bucket, for all pairs at once: the offset is the same for every start bucket.
    offset = (days - 1 + make_days[:, None] + lanes.transit_days[nodes]) // days
    return _Ways(positions, usable, distance_km, rank, route_cost, offset)


def _cut_options(
    facts: PlanningFacts, ways: _Ways, needs: IntArray, need_region: IntArray, need_latest: IntArray
) -> FloatArray:
    """List one product's options as columns: need, capability, start, arrival, rank, distance, route cost."""
    first_start = 0
    if facts.parameters.earliest_start_date is not None:
        first_start = max(0, bucket_of(facts.parameters.earliest_start_date, facts.horizon))
    need, way = (axis.ravel() for axis in np.indices((len(needs), len(ways.capability))))
    region = need_region[needs[need]]
    offset = ways.offset_buckets[way, region]
    last_start = np.minimum(need_latest[needs[need]] - offset, facts.horizon.horizon_buckets - 1)
    n_starts = np.where(ways.usable[way, region], np.maximum(0, last_start - first_start + 1), 0)
    need, way, region, offset = (np.repeat(column, n_starts) for column in (need, way, region, offset))
    start = first_start + np.arange(len(need)) - np.repeat(np.cumsum(n_starts) - n_starts, n_starts)
    return np.stack(
        [
            needs[need],
            ways.capability[way],
            start,
            start + offset,
            ways.distance_rank[way, region],
            ways.distance_km[way, region],
            ways.route_cost[way, region],
        ]
    ).astype(np.float64)


def _holding_rate(facts: PlanningFacts, products: Sequence[Product]) -> FloatArray:
    if facts.parameters.objective != "landed_cost":
        return np.zeros(len(products))
    return np.array([p.holding_cost_per_unit_per_day for p in products], dtype=np.float64)
