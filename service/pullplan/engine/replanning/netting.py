"""What must still arrive, where it may have changed since the parent was planned?"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from pullplan.engine.demand import has_policy
from pullplan.engine.model import Need, PlanningFacts
from pullplan.engine.netting import net

type Pair = tuple[str, str]

_OF_A_PAIR = ("orders", "lead_signals", "stock", "accepted_sizings")
_OF_ALL = (
    *("horizon", "parameters", "policies", "forecast", "products"),
    *("open_supply", "released_work"),  # a line of one pair may echo another's work order
    *("recent_consumption", "recent_orders", "usage_exclusions"),  # a buffer's usage
)
_OF_THE_NETWORK = ("regions", "nodes", "lanes", "capabilities")
"""What targets, buffers, and whether released work is kept, depend on."""


def net_again(
    facts: PlanningFacts, parent_facts: PlanningFacts, parent_needs: Sequence[Need]
) -> tuple[Need, ...]:
    """Net the facts; where of most pairs nothing has changed, only the others anew.

    Needs as `net` gives them, but for their order and numbers.
    """
    pairs = changed_pairs(facts, parent_facts)
    if pairs is None:
        return net(facts)
    return (
        *(need for need in parent_needs if (need.product_code, need.region_code) not in pairs),
        *net_pairs(facts, pairs),
    )


def net_pairs(facts: PlanningFacts, pairs: frozenset[Pair]) -> tuple[Need, ...]:
    """Net some product × regions alone; they are numbered among themselves."""
    of_pairs = {
        name: tuple(one for one in getattr(facts, name) if (one.product_code, one.region_code) in pairs)
        for name in _OF_A_PAIR
    }
    consumption_pairs = tuple(pair for pair in facts.consumption_pairs if pair in pairs)
    pins = tuple(pin for pin in facts.parameters.pins if (pin.product_code, pin.region_code) in pairs)
    parameters = msgspec.structs.replace(facts.parameters, pins=pins)
    again = net(
        msgspec.structs.replace(facts, **of_pairs, consumption_pairs=consumption_pairs, parameters=parameters)
    )
    return tuple(need for need in again if (need.product_code, need.region_code) in pairs)


def changed_pairs(facts: PlanningFacts, parent_facts: PlanningFacts) -> frozenset[Pair] | None:
    """Name the product × regions whose needs may have changed; None where it may be all of them."""
    asks_the_network = facts.forecast is not None or facts.released_work or has_policy("ddmrp_buffer", facts)
    names = (*_OF_ALL, *_OF_THE_NETWORK) if asks_the_network else _OF_ALL
    for name in names:
        now, was = getattr(facts, name), getattr(parent_facts, name)
        if not is_same(now, was):
            return None
    changed: set[Pair] = set(facts.consumption_pairs) ^ set(parent_facts.consumption_pairs)
    for name in _OF_A_PAIR:
        # Counted, as two sources may name the very same order.
        now, was = map(Counter, _without_common_ends(getattr(facts, name), getattr(parent_facts, name)))
        changed.update((one.product_code, one.region_code) for one in (now - was) | (was - now))
    return frozenset(changed)


def has_same_network(facts: PlanningFacts, parent_facts: PlanningFacts) -> bool:
    """Tell whether places, ways and capacities are what they were."""
    names = (*_OF_THE_NETWORK, "resources", "capacity_exceptions")
    return all(is_same(getattr(facts, name), getattr(parent_facts, name)) for name in names)


def is_same(now: object, was: object) -> bool:
    """Tell whether facts are equal, in whatever order they stand."""
    if now is was or now == was:
        return True
    return isinstance(now, tuple) and isinstance(was, tuple) and _as_set(now) == _as_set(was)


def _without_common_ends[T](now: Sequence[T], was: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Leave out what both begin with, and what both end with: of two lists in order nearly all."""
    shorter = min(len(now), len(was))
    pairs = enumerate(zip(now, was, strict=False))
    first = next((at for at, (a, b) in pairs if a is not b and a != b), shorter)
    ends = enumerate(zip(reversed(now[first:]), reversed(was[first:]), strict=False))
    last = next((at for at, (a, b) in ends if a is not b and a != b), shorter - first)
    return now[first : len(now) - last], was[first : len(was) - last]


def _as_set(members: Sequence[object]) -> frozenset[bytes]:
    return frozenset(msgspec.msgpack.encode(member, order="deterministic") for member in members)
