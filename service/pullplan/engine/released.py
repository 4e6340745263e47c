"""Which released work can be counted on?"""

from collections.abc import Iterator

from pullplan.engine.calendar import bucket_of, effective_starts
from pullplan.engine.model import PlanningFacts, ReleasedWork


def kept_work(facts: PlanningFacts) -> Iterator[ReleasedWork]:
    """List released work by its id: all that starts inside the frozen buckets, and later work whose node can make it.

    A node can make it while it is not offline, qualified for the product, and neither is outside its dates then. What
    is not kept is neither supply nor takes capacity: its units are planned anew.

    Source: the planning model, section 1.
    """
    asked = {(work.node_code, work.product_code) for work in facts.released_work}
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    dates = {p.product_code: (p.effective_from, p.effective_until) for p in facts.products}
    starts = {
        (c.node_code, c.product_code): effective_starts(
            [dates.get(c.product_code, (None, None)), (c.effective_from, c.effective_until)], facts.horizon
        )
        for c in facts.capabilities
        if (c.node_code, c.product_code) in asked and c.qualified and c.node_code not in offline
    }
    for work in sorted(facts.released_work, key=lambda w: w.work_order_id):
        start = bucket_of(work.start_date, facts.horizon)
        if start < facts.parameters.frozen_buckets:
            yield work
            continue
        first, last = starts.get((work.node_code, work.product_code), (0, -1))
        if first <= start <= last:
            yield work
