"""Is any part of a plan left unguarded? One thing of a valid plan is altered at a time."""

import math
from functools import cache
from typing import Any

import msgspec
import pytest
from tests.engine.instances import regional_network
from tests.engine.planned import changed, plan_of
from tests.engine.test_lots import busy
from tests.engine.test_replanning import held_plan

from pullplan.engine.checker import check
from pullplan.engine.model import Horizon, Plan, PlanningFacts
from pullplan.engine.plan import make_plan

type Checkable = tuple[PlanningFacts, Plan, Plan | None, Horizon | None]

ROWS = ("needs", "assignments", "shortfalls", "stages", "prices", "loads", "production_orders")
NO_NUMBERS = (math.nan, math.inf, -math.inf)


@cache
def plans() -> dict[str, Checkable]:
    short, needs = regional_network(
        3, load=1.4, tiers=("order", "forecast"), n_nodes=4, n_regions=4, n_buckets=3
    )
    before, now, parent, again = held_plan()
    return {
        "short": (short, plan_of(short, needs), None, None),
        "with lots": (busy(), make_plan(busy()), None, None),
        "re-planned": (now, again, parent, before.horizon),
    }


def findings(name: str, **changes: Any) -> set[str]:
    facts, plan, parent, horizon = plans()[name]
    return {finding.code for finding in check(facts, changed(plan, **changes), parent, horizon).findings}


def altered(rows: tuple[Any, ...], at: int, **changes: object) -> tuple[Any, ...]:
    return (*rows[:at], msgspec.structs.replace(rows[at], **changes), *rows[at + 1 :])


def numbers_of(row: Any) -> list[str]:
    """Name the fields of a row that hold a number, or would if they held anything."""
    fields = msgspec.structs.fields(row)
    return [field.name for field in fields if field.type is float or field.type == float | None]


@pytest.mark.parametrize("name", plans())
def test_the_plans_are_valid_as_they_are(name: str) -> None:
    assert findings(name) == set()


@pytest.mark.parametrize("name", plans())
@pytest.mark.parametrize("place", ROWS)
def test_what_is_no_number_is_found_in_every_field_of_every_row(name: str, place: str) -> None:
    rows = getattr(plans()[name][1], place)
    for field in numbers_of(rows[-1]) if rows else ():
        for no_number in NO_NUMBERS:
            changes = {place: altered(rows, len(rows) - 1, **{field: no_number})}
            assert findings(name, **changes), (field, no_number)


@pytest.mark.parametrize(("name", "place"), [("short", "figures"), ("re-planned", "stability")])
def test_what_is_no_number_is_found_in_what_a_plan_says_as_a_whole(name: str, place: str) -> None:
    said = getattr(plans()[name][1], place)
    for field in numbers_of(said):
        for no_number in NO_NUMBERS:
            assert findings(name, **{place: msgspec.structs.replace(said, **{field: no_number})}), field


@pytest.mark.parametrize("no_number", NO_NUMBERS)
@pytest.mark.parametrize("field", ["value", "lower_bound", "gap", "gap_absolute"])
def test_what_is_no_number_is_found_in_the_free_plan_beside_a_replan(field: str, no_number: float) -> None:
    stability = plans()["re-planned"][1].stability
    assert stability is not None
    free = altered(stability.free_stages, 1, **{field: no_number})
    assert findings("re-planned", stability=msgspec.structs.replace(stability, free_stages=free))


@pytest.mark.parametrize("name", plans())
@pytest.mark.parametrize("place", ROWS)
def test_what_is_said_twice_is_found_and_what_is_left_out_too(name: str, place: str) -> None:
    rows = getattr(plans()[name][1], place)
    for at in range(min(len(rows), 5)):
        assert findings(name, **{place: (*rows, rows[at])}), "said twice"
        left_out = findings(name, **{place: (*rows[:at], *rows[at + 1 :])})
        assert left_out or place == "prices", "left out"


@pytest.mark.parametrize("name", plans())
@pytest.mark.parametrize("place", ["needs", "assignments", "shortfalls", "production_orders"])
@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_number_that_another_row_has_or_none_can_have_is_found(name: str, place: str, number: int) -> None:
    rows = getattr(plans()[name][1], place)
    if len(rows) > 1:
        field = {"needs": "need_id", "production_orders": "production_order_id"}.get(
            place, f"{place[:-1]}_id"
        )
        assert findings(name, **{place: altered(rows, 0, **{field: number})})


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("distance_km", "distance_wrong"),
        ("cost_per_unit", "cost_wrong"),
        ("started_units", "started_wrong"),
        ("units", "need_not_covered"),
    ],
)
def test_a_millionth_more_or_less_of_what_a_line_says_is_found(field: str, code: str) -> None:
    lines = plans()["short"][1].assignments
    for share in (1 + 1e-6, 1 - 1e-6):
        assert code in findings(
            "short", assignments=altered(lines, 0, **{field: getattr(lines[0], field) * share})
        )


def test_two_lines_altered_so_that_their_sum_stays_are_both_found() -> None:
    facts, plan, _, _ = plans()["short"]
    first, second = plan.assignments[:2]
    for field, code in (("units", "need_not_covered"), ("cost_per_unit", "cost_wrong")):
        shift = 0.25 * min(getattr(first, field), getattr(second, field))
        lines = altered(plan.assignments, 0, **{field: getattr(first, field) + shift})
        lines = altered(lines, 1, **{field: getattr(second, field) - shift})
        found = [f for f in check(facts, changed(plan, assignments=lines)).findings if f.code == code]
        assert {f.need_id for f in found} == {first.need_id, second.need_id}


def test_two_lines_that_change_their_needs_leave_both_uncovered() -> None:
    facts, plan, _, _ = plans()["short"]
    first = plan.assignments[0]
    at, other = next(
        (at, line)
        for at, line in enumerate(plan.assignments)
        if line.need_id != first.need_id and not math.isclose(line.units, first.units)
    )
    lines = altered(plan.assignments, 0, need_id=other.need_id)
    found = check(facts, changed(plan, assignments=altered(lines, at, need_id=first.need_id))).findings
    assert {first.need_id, other.need_id} <= {f.need_id for f in found if f.code == "need_not_covered"}


def test_as_many_findings_are_counted_as_there_are_and_the_first_thousand_told() -> None:
    facts, plan, _, _ = plans()["short"]
    lines = tuple(
        msgspec.structs.replace(plan.assignments[0], assignment_id=number, need_id=-number)
        for number in range(1, 1501)
    )
    verification = check(facts, changed(plan, assignments=lines))
    assert verification.n_findings > 1500
    assert len(verification.findings) == 1000
    assert verification.findings[0].detail == "assignment 1: it is for need -1, which there is not"


@pytest.mark.parametrize("units", [1e300, 1.7e308])
def test_units_beyond_all_sums_are_found(units: float) -> None:
    _, plan, _, _ = plans()["short"]
    lines = altered(altered(plan.assignments, 0, units=units), 1, units=units)
    assert {"need_not_covered", "over_capacity"} <= findings("short", assignments=lines)
    needs = altered(plan.needs, 0, units=units)
    assert "need_not_covered" in findings("short", needs=needs)


def test_a_bucket_that_fits_into_no_calendar_is_found() -> None:
    _, plan, _, _ = plans()["short"]
    for bucket in (-1, 10**9, 2**64 - 1, -(2**63)):
        assert "arrival_wrong" in findings(
            "short", assignments=altered(plan.assignments, 0, arrival_bucket=bucket)
        )
        assert "outside_horizon" in findings(
            "short", assignments=altered(plan.assignments, 0, start_bucket=bucket)
        )
        assert "need_malformed" in findings("short", needs=altered(plan.needs, 0, bucket=bucket))
