"""Which orders could serve which needs of a product, at what cost?

An *order* is a capability × start bucket. All orders and needs of one product are laid out as a table, and no more
than one such table at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.kept import Kept
from pullplan.engine.options import Options, Ways, runs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FIXED_WEIGHT = 1e4
"""Of the dearest unit short: no move of units that stay pays that."""
DUST_SHARE = 1e-9
"""Of a need: if so little of it does not stay, all does."""


@dataclass(frozen=True)
class Orders:
    """Every order that an option of a product with lot rules leads to, by capability and start bucket.

    Arrays are (n_orders,).
    """

    capability: IntArray
    start: IntArray
    product: IntArray
    surplus_region: IntArray
    """The one that will need it soonest: of those the node serves in time, the one with the most need."""
    surplus_early_buckets: IntArray
    """From arrival there to the end of the horizon."""
    surplus_route_cost: FloatArray
    """Per unit: the way there."""
    surplus_cost: FloatArray
    """Per unit: the way there, holding until the end of the horizon, and being early by so much."""
    of_product: dict[int, IntArray]
    """Positions, ascending."""
    n_buckets: int

    def number(self, capability: IntArray, start: IntArray) -> IntArray:
        """Find orders."""
        key = self.capability * self.n_buckets + self.start
        return np.searchsorted(key, capability * self.n_buckets + start)


@dataclass(frozen=True)
class Weights:
    """What a unit of each measure counts in the one sum that orders are chosen by.

    Far enough apart that a saving in a later measure never pays for an earlier one; the plan's stages are measured, not
    taken from here.
    """

    short: FloatArray
    """(n_needs,)"""
    lateness: float
    excess: float
    """Of surplus above one multiple a product."""
    earliness: float


@dataclass(frozen=True)
class Table:
    """What a unit of every need counts over every order of a product."""

    product: int
    order: IntArray
    """(n_orders,): positions among all orders, ascending."""
    need: IntArray
    """(n_columns,): what the relaxation serves of a need, what it leaves short, and what stays in an order are columns of their own."""
    is_left_short: BoolArray
    """(n_columns,)"""
    units: FloatArray
    """(n_columns,)"""
    cost: FloatArray
    """(n_orders, n_columns): lateness and earliness included; ∞ where the order can't serve the need."""
    staying: IntArray
    """(n_staying,): columns of units that should stay in an order."""
    stays_in: IntArray
    """(n_staying,): that order's position among the table's."""
    leaving_cost: FloatArray
    """(n_columns,): what a unit that stays counts more where it does not, or is short; in `cost` already."""


def lay_out_orders(options: Options, products: Sequence[int], weights: Weights) -> Orders:
    """List the orders that options lead to; products ascending."""
    n_buckets = options.horizon.horizon_buckets
    needs_of = dict(runs(options.need_product))
    columns = [_orders_of_product(options, p, needs_of[p]) for p in products if p in needs_of]
    capability, start, region, offset = (
        np.concatenate([np.empty(0, dtype=np.int64), *(of[at] for of in columns)]) for at in range(4)
    )
    cost = np.concatenate([np.empty(0), *(of[4] for of in columns)])
    product_of = options.capabilities.product[capability]
    early = np.maximum(0, n_buckets - start - offset)
    edges = np.searchsorted(product_of, [*products, len(options.products)])
    return Orders(
        capability=capability,
        start=start,
        product=product_of,
        surplus_region=region,
        surplus_early_buckets=early,
        surplus_route_cost=cost,
        surplus_cost=cost + early * (weights.earliness + options.holding_cost_per_bucket[product_of]),
        of_product={p: np.arange(edges[i], edges[i + 1]) for i, p in enumerate(products)},
        n_buckets=n_buckets,
    )


def _orders_of_product(
    options: Options, product: int, needs: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray]:
    """List (capability, start, region of surplus, offset to it, cost of the way to it)."""
    ways, first, n_starts = options.reach(product, needs)
    is_open = np.zeros((len(ways.capability), options.horizon.horizon_buckets + 1), dtype=np.int64)
    way, at = np.nonzero(n_starts)
    np.add.at(is_open, (way, first[way, at]), 1)
    np.add.at(is_open, (way, first[way, at] + n_starts[way, at]), -1)
    way, start = np.nonzero(np.cumsum(is_open, axis=1) > 0)
    column = _soonest_region(options, ways, n_starts > 0, needs)[way]
    return (
        ways.capability[way],
        start,
        options.need_region[needs[column]],
        ways.offset_buckets[way, column],
        ways.route_cost[way, column],
    )


def _soonest_region(options: Options, ways: Ways, reaches: BoolArray, needs: IntArray) -> IntArray:
    """Find a need of the region with the most need that each way reaches; ties: nearest, then first by code."""
    regions, region = np.unique(options.need_region[needs], return_inverse=True)
    any_of_region = np.zeros(len(regions), dtype=np.int64)
    any_of_region[region] = np.arange(len(needs))
    found = np.zeros(len(reaches), dtype=np.int64)
    for way, reached in enumerate(reaches):
        units = np.bincount(region, weights=options.need_units[needs] * reached, minlength=len(regions))
        best = np.flatnonzero(units == units.max())
        distance_km = ways.distance_km[way, any_of_region[best]]
        found[way] = any_of_region[best[distance_km.argmin()]]
    return found


def tabulate(  # noqa: PLR0917 - facts in their order
    options: Options,
    orders: Orders,
    product: int,
    needs: IntArray,
    left_short: FloatArray,
    weights: Weights,
    kept: Kept | None = None,
) -> Table:
    """Lay out a product's orders and needs.

    Shapes: `needs` positions (n,), ascending, `left_short` (n_needs,) units that the relaxation does not serve; `kept`
    lines of the product
    """
    order = orders.of_product[product]
    ways, first, n_starts = options.reach(product, needs)
    way = np.searchsorted(ways.capability, orders.capability[order])
    start = orders.start[order][:, None]
    # One order after the other would take as long as there are orders; all at once takes one table a column.
    since = start - first[way]
    delay = start + ways.offset_buckets[way] - options.need_bucket[needs]
    per_early = weights.earliness + options.holding_cost_per_bucket[product]
    cost = np.where(delay > 0, weights.lateness * delay, -per_early * delay)
    cost += ways.route_cost[way]
    cost[(since < 0) | (since >= n_starts[way])] = np.inf
    short = left_short[needs]
    stays = np.flatnonzero(kept.staying_units) if kept is not None else np.empty(0, dtype=np.int64)
    served_units = options.need_units[needs] - short
    if kept is None or len(stays) == 0:
        served, of_line, staying_units = np.flatnonzero(served_units > 0), stays, np.empty(0)
    else:
        of_line, staying_units = np.searchsorted(needs, kept.need[stays]), kept.staying_units[stays]
        served_units -= np.bincount(of_line, weights=staying_units, minlength=len(needs))
        served = np.flatnonzero(served_units > DUST_SHARE * options.need_units[needs])
    never = np.flatnonzero(short > 0)
    column = np.concatenate([served, of_line, never])
    is_whole = len(column) == len(needs) and not len(never) and not len(stays)
    table = Table(
        product=product,
        order=order,
        need=needs[column],
        is_left_short=np.arange(len(column)) >= len(served) + len(stays),
        units=np.concatenate([served_units[served], staying_units, short[never]]),
        cost=cost if is_whole else cost[:, column],
        staying=len(served) + np.arange(len(stays)),
        stays_in=np.empty(0, dtype=np.int64),
        leaving_cost=np.zeros(len(column)),
    )
    if kept is None or len(stays) == 0:
        return table
    price = min(kept.price, FIXED_WEIGHT * float(weights.short.max()))
    number = orders.number(kept.capability[stays], kept.start_bucket[stays])
    return _with_staying(table, np.searchsorted(order, number), price)


def _with_staying(table: Table, stays_in: IntArray, price: float) -> Table:
    """Let units that stay count a price more in every order but their own."""
    own = table.cost[stays_in, table.staying].copy()
    table.cost[:, table.staying] += price
    table.cost[stays_in, table.staying] = own
    table.leaving_cost[table.staying] = price
    return replace(table, stays_in=stays_in)
