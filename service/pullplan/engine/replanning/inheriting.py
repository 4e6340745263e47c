"""Which lines does a re-plan take from its parent word for word, and which are told anew?"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.explanation import explain, explain_shortfalls
from pullplan.engine.model import Assignment, PlanningFacts, Shortfall
from pullplan.engine.options import OptionRows, Solution
from pullplan.engine.replanning.near import Looked
from pullplan.engine.replanning.programme import row_numbers
from pullplan.engine.replanning.standing import Parent

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def inherit_or_tell(
    looked: Looked, changed_nodes: frozenset[str]
) -> tuple[tuple[Assignment, ...], tuple[Shortfall, ...]]:
    """Take the parent's word for lines of which nothing has changed, and tell the others and all shortfalls anew.

    A line's reason stays with it as long as it is the same, and no node that it names has changed: it speaks of the
    plan in which it was told. Lines and shortfalls keep their numbers; new ones follow the parent's last.
    """
    options, solution, standing, parent = (
        looked.options,
        looked.solution,
        looked.standing,
        looked.parent,
    )
    line_of = dict(zip(row_numbers(options, standing.rows).tolist(), standing.line.tolist(), strict=True))
    rows = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    last = parent.last_assignment_id
    assignments, to_tell, numbers = [], [], []
    for at, now in enumerate(_described(rows, solution.units, row_numbers(options, rows))):
        number, *said = now
        if number in line_of:
            was = _shifted(parent.lines[line_of[number]], parent.shift)
            named = {was.node_code, *(passed.node_code for passed in was.passed_over)}
            if [getattr(was, name) for name in _DESCRIBED] == said and named.isdisjoint(changed_nodes):
                assignments.append(was)
                continue
            numbers.append(was.assignment_id)
        else:
            numbers.append(last := last + 1)
        to_tell.append(at)
    told, _ = explain(options, _lines(solution, np.array(to_tell, dtype=np.int64)), looked.lots)
    assignments += [
        msgspec.structs.replace(line, assignment_id=number)
        for number, line in zip(numbers, told, strict=True)
    ]
    assignments.sort(key=lambda line: line.assignment_id)
    return tuple(assignments), _numbered(explain_shortfalls(options, solution, looked.lots), parent)


_DESCRIBED = ("arrival_bucket", "units", "distance_km", "cost_per_unit", "distance_rank")


def _described(rows: OptionRows, units: FloatArray, number: IntArray) -> Iterator[tuple[Any, ...]]:
    """Number every line, and say of it what must be as it was."""
    columns = (number, rows.arrival_bucket, units, rows.distance_km, rows.cost, rows.distance_rank)
    return zip(*(column.tolist() for column in columns), strict=True)


def _lines(solution: Solution, at: IntArray) -> Solution:
    """Take some lines, and nothing that is short."""
    return dataclasses.replace(
        solution,
        need=solution.need[at],
        capability=solution.capability[at],
        start_bucket=solution.start_bucket[at],
        units=solution.units[at],
        shortfall_units=np.zeros(len(solution.shortfall_units)),
    )


def _shifted(line: Assignment, shift: int) -> Assignment:
    if shift == 0:
        return line
    return msgspec.structs.replace(
        line, start_bucket=line.start_bucket + shift, arrival_bucket=line.arrival_bucket + shift
    )


def _numbered(shortfalls: Sequence[Shortfall], parent: Parent) -> tuple[Shortfall, ...]:
    number_of = {shortfall.need_id: shortfall.shortfall_id for shortfall in parent.shortfalls}
    last = max(number_of.values(), default=0)
    numbered = []
    for shortfall in shortfalls:
        number = number_of.get(shortfall.need_id)
        if number is None:
            number = last = last + 1
        numbered.append(msgspec.structs.replace(shortfall, shortfall_id=number))
    return tuple(sorted(numbered, key=lambda shortfall: shortfall.shortfall_id))


def changed_nodes(facts: PlanningFacts, parent_facts: PlanningFacts) -> frozenset[str]:
    """Name the nodes of which anything is not as it was: what they are, can, have, or reach."""
    changed: set[str] = set()
    for name in ("nodes", "resources", "capacity_exceptions", "capabilities", "lanes"):
        was, now = (
            {msgspec.msgpack.encode(fact): fact.node_code for fact in getattr(f, name)}
            for f in (parent_facts, facts)
        )
        changed.update({**was, **now}[key] for key in was.keys() ^ now.keys())
    return frozenset(changed)
