"""Could an order be a lot smaller, as other orders of its product have its units left over?

A multiple is needless where all that the order would no longer make could come, unit by unit, from what others have left
over: by options of the same needs that are no later and no dearer. What a re-plan holds, and pins, stay where they are.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pullplan.engine.checker.columns import BoolArray, FloatArray, IntArray
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.holding import Held
from pullplan.engine.checker.lines import Counted
from pullplan.engine.checker.lots import LOT_TOLERANCE_SHARE, LotChecker, LotSizes, Surplus, lot_sizes
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.options import Work
from pullplan.engine.model import Finding, ProductionOrder

ROUNDING_SHARE = 1e-12
"""Of units: whether so much fits in as well is the arithmetic's word."""


def check_left_over(
    ground: Ground, needs: Needs, counted: Counted, lots: LotChecker, held: Held
) -> Iterator[Finding]:
    """Look at every order of a product of which anything is left over."""
    if not lots.surplus:
        return
    n_ways, n_buckets = len(ground.capabilities.rows), ground.n_buckets
    of_product: dict[str, list[Surplus]] = defaultdict(list)
    for left in lots.surplus:
        of_product[left.order.product_code].append(left)
    place = counted.capability * n_buckets + counted.start_bucket
    stays = np.zeros(len(place), dtype=np.bool_)
    if held.work is not None:
        stood = (held.work.need * n_ways + held.work.capability) * n_buckets + held.work.start
        stays = np.isin(counted.need * (n_ways * n_buckets) + place, stood)
    by_place = np.argsort(place, kind="stable")
    for order, capability in lots.orders:
        others = [left for left in of_product[order.product_code] if left.order is not order]
        there = capability * n_buckets + order.start_bucket
        lines = by_place[slice(*np.searchsorted(place, (there, there + 1), sorter=by_place))]
        below = _size_below(order, lot_sizes(ground, ground.capabilities.rows[capability]))
        over = float(counted.units[lines].sum()) - below
        if over <= 0 or math.fsum(left.order.surplus_units for left in others) < over:
            continue
        lines = lines[~stays[lines]]
        work = _elsewhere(ground, needs, counted.need[lines], others)
        may = work.is_option & (work.late_buckets <= counted.late_buckets[lines, None])
        may &= work.cost_per_unit <= counted.cost[lines, None]
        room = [left.order.surplus_units for left in others]
        if _moved_units(may, counted.units[lines], room) >= over * (1 - ROUNDING_SHARE):
            when = ground.when(order.start_bucket)
            yield Finding(
                code="surplus_wrong",
                detail=f"{order.product_code} at {order.node_code}, started in {when}: it could be of {below:.9g} units "
                f"instead of {order.units:.9g}; what other orders have left over would serve the {over:.9g} units that it "
                f"then lacks, no later and no dearer",
                node_code=order.node_code,
            )


def _size_below(order: ProductionOrder, sizes: LotSizes) -> float:
    """Find an order's next smaller size; its own where there is none that is sure to be one."""
    if sizes.multiple == 0:
        return 0.0 if order.surplus_units > 0 else order.units
    below = order.units - sizes.multiple
    if below < sizes.minimum * (1 - LOT_TOLERANCE_SHARE):
        return 0.0
    n_lots = math.ceil(below / sizes.maximum - LOT_TOLERANCE_SHARE)
    return below if below >= n_lots * sizes.minimum else order.units


def _elsewhere(ground: Ground, needs: Needs, need: IntArray, others: Sequence[Surplus]) -> Work:
    """Serve needs from other orders instead: (n_lines, n_others)."""
    capability = np.array([left.capability for left in others])
    start = np.array([left.order.start_bucket for left in others])
    return Work.of(ground, needs, need[:, None], capability[None], start[None])


def _moved_units(may: BoolArray, units: FloatArray, room: Sequence[float]) -> float:
    """Move lines into room, that first which the fewest units may go to; there, lines first that may go nowhere else.

    Shapes: `may` (n_lines, n_rooms), `units` (n_lines,), `room` (n_rooms,)
    """
    left, n_ways, moved = units.copy(), may.sum(axis=1), 0.0
    for j in np.argsort(units @ may, kind="stable").tolist():
        going = np.flatnonzero(may[:, j])
        going = going[np.argsort(n_ways[going], kind="stable")]
        before = np.cumsum(left[going]) - left[going]
        taken = np.clip(room[j] - before, 0.0, left[going])
        left[going] -= taken
        n_ways[going] -= 1
        moved += float(taken.sum())
    return moved
