"""What is the best that each node could have done for each need, and what stood in its way?"""

from dataclasses import dataclass

import numpy as np

from pullplan.engine.options import Options, Solution


@dataclass(frozen=True)
class Route:
    """One node for one need: its least late, then least reduced, option."""

    late_buckets: int
    cost: float
    saving: float
    """What one more unit of that option would save in the cost stage: Σ saving of capacity × use."""


Routes = dict[tuple[int, int], Route]
"""By (need, capability); pairs without any option are missing."""


def best_by_route(options: Options, solution: Solution) -> Routes:
    """Find every route's best option under the prices of the cost stage."""
    prices = next(p for p in solution.stage_prices if p.measure.startswith("cost:"))
    proving_price = options.option_capacity_price(prices.capacity)
    saving = options.option_capacity_price(solution.capacity_savings)
    cost = options.option_cost
    late = options.option_late_buckets
    order = np.lexsort((cost + proving_price, late, options.option_capability, options.option_need))
    pair = options.option_need[order] * max(1, len(options.capabilities.rows))
    _, first = np.unique(pair + options.option_capability[order], return_index=True)
    best = order[first]
    rows = zip(late[best].tolist(), cost[best].tolist(), saving[best].tolist(), strict=True)
    pairs = zip(options.option_need[best].tolist(), options.option_capability[best].tolist(), strict=True)
    return {pair: Route(*row) for pair, row in zip(pairs, rows, strict=True)}
