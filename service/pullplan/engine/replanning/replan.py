"""What is the plan now, if what can stay of the last one stays?"""

from collections.abc import Callable

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.certificate import capacity_prices
from pullplan.engine.errors import LotsNotReplannedError
from pullplan.engine.explanation import resource_loads
from pullplan.engine.lots import lot_rules
from pullplan.engine.model import Assignment, Horizon, Plan, PlanningFacts, Shortfall, Stability
from pullplan.engine.netting import refuse_broken_pins
from pullplan.engine.options import Options, build_options
from pullplan.engine.plan import add_up, in_canonical_order, plan_hash, snapshot_hash
from pullplan.engine.replanning.inheriting import changed_nodes, inherit_or_tell
from pullplan.engine.replanning.netting import net_again
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.proving import Proven
from pullplan.engine.replanning.searching import search
from pullplan.engine.replanning.standing import Standing, find_standing, first_bucket_date, keep_numbers

Progress = Callable[[str, float], None]


def replan(
    facts: PlanningFacts,
    parent_facts: PlanningFacts,
    parent: Plan,
    churn: Churn,
    progress: Progress | None = None,
) -> Plan:
    """Plan the facts, holding what the parent says as far as the churn is worth it.

    Needs keep the parent's numbers, and so do lines that stay. With a churn that is free the plan is as good as any,
    and moves nothing for nothing; else it also carries what the best plan would be.

    Raises: PinInfeasibleError where a pin can't be kept; LotsNotReplannedError where a product has lot rules;
        AssignmentFailedError when the solver fails.
    """
    tell = progress or (lambda _step, _done_share: None)
    facts = in_canonical_order(facts)
    tell("netting", 0.0)
    needs = keep_numbers(
        net_again(facts, parent_facts, parent.needs), facts.horizon, parent, parent_facts.horizon
    )
    tell("assigning", 0.0)
    options = build_options(facts, needs)
    if lot_rules(options) is not None:
        raise LotsNotReplannedError(
            "a product has lot rules, and orders of whole lots can't be held: plan without a parent"
        )
    standing = find_standing(options, parent, parent_facts.horizon)
    shift = shift_buckets(options.horizon, parent_facts.horizon)
    proven, free = _solve(options, standing, churn, tell)
    tell("explaining", 0.0)
    lines = inherit_or_tell(
        *(options, proven.solution, standing, parent),
        shift=shift,
        changed_nodes=changed_nodes(facts, parent_facts),
    )
    refuse_broken_pins(facts, needs, lines[1])
    stability = _stability(options, (proven, free), standing, parent, churn)
    return _write_down(facts, options, proven, lines, stability)


def shift_buckets(horizon: Horizon, parent_horizon: Horizon) -> int:
    """Count the buckets from a horizon's first to its parent's: 0 on the same day, below 0 later."""
    days = (first_bucket_date(parent_horizon) - first_bucket_date(horizon)).days
    return days // DAYS_PER_BUCKET[horizon.bucket]


def _solve(
    options: Options, standing: Standing, churn: Churn, tell: Progress
) -> tuple[Proven, Proven | None]:
    """Find the best plan; where it moves more than the churn allows, the best that doesn't as well."""

    def progress(measure: str, done: float) -> None:
        tell(f"assigning: {measure.partition(':')[0]}", done)

    free = search(options, standing, Churn(), progress)
    within = churn.budget_units is None or free.moved_units <= churn.budget_units
    if churn.is_free or (within and churn.least_saving_per_unit == 0) or free.moved_units == 0:
        return free, None
    return search(options, standing, churn, progress), free


def _stability(
    options: Options, found: tuple[Proven, Proven | None], standing: Standing, parent: Plan, churn: Churn
) -> Stability:
    proven, free = found
    return Stability(
        parent_plan_hash=parent.plan_hash,
        churn_budget_units=churn.budget_units,
        least_saving_per_unit=churn.least_saving_per_unit,
        held_units=standing.held_units,
        moved_units=proven.moved_units,
        released_assignment_ids=standing.released_assignment_ids,
        churn_prices=proven.churn_prices,
        free_stages=() if free is None else free.stages,
        free_prices=() if free is None else capacity_prices(options, free.solution),
    )


def _write_down(
    facts: PlanningFacts,
    options: Options,
    proven: Proven,
    lines: tuple[tuple[Assignment, ...], tuple[Shortfall, ...]],
    stability: Stability,
) -> Plan:
    assignments, shortfalls = lines
    needs = tuple(options.needs)
    prices = capacity_prices(options, proven.solution)
    loads = resource_loads(options, proven.solution)
    return Plan(
        method=proven.solution.method,
        reproducible=True,
        snapshot_hash=snapshot_hash(facts),
        plan_hash=plan_hash(needs, assignments, shortfalls, prices, proven.stages, stability=stability),
        needs=needs,
        assignments=assignments,
        shortfalls=shortfalls,
        stages=proven.stages,
        prices=prices,
        loads=loads,
        figures=add_up(needs, assignments, shortfalls, loads),
        tie_break=proven.solution.tie_break,
        stability=stability,
    )
