"""In which order is a plan looked through, and what is the verdict?"""

import numpy as np

from pullplan.engine.checker.exactness import Judge
from pullplan.engine.checker.free import check_free
from pullplan.engine.checker.ground import survey
from pullplan.engine.checker.hashes import check_hashes
from pullplan.engine.checker.holding import Held, check_held, find_held
from pullplan.engine.checker.left_over import check_left_over
from pullplan.engine.checker.lines import LineChecker, check_cover, check_shortfalls
from pullplan.engine.checker.lots import LotChecker
from pullplan.engine.checker.needs import check_needs, read_needs
from pullplan.engine.checker.pins import check_pins
from pullplan.engine.checker.proof import Proof, Stated
from pullplan.engine.checker.report import Report
from pullplan.engine.checker.room import survey_room
from pullplan.engine.checker.sums import LoadChecker, check_figures
from pullplan.engine.model import Checked, Horizon, Plan, PlanningFacts, Verification


def check(
    facts: PlanningFacts,
    plan: Plan,
    parent: Plan | None = None,
    parent_horizon: Horizon | None = None,
    *,
    facts_hash: str | None = None,
) -> Verification:
    """Hold a plan to the facts that it was made from: cover, capacity, lines, loads, figures, proof and hashes.

    A re-plan is held to its parent as well. Needs are taken as they stand; whether they follow from demand, stock and
    supply is not looked at. `facts_hash` is that of the facts as they were stored, where other code may have stored
    them, which knew fewer fields.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers are found, not warned of
        return _check(facts, plan, parent, parent_horizon, facts_hash)


def _check(
    facts: PlanningFacts,
    plan: Plan,
    parent: Plan | None,
    parent_horizon: Horizon | None,
    facts_hash: str | None,
) -> Verification:
    report, judge, ground = Report(), Judge(), survey(facts)
    needs = read_needs(ground, plan.needs)
    room = survey_room(ground, needs)
    check_needs(ground, needs, report)
    counted = LineChecker(ground, needs, plan.assignments, report).check()
    shorts = check_shortfalls(needs, plan.shortfalls, report)
    lots = LotChecker(ground, plan, counted)
    report.add(lots.check())
    check_cover(ground, plan, needs, judge, report)
    report.add(check_pins(facts, plan))
    LoadChecker(ground, room, needs, judge, report).check(plan, counted, lots.surplus)
    report.add(check_figures(plan, counted))
    held = Held()
    if plan.stability is not None and parent is not None and parent_horizon is not None:
        held = find_held(ground, needs, counted, plan.stability, (parent, parent_horizon))
    report.add(check_held(plan, needs, parent, held))
    report.add(check_left_over(ground, needs, counted, lots, held))
    stated = Stated(ground, room, needs, plan, held, lots, (counted, shorts))
    proof = Proof(stated, judge)
    report.add(proof.check())
    report.add(check_free(stated, judge))
    report.add(check_hashes(facts, plan, facts_hash))
    return Verification(
        valid=report.n_findings == 0,
        n_findings=report.n_findings,
        findings=tuple(report.findings),
        checked=Checked(
            n_needs=len(plan.needs),
            n_assignments=len(plan.assignments),
            n_shortfalls=len(plan.shortfalls),
            n_capacities=len(room.keys) * ground.n_buckets + len(room.share_row),
            n_options=proof.n_options,
            n_prices=len(plan.prices),
            n_stages=len(plan.stages),
            n_exact=judge.n_exact,
        ),
        stages=tuple(proof.stages),
    )
