"""How are facts and needs laid out as options?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.calendar import buckets_of_shelf_life, effective_starts
from pullplan.engine.demand import PolicyBook, has_policy
from pullplan.engine.lanes import LaneTable, resolve_lanes
from pullplan.engine.model import TIERS, Need, PlanningFacts, Product
from pullplan.engine.options.arrays import Options
from pullplan.engine.options.capacities import Capacities, build_capacities, uses_per_started_unit
from pullplan.engine.options.shares import share_limits
from pullplan.engine.options.ways import Capabilities, holding_cost_per_bucket

IntArray = npt.NDArray[np.int64]

NEVER = -1


def build_options(facts: PlanningFacts, needs: Sequence[Need]) -> Options:
    """Lay facts and needs out as arrays; needs and facts name known codes only."""
    products = tuple(sorted(facts.products, key=lambda p: p.product_code))
    nodes = tuple(sorted(facts.nodes, key=lambda n: n.node_code))
    lanes = resolve_lanes(nodes, facts.regions, facts.lanes, facts.parameters)
    capacities = build_capacities(facts, share_limits(facts, needs, lanes))
    product_at = {product.product_code: p for p, product in enumerate(products)}
    return Options(
        horizon=facts.horizon,
        parameters=facts.parameters,
        products=products,
        nodes=nodes,
        lanes=lanes,
        capacities=capacities,
        capabilities=_lay_out_capabilities(facts, lanes.node_codes, product_at, capacities),
        holding_cost_per_bucket=holding_cost_per_bucket(products, facts.horizon, facts.parameters),
        needs=needs,
        **need_columns(facts, needs, products, lanes),
    )


def need_columns(
    facts: PlanningFacts, needs: Sequence[Need], products: Sequence[Product], lanes: LaneTable
) -> dict[str, npt.NDArray[Any]]:
    """Lay needs out as the columns of options that are about needs: each (n_needs,)."""
    node_at = {code: k for k, code in enumerate(lanes.node_codes)}
    product_at = {product.product_code: p for p, product in enumerate(products)}
    region_at = {code: r for r, code in enumerate(lanes.region_codes)}
    tier_at = {tier: t for t, tier in enumerate(TIERS)}
    n = len(needs)
    need_units = np.fromiter((need.units for need in needs), np.float64, n)
    return {
        "need_units": need_units,
        "need_slice_units": need_units / facts.parameters.share_slices,
        "need_product": np.fromiter((product_at[need.product_code] for need in needs), np.int64, n),
        "need_region": np.fromiter((region_at[need.region_code] for need in needs), np.int64, n),
        "need_bucket": np.fromiter((need.bucket for need in needs), np.int64, n),
        "need_earliest_bucket": _earliest_bucket(facts, needs),
        "need_latest_bucket": _latest_bucket(facts, needs),
        "need_pinned_node": np.fromiter(
            (node_at[need.pinned_node_code] if need.pinned_node_code else -1 for need in needs), np.int64, n
        ),
        "need_pinned_start": np.fromiter(
            (-1 if need.pinned_start_bucket is None else need.pinned_start_bucket for need in needs),
            np.int64,
            n,
        ),
        "need_tier": np.fromiter((tier_at[need.tier] for need in needs), np.int64, n),
        "need_rank": np.fromiter((need.rank for need in needs), np.int64, n),
    }


def _earliest_bucket(facts: PlanningFacts, needs: Sequence[Need]) -> IntArray:
    """Tell from when on each need may arrive without growing too old."""
    bucket = facts.horizon.bucket
    shelf_buckets = {p.product_code: buckets_of_shelf_life(p, bucket) for p in facts.products}
    shelf = (shelf_buckets[need.product_code] for need in needs)
    earliest = (0 if s is None else max(0, need.bucket - s) for s, need in zip(shelf, needs, strict=True))
    return np.fromiter(earliest, np.int64, len(needs))


def _latest_bucket(facts: PlanningFacts, needs: Sequence[Need]) -> IntArray:
    """Tell until when each need may arrive; −1, which is never, where a policy says that nothing is to be made for it."""
    latest = np.fromiter((need.latest_bucket for need in needs), np.int64, len(needs))
    if has_policy("do_not_produce", facts):
        book = PolicyBook(facts.policies)
        policies = (book.policy_of(need.product_code, need.region_code).policy for need in needs)
        latest[np.fromiter((policy == "do_not_produce" for policy in policies), np.bool_, len(needs))] = NEVER
    return latest


def _lay_out_capabilities(
    facts: PlanningFacts, node_codes: Sequence[str], product_at: dict[str, int], capacities: Capacities
) -> Capabilities:
    node_at = {code: n for n, code in enumerate(node_codes)}
    row_of = {key: k for k, key in enumerate(capacities.keys)}
    dates = {p.product_code: (p.effective_from, p.effective_until) for p in facts.products}
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    stores = {node.node_code for node in facts.nodes if node.is_store}
    rows = tuple(
        sorted(
            (c for c in facts.capabilities if c.node_code in node_at and c.product_code in product_at),
            key=lambda c: (c.product_code, c.node_code),
        )
    )
    uses = [
        (c, row_of[key], use / capability.yield_share)
        for c, capability in enumerate(rows)
        for key, use in uses_per_started_unit(capability)
        if key in row_of
    ]
    starts = [
        effective_starts(
            [dates[c.product_code], (c.effective_from, c.effective_until)],
            facts.horizon,
            facts.parameters.earliest_start_date,
        )
        for c in rows
    ]
    first_start, last_start = np.array(starts, dtype=np.int64).reshape(-1, 2).T
    product = np.array([product_at[c.product_code] for c in rows], dtype=np.int64)
    first_of_product = np.searchsorted(product, np.arange(len(product_at) + 1)).tolist()
    return Capabilities(
        rows=rows,
        node=np.array([node_at[c.node_code] for c in rows], dtype=np.int64),
        product=product,
        is_qualified=np.array([c.qualified for c in rows], dtype=bool),
        is_usable=np.array([c.qualified and c.node_code not in offline for c in rows], dtype=bool),
        is_store=np.array([c.node_code in stores for c in rows], dtype=bool),
        unit_cost=np.array([c.unit_cost for c in rows], dtype=np.float64),
        make_lead_time_days=np.array([c.make_lead_time_days for c in rows], dtype=np.int64),
        first_start_bucket=first_start,
        last_start_bucket=last_start,
        yield_share=np.array([c.yield_share for c in rows], dtype=np.float64),
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
        of_product=tuple(
            np.arange(first_of_product[p], first_of_product[p + 1]) for p in range(len(product_at))
        ),
    )
