"""How much safety stock does a product × region hold, and over how many days must it last?"""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import Pair, PolicyBook
from pullplan.engine.forecast import interval_quantile
from pullplan.engine.lanes import resolve_lanes
from pullplan.engine.model import EVERY, Bucket, PlanningFacts, PullPolicy, SeriesForecast

LONGEST_PROTECTION_BUCKETS = 104
"""A forecast reaches at most so far beyond the horizon; what lies further takes its last bucket's values."""


def buffer_targets(
    series: SeriesForecast, policy: PullPolicy, lead_days: int, bucket: Bucket, n_buckets: int
) -> list[float]:
    """Size the safety stock at the end of every bucket: quantile − mean of demand over the days that follow.

    The protection interval is lead time + review period; it starts with the next bucket, the last one counts by
    its share of days.

    Shapes: (n_buckets,)
    Source: the planning model, section 4, `base_stock`.
    """
    whole, rest = divmod(_protection_days(policy, lead_days, bucket), DAYS_PER_BUCKET[bucket])
    shares = [1.0] * whole + ([rest / DAYS_PER_BUCKET[bucket]] if rest else [])
    targets = []
    for b in range(n_buckets):
        mean, quantile = interval_quantile(series, b + 1, shares, policy.service_level_share)
        targets.append(max(0.0, quantile - mean))
    return targets


def _protection_days(policy: PullPolicy, lead_days: int, bucket: Bucket) -> int:
    review = policy.review_period_days
    return lead_days + (DAYS_PER_BUCKET[bucket] if review is None else review)


def reference_lead_days(facts: PlanningFacts) -> dict[Pair, int]:
    """Tell make + transit days of each product × region's reference node: the nearest qualified one with a lane.

    A node's status does not count here, so that targets do not jump when it goes offline. Pairs that no node
    could ever serve are missing.
    """
    table = _reference_table(facts)
    return {
        (table.product_codes[p], table.region_codes[r]): int(table.lead_days[p, r])
        for p, r in np.argwhere(table.lead_days >= 0).tolist()
    }


class ReferenceNode(NamedTuple):
    """The node that sizes a product × region's buffer."""

    node_code: str
    lead_days: int
    """Make + transit."""


def reference_nodes(facts: PlanningFacts, pairs: Collection[Pair]) -> dict[Pair, ReferenceNode]:
    """Tell the nodes that `reference_lead_days` are of, for some pairs."""
    table = _reference_table(facts)
    return {
        (table.product_codes[p], table.region_codes[r]): ReferenceNode(
            table.node_codes[table.node[p, r]], int(table.lead_days[p, r])
        )
        for p, r in np.argwhere(table.lead_days >= 0).tolist()
        if (table.product_codes[p], table.region_codes[r]) in pairs
    }


class _ReferenceTable(NamedTuple):
    """Shapes: (n_products, n_regions), with −1 for pairs that nobody serves."""

    product_codes: list[str]
    region_codes: tuple[str, ...]
    node_codes: tuple[str, ...]
    lead_days: npt.NDArray[np.int64]
    node: npt.NDArray[np.int64]
    """Positions in the node codes."""


def _reference_table(facts: PlanningFacts) -> _ReferenceTable:
    table = resolve_lanes(facts.nodes, facts.regions, facts.lanes, facts.parameters)
    row_of = {code: n for n, code in enumerate(table.node_codes)}
    makers: dict[str, list[tuple[int, int]]] = defaultdict(list)
    makes = {node.node_code for node in facts.nodes if not node.is_store}
    for capability in sorted(facts.capabilities, key=lambda c: (c.product_code, c.node_code)):
        if capability.qualified and capability.node_code in makes:
            makers[capability.product_code].append(
                (row_of[capability.node_code], capability.make_lead_time_days)
            )
    distance_km = np.where(table.usable, table.distance_km, np.inf)
    product_codes = sorted({product.product_code for product in facts.products} | makers.keys())
    lead_days, node = np.full((2, len(product_codes), len(table.region_codes)), -1, dtype=np.int64)
    regions = np.arange(len(table.region_codes))
    for p, product_code in enumerate(product_codes):
        if product_code not in makers:
            continue
        nodes, make_days = np.array(makers[product_code], dtype=np.int64).T
        nearest = np.argmin(distance_km[nodes], axis=0)  # ties: the first by code
        is_served = np.isfinite(distance_km[nodes[nearest], regions])
        days = make_days[nearest] + table.transit_days[nodes[nearest], regions]
        lead_days[p, is_served] = days[is_served]
        node[p, is_served] = nodes[nearest][is_served]
    return _ReferenceTable(product_codes, table.region_codes, table.node_codes, lead_days, node)


def wants_forecast(facts: PlanningFacts) -> bool:
    """Tell whether any policy looks at a forecast; without one a plan needs none."""
    return any(policy.counts_forecast or _looks_forward(policy) for policy, _ in _policies_in_use(facts))


def forecast_steps(facts: PlanningFacts) -> int:
    """Count the buckets that a forecast for this plan must have: horizon plus the longest protection interval."""
    buckets = math.ceil(_longest_protection_days(facts) / DAYS_PER_BUCKET[facts.horizon.bucket])
    return facts.horizon.horizon_buckets + min(buckets, LONGEST_PROTECTION_BUCKETS)


def _longest_protection_days(facts: PlanningFacts) -> int:
    """Find how far any policy looks: base stock over its protection interval, buffers over forward usage; 0 if none does."""
    bucket = facts.horizon.bucket
    days = [
        _protection_days(policy, lead_days, bucket)
        if policy.policy == "base_stock"
        else policy.usage_forward_days
        for policy, lead_days in _policies_in_use(facts)
        if policy.policy == "base_stock" or _looks_forward(policy)
    ]
    return max(days, default=0)


def _policies_in_use(facts: PlanningFacts) -> list[tuple[PullPolicy, int]]:
    """List the policies that some product × region pulls by, each with the longest reference lead days of those."""
    policies = (*facts.policies, PolicyBook(facts.policies).policy_of(EVERY, EVERY))
    if not any(policy.counts_forecast or _looks_forward(policy) for policy in policies):
        return []
    product_codes, region_codes, _, lead_days, _ = _reference_table(facts)
    planned = {product.product_code for product in facts.products}
    is_planned = np.array([code in planned for code in product_codes], dtype=bool)
    number, lead_days = _policy_numbers(facts, product_codes, region_codes)[is_planned], lead_days[is_planned]
    return [(policies[n], max(0, int(lead_days[number == n].max()))) for n in np.unique(number).tolist()]


def _looks_forward(policy: PullPolicy) -> bool:
    return policy.policy == "ddmrp_buffer" and policy.usage_basis != "past"


def _policy_numbers(
    facts: PlanningFacts, product_codes: Sequence[str], region_codes: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Find the policy of every pair, as PolicyBook does: positions in the facts' policies, −1 for the default.

    Shapes: (n_products, n_regions)
    """
    row_of = {code: p for p, code in enumerate(product_codes)} | {EVERY: slice(None)}
    column_of = {code: r for r, code in enumerate(region_codes)} | {EVERY: slice(None)}
    number = np.full((len(product_codes), len(region_codes)), -1, dtype=np.int64)
    # A later one overrules: every pair, then regions, then products, then single pairs.
    numbered = sorted(
        enumerate(facts.policies), key=lambda n: (n[1].product_code != EVERY, n[1].region_code != EVERY)
    )
    for n, policy in numbered:
        if policy.product_code in row_of and policy.region_code in column_of:
            number[row_of[policy.product_code], column_of[policy.region_code]] = n
    return number
