"""How much safety stock does a product × region hold, and over how many days must it last?"""

import math
from collections import defaultdict

import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import Pair, PolicyBook
from pullplan.engine.forecast import interval_quantile
from pullplan.engine.lanes import resolve_lanes
from pullplan.engine.model import Bucket, PlanningFacts, PullPolicy, SeriesForecast

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
    table = resolve_lanes(facts.nodes, facts.regions, facts.lanes, facts.parameters)
    row_of = {code: n for n, code in enumerate(table.node_codes)}
    makers: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for capability in sorted(facts.capabilities, key=lambda c: (c.product_code, c.node_code)):
        if capability.qualified and capability.node_code in row_of:
            makers[capability.product_code].append(
                (row_of[capability.node_code], capability.make_lead_time_days)
            )
    distance_km = np.where(table.usable, table.distance_km, np.inf)
    lead_days: dict[Pair, int] = {}
    for product_code, rows in makers.items():
        nodes = np.array([n for n, _ in rows])
        nearest = np.argmin(distance_km[nodes], axis=0)  # ties: the first by code
        for r, region_code in enumerate(table.region_codes):
            node, make_days = rows[int(nearest[r])]
            if np.isfinite(distance_km[node, r]):
                lead_days[product_code, region_code] = make_days + int(table.transit_days[node, r])
    return lead_days


def wants_forecast(facts: PlanningFacts) -> bool:
    """Tell whether any product × region pulls from base stock; without one a plan needs no forecast."""
    return _longest_protection_days(facts) > 0


def forecast_steps(facts: PlanningFacts) -> int:
    """Count the buckets that a forecast for this plan must have: horizon plus the longest protection interval."""
    buckets = math.ceil(_longest_protection_days(facts) / DAYS_PER_BUCKET[facts.horizon.bucket])
    return facts.horizon.horizon_buckets + min(buckets, LONGEST_PROTECTION_BUCKETS)


def _longest_protection_days(facts: PlanningFacts) -> int:
    """Find the longest protection interval of any base stock; 0 without one, as a review takes a day at least."""
    book = PolicyBook(facts.policies)
    lead_days = reference_lead_days(facts)
    pairs = ((p.product_code, r.region_code) for p in facts.products for r in facts.regions)
    policies = ((pair, book.policy_of(*pair)) for pair in pairs)
    return max(
        (
            _protection_days(policy, lead_days.get(pair, 0), facts.horizon.bucket)
            for pair, policy in policies
            if policy.policy == "base_stock"
        ),
        default=0,
    )
