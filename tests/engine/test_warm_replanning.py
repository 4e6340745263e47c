"""Is one changed need served as a whole new search would serve it, and proven over needs that nobody looked at?"""

import numpy as np
import pytest
from bench.assigning import to_market
from bench.instances import reference_instance

from pullplan.engine.assignment.pricing import price
from pullplan.engine.replanning.warm import WarmMarket


@pytest.mark.parametrize("seed", [1, 2])
def test_changed_needs_cost_what_a_search_over_all_needs_finds(seed: int) -> None:
    instance = reference_instance(12, capacity_factor=1.25, seed=seed)
    market = to_market(instance)
    plan = price(market, n_stages=1)
    assert plan is not None
    warm = WarmMarket(market, plan.lines)
    chance = np.random.default_rng(seed)
    for _ in range(3):
        product, region = int(chance.integers(12)), int(chance.integers(300))
        now = warm.change(product * 300 + region, float(chance.choice([0.0, 5.0, 400.0])))
        whole = price(market, n_stages=1)  # the market's units have been changed in place
        assert whole is not None
        assert now.value == pytest.approx(whole.lines.cost.value, rel=1e-9)
        assert now.bound == pytest.approx(now.value, rel=1e-9)
        assert now.n_needs_read < 3_000
        served = np.zeros(len(market.blocks) * 300)
        np.add.at(served, now.need, now.units)
        looked_at = np.unique(now.need)
        wanted = np.concatenate([block.units for block in market.blocks])
        assert served[looked_at] == pytest.approx(wanted[looked_at], rel=1e-7)
