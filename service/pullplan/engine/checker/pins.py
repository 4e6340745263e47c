"""Do pinned needs say what the plan's pins say, and do their lines keep to node and start?"""

from collections import defaultdict
from collections.abc import Iterator

from pullplan.engine.calendar import bucket_of
from pullplan.engine.model import Finding, Need, Plan, PlanningFacts

SHORT_OF_PIN_SHARE = 1e-9
"""Of a pin's units: so much may its need miss it by."""

type _Place = tuple[str, str, int, str | None, int | None]


def check_pins(facts: PlanningFacts, plan: Plan) -> Iterator[Finding]:
    """Hold pinned needs to the plan's pins, and their lines to node and start."""
    wanted, stated = defaultdict[_Place, float](float), defaultdict[_Place, float](float)
    for pin in facts.parameters.pins:
        start = None if pin.start_date is None else bucket_of(pin.start_date, facts.horizon)
        due = max(0, bucket_of(pin.due_date, facts.horizon))
        wanted[pin.product_code, pin.region_code, due, pin.node_code, start] += pin.units
    pinned = {need.need_id: need for need in plan.needs if need.pinned_node_code is not None}
    for need in pinned.values():
        stated[_place_of(need)] += need.units
    for place in {**wanted, **stated}:
        if not abs(stated[place] - wanted[place]) <= SHORT_OF_PIN_SHARE * wanted[place]:
            yield _broken(
                place,
                f"{wanted[place]:.9g} units are pinned; the plan's needs hold {stated[place]:.9g} there",
            )
    for line in plan.assignments if pinned else ():
        held = pinned.get(line.need_id)
        if held is None:
            continue
        start = held.pinned_start_bucket
        if line.node_code != held.pinned_node_code or start not in (None, line.start_bucket):
            words = f"assignment {line.assignment_id} makes them at {line.node_code}, started in bucket {line.start_bucket}"
            yield _broken(_place_of(held), words, line.need_id, line.assignment_id)
    for shortfall in plan.shortfalls:
        if shortfall.need_id in pinned:
            words = f"{shortfall.units:.9g} of them are left short"
            yield _broken(_place_of(pinned[shortfall.need_id]), words, shortfall.need_id)


def _place_of(need: Need) -> _Place:
    return need.product_code, need.region_code, need.bucket, need.pinned_node_code, need.pinned_start_bucket


def _broken(
    place: _Place, words: str, need_id: int | None = None, assignment_id: int | None = None
) -> Finding:
    product_code, region_code, bucket, node_code, start = place
    when = "" if start is None else f", start in bucket {start}"
    return Finding(
        code="pin_broken",
        detail=f"{product_code} for {region_code} in bucket {bucket}, pinned to {node_code}{when}: {words}",
        need_id=need_id,
        assignment_id=assignment_id,
        node_code=node_code,
    )
