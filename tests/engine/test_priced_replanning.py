"""Is a re-plan that prices find the one that the programme of open needs proves, and does it hold as much?"""

import msgspec
import numpy as np
import pytest
from bench.facts import facts_of
from bench.instances import reference_instance
from tests.engine.replanned import as_orders, shaken, stability_of
from tests.engine.test_priced_assignment import network
from tests.engine.test_priced_buckets import seasonal_network

from pullplan.engine.checker import check
from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, replan, whole
from pullplan.engine.replanning.pricing import look_by_prices
from pullplan.engine.replanning.proving import Proven
from pullplan.engine.replanning.whole import Whole, lay_out_whole

pytestmark = pytest.mark.usefixtures("few_needs_open_at_first")


def drawn(seed: int, *, n_buckets: int, share_slices: int) -> tuple[Whole, np.random.Generator]:
    """Draw a network, plan it, let much change, and lay out what stands."""
    chance = np.random.default_rng(seed)
    load = float(chance.choice([0.6, 0.85, 1.0, 1.2]))
    if n_buckets == 1:
        facts, needs = network(seed, load=load, tiers=("order", "forecast") if seed % 4 == 0 else ("order",))
    else:
        facts, needs = seasonal_network(seed, load=0.8 * load, n_buckets=n_buckets)
    parameters = msgspec.structs.replace(facts.parameters, share_slices=share_slices)
    before = as_orders(msgspec.structs.replace(facts, parameters=parameters), needs)
    return lay_out_whole(shaken(before, seed), before, make_plan(before)), chance


def by_programme(laid: Whole, churn: Churn) -> Proven:
    assert len(laid.options.needs) < whole.PRICED_FROM_NEEDS
    return laid.look(churn, None, None).proven


def assert_as_good(priced: Proven, proven: Proven, least_saving: float = 0.0) -> None:
    assert [s.measure for s in priced.stages] == [s.measure for s in proven.stages]
    for mine, best in zip(priced.stages, proven.stages, strict=True):
        to_save = least_saving if "cost:" in mine.measure else 0.0
        of_mine = mine.value + to_save * priced.moved_units
        of_best = best.value + to_save * proven.moved_units
        # Earliness is a difference of amounts ten orders larger.
        share = 1e-5 if "early" in mine.measure or "earliness" in mine.measure else 1e-6
        assert of_mine == pytest.approx(of_best, rel=share, abs=share), (mine, best)
        assert abs(mine.gap) < share, mine


def assert_prices_agree(seeds: range, n_buckets: int, share_slices: int) -> tuple[int, int]:
    """Return how many best plans, and how many within a churn, prices found."""
    n_free = n_held = 0
    for seed in seeds:
        laid, chance = drawn(seed, n_buckets=n_buckets, share_slices=share_slices)
        free = look_by_prices(laid.options, laid.standing, Churn(), None)
        if free is None:
            continue
        best = by_programme(laid, Churn())
        assert_as_good(free, best)
        if n_buckets == 1:
            assert free.moved_units == pytest.approx(best.moved_units, abs=1e-6)
        n_free += 1
        half = best.moved_units / 2
        churn = (Churn(None, 3.0), Churn(0.0), Churn(half), Churn(half / 2, 1.0))[int(chance.integers(4))]
        held = look_by_prices(laid.options, laid.standing, churn, free)
        if held is not None:
            assert churn.budget_units is None or held.moved_units <= churn.budget_units + 1e-6
            assert_as_good(held, by_programme(laid, churn), churn.least_saving_per_unit)
            n_held += 1
    return n_free, n_held


def test_where_one_slice_is_short_prices_always_find_what_the_programme_proves() -> None:
    assert assert_prices_agree(range(10), 1, 1) == (10, 10)


def test_where_needs_are_shared_out_prices_find_the_same_or_nothing() -> None:
    n_free, n_held = assert_prices_agree(range(100, 110), 1, 10)
    assert n_free == 10
    assert n_held >= 1


def test_over_several_buckets_prices_find_the_same_or_nothing() -> None:
    n_free, n_held = assert_prices_agree(range(200, 208), 3, 1)
    assert n_free >= 6
    assert n_held >= 2


def test_what_is_early_has_a_weight_also_where_starts_do_not_cool() -> None:
    assert assert_prices_agree(range(1005, 1006), 5, 10)[0] == 1


@pytest.mark.long
@pytest.mark.parametrize("n_buckets", [1, 2, 5])
@pytest.mark.parametrize("share_slices", [1, 10])
def test_many_networks_agree(n_buckets: int, share_slices: int) -> None:
    n_free, n_held = assert_prices_agree(range(1000, 1020), n_buckets, share_slices)
    assert n_free > 18
    assert n_held > 5


# --- a node of many goes offline ------------------------------------------------------------------------------------


def without(facts: PlanningFacts, node_code: str) -> PlanningFacts:
    nodes = tuple(
        msgspec.structs.replace(node, status="offline") if node.node_code == node_code else node
        for node in facts.nodes
    )
    return msgspec.structs.replace(facts, nodes=nodes)


@pytest.fixture(scope="module")
def planned() -> tuple[PlanningFacts, PlanningFacts, Plan]:
    before = facts_of(reference_instance(5, capacity_factor=1.25))
    return before, without(before, "N07"), make_plan(before)


def test_when_a_node_goes_down_the_rest_may_move_within_a_budget(
    planned: tuple[PlanningFacts, PlanningFacts, Plan],
) -> None:
    before, now, parent = planned
    anew = make_plan(now)
    free = replan(now, before, parent, Churn())
    assert [s.value for s in free.stages] == pytest.approx([s.value for s in anew.stages])
    budget = stability_of(free).moved_units / 3
    within = replan(now, before, parent, Churn(budget))
    for plan in (free, within):
        assert plan.method.startswith("prices on capacity")
        assert check(now, plan, parent, before.horizon).findings == ()
        assert max(abs(stage.gap) for stage in plan.stages) < 1e-9
    assert stability_of(within).moved_units == pytest.approx(budget)
    cost = next(k for k, stage in enumerate(free.stages) if stage.measure.startswith("cost:"))
    dearer = within.stages[cost].value - free.stages[cost].value
    moved_less = stability_of(free).moved_units - budget
    # What moving one unit more would save falls as more move.
    assert 0 < dearer <= stability_of(within).churn_prices[cost] * moved_less
    assert replan(now, before, parent, Churn(budget)).plan_hash == within.plan_hash


def test_what_stays_keeps_its_line_word_for_word(planned: tuple[PlanningFacts, PlanningFacts, Plan]) -> None:
    before, now, parent = planned
    again = replan(now, before, parent, Churn(0.0))
    was = {line.assignment_id: line for line in parent.assignments}
    lost = {line.assignment_id for line in parent.assignments if line.node_code == "N07"}
    kept = {line.assignment_id: line for line in again.assignments if line.assignment_id in was}
    assert kept.keys() == was.keys() - lost
    assert all((kept[n].node_code, kept[n].units) == (was[n].node_code, was[n].units) for n in kept)
    assert stability_of(again).moved_units == 0.0
