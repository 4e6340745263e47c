"""Do production orders keep to their lots, make what their lines take, and leave no more over than they must?"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pullplan.engine.checker.exactness import CellSums
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.lines import Counted
from pullplan.engine.model import Capability, Finding, FindingCode, LotFigures, Plan, ProductionOrder

LOT_TOLERANCE_SHARE = 1e-6
"""Of an order's units: so far may sums and sizes be off."""

type Problem = tuple[FindingCode, str]
type Place = tuple[str, str, int]


@dataclass(frozen=True)
class LotSizes:
    """What a capability's lots keep to."""

    minimum: float
    multiple: float
    maximum: float

    @property
    def rule(self) -> bool:
        """Tell whether there is any."""
        return self.minimum > 0 or self.multiple > 0 or self.maximum < math.inf


@dataclass(frozen=True)
class Surplus:
    """What an order makes beyond what serves needs, as work for the first bucket after the horizon."""

    order: ProductionOrder
    capability: int
    """Position among the ground's."""
    cost: float
    early_buckets: int


def lot_sizes(ground: Ground, capability: Capability) -> LotSizes:
    """Read a capability's rules, the product's where it says nothing; a minimum is a whole number of multiples."""
    product = ground.products[ground.product[capability.product_code]]

    def say(own: float | None, default: float | None) -> float:
        return (default if own is None else own) or 0.0

    multiple = say(capability.lot_multiple_units, product.lot_multiple_units)
    minimum = say(capability.minimum_lot_units, product.minimum_lot_units)
    maximum = say(capability.maximum_lot_units, product.maximum_lot_units)
    if multiple > 0:
        minimum = math.ceil(minimum / multiple - LOT_TOLERANCE_SHARE) * multiple
    return LotSizes(minimum, multiple, maximum or math.inf)


class LotChecker:
    """Holds production orders to lots and lines, and keeps those that can be measured, and their surplus."""

    def __init__(self, ground: Ground, plan: Plan, counted: Counted) -> None:
        self._ground = ground
        self._plan = plan
        capabilities = ground.capabilities
        self._capability = {(c.product_code, c.node_code): i for i, c in enumerate(capabilities.rows)}
        self.orders: list[tuple[ProductionOrder, int]] = []
        """Those that there can be, each with its capability's position among the ground's."""
        self.surplus: list[Surplus] = []
        self._ruled = {
            c.product_code
            for c, allowed in zip(capabilities.rows, capabilities.allowed.tolist(), strict=True)
            if allowed
            and (lot_sizes(ground, c).rule or any(use > 0 for use in c.setup_use_per_order.values()))
        }
        self._taken = self._add_lines_up(counted) if self._ruled else {}

    def _add_lines_up(self, counted: Counted) -> dict[Place, float]:
        """Add up the lines of products with lots by where and when they start."""
        capabilities, n_buckets = self._ground.capabilities, self._ground.n_buckets
        is_ruled = np.array([c.product_code in self._ruled for c in capabilities.rows], dtype=np.bool_)
        taken = is_ruled[counted.capability]
        places = counted.capability[taken] * n_buckets + counted.start_bucket[taken]
        at, cell = np.unique(places, return_inverse=True)
        units = CellSums.of(cell, counted.units[taken], np.ones(len(cell)), len(at))
        of_place = (divmod(place, n_buckets) for place in at.tolist())
        return {
            (capabilities.rows[c].product_code, capabilities.rows[c].node_code, start): made
            for (c, start), made in zip(of_place, units.value.tolist(), strict=True)
        }

    @property
    def has_lots(self) -> bool:
        """Tell whether any product that the facts name has lot rules somewhere."""
        return bool(self._ruled)

    def problem_of_stages(self) -> str:
        """Say what is wrong with where stages state a relaxation, if anything is."""
        stated = [of for stage in self._plan.stages for of in (stage.relaxation_value, stage.price_of_lots)]
        if all((of is not None) == self.has_lots for of in stated):
            return ""
        return "stages state a relaxation's value and a price of lots where a capability has lot rules, and nowhere else"

    def check(self) -> Iterator[Finding]:
        """Look at every order, and for lines of products with lots that no order makes."""
        times = Counter(_place(order) for order in self._plan.production_orders)
        numbered = Counter(order.production_order_id for order in self._plan.production_orders)
        for order in self._plan.production_orders:
            place = _place(order)
            problems = list(self._problems(order))
            if times[place] > 1:
                problems.append(("order_malformed", "another order is of the same product, node and bucket"))
            if order.production_order_id < 1 or numbered[order.production_order_id] > 1:
                problems.append(
                    ("order_malformed", f"its number is {order.production_order_id}, no number of its own")
                )
            for code, words in problems:
                yield self._finding(code, place, words)
        for place, units in sorted(self._taken.items()):
            is_sent = self._is_store(self._capability[place[:2]])
            if place[0] in self._ruled and place not in times and not is_sent:
                yield self._finding(
                    "order_wrong", place, f"no order makes the {units:.9g} units of its lines"
                )

    def _is_store(self, capability: int) -> bool:
        return bool(self._ground.is_store[self._ground.capabilities.node[capability]])

    def _finding(self, code: FindingCode, place: Place, words: str) -> Finding:
        product_code, node_code, start = place
        return Finding(
            code=code,
            detail=f"{product_code} at {node_code}, started in {self._ground.when(start)}: {words}",
            node_code=node_code,
        )

    def _problems(self, order: ProductionOrder) -> Iterator[Problem]:
        c = self._capability.get((order.product_code, order.node_code))
        amounts = (order.units, order.lot_units, order.smaller_lot_units, order.surplus_units)
        if (
            c is None
            or self._is_store(c)
            or order.product_code not in self._ruled
            or not 0 <= order.start_bucket < self._ground.n_buckets
            or not all(math.isfinite(units) and units >= 0 for units in amounts)
            or order.n_lots < 1
            or order.n_smaller_lots < 0
            or (order.n_smaller_lots == 0 and order.smaller_lot_units != 0)
            or order.units <= 0
        ):
            yield "order_malformed", "there can be no such order"
            return
        self.orders.append((order, c))
        slack = LOT_TOLERANCE_SHARE * order.units
        taken = self._taken.get(_place(order), 0.0)
        if abs(taken + order.surplus_units - order.units) > slack:
            words = f"lines take {taken:.9g} units and {order.surplus_units:.9g} are surplus"
            yield "order_wrong", f"it is of {order.units:.9g} units; {words}"
        sizes = lot_sizes(self._ground, self._ground.capabilities.rows[c])
        yield from self._problems_of_lots(order, sizes, slack)
        yield from self._problems_of_surplus(order, c, sizes, slack)

    def _problems_of_lots(self, order: ProductionOrder, sizes: LotSizes, slack: float) -> Iterator[Problem]:
        lots = [(order.n_lots, order.lot_units)]
        if order.n_smaller_lots:
            lots.append((order.n_smaller_lots, order.smaller_lot_units))
        if abs(math.fsum(n * units for n, units in lots) - order.units) > slack:
            yield "lot_wrong", f"its lots don't add up to {order.units:.9g} units"
        for _, units in lots:
            if units < sizes.minimum - slack:
                yield "lot_wrong", f"a lot is of {units:.9g} units, the minimum is {sizes.minimum:.9g}"
            if units > sizes.maximum + slack:
                yield "lot_wrong", f"a lot is of {units:.9g} units, the maximum is {sizes.maximum:.9g}"
            if sizes.multiple > 0:
                whole = sizes.multiple * round(units / sizes.multiple)
                if abs(units - whole) > slack:
                    yield "lot_wrong", f"a lot is of {units:.9g} units, no multiple of {sizes.multiple:.9g}"

    def _problems_of_surplus(
        self, order: ProductionOrder, c: int, sizes: LotSizes, slack: float
    ) -> Iterator[Problem]:
        if order.surplus_units == 0:
            return
        ground, lanes = self._ground, self._ground.lanes
        node, region = ground.capabilities.node[c], ground.region.get(order.surplus_region_code or "")
        if region is None or not (ground.capabilities.allowed[c] and lanes.usable[node, region]):
            yield "surplus_wrong", f"its surplus can't go to {order.surplus_region_code}"
            return
        travel_days = int(ground.capabilities.make_days[c] + lanes.transit_days[node, region])
        days = ground.days_per_bucket
        early = max(0, ground.n_buckets - order.start_bucket - (days - 1 + travel_days) // days)
        product, at, to = (np.array(place) for place in (ground.capabilities.product[c], c, region))
        cost = float(ground.cost_per_unit(product, at, to) + early * ground.holding_per_bucket[product])
        self.surplus.append(Surplus(order, c, cost, early))
        served = order.units - order.surplus_units
        may_be_less = ground.facts.parameters.make_minimum
        if served < sizes.minimum - slack and not may_be_less:
            yield (
                "surplus_wrong",
                f"its minimum of {sizes.minimum:.9g} exceeds the {served:.9g} units that are left to make",
            )
        # A lot less would do, unless it would be less than the minimum.
        least = max(sizes.minimum, served)
        spare = order.units - (
            sizes.multiple * math.ceil(least / sizes.multiple - LOT_TOLERANCE_SHARE)
            if sizes.multiple > 0
            else least
        )
        if spare > slack and sizes.maximum == math.inf:
            yield "surplus_wrong", f"{spare:.9g} units of its surplus need not be made"


def _place(order: ProductionOrder) -> Place:
    return order.product_code, order.node_code, order.start_bucket


def figures_of_lots(plan: Plan) -> LotFigures:
    """Add up anew what lots do to a plan."""
    orders = plan.production_orders
    surplus, made = math.fsum(o.surplus_units for o in orders), math.fsum(o.units for o in orders)
    prices = [stage.price_of_lots for stage in plan.stages if stage.measure.startswith("cost:")]
    return LotFigures(
        n_production_orders=len(orders),
        n_lots=sum(o.n_lots + o.n_smaller_lots for o in orders),
        surplus_units=surplus,
        surplus_share=surplus / made if made > 0 else None,
        price_of_lots=prices[0] if prices else None,
    )
