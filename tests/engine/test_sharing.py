"""Do needs of equal rank share what is short, and does nobody get past the checker who doesn't let them?"""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.planned import changed, stated
from tests.engine.test_priced_assignment import network

from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.certificate import certify
from pullplan.engine.checker import check
from pullplan.engine.model import Capability, Need, PlanningFacts, ShortfallStage
from pullplan.engine.options import Options, build_options

small = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def one_pool(seed: int, share_slices: int, load: float) -> tuple[PlanningFacts, list[Need]]:
    """Draw twenty products that one node alone makes, with uses and values of their own: nothing binds but its hours."""
    facts, needs = network(seed, load=load, n_nodes=1, n_products=20, n_regions=3)
    chance = np.random.default_rng(seed)
    return msgspec.structs.replace(
        facts,
        parameters=msgspec.structs.replace(facts.parameters, share_slices=share_slices),
        capabilities=tuple(
            Capability(
                node_code="N0",
                product_code=product.product_code,
                use_per_unit={"hours": float(chance.uniform(0.5, 2))},
            )
            for product in facts.products
        ),
        lanes=tuple(msgspec.structs.replace(lane, forbidden=False) for lane in facts.lanes),
    ), needs


def served_shares(options: Options, shortfall_units: np.ndarray) -> np.ndarray:
    return 1 - shortfall_units / options.need_units


@small
@given(st.integers(0, 10_000), st.sampled_from((2, 5, 10)), st.floats(1.1, 8.0))
def test_shares_of_equal_ranks_are_equal_to_within_one_slice(
    seed: int, share_slices: int, load: float
) -> None:
    options = build_options(*one_pool(seed, share_slices, load))
    for assign in (assign_whole, assign_by_prices):
        solution = assign(options)
        assert solution is not None
        shares = served_shares(options, solution.shortfall_units)
        assert shares.max() - shares.min() <= 1 / share_slices + 1e-6
        assert all(abs(stage.gap) < 1e-6 for stage in certify(options, solution))


def test_without_slices_some_products_get_nothing_and_with_ten_all_get_their_share() -> None:
    facts, needs = one_pool(1, 1, 2.0)
    alone = build_options(facts, needs)
    shares = served_shares(alone, assign_whole(alone).shortfall_units)
    assert (shares < 1e-9).sum() >= 20
    sharing = build_options(*one_pool(1, 10, 2.0))
    shares = served_shares(sharing, assign_whole(sharing).shortfall_units)
    assert shares.min() > 0.3


def test_a_plan_that_serves_later_slices_first_is_seen_to_be_worse() -> None:
    facts, needs = one_pool(3, 10, 2.0)
    best = build_options(facts, needs)
    solution = assign_whole(best)
    unshared = msgspec.structs.replace(
        facts, parameters=msgspec.structs.replace(facts.parameters, share_slices=1)
    )
    greedy = assign_whole(build_options(unshared, needs))
    # The lines of the plan without slices, with the stages and prices of the plan with them.
    lines = msgspec.structs.asdict(stated(facts, best, solution))
    taken = stated(unshared, build_options(unshared, needs), greedy)
    wrong = changed(
        stated(facts, best, solution),
        **{name: getattr(taken, name) for name in ("assignments", "shortfalls")},
    )
    assert lines["shortfalls"] != taken.shortfalls
    found = {finding.code for finding in check(facts, wrong).findings}
    assert {"value_wrong", "gap_wrong"} <= found
    # Said honestly, the gap of the first slices shows it.
    honest = stated(facts, best, dataclasses.replace(greedy, stage_prices=solution.stage_prices))
    verification = check(facts, honest)
    assert verification.findings == ()
    short = [stage for stage in verification.stages if ShortfallStage.read(stage.measure)]
    assert max(stage.gap for stage in short) > 0.01


@pytest.mark.parametrize(
    "names",
    [
        ("shortfall:order:0:slice_2",),
        ("shortfall:order:0:slices_1_to_4", "shortfall:order:0:slices_6_to_10"),
        ("shortfall:order:0:slices_1_to_11",),
        ("shortfall:order:0:slice_1", "shortfall:order:0"),
        ("shortfall:lead:0",),
        (),
    ],
)
def test_stages_that_count_a_slice_twice_or_not_at_all_are_wrong(names: tuple[str, ...]) -> None:
    facts, needs = one_pool(3, 10, 0.5)
    plan = stated(facts, build_options(facts, needs), assign_whole(build_options(facts, needs)))
    *_, lateness, cost, earliness = plan.stages
    first = plan.stages[0]
    stages = [
        *(msgspec.structs.replace(first, measure=name) for name in names),
        lateness,
        cost,
        earliness,
    ]
    stages = [
        msgspec.structs.replace(stage, stage=k + 1, multipliers=(0.0,) * k) for k, stage in enumerate(stages)
    ]
    assert check(facts, plan).findings == ()
    assert "stages_wrong" in {f.code for f in check(facts, changed(plan, stages=tuple(stages))).findings}
