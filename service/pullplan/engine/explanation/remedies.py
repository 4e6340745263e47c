"""What would serve a need that stays short? At each of the cheapest nodes, as much more of what is full there as it takes.

Each remedy is solved before it is told: the units are forced to the node, whatever it lacks for them is added, and what
the best plan then leaves of the addition is taken off again.
"""

import dataclasses
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment import Spread, assign, here
from pullplan.engine.explanation.forcing import compare, with_forced
from pullplan.engine.model import (
    ConfirmedStage,
    ExtraCapacity,
    Forced,
    Plan,
    PlanningFacts,
    Remedy,
    SearchProgress,
    Shortfall,
)
from pullplan.engine.options import Options, Solution, build_options, left_for_new_work

FloatArray = npt.NDArray[np.float64]

MOST_SOLVED = 3
"""Nodes that are tried: those that serve the need least late, then at the least cost."""
DUST_SHARE = 1e-9
"""Of a need, and of what would be added for it: less is rounding."""


@dataclass(frozen=True)
class _Try:
    """A node that could serve the need if it were able to, and when it would start."""

    node_code: str
    start_bucket: int


def find_remedies(
    facts: PlanningFacts,
    plan: Plan,
    shortfall: Shortfall,
    progress: Callable[[SearchProgress], None] | None = None,
    *,
    spread: Spread = here,
) -> tuple[Remedy, ...]:
    """Find what would serve all that a shortfall of the plan is of, the least costly first; () where no node could in time.

    `facts` are those that the plan was made from. Lots are left aside: what is compared is the plan before they are cut.

    Raises: AssignmentFailedError when the solver fails.
    """
    search = partial(assign, progress=progress, spread=spread)
    tried = [_solve(facts, plan, shortfall, one, search) for one in _worth_trying(facts, plan, shortfall)]
    found = [remedy for remedy in tried if remedy is not None]
    return tuple(sorted(found, key=_least_late_then_costly))


def _least_late_then_costly(remedy: Remedy) -> tuple[float, float]:
    lateness, cost, _ = remedy.stages[-3:]
    return lateness.extra if lateness.is_worse else 0.0, cost.extra


def _worth_trying(facts: PlanningFacts, plan: Plan, shortfall: Shortfall) -> list[_Try]:
    """List the cheapest nodes that reach the need in time, were they all online and qualified; more stock is none."""
    (i,) = (i for i, need in enumerate(plan.needs) if need.need_id == shortfall.need_id)
    need = plan.needs[i]
    able = _able(facts, need.product_code, {node.node_code for node in facts.nodes})
    options = build_options(able, plan.needs)
    ways = options.rows_of(np.array([i]))
    best_first = np.lexsort((ways.early_buckets, ways.capability, ways.cost, ways.late_buckets))
    stores = {node.node_code for node in facts.nodes if node.is_store}
    starts: dict[str, int] = {}
    for at in best_first.tolist():
        node_code = options.capabilities.rows[ways.capability[at]].node_code
        if node_code not in stores:
            starts.setdefault(node_code, int(ways.start_bucket[at]))
    return [_Try(node_code, start) for node_code, start in starts.items()][:MOST_SOLVED]


def _able(facts: PlanningFacts, product_code: str, node_codes: AbstractSet[str]) -> PlanningFacts:
    """Bring nodes online and qualify them for a product."""
    return msgspec.structs.replace(
        facts,
        nodes=tuple(
            msgspec.structs.replace(node, status="online")
            if node.node_code in node_codes and node.status == "offline"
            else node
            for node in facts.nodes
        ),
        capabilities=tuple(
            msgspec.structs.replace(c, qualified=True)
            if c.node_code in node_codes and c.product_code == product_code
            else c
            for c in facts.capabilities
        ),
    )


def _solve(
    facts: PlanningFacts,
    plan: Plan,
    shortfall: Shortfall,
    one: _Try,
    search: Callable[[Options], Solution],
) -> Remedy | None:
    """Make the node able, add what it lacks, force what is short there, and see what is left of what was added."""
    need = next(need for need in plan.needs if need.need_id == shortfall.need_id)
    node = next(node for node in facts.nodes if node.node_code == one.node_code)
    made_by = next(
        c for c in facts.capabilities if (c.node_code, c.product_code) == (one.node_code, need.product_code)
    )
    there = plan.units_of(need.need_id, one.node_code)
    forced = Forced(need_id=need.need_id, node_code=one.node_code, units=there + shortfall.units)
    options = with_forced(_able(facts, need.product_code, {one.node_code}), plan.needs, forced)
    c = next(
        c
        for c in options.capabilities.of_product[options.need_product[-1]].tolist()
        if options.capabilities.rows[c].node_code == one.node_code
    )
    use = options.capabilities.use[[c]].toarray().ravel() * shortfall.units
    lacking = _lacking(options, _use_of_plan(options, plan), use, one.start_bucket)
    brings_online, qualifies = node.status == "offline", not made_by.qualified
    # What an able node takes over may have a place elsewhere: then nothing need be added.
    for added in [np.zeros_like(lacking), lacking] if brings_online or qualifies else [lacking]:
        able = _with_more(options, added)
        solution = search(able)
        stages = compare(able, solution, {stage.measure: stage.before_lots for stage in plan.stages})
        is_missed = solution.shortfall_units[-1] > DUST_SHARE * forced.units
        if is_missed or (not added.any() and any(map(_is_shorter, stages))):
            continue
        used = able.use_by_bucket(solution.capability, solution.start_bucket, solution.units)
        needed = np.maximum(0.0, added - np.maximum(0.0, _room(able, used)))
        return Remedy(
            node_code=one.node_code,
            brings_online=brings_online,
            qualifies=qualifies,
            extra_capacity=tuple(_told(able, needed, added)),
            stages=stages,
        )
    return None


def _is_shorter(stage: ConfirmedStage) -> bool:
    return stage.is_worse and stage.measure.startswith("shortfall:")


def _with_more(options: Options, added: FloatArray) -> Options:
    """Add to what there is: (n_resources, n_buckets)."""
    capacities = options.capacities
    calendar = capacities.calendar + added
    available = left_for_new_work(calendar - capacities.released_use, capacities.is_stored)
    more = dataclasses.replace(capacities, calendar=calendar, available=available)
    return dataclasses.replace(options, capacities=more)


def _use_of_plan(options: Options, plan: Plan) -> FloatArray:
    """Add up what the plan's lines take: (n_resources, n_buckets)."""
    product_of = {need.need_id: need.product_code for need in plan.needs}
    capability_of = {(c.product_code, c.node_code): k for k, c in enumerate(options.capabilities.rows)}
    capability = [capability_of[product_of[line.need_id], line.node_code] for line in plan.assignments]
    return options.use_by_bucket(
        np.array(capability, dtype=np.int64),
        np.array([line.start_bucket for line in plan.assignments], dtype=np.int64),
        np.array([line.units for line in plan.assignments], dtype=np.float64),
    )


def _room(options: Options, used: FloatArray) -> FloatArray:
    """Say what more may be started: renewed in that bucket, stored in that bucket and up to the end.

    Below 0 where released work alone takes more than there is.

    Shapes: (n_resources, n_buckets) → the same
    """
    left = options.capacities.calendar - options.capacities.released_use - used
    up_to = np.minimum.accumulate(np.cumsum(left, axis=1)[:, ::-1], axis=1)[:, ::-1]
    return np.where(options.capacities.is_stored[:, None], up_to, left)


def _lacking(options: Options, used: FloatArray, use: FloatArray, start_bucket: int) -> FloatArray:
    """Say what the node lacks for units that take so much and start then; a share limit lacks it from the beginning.

    Shapes: (n_resources, n_buckets), (n_resources,) → (n_resources, n_buckets)
    """
    capacities = options.capacities
    row = np.flatnonzero(use > 0)
    bucket = np.where(capacities.is_share[row], 0, start_bucket)
    room = _room(options, used)[row, start_bucket]
    added = np.zeros(capacities.available.shape)
    added[row, bucket] = np.maximum(0.0, use[row] - room)
    return added


def _told(options: Options, needed: FloatArray, added: FloatArray) -> Iterator[ExtraCapacity]:
    for row, bucket in np.argwhere(needed > DUST_SHARE * added).tolist():
        key = options.capacities.keys[row]
        yield ExtraCapacity(
            resource_code=key.resource_code,
            product_code=key.product_code,
            bucket=bucket,
            amount=float(needed[row, bucket]),
        )
