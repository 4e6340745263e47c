"""What of its stock does a region need for nothing?"""

from collections import defaultdict
from collections.abc import Mapping

import msgspec
import numpy as np

from pullplan.engine.demand import Pair
from pullplan.engine.model import PlanningFacts
from pullplan.engine.netting.flows import split_cover
from pullplan.engine.netting.needs import net, net_lines
from pullplan.engine.netting.ordering import DUST_UNITS
from pullplan.engine.netting.waiting import spare_units


def spare_stock(facts: PlanningFacts) -> dict[Pair, float]:
    """Tell what each product × region has on hand beyond all that it needs itself over the horizon.

    Nothing where the plan's parameters don't ask for it. Demand must be complete, its forecast included.

    Spare is what stock gives to none of the region's own demand, as far as every bucket keeps its target without it and makes
    nothing anew; of a DDMRP buffer also only what net flow exceeds the top of green by at the end of the horizon. Without it
    the region's needs are what they were. Supply that is still to come is not spare: it isn't there yet.

    Source: the planning model, section 4, the last paragraph.
    """
    if facts.parameters.pool_regions_within_km is None:
        return {}
    netted = net_lines(facts)
    if netted.covered is None:
        return {}
    flow = netted.covered.flow
    from_stock, _ = split_cover(flow)
    spare = spare_units(flow, netted.covered.coverage).min(axis=0)
    np.minimum(spare, flow.on_hand_units - from_stock.sum(axis=0), out=spare)
    if netted.buffers is not None:
        place = {pair: i for i, pair in enumerate(netted.pairs)}
        at = [place[pair] for pair in netted.buffers.zoned.pairs]
        spare[at] = np.minimum(spare[at], netted.buffers.spare_units)
    found = {netted.pairs[i]: float(spare[i]) for i in np.flatnonzero(spare > DUST_UNITS).tolist()}
    needing_more = _whose_needs_change(facts, found)
    return {pair: units for pair, units in found.items() if pair not in needing_more}


def _whose_needs_change(facts: PlanningFacts, spare: Mapping[Pair, float]) -> set[Pair]:
    """Net once more without what is spare: who then needs anything else, at a threshold by a rounding, keeps its stock."""
    if not spare:
        return set()
    left = tuple(
        msgspec.structs.replace(
            position,
            count_units=position.count_units - spare.get((position.product_code, position.region_code), 0.0),
        )
        for position in facts.stock
    )
    with_all, without = _needs_by_pair(facts), _needs_by_pair(msgspec.structs.replace(facts, stock=left))
    return {pair for pair in spare if with_all.get(pair) != without.get(pair)}


def _needs_by_pair(facts: PlanningFacts) -> dict[Pair, list[tuple[int, str]]]:
    needs = defaultdict[Pair, list[tuple[int, str]]](list)
    for need in net(facts):
        needs[need.product_code, need.region_code].append((need.bucket, need.tier))
    return needs
