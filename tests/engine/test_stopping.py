"""Is what a stopped search found a plan, does it say so, and do its bounds hold?"""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from tests.engine.instances import networks, regional_network
from tests.engine.oracle import lexicographic_optimum
from tests.engine.planned import plan_of, stated, within_the_rules
from tests.engine.test_priced_assignment import network as priced_network

from pullplan.engine.assignment import assign
from pullplan.engine.assignment.filling import Choices, fill
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.assignment.watching import Watch
from pullplan.engine.certificate import certify
from pullplan.engine.checker import check
from pullplan.engine.model import Need, PlanningFacts
from pullplan.engine.options import Options, Solution, build_options

small = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def after(n_asked: int) -> Callable[[], bool]:
    """Say stop from the n-th time on that the search asks."""
    left = [n_asked]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return should_stop


def count_asks(options: Options) -> int:
    asked = [0]

    def should_stop() -> bool:
        asked[0] += 1
        return False

    assert assign(options, should_stop=should_stop).is_complete
    return asked[0]


def assert_is_a_plan(facts: PlanningFacts, options: Options, solution: Solution) -> None:
    verified = check(facts, stated(facts, options, solution))
    assert verified.valid, verified.findings[:3]


def without_sharing(facts: PlanningFacts) -> PlanningFacts:
    parameters = msgspec.structs.replace(facts.parameters, share_slices=1)
    return msgspec.structs.replace(facts, parameters=parameters)


@small
@given(networks(), st.integers(0, 60))
def test_wherever_the_search_is_stopped_its_plan_holds_and_no_plan_is_below_its_bounds(
    network: tuple[PlanningFacts, list[Need]], n_asked: int
) -> None:
    facts, needs = within_the_rules(*network)
    sliced = build_options(facts, needs)
    assert_is_a_plan(facts, sliced, assign(sliced, should_stop=after(n_asked)))
    parameters = msgspec.structs.replace(
        facts.parameters, share_slices=1
    )  # the oracle's stages are whole ranks
    facts = msgspec.structs.replace(facts, parameters=parameters)
    options = build_options(facts, needs)
    solution = assign(options, should_stop=after(n_asked))
    assert_is_a_plan(facts, options, solution)
    stages = certify(options, solution)
    least = lexicographic_optimum(facts, needs, achieved=[stage.value for stage in stages])
    for stage, reachable in zip(stages, least, strict=True):
        # The oracle lets earlier stages be a little worse, too.
        slack = 1e-5 * max(1.0, abs(stage.value), *(stage.multipliers or (0.0,)))
        assert stage.lower_bound <= reachable + slack, (stage, reachable)
        assert reachable <= stage.value + slack, (stage, reachable)


def test_the_later_the_stop_the_better_the_plan_and_the_narrower_the_proof() -> None:
    facts, needs = within_the_rules(*regional_network(1, load=0.9, tiers=("order", "forecast")))
    facts = without_sharing(facts)
    options = build_options(facts, needs)
    n_asks = count_asks(options)
    found = [assign(options, should_stop=after(n)) for n in (0, n_asks // 2, n_asks - 1, n_asks)]
    assert [solution.is_complete for solution in found] == [False, False, False, True]
    for solution in found:
        assert_is_a_plan(facts, options, solution)
    values = [[stage.value for stage in certify(options, solution)] for solution in found]
    shortfalls = [sum(v[:-3]) for v in values]
    assert shortfalls == sorted(shortfalls, reverse=True)
    gaps = [max(stage.gap for stage in certify(options, solution)) for solution in found]
    assert gaps[0] > 0.01
    assert gaps[-1] < 1e-9
    assert "stopped" in found[0].method
    assert "stopped" not in found[-1].method


def test_a_search_that_is_stopped_at_once_serves_everything_where_capacity_is_ample() -> None:
    facts, needs = within_the_rules(*regional_network(8, load=0.5, tiers=("order",)))
    options = build_options(facts, needs)
    plan = stated(facts, options, assign(options, should_stop=lambda: True))
    assert not plan.reproducible
    assert not plan.shortfalls
    cost, least = (p.stages[-2] for p in (plan, plan_of(facts, needs)))
    assert cost.value <= 1.1 * least.value
    assert 0.8 * least.value <= cost.lower_bound <= least.value


def test_a_stop_at_the_same_point_finds_the_same_plan() -> None:
    facts, needs = within_the_rules(*regional_network(3, load=1.1, tiers=("order",)))
    options = build_options(facts, needs)
    once, again = (stated(facts, options, assign(options, should_stop=after(25))) for _ in range(2))
    assert once.plan_hash == again.plan_hash
    assert not once.reproducible


@pytest.mark.usefixtures("few_needs_open_at_first")
@pytest.mark.parametrize(("seed", "load"), [(1, 0.7), (2, 0.9), (3, 1.3)])
def test_a_search_by_prices_that_is_stopped_takes_the_best_at_its_prices(seed: int, load: float) -> None:
    facts, needs = priced_network(seed, load=load, n_products=12, n_regions=20, n_ranks=2)
    options = build_options(facts, needs)
    best = certify(options, assign_whole(options))
    asked, gaps = 0, []
    while True:
        solution = assign_by_prices(options, Watch(None, after(asked)))
        assert solution is not None
        if solution.is_complete:
            break
        assert "prices" in solution.method
        assert "stopped" in solution.method
        assert_is_a_plan(facts, options, solution)
        stages = certify(options, solution)
        gaps.append(stages[-2].gap)
        for stage, least in zip(stages, best, strict=True):
            slack = 1e-6 * max(1.0, abs(least.value), *(stage.multipliers or (0.0,)))
            assert stage.lower_bound <= least.value + slack, stage
            if stage.value > least.value + slack:
                break  # what is no worse than this in the stages before may be better in the next
        asked += 9
    assert asked > 10
    if load < 0.8:
        assert max(gaps) < 0.1


def test_needs_are_filled_in_their_order_from_the_best_choice_with_room() -> None:
    # Place 0 has 10 hours at 2 a unit, place 1 has 3 hours at 1 a unit: need 0 takes 4 units of place 0; need 1 finds
    # 2 hours, one unit, left there, takes the rest from place 1, where need 2 then finds 1 hour; 4 of its units stay short.
    use = csr_array(np.array([[2.0, 0.0], [0.0, 1.0]]))
    choices = Choices(np.array([0, 2, 4, 6]), np.array([0, 1, 0, 1, 0, 1]), use)
    need, choice, units = fill(np.array([4.0, 3.0, 5.0]), choices, np.array([10.0, 3.0]))
    rounded = np.round(units, 12).tolist()
    lines = sorted(zip(need.tolist(), choices.place[choice].tolist(), rounded, strict=True))
    assert lines == [(0, 0, 4.0), (1, 0, 1.0), (1, 1, 2.0), (2, 1, 1.0)]


@pytest.mark.parametrize("seed", range(3))
def test_filling_never_overfills_a_row_however_sizes_differ(seed: int) -> None:
    chance = np.random.default_rng(seed)
    n_needs, n_places, n_rows = 200, 12, 6
    dense = chance.uniform(0.1, 3, (n_places, n_rows)) * (chance.random((n_places, n_rows)) < 0.4)
    room = 10.0 ** chance.uniform(-3, 6, n_rows)
    want = 10.0 ** chance.uniform(-3, 6, n_needs)
    place = np.concatenate([chance.permutation(n_places)[:4] for _ in range(n_needs)])
    choices = Choices(np.arange(0, 4 * n_needs + 1, 4), place, csr_array(dense))
    need, choice, units = fill(want, choices, room)
    made = np.bincount(place[choice], units, n_places)
    assert (made @ dense <= room * (1 + 1e-9)).all()
    served = np.bincount(need, units, n_needs)
    assert (served <= want * (1 + 1e-12)).all()
    is_full = made @ dense >= room * (1 - 1e-9)
    for short in np.flatnonzero(served < want * (1 - 1e-9)).tolist():
        assert all((dense[p] > 0)[is_full].any() for p in place[4 * short : 4 * short + 4].tolist())
