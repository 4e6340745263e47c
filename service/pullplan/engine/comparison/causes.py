"""Which fact changed so that units of a need are elsewhere?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from pullplan.engine.model import (
    Capability,
    Change,
    ChangeCause,
    NeedKey,
    OpenSupply,
    PlanningFacts,
    ReleasedWork,
    StockPosition,
)

SHARE = 1e-6
"""A price or capacity that differs by less of itself is the same."""

type Place = tuple[str, str, date | None]
type Cause = tuple[ChangeCause, str]
type AtNode = Mapping[tuple[str, str, date], float]
"""By node, resource and bucket."""


@dataclass(frozen=True)
class PlanSide:
    """What one of the two plans was made from, and what its capacities are and are worth."""

    facts: PlanningFacts
    capacity: AtNode
    price: AtNode
    """Of the cost stage; what has none is worth nothing."""

    @cached_property
    def status(self) -> dict[str, str]:
        """Look up nodes' states."""
        return {node.node_code: node.status for node in self.facts.nodes}

    @cached_property
    def capability(self) -> dict[tuple[str, str], Capability]:
        """Look up who can make what: (node, product)."""
        return {(c.node_code, c.product_code): c for c in self.facts.capabilities}

    @cached_property
    def lane(self) -> dict[tuple[str, str], Any]:
        """Look up given lanes: (node, region)."""
        return {(lane.node_code, lane.region_code): lane for lane in self.facts.lanes}

    @cached_property
    def demand(self) -> dict[tuple[str, str], dict[str, float]]:
        """Look up open orders and leads of a product × region: units by what they are called."""
        found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for order in self.facts.orders:
            open_units = order.ordered_units - order.shipped_units
            found[order.product_code, order.region_code][f"order {order.external_id}"] = open_units
        for lead in self.facts.lead_signals:
            found[lead.product_code, lead.region_code][f"lead {lead.external_id}"] = (
                lead.units * lead.probability
            )
        return found

    @cached_property
    def due(self) -> dict[str, date]:
        """Look up when orders and leads are due."""
        return {f"order {o.external_id}": o.due_date for o in self.facts.orders} | {
            f"lead {lead.external_id}": lead.due_date for lead in self.facts.lead_signals
        }

    @cached_property
    def supply(self) -> dict[tuple[str, str], list[Any]]:
        """Look up stock, open supply and released work of a product × region."""
        found: dict[tuple[str, str], list[Any]] = defaultdict(list)
        facts = self.facts
        of_kinds: tuple[Sequence[StockPosition | OpenSupply | ReleasedWork], ...] = (
            *(facts.stock, facts.open_supply, facts.released_work),
        )
        for of_kind in of_kinds:
            for one in of_kind:
                found[one.product_code, one.region_code].append(one)
        return found

    @cached_property
    def forecast(self) -> dict[tuple[str, str], Any]:
        """Look up what is forecast of a product × region."""
        series = self.facts.forecast.series if self.facts.forecast else ()
        return {(s.product_code, s.region_code): s.mean_units for s in series}


class Causes:
    """Finds why units are elsewhere: from what rules a place out or in, through what it is worth, to what is else."""

    def __init__(self, before: PlanSide, after: PlanSide) -> None:
        self._was = before
        self._now = after

    def of(self, key: NeedKey, change: Change, source: Place, target: Place) -> Cause:
        """Name the first fact that explains it, and put it into words."""
        if "none" in (source[0], target[0]):
            return self._of_demand(key, more=source[0] == "none")
        found = next(self._of_places(key, source, target), None)
        return found or self._of_the_rest(key, change)

    # --- what is needed --------------------------------------------------------------------------------------------

    def _of_demand(self, key: NeedKey, *, more: bool) -> Cause:
        pair = (key.product_code, key.region_code)
        was, now = self._was.demand.get(pair, {}), self._now.demand.get(pair, {})
        changes = [
            self._signal(name, was.get(name), now.get(name))
            for name in sorted(was.keys() | now.keys())
            if was.get(name) != now.get(name) or self._was.due.get(name) != self._now.due.get(name)
        ]
        if changes:
            return ("new_demand" if more else "demand_gone"), "; ".join(changes[:3])
        if self._was.supply.get(pair) != self._now.supply.get(pair):
            return "stock_or_supply", f"stock or open supply of {pair[0]} in {pair[1]} has changed"
        if self._was.forecast.get(pair) != self._now.forecast.get(pair):
            return "forecast_or_target", f"the forecast of {pair[0]} in {pair[1]} has changed"
        days = self._was.facts.horizon.as_of_date, self._now.facts.horizon.as_of_date
        if days[0] != days[1]:
            return "time_went_on", f"the first plan looks from {days[0]}, the second from {days[1]}"
        return self._of_the_rest(key, "added")

    def _signal(self, name: str, was: float | None, now: float | None) -> str:
        if was is None:
            return f"{name} of {now:g} units is new"
        if now is None:
            return f"{name} of {was:g} units is no longer open"
        if was != now:
            return f"{name} has changed from {was:g} to {now:g} units"
        return f"{name} was due on {self._was.due[name]} and is now on {self._now.due[name]}"

    # --- where it is made ------------------------------------------------------------------------------------------

    def _of_places(self, key: NeedKey, source: Place, target: Place) -> Iterator[Cause]:
        if source[0] == "line":
            yield from self._ruled_out(key, source[1], self._was, self._now)
        if target[0] == "line":
            yield from self._ruled_in(key, target[1])
        for place, wanted, cause in ((source, -1, "less_capacity"), (target, 1, "more_capacity")):
            yield from self._of_amount(key, place, wanted, cause)  # type: ignore[arg-type]  # of the two
        for place in (source, target):
            yield from self._of_cost(key, place)
        yield from self._of_price(key, source, 1, "capacity_price")
        yield from self._of_price(key, target, -1, "freed_capacity")

    @staticmethod
    def _ruled_out(key: NeedKey, node: str, was: PlanSide, now: PlanSide) -> Iterator[Cause]:
        if was.status.get(node) != "offline" and now.status.get(node, "offline") == "offline":
            yield "node_offline", f"{node} is offline"
        of_node = was.capability.get((node, key.product_code)), now.capability.get((node, key.product_code))
        if (
            of_node[0] is not None
            and of_node[0].qualified
            and (of_node[1] is None or not of_node[1].qualified)
        ):
            yield "not_qualified", f"{node} may no longer make {key.product_code}"
        lanes = was.lane.get((node, key.region_code)), now.lane.get((node, key.region_code))
        if lanes[1] is not None and lanes[1].forbidden and not (lanes[0] is not None and lanes[0].forbidden):
            yield "lane_closed", f"no lane leads from {node} to {key.region_code} any more"

    def _ruled_in(self, key: NeedKey, node: str) -> Iterator[Cause]:
        opened: dict[str, tuple[ChangeCause, str]] = {
            "node_offline": ("node_online", f"{node} is online again"),
            "not_qualified": ("qualified", f"{node} may make {key.product_code} now"),
            "lane_closed": ("lane_opened", f"a lane leads from {node} to {key.region_code} now"),
        }
        for cause, _ in self._ruled_out(key, node, self._now, self._was):
            yield opened[cause]

    def _of_amount(self, key: NeedKey, place: Place, sign: int, cause: ChangeCause) -> Iterator[Cause]:
        for at in self._resources(key, place):
            was, now = self._was.capacity.get(at, 0.0), self._now.capacity.get(at, 0.0)
            if sign * (now - was) > SHARE * max(was, now):
                yield cause, f"{at[0]} has {now:.6g} of {at[1]} from {at[2]} on, and had {was:.6g}"

    def _of_price(self, key: NeedKey, place: Place, sign: int, cause: ChangeCause) -> Iterator[Cause]:
        for at in self._resources(key, place):
            was, now = self._was.price.get(at, 0.0), self._now.price.get(at, 0.0)
            if sign * (now - was) > SHARE * max(was, now):
                words = "others need it more" if sign > 0 else "others have left room there"
                yield (
                    cause,
                    f"one more of {at[1]} at {at[0]} from {at[2]} on is worth {now:.4g}, and was worth {was:.4g}: {words}",
                )

    def _of_cost(self, key: NeedKey, place: Place) -> Iterator[Cause]:
        node = place[1]
        was, now = (side.capability.get((node, key.product_code)) for side in (self._was, self._now))
        if was is not None and now is not None and was != now:
            yield "cost_changed", f"what {key.product_code} costs or takes at {node} has changed"
        lanes = [side.lane.get((node, key.region_code)) for side in (self._was, self._now)]
        if place[0] == "line" and lanes[0] != lanes[1]:
            yield "cost_changed", f"the lane from {node} to {key.region_code} has changed"

    def _resources(self, key: NeedKey, place: Place) -> Sequence[tuple[str, str, date]]:
        kind, node, start = place
        capability = self._now.capability.get((node, key.product_code)) or self._was.capability.get(
            (node, key.product_code)
        )
        if kind != "line" or start is None or capability is None:
            return ()
        return [(node, code, start) for code in sorted(capability.use_per_unit)]

    def _of_the_rest(self, key: NeedKey, change: Change) -> Cause:
        if self._was.facts.parameters != self._now.facts.parameters:
            return "parameters", "the plans were asked for with other parameters"
        if self._was.facts.policies != self._now.facts.policies:
            return "parameters", "a pull policy has changed"
        if change == "moved":
            return "other", f"what is made of {key.product_code} elsewhere has changed; here both are as good"
        return "other", "what competes for the same capacity has changed"
