"""Which limits do facts set besides lanes and capacities? Dates, shares and released work, worked out anew, day by day."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, bucket_of
from pullplan.engine.model import Capability, Finding, Need, Plan, PlanningFacts, Product, ReleasedWork

SHORT_OF_PIN_SHARE = 1e-9
"""Of a pin's units: so much may its need miss it by."""

type Dates = tuple[date | None, date | None]
type _Place = tuple[str, str, int, str | None, int | None]


def is_inside(day: date, dates: Dates) -> bool:
    """Tell whether a day lies in a half-open range."""
    from_date, until_date = dates
    return (from_date is None or from_date <= day) and (until_date is None or day < until_date)


def open_starts(facts: PlanningFacts, product: Product, capability: Capability) -> list[bool]:
    """Tell of every bucket whether work may start on each of its days that are left."""
    ranges: list[Dates] = [
        (product.effective_from, product.effective_until),
        (capability.effective_from, capability.effective_until),
    ]
    as_of, earliest = facts.horizon.as_of_date, facts.parameters.earliest_start_date
    opens = as_of if earliest is None else max(as_of, earliest)
    days = range(DAYS_PER_BUCKET[facts.horizon.bucket])
    left = [
        [day for day in (first + timedelta(days=d) for d in days) if day >= opens]
        for first in bucket_dates(facts.horizon)[:-1]
    ]
    return [bool(of_bucket) and all(is_inside(d, r) for d in of_bucket for r in ranges) for of_bucket in left]


def kept_work(facts: PlanningFacts) -> Iterator[tuple[ReleasedWork, int, Capability | None]]:
    """List the released work of the horizon with its start bucket and what its node can do of it.

    What starts inside the frozen buckets stays; later work only where its node could start it.
    """
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    product = {p.product_code: p for p in facts.products}
    capability = {(c.node_code, c.product_code): c for c in facts.capabilities}
    for work in facts.released_work:
        start = bucket_of(work.start_date, facts.horizon)
        if not 0 <= start < facts.horizon.horizon_buckets:
            continue
        made, goods = capability.get((work.node_code, work.product_code)), product.get(work.product_code)
        days = [day for day in _days_of(facts, start) if day >= facts.horizon.as_of_date]
        can_make = (
            made is not None
            and made.qualified
            and work.node_code not in offline
            and all(
                is_inside(day, (dated.effective_from, dated.effective_until))
                for day in days
                for dated in (made, goods)
                if dated is not None
            )
        )
        if start < facts.parameters.frozen_buckets or can_make:
            yield work, start, made


def _days_of(facts: PlanningFacts, bucket: int) -> list[date]:
    first = bucket_dates(facts.horizon)[bucket]
    return [first + timedelta(days=d) for d in range(DAYS_PER_BUCKET[facts.horizon.bucket])]


def share_limits(
    facts: PlanningFacts, needs: Sequence[Need], usable: Mapping[str, Sequence[Capability]]
) -> dict[tuple[str, str], float]:
    """Limit by node and product the units that may be started over the horizon, released work included.

    `usable` are each product's capabilities that could serve some region.
    """
    to_make: dict[str, list[float]] = defaultdict(list)
    for need in needs:
        if math.isfinite(need.units):
            to_make[need.product_code].append(need.units)
    for work, _, _ in kept_work(facts):
        to_make[work.product_code].append(work.units)
    limits: dict[tuple[str, str], float] = {}
    for product in facts.products:
        share = product.largest_share
        if share is None:
            share = facts.parameters.largest_share
        makers = usable.get(product.product_code, ())
        total = math.fsum(to_make[product.product_code])
        if share is None or not makers or total <= 0:
            continue
        share = max(share, 1 / len(makers))
        if share < 1:
            lowest_yield = min(c.yield_share for c in makers)
            for c in makers:
                limits[c.node_code, product.product_code] = share * total / lowest_yield
    return limits


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
    for line in plan.assignments:
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
