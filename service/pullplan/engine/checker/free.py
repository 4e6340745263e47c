"""Is the best plan that holds nothing bounded as a re-plan says it is?

That plan's lines are not stored: its values are taken as stated. Each bound then says of any plan of these facts that is
no worse than those values in the stages before, what the stored prices prove of it.
"""

from collections.abc import Iterator

import msgspec

from pullplan.engine.checker.exactness import Judge, Sum, sum_of_products
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.proof import Proof
from pullplan.engine.model import Finding, Plan


class _StatedProof(Proof):
    def _value(self, k: int) -> Sum:
        return sum_of_products([self._plan.stages[k].value], [1.0])


def check_free(ground: Ground, plan: Plan, judge: Judge) -> Iterator[Finding]:
    """Recompute the bounds of the plan that would hold nothing, where a re-plan states one."""
    if plan.stability is None or not plan.stability.free_stages:
        return
    free = msgspec.structs.replace(
        plan, stages=plan.stability.free_stages, prices=plan.stability.free_prices, stability=None
    )
    for finding in _StatedProof(ground, free, (), judge).check():
        yield msgspec.structs.replace(finding, detail=f"without holds: {finding.detail}")
