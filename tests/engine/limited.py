"""Small networks under every limit at once: shares, pins, yields, dates, shelf lives, released work, degraded nodes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
from tests.engine.instances import MONDAY

from pullplan.engine.model import (
    DEMAND_TIERS,
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    Pin,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    ReleasedWork,
    Resource,
)


class _Chance:
    """A seeded source of small decisions."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def hits(self, percent: float) -> bool:
        return bool(self._rng.random() < percent / 100)

    def whole(self, least: int, most: int) -> int:
        return int(self._rng.integers(least, most + 1))

    def pick[T](self, *choices: T) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def units(self, least: int, most: int) -> float:
        return float(self.whole(least, most))

    def dates(self, percent: float, n_buckets: int) -> dict[str, Any]:
        """Bound something to days, either end sometimes open."""
        if not self.hits(percent):
            return {}
        first = self.whole(-1, n_buckets - 1)
        end = self.whole(first + 1, n_buckets + 1)
        return {
            "effective_from": MONDAY + timedelta(days=first) if self.hits(70) else None,
            "effective_until": MONDAY + timedelta(days=end) if self.hits(70) else None,
        }


def limited_network(seed: int) -> tuple[PlanningFacts, list[Need]]:
    """Draw 1 to 5 nodes, 1 to 3 products and regions, 1 to 4 daily buckets, all kinds of limits, and needs to match."""
    chance = _Chance(seed)
    n_buckets = chance.whole(1, 4)
    nodes = tuple(
        Node(
            node_code=f"N{n}",
            status=chance.pick("online", "online", "online", "online", "degraded", "offline"),
            capacity_share=0.5,
        )
        for n in range(chance.pick(1, 2, 3, 3, 4, 5))
    )
    products = tuple(
        Product(
            product_code=f"P{p}",
            value_per_unit=chance.units(1, 9),
            holding_cost_per_unit_per_day=chance.units(0, 4) / 2,
            largest_share=chance.pick(None, None, 0.1, 0.3, 0.45, 0.6, 1.0),
            shelf_life_days=chance.pick(None, None, 0, 1, 2),
            **chance.dates(15, n_buckets),
        )
        for p in range(chance.whole(1, 3))
    )
    regions = tuple(Region(region_code=f"R{r}") for r in range(chance.whole(1, 3)))
    facts = PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=n_buckets),
        parameters=_parameters(chance, n_buckets),
        products=products,
        regions=regions,
        nodes=nodes,
        resources=tuple(_resources(chance, nodes)),
        capabilities=tuple(_capabilities(chance, nodes, products, n_buckets)),
        lanes=tuple(_lanes(chance, nodes, regions, n_buckets)),
        released_work=tuple(_released_work(chance, nodes, products, n_buckets)),
    )
    needs = [_need(chance, i, facts) for i in range(chance.whole(1, 8))]
    return _pinned(chance, facts, needs)


def _parameters(chance: _Chance, n_buckets: int) -> PlanParameters:
    late = chance.whole(0, 2)
    return PlanParameters(
        objective=chance.pick("nearest", "landed_cost"),
        shortfall_measure=chance.pick("units", "value"),
        lanes="given_only",
        share_slices=chance.pick(1, 1, 3),
        late_buckets=late,
        forecast_late_buckets=late,
        largest_share=chance.pick(None, None, 0.2, 0.4, 0.7),
        earliest_start_date=MONDAY + timedelta(days=chance.whole(0, n_buckets)) if chance.hits(15) else None,
        frozen_buckets=chance.whole(0, 2),
    )


def _resources(chance: _Chance, nodes: Sequence[Node]) -> list[Resource]:
    resources = []
    for node in nodes:
        hours = Resource(
            node_code=node.node_code, resource_code="hours", capacity_per_day=chance.units(10, 80)
        )
        resin = Resource(
            node_code=node.node_code,
            resource_code="resin",
            kind="stored",
            capacity_per_day=chance.units(5, 40),
            on_hand=chance.units(0, 40),
        )
        resources += [hours, resin] if chance.hits(60) else [hours]
    return resources


def _capabilities(
    chance: _Chance, nodes: Sequence[Node], products: Sequence[Product], n_buckets: int
) -> list[Capability]:
    return [
        Capability(
            node_code=node.node_code,
            product_code=product.product_code,
            unit_cost=chance.units(0, 40),
            make_lead_time_days=chance.pick(0, 0, 0, 1),
            use_per_unit={"hours": chance.units(1, 6) / 4}
            | ({"resin": chance.units(1, 6) / 4} if chance.hits(25) else {}),
            yield_share=chance.pick(1.0, 1.0, 0.8, 0.5),
            qualified=chance.hits(92),
            **chance.dates(20, n_buckets),
        )
        for node in nodes
        for product in products
        if chance.hits(85)
    ]


def _lanes(chance: _Chance, nodes: Sequence[Node], regions: Sequence[Region], n_buckets: int) -> list[Lane]:
    return [
        Lane(
            node_code=node.node_code,
            region_code=region.region_code,
            distance_km=chance.units(1, 500),
            transit_days=chance.pick(0, 0, 0, 1),
            freight_cost_per_unit=chance.units(0, 40),
            forbidden=chance.hits(7),
            **chance.dates(20, n_buckets),
        )
        for node in nodes
        for region in regions
        if chance.hits(93)
    ]


def _released_work(
    chance: _Chance, nodes: Sequence[Node], products: Sequence[Product], n_buckets: int
) -> list[ReleasedWork]:
    starts = [MONDAY + timedelta(days=chance.whole(-1, n_buckets)) for _ in range(chance.whole(0, 2))]
    return [
        ReleasedWork(
            work_order_id=f"W{w}",
            product_code=chance.pick(*products).product_code,
            region_code="R0",
            node_code=chance.pick(*nodes).node_code,
            units=chance.units(1, 30),
            start_date=start,
            arrival_date=start,
        )
        for w, start in enumerate(starts)
    ]


def _need(chance: _Chance, number: int, facts: PlanningFacts) -> Need:
    bucket, tier = chance.whole(0, facts.horizon.horizon_buckets - 1), chance.pick(*DEMAND_TIERS)
    return Need(
        need_id=number + 1,
        product_code=chance.pick(*facts.products).product_code,
        region_code=chance.pick(*facts.regions).region_code,
        bucket=bucket,
        tier=tier,
        rank=chance.whole(0, 1),
        units=chance.units(1, 60),
        latest_bucket=facts.parameters.latest_bucket(tier, bucket, facts.horizon.horizon_buckets),
    )


def _pinned(chance: _Chance, facts: PlanningFacts, needs: Sequence[Need]) -> tuple[PlanningFacts, list[Need]]:
    """Pin all or a part of some needs to any node, and some of these to a start; no place twice."""
    cut = list(needs)
    pins: dict[tuple[Any, ...], Pin] = {}
    for i, need in enumerate(needs):
        node_code = chance.pick(*facts.nodes).node_code
        start = chance.whole(0, facts.horizon.horizon_buckets - 1) if chance.hits(40) else None
        place = (need.product_code, need.region_code, need.bucket, node_code, start)
        if not chance.hits(20) or place in pins:
            continue
        units = need.units if chance.hits(50) else need.units / 4
        cut[i] = msgspec.structs.replace(need, units=need.units - units)
        cut.append(
            msgspec.structs.replace(
                need,
                need_id=len(cut) + 1,
                tier="pinned",
                rank=0,
                units=units,
                pinned_node_code=node_code,
                pinned_start_bucket=start,
            )
        )
        pins[place] = Pin(
            product_code=need.product_code,
            region_code=need.region_code,
            due_date=MONDAY + timedelta(days=need.bucket),
            node_code=node_code,
            units=units,
            start_date=None if start is None else MONDAY + timedelta(days=start),
        )
    parameters = msgspec.structs.replace(facts.parameters, pins=tuple(pins.values()))
    return msgspec.structs.replace(facts, parameters=parameters), [need for need in cut if need.units > 0]
