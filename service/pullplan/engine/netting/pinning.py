"""Which units of which need stay where a person has put them?"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from pullplan.engine.calendar import bucket_of
from pullplan.engine.errors import PinInfeasibleError
from pullplan.engine.model import TIERS, Need, Pin, PlanningFacts, Shortfall

MISSING_SHARE = 1e-9
"""Of a pin's or need's units: what is left below this is rounding."""

type _Place = tuple[str, str, int, str, int | None]
"""Product, region, due bucket, node, start bucket."""


def pin_needs(facts: PlanningFacts, needs: Sequence[Need]) -> tuple[Need, ...]:
    """Cut what is pinned out of the needs, as lines of tier `pinned` that one node alone may serve.

    A pin takes the units of its product, region and due bucket that would be served first. Lines stand in the order
    product, region, bucket, tier, rank; need_id counts them from 1.

    Raises: PinInfeasibleError where a pin lies outside the horizon, or holds more units than are needed.
    """
    if not facts.parameters.pins:
        return tuple(needs)
    lines: dict[tuple[str, str, int], list[Need]] = defaultdict(list)
    for need in needs:
        lines[need.product_code, need.region_code, need.bucket].append(need)
    pinned: dict[_Place, float] = defaultdict(float)
    for number, pin in enumerate(facts.parameters.pins):
        place = _place_of(pin, facts, number)
        lines[place[:3]] = _take(lines[place[:3]], pin, number)
        pinned[place] += pin.units
    cut = [need for of_cell in lines.values() for need in of_cell]
    cut += [_pinned_need(facts, place, units) for place, units in pinned.items()]
    cut.sort(key=_order)
    return tuple(msgspec.structs.replace(need, need_id=i) for i, need in enumerate(cut, 1))


def refuse_broken_pins(facts: PlanningFacts, needs: Sequence[Need], shortfalls: Sequence[Shortfall]) -> None:
    """Make sure that every pinned unit is made.

    Raises: PinInfeasibleError naming the pins that could not be kept, and what stands in their way.
    """
    broken = {s.need_id: s for s in shortfalls}
    problems = [
        f"{_say(pin, number)}: {broken[need.need_id].units:.9g} units can't be made there; "
        f"{broken[need.need_id].detail}"
        for need in needs
        if need.tier == "pinned" and need.need_id in broken
        for number, pin in enumerate(facts.parameters.pins)
        if _place_of(pin, facts, number) == _place_of_need(need)
    ]
    if problems:
        raise PinInfeasibleError(". ".join(problems))


def _place_of(pin: Pin, facts: PlanningFacts, number: int) -> _Place:
    """Name the bucket of its days; what is past due is due in bucket 0.

    Raises: PinInfeasibleError
    """
    n_buckets = facts.horizon.horizon_buckets
    due = max(0, bucket_of(pin.due_date, facts.horizon))
    start = None if pin.start_date is None else bucket_of(pin.start_date, facts.horizon)
    if all(node.node_code != pin.node_code for node in facts.nodes):
        raise PinInfeasibleError(f"{_say(pin, number)}: there is no such node, or it is retired")
    if due >= n_buckets:
        raise PinInfeasibleError(f"{_say(pin, number)}: the due date lies beyond the horizon")
    if start is not None and not 0 <= start < n_buckets:
        raise PinInfeasibleError(
            f"{_say(pin, number)}: the start date {pin.start_date} lies outside the horizon"
        )
    return pin.product_code, pin.region_code, due, pin.node_code, start


def _place_of_need(need: Need) -> _Place:
    node_code = need.pinned_node_code or ""
    return need.product_code, need.region_code, need.bucket, node_code, need.pinned_start_bucket


def _take(lines: Sequence[Need], pin: Pin, number: int) -> list[Need]:
    """Leave of a cell's lines what a pin does not take.

    Raises: PinInfeasibleError
    """
    wanted = pin.units
    left = []
    for need in lines:
        taken = min(need.units, wanted)
        wanted -= taken
        if need.units - taken > MISSING_SHARE * need.units:
            left.append(msgspec.structs.replace(need, units=need.units - taken))
    if wanted > MISSING_SHARE * pin.units:
        raise PinInfeasibleError(
            f"{_say(pin, number)}: only {pin.units - wanted:.9g} units are needed there then"
            f"{', other pins apart' if number else ''}"
        )
    return left


def _pinned_need(facts: PlanningFacts, place: _Place, units: float) -> Need:
    product_code, region_code, bucket, node_code, start_bucket = place
    return Need(
        need_id=0,
        product_code=product_code,
        region_code=region_code,
        bucket=bucket,
        tier="pinned",
        units=units,
        latest_bucket=facts.parameters.latest_bucket("pinned", bucket, facts.horizon.horizon_buckets),
        pinned_node_code=node_code,
        pinned_start_bucket=start_bucket,
    )


def _order(need: Need) -> tuple[str | int, ...]:
    start = -1 if need.pinned_start_bucket is None else need.pinned_start_bucket
    cell = (need.product_code, need.region_code, need.bucket)
    return (*cell, TIERS.index(need.tier), need.rank, need.pinned_node_code or "", start)


def _say(pin: Pin, number: int) -> str:
    start = "" if pin.start_date is None else f" started on {pin.start_date}"
    return (
        f"pin {number} ({pin.units:.9g} {pin.product_code} for {pin.region_code}, due {pin.due_date}, "
        f"at {pin.node_code}{start})"
    )
