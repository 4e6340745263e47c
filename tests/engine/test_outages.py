"""Are the plans of real demand the best that there are, whichever node is out?"""

from datetime import date
from pathlib import Path

import msgspec
import pytest
from tests.engine.instances import MONDAY, iowa_facts
from tests.engine.oracle import computed_lanes, is_close, lexicographic_optimum
from tests.engine.planned import stated

from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.checker import check
from pullplan.engine.model import Horizon, PlanningFacts
from pullplan.engine.options import build_options

WEEK = date(2021, 11, 22)
CAPACITY_FACTOR = 0.49
"""Of what the distilleries really bottled at most: without one of the large ones, not everything is served."""


def as_one_day(facts: PlanningFacts) -> PlanningFacts:
    """Say the same as the oracle reads it: a week's capacity on one day, every lane given."""
    return msgspec.structs.replace(
        facts,
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        resources=tuple(
            msgspec.structs.replace(resource, capacity_per_day=resource.capacity_per_day * 7)
            for resource in facts.resources
        ),
        lanes=computed_lanes(facts),
    )


@pytest.mark.long
@pytest.mark.usefixtures("few_needs_open_at_first")
def test_without_any_one_of_iowas_nodes_the_plan_is_what_an_independent_programme_finds(shared: Path) -> None:
    folder = shared / "data" / "iowa_spirits"
    everything, _ = iowa_facts(folder, [WEEK])
    shortfalls, costs = [], []
    for node in everything.nodes:
        facts, needs = iowa_facts(folder, [WEEK], capacity_factor=CAPACITY_FACTOR, node_out=node.node_code)
        expected = lexicographic_optimum(as_one_day(facts), needs)
        shortfalls.append(expected[0])
        costs.append(expected[2])
        options = build_options(facts, needs)
        priced = assign_by_prices(options)
        assert priced is not None, node
        for solution in (assign_whole(options), priced):
            plan = stated(facts, options, solution)
            for stage, value in zip(plan.stages, expected, strict=True):
                assert is_close(stage.value, value, share=1e-6), (node, stage, value)
                assert abs(stage.gap) < 1e-8, (node, stage)
            assert check(facts, plan).findings == (), node
    assert len(shortfalls) == 24
    assert 0 in shortfalls
    assert len({round(value) for value in shortfalls}) > 2
    assert len({round(value) for value in costs}) > 12
