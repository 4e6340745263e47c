"""Is the best plan that holds nothing bounded as a re-plan says it is?

That plan's lines are not stored: its values are taken as stated. Each bound then says of any plan of these facts that is
no worse than those values in the stages before, what the stored prices prove of it.
"""

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from pullplan.engine.checker.exactness import Judge
from pullplan.engine.checker.holding import Held
from pullplan.engine.checker.proof import Proof, Stated
from pullplan.engine.model import Finding


def check_free(stated: Stated, judge: Judge) -> Iterator[Finding]:
    """Recompute the bounds of the plan that would hold nothing, where a re-plan states one."""
    stability = stated.plan.stability
    if stability is None or not stability.free_stages:
        return
    free = msgspec.structs.replace(
        stated.plan, stages=stability.free_stages, prices=stability.free_prices, stability=None
    )
    for finding in Proof(replace(stated, plan=free, held=Held(), lots=None, lines=None), judge).check():
        yield msgspec.structs.replace(finding, detail=f"without holds: {finding.detail}")
