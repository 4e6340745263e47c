"""Is a re-plan stored as what differs, read as a whole, and verified as one?"""

from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.computing import computed
from tests.seeding import AS_OF, Rows, insert, network, signal

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.checker import check
from pullplan.engine.model import Plan, PlanningFacts, PlanRequest
from pullplan.storage import plan_reading, plans, replans, verifications
from pullplan.storage.database import Connection
from pullplan.workflows.known_plans import KnownPlans
from pullplan.workflows.run_plan import ParentUnsuitableError, PlanInvalidError

pytestmark = pytest.mark.anyio

MAKE_TO_ORDER = ("policies", {"product_code": "*", "region_code": "*", "policy": "make_to_order"})
REGIONS = ("NORTH", "SOUTH", "WEST")


def orders(n: int) -> Rows:
    """Orders over three weeks, regions and two products."""
    return [
        signal(
            f"o{i}",
            "order",
            10.0 + i,
            due_date=(AS_OF + timedelta(days=3 + i)).date(),
            region_code=REGIONS[i % 3],
            product_code="BREAD" if i % 2 else "CAKE",
        )
        for i in range(n)
    ]


async def plan(connection: Connection, url: str, known: KnownPlans | None = None, **asked: Any) -> UUID:
    """Run a plan from queue to storage, in a process that knows these plans."""
    request = PlanRequest(**{"as_of": AS_OF, "horizon_buckets": 21, "bucket": "day", **asked})
    return await computed(connection, url, "plan", request, plans=known or KnownPlans())


async def whole(connection: Connection, plan_id: UUID) -> tuple[PlanningFacts, Plan]:
    facts = await plans.find_facts(connection, plan_id)
    assert facts is not None
    days = DAYS_PER_BUCKET[facts.horizon.bucket]
    found = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=days)
    assert found is not None
    return facts, found


async def own_rows(connection: Connection, plan_id: UUID) -> int:
    return sum(
        [
            await connection.fetchval(f"SELECT count(*) FROM {table} WHERE plan_id = $1", plan_id)
            for table in ("plan_needs", "plan_assignments", "plan_shortfalls", "plan_removed_rows")
        ]
    )


async def test_one_more_order_is_stored_as_a_few_rows_and_read_as_a_whole(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    parent_id = await plan(connection, database_url)
    _, parent = await whole(connection, parent_id)
    new = signal("late-comer", "order", 7.0, due_date=(AS_OF + timedelta(days=9)).date(), region_code="WEST")
    await insert(connection, [new])
    child_id = await plan(connection, database_url, parent_plan_id=parent_id)
    facts, child = await whole(connection, child_id)
    assert len(child.needs) == len(parent.needs) + 1
    assert await own_rows(connection, child_id) == 2  # a need and its line
    assert child.assignments[: len(parent.assignments)] == parent.assignments
    assert child.stability is not None
    assert child.stability.moved_units == 0.0
    parent_facts, _ = await whole(connection, parent_id)
    assert check(facts, child, parent, parent_facts.horizon).findings == ()


async def test_a_replan_of_a_replan_reads_as_what_was_planned(connection: Connection, database_url: str):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(40)])
    ids = [await plan(connection, database_url, horizon_buckets=50)]
    changes = [
        "UPDATE demand_signals SET units = 100 WHERE external_id = 'o4'",
        "UPDATE demand_signals SET cancelled = true WHERE external_id = 'o5'",
        "UPDATE demand_signals SET units = 12 WHERE external_id = 'o4'",
        "UPDATE demand_signals SET due_date = due_date + 2 WHERE external_id = 'o7'",
    ]
    for change in changes:
        await connection.execute(change)
        ids.append(await plan(connection, database_url, parent_plan_id=ids[-1], horizon_buckets=50))
    for parent_id, plan_id in pairwise(ids):
        base = await connection.fetchval("SELECT base_plan_id FROM plans WHERE plan_id = $1", plan_id)
        assert base == ids[0]
        facts, found = await whole(connection, plan_id)
        parent_facts, parent = await whole(connection, parent_id)
        assert check(facts, found, parent, parent_facts.horizon).findings == ()
    units = {n.need_id: n.units for n in (await whole(connection, ids[3]))[1].needs}
    assert 14.0 not in units.values()
    assert sorted(units.values()) == sorted(
        [u for i in range(40) if i not in (4, 5) for u in [10.0 + i]] + [12.0]
    )


async def test_what_differs_by_much_is_stored_in_full_and_is_a_base_itself(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    parent_id = await plan(connection, database_url)
    await connection.execute("UPDATE demand_signals SET units = units + 0.5 WHERE external_id <> 'o1'")
    child_id = await plan(connection, database_url, parent_plan_id=parent_id)
    row = await connection.fetchrow(
        "SELECT parent_plan_id, base_plan_id FROM plans WHERE plan_id = $1", child_id
    )
    assert row is not None
    assert tuple(row) == (parent_id, None)
    _, child = await whole(connection, child_id)
    told = {}
    for line in child.assignments:
        row = await plans.find_assignment(connection, child_id, line.assignment_id)
        assert row is not None
        told[line.assignment_id] = row["told_in_plan_id"]
    inherited = {line.assignment_id for line in child.assignments if line.units == 11.0}
    assert {number for number, plan_id in told.items() if plan_id == parent_id} == inherited != set()
    grandchild_id = await plan(connection, database_url, parent_plan_id=child_id)
    assert (
        await connection.fetchval("SELECT base_plan_id FROM plans WHERE plan_id = $1", grandchild_id)
        == child_id
    )
    assert await own_rows(connection, grandchild_id) == 0
    _, grandchild = await whole(connection, grandchild_id)
    assert (grandchild.needs, grandchild.assignments) == (child.needs, child.assignments)


async def test_a_plan_stays_while_others_are_made_from_it(connection: Connection, database_url: str):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(6)])
    parent_id = await plan(connection, database_url)
    child_id = await plan(connection, database_url, parent_plan_id=parent_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=r"plans_(parent|base)_stays"):
        await connection.execute("DELETE FROM plans WHERE plan_id = $1", parent_id)
    await connection.execute("DELETE FROM plans WHERE plan_id = $1", child_id)
    await connection.execute("DELETE FROM plans WHERE plan_id = $1", parent_id)
    assert await own_rows(connection, child_id) == 0


async def test_a_stored_replan_is_verified_against_its_stored_parent(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    parent_id = await plan(connection, database_url)
    await connection.execute("UPDATE nodes SET status = 'offline' WHERE node_code = 'YARD'")
    child_id = await plan(connection, database_url, parent_plan_id=parent_id, churn_budget_units=5.0)

    async def verified() -> list[dict[str, Any]]:
        run_id = await computed(connection, database_url, "verification", {"plan_id": str(child_id)})
        query = "SELECT findings FROM plan_verifications WHERE verification_id = $1"
        findings: list[dict[str, Any]] = await connection.fetchval(query, run_id)
        return findings

    assert await verified() == []
    await connection.execute(
        "UPDATE plans SET stability = jsonb_set(stability, '{moved_units}', '1000') WHERE plan_id = $1",
        child_id,
    )
    assert "stability_wrong" in {finding["code"] for finding in await verified()}


async def test_a_parent_of_other_days_is_refused(connection: Connection, database_url: str):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(6)])
    parent_id = await plan(connection, database_url)
    with pytest.raises(ParentUnsuitableError, match="no day of it lies in"):
        await plan(connection, database_url, parent_plan_id=parent_id, as_of=AS_OF + timedelta(weeks=5))


async def test_a_day_later_the_parents_lines_still_stand(connection: Connection, database_url: str):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    parent_id = await plan(connection, database_url)
    child_id = await plan(
        connection,
        database_url,
        parent_plan_id=parent_id,
        as_of=AS_OF + timedelta(days=1),
        horizon_buckets=20,
    )
    facts, child = await whole(connection, child_id)
    parent_facts, parent = await whole(connection, parent_id)
    assert child.stability is not None
    assert child.stability.held_units == pytest.approx(child.figures.assigned_units)
    assert child.stability.moved_units == 0.0
    assert check(facts, child, parent, parent_facts.horizon).findings == ()
    assert replans.MOST_CHANGED_SHARE < 1


async def test_a_process_that_knows_the_parent_makes_the_plan_of_one_that_reads_it(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    known = KnownPlans()
    ids = [await plan(connection, database_url, known)]
    changes = [
        "UPDATE demand_signals SET units = 100 WHERE external_id = 'o4'",
        "UPDATE nodes SET status = 'offline' WHERE node_code = 'YARD'",
        "UPDATE demand_signals SET cancelled = true WHERE external_id = 'o5'",
    ]
    for change in changes:
        await connection.execute(change)
        asked: dict[str, Any] = {"parent_plan_id": ids[-1], "verify": True, "churn_budget_units": 50.0}
        ids.append(await plan(connection, database_url, known, **asked))
        _, warm = await whole(connection, ids[-1])
        _, cold = await whole(connection, await plan(connection, database_url, **asked))
        assert warm == cold
    await connection.execute("DELETE FROM plans WHERE plan_id = $1", ids[-1])
    with pytest.raises(ParentUnsuitableError, match="there is no plan"):
        await plan(connection, database_url, known, parent_plan_id=ids[-1])


SPOILED = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.units = NEW.units + 1; RETURN NEW; END';
CREATE TRIGGER spoil BEFORE INSERT ON plan_assignments FOR EACH ROW EXECUTE FUNCTION spoil();
"""


async def test_a_verified_plan_is_what_can_be_read_back_or_nothing(connection: Connection, database_url: str):
    await insert(connection, [*network(), MAKE_TO_ORDER, *orders(18)])
    known = KnownPlans()
    parent_id = await plan(connection, database_url, known, verify=True)
    found = await verifications.find(connection, parent_id, parent_id)
    assert found is not None
    assert (found["valid"], found["run_id"]) == (True, parent_id)
    await insert(
        connection, [signal("late-comer", "order", 7.0, due_date=(AS_OF + timedelta(days=9)).date())]
    )
    await connection.execute(SPOILED)
    with pytest.raises(PlanInvalidError, match="findings in what was stored"):
        await plan(connection, database_url, known, parent_plan_id=parent_id, verify=True)
    assert await connection.fetchval("SELECT count(*) FROM plans") == 1
    unverified = await plan(connection, database_url, known, parent_plan_id=parent_id)
    assert await verifications.find(connection, unverified, unverified) is None
