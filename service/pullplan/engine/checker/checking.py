"""In which order is a plan looked through, and what is the verdict?"""

from pullplan.engine.checker.exactness import Judge
from pullplan.engine.checker.free import check_free
from pullplan.engine.checker.ground import survey
from pullplan.engine.checker.hashes import check_hashes
from pullplan.engine.checker.holding import check_held, find_held
from pullplan.engine.checker.limits import check_pins
from pullplan.engine.checker.lines import LineChecker, check_cover, check_needs, check_shortfalls
from pullplan.engine.checker.lots import LotChecker
from pullplan.engine.checker.proof import Proof
from pullplan.engine.checker.sums import check_figures, check_loads, check_shares
from pullplan.engine.model import Checked, Horizon, Plan, PlanningFacts, Verification

MOST_FINDINGS = 1000


def check(
    facts: PlanningFacts, plan: Plan, parent: Plan | None = None, parent_horizon: Horizon | None = None
) -> Verification:
    """Hold a plan to the facts that it was made from: cover, capacity, lines, loads, figures, proof and hashes.

    A re-plan is held to its parent as well. Needs are taken as they stand; whether they follow from demand, stock and
    supply is not looked at.
    """
    ground, judge = survey(facts, plan.needs), Judge()
    lines = LineChecker(ground, plan)
    lots = LotChecker(ground, plan)
    findings = [*check_needs(ground, plan.needs), *lines.check(), *check_shortfalls(plan), *lots.check()]
    held = find_held(ground, plan, parent, parent_horizon)
    proof = Proof(ground, plan, lines.counted, judge, held, lots=lots)
    findings += check_cover(ground, plan, judge)
    findings += check_pins(facts, plan)
    findings += check_shares(ground, plan, lines.counted, lots.surplus, judge)
    findings += check_loads(ground, plan, lines.counted, lots.surplus, judge)
    findings += check_figures(plan, lines.counted)
    findings += check_held(plan, parent, held)
    findings += proof.check()
    findings += check_free(ground, plan, judge)
    findings += check_hashes(facts, plan)
    return Verification(
        valid=not findings,
        n_findings=len(findings),
        findings=tuple(findings[:MOST_FINDINGS]),
        checked=Checked(
            n_needs=len(plan.needs),
            n_assignments=len(plan.assignments),
            n_shortfalls=len(plan.shortfalls),
            n_capacities=len(ground.room.keys) * ground.n_buckets + len(ground.room.share_row),
            n_options=proof.n_options,
            n_prices=len(plan.prices),
            n_stages=len(plan.stages),
            n_exact=judge.n_exact,
        ),
        stages=tuple(proof.stages),
    )
