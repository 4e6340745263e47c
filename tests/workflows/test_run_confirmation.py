"""Is a confirmation solved from the plan's own facts, and stored beside what the plan stated?"""

from typing import Any
from uuid import UUID

import pytest
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network, stock

from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import PlanRequest
from pullplan.storage import confirmations, listings, plans
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


async def planned(connection: Connection, url: str) -> tuple[UUID, list[dict[str, Any]]]:
    """Plan with a mill that is too small, so that nearer nodes are passed over."""
    await insert(connection, [*network(), *stock(), *demand()])
    await connection.execute("UPDATE resources SET capacity_per_day = 10 WHERE node_code = 'MILL'")
    plan_id = await computed(connection, url, "plan", PlanRequest(as_of=AS_OF, horizon_buckets=3))
    rows = await listings.list_page(connection, plans.ASSIGNMENTS, plan_id, after=None, limit=1000)
    return plan_id, [dict(row) for row in rows]


async def test_a_confirmation_shows_the_stated_and_the_found_cost_stage_by_stage(
    connection: Connection, database_url: str
):
    plan_id, lines = await planned(connection, database_url)
    line, passed = next(
        (line, passed) for line in lines for passed in line["passed_over"] if passed["forcing_cost"]
    )
    asked = {"plan_id": plan_id, "assignment_id": line["assignment_id"], "node_code": passed["node_code"]}
    run_id = await computed(connection, database_url, "confirmation", asked)
    ended = await connection.fetchrow("SELECT state, result FROM runs WHERE run_id = $1", run_id)
    assert ended is not None
    assert tuple(ended) == ("succeeded", f"/v1/plans/{plan_id}/confirmations/{run_id}")
    found = await confirmations.find(connection, plan_id, run_id)
    assert found is not None
    assert (found["stated_measure"], found["stated_cost"]) == (
        passed["forcing_measure"],
        passed["forcing_cost"],
    )
    there = sum(
        other["units"]
        for other in lines
        if (other["need_id"], other["node_code"]) == (line["need_id"], passed["node_code"])
    )
    assert found["units"] == pytest.approx(there + line["units"])
    plan = await plans.find(connection, plan_id)
    assert plan is not None
    assert [(s["measure"], s["planned_value"]) for s in found["stages"]] == [
        (s["measure"], s["value"]) for s in plan["stages"]
    ]
    worse = next(s for s in found["stages"] if s["is_worse"])
    if worse["measure"] == passed["forcing_measure"]:
        assert worse["extra"] >= passed["forcing_cost"] * (1 - 1e-6)


async def test_a_node_that_the_line_does_not_pass_over_is_not_confirmed(
    connection: Connection, database_url: str
):
    plan_id, lines = await planned(connection, database_url)
    for assignment_id, node_code in ((lines[0]["assignment_id"], "NOWHERE"), (10_000, "MILL")):
        asked = {"plan_id": plan_id, "assignment_id": assignment_id, "node_code": node_code}
        with pytest.raises(ResourceUnknownError):
            await computed(connection, database_url, "confirmation", asked)


async def test_a_line_of_a_replan_without_a_budget_is_confirmed_as_its_parents_is(
    connection: Connection, database_url: str
):
    plan_id, lines = await planned(connection, database_url)
    asked = PlanRequest(as_of=AS_OF, horizon_buckets=3, parent_plan_id=plan_id)
    child_id = await computed(connection, database_url, "plan", asked)
    line, passed = next(
        (line, passed) for line in lines for passed in line["passed_over"] if passed["forcing_cost"]
    )
    found = []
    for of_plan in (plan_id, child_id):
        asked_of = {
            "plan_id": of_plan,
            "assignment_id": line["assignment_id"],
            "node_code": passed["node_code"],
        }
        run_id = await computed(connection, database_url, "confirmation", asked_of)
        row = await confirmations.find(connection, of_plan, run_id)
        assert row is not None
        found.append([(s["measure"], pytest.approx(s["extra"], abs=1e-6)) for s in row["stages"]])
    assert found[0] == found[1]
    assert any(extra != 0 for _, extra in found[0])
