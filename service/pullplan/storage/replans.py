"""How is a re-plan stored as what differs from its parent?

A plan that is stored in full can be the *base* of others: those hold the rows that they have otherwise, and the numbers
of the base's rows that they don't have. A re-plan of a re-plan has the same base, so that reading never goes deeper than
one step. Where too much differs, a re-plan is stored in full, and is a base itself.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.storage import plans
from pullplan.storage.database import Connection
from pullplan.storage.plan_reading import WholePlan
from pullplan.storage.queries import load_queries

SQL = load_queries("replans")

MOST_CHANGED_SHARE = 0.25
"""Of its needs, lines and shortfalls: a re-plan that differs by more rows from its base is stored in full."""
_KINDS = {"plan_needs": "need", "plan_assignments": "assignment", "plan_shortfalls": "shortfall"}

type Rows = dict[str, list[tuple[Any, ...]]]


async def insert(
    connection: Connection,
    record: plans.PlanRecord,
    plan: Plan,
    facts: PlanningFacts,
    bucket_dates: Sequence[date],
    *,
    parent: WholePlan,
    touched_needs: set[int],
) -> None:
    """Store a re-plan with its snapshot, inside the caller's transaction; of all but the touched needs it says what its parent does."""
    rows = _rows(_of_needs(plan, touched_needs), bucket_dates, record.plan_id)
    was = _rows(_of_needs(parent.plan, touched_needs), parent.bucket_dates, parent.plan_id)
    changed = {table: _changed(rows[table], was[table]) for table in _KINDS}
    gone = {table: _numbers(was[table]) - _numbers(rows[table]) for table in _KINDS}
    base = await connection.fetchrow(SQL["find_base"], parent.plan_id)
    assert base is not None  # noqa: S101 - the caller has read it in this transaction's sight
    n_changes = base["n_changes"] + sum(2 * len(changed[t]) + len(gone[t]) for t in _KINDS)
    n_rows = len(plan.needs) + len(plan.assignments) + len(plan.shortfalls)
    if n_changes > MOST_CHANGED_SHARE * n_rows:
        await plans.insert(connection, record, plan, facts, bucket_dates)
        told = [number for _, number, *_ in changed["plan_assignments"]]
        await connection.execute(SQL["mark_told"], record.plan_id, parent.plan_id, told)
        return
    record = msgspec.structs.replace(record, base_plan_id=base["base_plan_id"])
    await plans.insert_head(connection, record, plan, facts, bucket_dates)
    if base["base_plan_id"] != parent.plan_id:
        await _copy_parents_own(connection, record.plan_id, parent.plan_id, changed, gone)
    for table, kind in _KINDS.items():
        numbers = sorted(_numbers(changed[table]) & _numbers(was[table]) | gone[table])
        await connection.execute(SQL["insert_removed"], record.plan_id, kind, numbers)
    await plans.copy_rows(connection, {**rows, **changed})


async def _copy_parents_own(
    connection: Connection, plan_id: UUID, parent_plan_id: UUID, changed: Rows, gone: Mapping[str, set[int]]
) -> None:
    await connection.execute(SQL["copy_removed"], plan_id, parent_plan_id)
    for table, statement in (
        ("plan_needs", SQL["copy_needs"]),
        ("plan_assignments", SQL["copy_assignments"]),
        ("plan_shortfalls", SQL["copy_shortfalls"]),
    ):
        without = sorted(_numbers(changed[table]) | gone[table])
        await connection.execute(statement, plan_id, parent_plan_id, without)


def _of_needs(plan: Plan, needs: set[int]) -> Plan:
    """Take what a plan says of some needs."""
    return msgspec.structs.replace(
        plan,
        needs=tuple(need for need in plan.needs if need.need_id in needs),
        assignments=tuple(line for line in plan.assignments if line.need_id in needs),
        shortfalls=tuple(shortfall for shortfall in plan.shortfalls if shortfall.need_id in needs),
    )


def _rows(plan: Plan, bucket_dates: Sequence[date], plan_id: UUID) -> Rows:
    return {table: list(rows) for table, rows in plans.rows_by_table(plan, bucket_dates, plan_id).items()}


def _numbers(rows: Sequence[tuple[Any, ...]]) -> set[int]:
    return {row[1] for row in rows}


def _changed(rows: Sequence[tuple[Any, ...]], was: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """List the rows that are new, or not what they were."""
    before = {row[1]: row[1:] for row in was}
    return [row for row in rows if before.get(row[1]) != row[1:]]
