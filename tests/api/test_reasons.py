"""One line of a plan: found by its number, and explained in figures and in words."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from pullplan.api.wording import Wording, say_rank
from pullplan.engine.model import (
    Assignment,
    ConfirmedStage,
    Figures,
    Horizon,
    Need,
    PassedOver,
    Plan,
    PlanningFacts,
    PlanParameters,
    PlanRequest,
    Shortfall,
    Stage,
)
from pullplan.storage import confirmations, plans
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MONDAY = date(2024, 1, 1)
NEAREST, FAR = 1, 2
PASSED = (
    PassedOver(
        node_code="FULL",
        cause="at_capacity",
        distance_km=20.0,
        capacity_price=50.0,
        forcing_measure="cost:nearest",
        forcing_cost_per_unit=30.0,
        forcing_cost=390.0,
    ),
    PassedOver(
        node_code="LATER",
        cause="too_late",
        distance_km=30.0,
        forcing_measure="lateness_unit_buckets",
        forcing_cost_per_unit=1.0,
        forcing_cost=13.0,
    ),
    PassedOver(
        node_code="SCARCE",
        cause="at_capacity",
        distance_km=35.0,
        forcing_measure="shortfall:order:0",
        forcing_cost_per_unit=0.5,
        forcing_cost=6.5,
    ),
    PassedOver(node_code="SHUT", cause="offline", distance_km=40.0),
    PassedOver(node_code="(stock)SHUT", cause="too_late", distance_km=40.0),
    PassedOver(node_code="CHEAP", cause="costs_more", distance_km=90.0, forcing_measure="cost:nearest",
               forcing_cost_per_unit=0.0, forcing_cost=0.0),
)  # fmt: skip
MEASURES = {"shortfall:order:0": 0.0, "lateness_unit_buckets": 0.0, "cost:nearest": 0.25}
PLAN = Plan(
    method="by hand",
    reproducible=True,
    snapshot_hash="1" * 64,
    plan_hash="2" * 64,
    needs=(
        Need(need_id=1, product_code="LOAF", region_code="TOWN", bucket=1, tier="order", units=22.0, latest_bucket=1),
    ),
    assignments=(
        Assignment(assignment_id=NEAREST, need_id=1, node_code="FULL", start_bucket=0, arrival_bucket=1, units=7.0, started_units=7.0,
                   distance_km=20.0, cost_per_unit=20.0, distance_rank=1),
        Assignment(assignment_id=FAR, need_id=1, node_code="USED", start_bucket=0, arrival_bucket=1, units=13.0, started_units=13.0,
                   distance_km=70.0, cost_per_unit=70.0, distance_rank=4, passed_over=PASSED),
    ),
    shortfalls=(Shortfall(shortfall_id=1, need_id=1, units=2.0, reason="at_capacity", detail="all full"),),
    stages=tuple(
        Stage(stage=k + 1, measure=measure, value=9.0, lower_bound=9.0 - gap, gap=gap / 9.0, gap_absolute=gap)
        for k, (measure, gap) in enumerate(MEASURES.items())
    ),
    prices=(),
    loads=(),
    figures=Figures(),
    tie_break="by code",
)  # fmt: skip


async def _store(connection: Connection) -> str:
    plan_id = uuid4()
    record = plans.PlanRecord(
        plan_id=plan_id,
        run_id=plan_id,
        forecast_id=None,
        as_of=datetime(2024, 1, 3, tzinfo=UTC),
        parameters=msgspec.to_builtins(PlanRequest()),
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        wall_seconds=1.5,
        code_version="0.1.0",
    )
    facts = PlanningFacts(horizon=Horizon(as_of_date=MONDAY, horizon_buckets=2), parameters=PlanParameters())
    async with connection.transaction():
        await plans.insert(connection, record, PLAN, facts, [MONDAY, MONDAY + timedelta(weeks=1)])
    return f"/v1/plans/{plan_id}"


@pytest.mark.parametrize("table", ["assignments", "shortfalls"])
async def test_a_line_read_alone_is_the_line_of_the_list(client, connection, table):
    path = f"{await _store(connection)}/{table}"
    listed = (await client.get(path)).json()["items"]
    assert listed
    for item in listed:
        number = item[f"{table.removesuffix('s')}_id"]
        assert (await client.get(f"{path}/{number}")).json() == item


async def test_a_reason_ranks_the_line_and_names_what_forcing_each_other_node_costs(client, connection):
    reason = (await client.get(f"{await _store(connection)}/assignments/{FAR}/reason")).json()
    assert (reason["node_code"], reason["distance_rank"], reason["rank_among_capable"]) == ("USED", 4, 5)
    for told, stored in zip(reason["passed_over"], PASSED, strict=True):
        assert told.items() >= msgspec.to_builtins(stored).items()
    gaps = {told["node_code"]: told["forcing_gap_absolute"] for told in reason["passed_over"]}
    assert gaps == {
        "FULL": 0.25,
        "LATER": 0.0,
        "SCARCE": 0.0,
        "SHUT": None,
        "(stock)SHUT": None,
        "CHEAP": 0.25,
    }


async def test_a_reason_is_told_in_sentences(client, connection):
    reason = (await client.get(f"{await _store(connection)}/assignments/{FAR}/reason")).json()
    assert reason["sentence"] == (
        "USED makes 13 LOAF for TOWN, needed from 2024-01-08, started from 2024-01-01: 70 km, "
        "4th nearest of the nodes that can; 5 nearer nodes passed over"
    )
    assert [told["sentence"] for told in reason["passed_over"]] == [
        (
            "FULL, 20 km: full (one more unit there would save 50 km; "
            "making the line there would cost at least 390 unit-km more)"
        ),
        "LATER, 30 km: can't deliver in time (making the line there would make at least 13 more unit-weeks late)",
        (
            "SCARCE, 35 km: full (making the line there would leave orders of priority 0 short by at least 6.5 more, "
            "by value)"
        ),
        "SHUT, 40 km: down",
        "(stock)SHUT, 40 km: can't deliver in time",
        "CHEAP, 90 km: costs more",
    ]


async def test_a_line_at_its_nearest_node_needs_no_other_reason(client, connection):
    reason = (await client.get(f"{await _store(connection)}/assignments/{NEAREST}/reason")).json()
    assert (reason["distance_rank"], reason["rank_among_capable"], reason["passed_over"]) == (1, 1, [])
    assert reason["sentence"].endswith("the nearest of the nodes that can; no nearer nodes passed over")


@pytest.mark.parametrize("line", ["assignments/3", "assignments/3/reason", "shortfalls/2"])
async def test_a_line_that_is_not_there_is_a_404(client, connection, line):
    for path in (f"{await _store(connection)}/{line}", f"/v1/plans/{UUID(int=1)}/{line}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")


@pytest.mark.parametrize("number", ["0", "-1", "2147483648", "99999999999999999999"])
async def test_a_number_that_no_line_can_have_is_refused(client, connection, number):
    for line in (f"assignments/{number}", f"assignments/{number}/reason", f"shortfalls/{number}"):
        assert (await client.get(f"{await _store(connection)}/{line}")).status_code == 422


# --- confirmed by a run --------------------------------------------------------------------------------------

STAGES = tuple(
    ConfirmedStage(
        measure=measure, planned_value=9.0, forced_value=9.0 + extra, extra=extra, is_worse=extra > 0
    )
    for measure, extra in [
        ("shortfall:order:0", 0.0),
        ("lateness_unit_buckets", 0.0),
        ("cost:nearest", 400.0),
    ]
)


async def _confirm(connection: Connection, path: str, missed_units: float = 0.0) -> str:
    record = confirmations.ConfirmationRecord(
        confirmation_id=uuid4(),
        plan_id=UUID(path.rpartition("/")[2]),
        assignment_id=FAR,
        node_code="FULL",
        units=20.0,
        missed_units=missed_units,
        stated_measure="cost:nearest",
        stated_cost=390.0,
        stages=STAGES,
        wall_seconds=0.5,
        code_version="0.1.0",
    )
    async with connection.transaction():
        await confirmations.insert(connection, record)
    return f"{path}/confirmations/{record.confirmation_id}"


async def test_asking_to_confirm_starts_a_run_that_names_line_and_node(client, connection):
    path = await _store(connection)
    answer = await client.post(f"{path}/assignments/{FAR}/confirm", json={"node_code": "LATER"})
    assert answer.status_code == 202
    run = answer.json()
    assert (run["kind"], run["state"]) == ("confirmation", "queued")
    assert run["parameters"] == {
        "plan_id": path.rpartition("/")[2],
        "assignment_id": FAR,
        "node_code": "LATER",
    }
    listed = (await client.get("/v1/runs?kind=confirmation")).json()["items"]
    assert [item["run_id"] for item in listed] == [run["run_id"]]


@pytest.mark.parametrize(
    ("line", "node_code", "refusal"),
    [
        (FAR, "SHUT", (422, "node_code: SHUT can't make this line: offline")),
        (FAR, "USED", (422, "node_code: USED is none of the nodes that this line passes over")),
        (NEAREST, "USED", (422, "node_code: USED is none of the nodes that this line passes over")),
        (3, "FULL", (404, "there is no assignment 3")),
    ],
)
async def test_what_can_not_be_confirmed_is_said_at_once(client, connection, line, node_code, refusal):
    path = await _store(connection)
    answer = await client.post(f"{path}/assignments/{line}/confirm", json={"node_code": node_code})
    assert (answer.status_code, answer.json()["detail"]) == refusal
    assert await connection.fetch("SELECT FROM runs") == []


async def test_confirming_needs_the_scope_to_run_plans(client, connection, key_with):
    path = await _store(connection)
    headers = {"Authorization": f"Bearer {await key_with('read')}"}
    answer = await client.post(
        f"{path}/assignments/{FAR}/confirm", json={"node_code": "FULL"}, headers=headers
    )
    assert answer.status_code == 403


async def test_a_confirmation_tells_the_first_stage_that_is_worse_beside_what_was_stated(client, connection):
    found = (await client.get(await _confirm(connection, await _store(connection)))).json()
    assert (found["stated_measure"], found["stated_cost"]) == ("cost:nearest", 390.0)
    assert (found["confirmed_measure"], found["confirmed_cost"]) == ("cost:nearest", 400.0)
    assert found["stages"] == [msgspec.to_builtins(stage) for stage in STAGES]


async def test_a_node_that_can_not_make_the_units_at_all_confirms_no_cost(client, connection):
    path = await _confirm(connection, await _store(connection), missed_units=6.0)
    found = (await client.get(path)).json()
    assert (found["missed_units"], found["confirmed_measure"], found["confirmed_cost"]) == (6.0, None, None)


async def test_a_confirmation_is_found_under_its_own_plan_only(client, connection):
    found = await _confirm(connection, await _store(connection))
    other = f"{await _store(connection)}/confirmations/{found.rpartition('/')[2]}"
    for path in (other, f"{found[:-36]}{UUID(int=7)}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"objective": "landed_cost"},
            "would save 50 of cost; making the line there would cost at least 390 more)",
        ),
        (
            {"objective": "nearest", "weigh_distance": True},
            "would save 50 kg·km; making the line there would cost at least 390 kg·km more)",
        ),
    ],
)
def test_a_sentence_names_the_objectives_own_measure(parameters, words):
    wording = Wording(bucket="week", shortfall_measure="units", **parameters)
    assert wording.passed_over(PASSED[0]).endswith(words)
    assert wording.passed_over(PASSED[2]).endswith("leave orders of priority 0 short by at least 6.5 more)")


@pytest.mark.parametrize(
    ("rank", "words"),
    [(1, "the nearest"), (2, "2nd nearest"), (3, "3rd nearest"), (11, "11th nearest"), (22, "22nd nearest")],
)
def test_ranks_are_said_as_people_say_them(rank, words):
    assert say_rank(rank) == words
