"""Do the published cases come out as published, stage by stage, whichever way they are solved?"""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.engine.instances import facts_of_case, iowa_facts, orlib_facts, transportation_facts
from tests.engine.oracle import is_close
from tests.engine.planned import stated

from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.checker import check
from pullplan.engine.model import Need, Plan, PlanningFacts, Stage
from pullplan.engine.options import build_options

CASES_WITH_A_LATER_RULE = {"lots"}
LARGEST_GAP = 1e-8
LARGEST_GAP_OF_EARLINESS = 1e-6
"""Its bound is a difference of amounts some ten orders larger where units are short: multipliers of earlier stages."""
STAGES = ("shortfall", "lateness", "cost", "earliness")


class Published(NamedTuple):
    """What a case asks for, and what comes out of its stages."""

    name: str
    facts: PlanningFacts
    needs: list[Need]
    values: tuple[float, float, float, float]


def _read(shared: Path, file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "conformance" / f"{file}.json").read_text())
    return found


def assignment_cases(shared: Path) -> Iterator[Published]:
    for name, case in _read(shared, "assignment_cases")["cases"].items():
        if name not in CASES_WITH_A_LATER_RULE:
            values = tuple(
                case["expected"][key]
                for key in ("shortfall", "late_unit_buckets", "cost", "early_unit_buckets")
            )
            yield Published(name, *facts_of_case(case), values)


def warehouses(shared: Path) -> Iterator[Published]:
    for name, case in _read(shared, "orlib_allocation")["cases"].items():
        yield Published(name, *orlib_facts(case), (0.0, 0.0, case["published_minus_fixed"], 0.0))


def classics(shared: Path) -> Iterator[Published]:
    for name, case in _read(shared, "allocation")["classics"].items():
        yield Published(name, *transportation_facts(case), (0.0, 0.0, case["published_optimum"], 0.0))


def iowa_weeks(shared: Path) -> Iterator[Published]:
    for case in _read(shared, "allocation")["iowa_weeks"]["cases"]:
        facts, needs = iowa_facts(
            shared / "data" / "iowa_spirits",
            [date.fromisoformat(case["week"])],
            capacity_factor=case["capacity_factor"],
            node_out=case["node_out"],
        )
        assert len(needs) == case["needs"]
        name = f"{case['week']} × {case['capacity_factor']} without {case['node_out']}"
        yield Published(name, facts, needs, (case["short_units"], 0.0, case["unit_km"], 0.0))


def holds(case: Published, stages: tuple[Stage, ...]) -> None:
    """Compare stage by stage as closely as the files were solved: to 1e-5, earliness to 1e-3."""
    for stage, begins, value in zip(stages, STAGES, case.values, strict=True):
        assert stage.measure.startswith(begins)
        share = 1e-3 if begins == "earliness" else 1e-5
        assert is_close(stage.value, value, share=share), (case.name, stage, value)
        largest_gap = LARGEST_GAP_OF_EARLINESS if begins == "earliness" else LARGEST_GAP
        assert abs(stage.gap) <= largest_gap, (case.name, stage)


def is_full_somewhere(plan: Plan) -> bool:
    return any(load.capacity > 0 and load.used > load.capacity * (1 - 1e-9) for load in plan.loads)


@pytest.mark.parametrize(
    ("cases", "n_cases", "n_full"),
    [(assignment_cases, 11, 9), (warehouses, 10, 6), (classics, 3, 3), (iowa_weeks, 12, 12)],
    ids=["assignment", "warehouses", "classics", "iowa"],
)
@pytest.mark.usefixtures("few_needs_open_at_first")
def test_published_cases_come_out_as_published_whole_and_by_prices(
    shared: Path, cases: Callable[[Path], Iterator[Published]], n_cases: int, n_full: int
) -> None:
    """And capacity binds in most: where it never does, nothing is proved about capacity."""
    found = list(cases(shared))
    assert len(found) == n_cases
    plans = []
    for case in found:
        options = build_options(case.facts, case.needs)
        priced = assign_by_prices(options)
        assert priced is not None, case.name
        for solution in (assign_whole(options), priced):
            plans.append(stated(case.facts, options, solution))
            holds(case, plans[-1].stages)
            assert check(case.facts, plans[-1]).findings == (), (case.name, solution.method)
    by_programme = [plan for plan in plans if "prices" not in plan.method]
    assert sum(map(is_full_somewhere, by_programme)) == n_full
