"""What of its stock does a region need for nothing?"""

import numpy as np

from pullplan.engine.demand import Pair
from pullplan.engine.model import PlanningFacts
from pullplan.engine.netting.flows import DUST_UNITS, split_cover
from pullplan.engine.netting.needs import net_lines
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
    return {netted.pairs[i]: float(spare[i]) for i in np.flatnonzero(spare > DUST_UNITS).tolist()}
