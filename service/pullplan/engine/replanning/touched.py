"""Of which needs, and of which products, may a re-plan say anything else than its parent?"""

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.replanning.netting import changed_pairs


def touched_needs(facts: PlanningFacts, plan: Plan, parent_facts: PlanningFacts, parent: Plan) -> set[int]:
    """Name the needs of either plan of which anything is said otherwise: where buckets have other dates, all."""
    if bucket_dates(facts.horizon)[0] != bucket_dates(parent_facts.horizon)[0]:
        return {need.need_id for need in (*plan.needs, *parent.needs)}
    touched: set[int] = set()
    for now, before in (
        (plan.needs, parent.needs),
        (plan.assignments, parent.assignments),
        (plan.shortfalls, parent.shortfalls),
    ):
        # A re-plan has most of its parent's facts themselves.
        kept = set(map(id, before)).intersection(map(id, now))
        rest, old = ({one for one in of if id(one) not in kept} for of in (now, before))
        touched.update(one.need_id for one in rest ^ old)
    return touched


def touched_products(
    facts: PlanningFacts, plan: Plan, parent_facts: PlanningFacts, parent: Plan, needs: set[int]
) -> frozenset[str] | None:
    """Name the products whose demand, stock or supply may be others, or of whose needs these are; None where it may be all."""
    pairs = changed_pairs(facts, parent_facts)
    if pairs is None or facts.policies != parent_facts.policies:
        return None
    of_needs = (need.product_code for of in (plan, parent) for need in of.needs if need.need_id in needs)
    return frozenset(of_needs).union(product_code for product_code, _ in pairs)
