from pathlib import Path

import msgspec
import pytest
from tests.golden.agree import read_facts, what_is_agreed

from pullplan.engine.checker import check
from pullplan.engine.plan import make_plan
from pullplan.engine.replanning import Churn, replan

SCENARIOS = sorted(path.parent for path in Path(__file__).parent.glob("*/facts.json"))


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_the_plan_is_the_one_that_was_agreed(folder: Path):
    agreed = msgspec.json.decode((folder / "plan.json").read_bytes())
    assert what_is_agreed(make_plan(read_facts(folder))) == agreed


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_the_agreed_plan_is_proven_the_best(folder: Path):
    for stage in make_plan(read_facts(folder)).stages:
        assert abs(stage.gap) <= 1e-9, stage


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_the_agreed_plan_passes_a_checker_that_shares_nothing_with_the_planner(folder: Path):
    facts = read_facts(folder)
    assert check(facts, make_plan(facts)).findings == ()


REPLANS = sorted(path.parent for path in Path(__file__).parent.glob("*/after.json"))


@pytest.mark.parametrize("folder", REPLANS, ids=lambda folder: folder.name)
def test_the_replan_is_the_one_that_was_agreed_and_proven(folder: Path):
    before, after = read_facts(folder / "before.json"), read_facts(folder / "after.json")
    parent = make_plan(before)
    plan = replan(after, before, parent, Churn(budget_units=0.0))
    assert what_is_agreed(plan) == msgspec.json.decode((folder / "plan.json").read_bytes())
    assert all(abs(stage.gap) <= 1e-9 for stage in plan.stages)
    assert check(after, plan, parent, before.horizon).findings == ()
