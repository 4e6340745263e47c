"""How many units of a product may any one node start?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pullplan.engine.calendar import bucket_of, effective_starts
from pullplan.engine.lanes import LaneTable
from pullplan.engine.model import Capability, Need, PlanningFacts
from pullplan.engine.released import kept_work


@dataclass(frozen=True)
class ShareLimit:
    """One node may start so many units of one product over the horizon, released work included."""

    node_code: str
    product_code: str
    units: float


def share_limits(facts: PlanningFacts, needs: Sequence[Need], lanes: LaneTable) -> list[ShareLimit]:
    """Limit every usable node's part in what is to be started of a product, ordered by code.

    limit = max(largest_share, 1 ÷ usable nodes) × (needs + released work) ÷ the lowest yield of the usable nodes. A node
    is usable where it makes anything, is qualified, not offline, inside its dates somewhere in the horizon, and has a lane. The
    product's own largest_share beats the plan's. Where a node may start everything there is no limit.

    Source: the planning model, section 6. Need and released work are counted in started units, as what a node starts is,
    so that equal shares of equal nodes can always serve everything.
    """
    shares = {
        p.product_code: facts.parameters.largest_share if p.largest_share is None else p.largest_share
        for p in facts.products
    }
    if all(share is None for share in shares.values()):
        return []
    total_units = _units_to_make(facts, needs)
    usable = _usable_capabilities(facts, lanes)
    limits = []
    for product_code, largest_share in shares.items():
        makers = usable[product_code]
        if largest_share is None or not makers:
            continue
        share = max(largest_share, 1 / len(makers))
        if share < 1 and total_units[product_code]:
            units = share * math.fsum(total_units[product_code]) / min(c.yield_share for c in makers)
            limits += [ShareLimit(c.node_code, product_code, units) for c in makers]
    return sorted(limits, key=lambda limit: (limit.node_code, limit.product_code))


def _units_to_make(facts: PlanningFacts, needs: Sequence[Need]) -> dict[str, list[float]]:
    units: dict[str, list[float]] = defaultdict(list)
    for need in needs:
        units[need.product_code].append(need.units)
    for work in kept_work(facts):
        if 0 <= bucket_of(work.start_date, facts.horizon) < facts.horizon.horizon_buckets:
            units[work.product_code].append(work.units)
    return units


def _usable_capabilities(facts: PlanningFacts, lanes: LaneTable) -> dict[str, list[Capability]]:
    online = {node.node_code for node in facts.nodes if node.status != "offline" and not node.is_store}
    linked = {code for code, of_node in zip(lanes.node_codes, lanes.usable, strict=True) if of_node.any()}
    dates = {p.product_code: (p.effective_from, p.effective_until) for p in facts.products}
    usable: dict[str, list[Capability]] = defaultdict(list)
    for c in facts.capabilities:
        if c.qualified and c.product_code in dates and c.node_code in online & linked:
            first, last = effective_starts(
                [dates[c.product_code], (c.effective_from, c.effective_until)],
                facts.horizon,
                facts.parameters.earliest_start_date,
            )
            if first <= last:
                usable[c.product_code].append(c)
    return usable
