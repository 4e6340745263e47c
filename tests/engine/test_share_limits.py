"""Is a priced plan inside share limits the same as HiGHS's over the whole programme, and does it know few of them?"""

import msgspec
import pytest
from tests.engine.planned import stated
from tests.engine.test_priced_assignment import assert_equal_stages, assert_holds, network

from pullplan.engine.assignment import share_limits
from pullplan.engine.assignment.layout import lay_out
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.pricing import price
from pullplan.engine.checker import check
from pullplan.engine.model import Need, Pin, PlanningFacts
from pullplan.engine.options import build_options, needs_by_rank


def shared_network(seed: int, load: float, share: float) -> tuple[PlanningFacts, list[Need]]:
    """Draw a network of one bucket with share limits, yields, and one need pinned."""
    facts, needs = network(seed, load=load, two_resources=bool(seed % 2))
    capabilities = tuple(
        msgspec.structs.replace(c, yield_share=(1.0, 0.9, 0.7)[k % 3])
        for k, c in enumerate(facts.capabilities)
    )
    made_at = next(c.node_code for c in capabilities if c.product_code == needs[0].product_code)
    place = {name: getattr(needs[0], name) for name in ("product_code", "region_code", "units")}
    pin = Pin(**place, due_date=facts.horizon.as_of_date, node_code=made_at)
    pinned = msgspec.structs.replace(needs[0], tier="pinned", pinned_node_code=made_at)
    parameters = msgspec.structs.replace(facts.parameters, largest_share=share, pins=(pin,))
    return msgspec.structs.replace(facts, capabilities=capabilities, parameters=parameters), [
        pinned,
        *needs[1:],
    ]


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("load", [0.5, 0.9, 1.4])
@pytest.mark.parametrize("seed", range(3))
def test_prices_inside_share_limits_reach_what_the_whole_programme_reaches(
    seed: int, load: float, share: float
) -> None:
    facts, needs = shared_network(seed, load, share)
    options = build_options(facts, needs)
    solution = assign_by_prices(options)
    assert solution is not None
    assert_holds(options, solution)
    assert_equal_stages(options, solution)
    findings = check(facts, stated(facts, options, solution)).findings
    assert [f for f in findings if f.code != "pin_broken" or "left short" not in f.detail] == []


def test_only_limits_that_bind_are_priced() -> None:
    facts, needs = shared_network(1, 0.5, 0.7)
    options = build_options(facts, needs)
    layout = lay_out(options, needs_by_rank(options).values(), options.need_latest_bucket)
    assert layout is not None
    plan = price(layout.market, n_stages=len(needs_by_rank(options)))
    assert plan is not None
    is_share = options.capacities.is_share
    assert plan.is_priced[~is_share].all()
    assert 0 < plan.is_priced[is_share].sum() < is_share.sum()
    assert len(plan.cost.by_start) == plan.is_priced.sum()


def test_where_too_many_limits_bind_prices_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_limits, "MOST_LIMITS", 1)
    facts, needs = shared_network(0, 0.5, 0.1)
    assert assign_by_prices(build_options(facts, needs)) is None
