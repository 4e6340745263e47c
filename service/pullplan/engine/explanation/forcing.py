"""What does it cost to make units of a need at one node? Solved anew with them forced there, stage by stage."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import certify
from pullplan.engine.model import ConfirmedStage, Forced, Need, PlanningFacts
from pullplan.engine.options import build_options, stage_measures

TWIN = " (forced)"
"""Ends the name of the forced product: no caller's code has a space."""
WORSE_ABOVE = 1e-7
"""Of a stage's value, or of the measure of one mean need: what grows by less has not grown."""


def solve_forced(
    facts: PlanningFacts,
    needs: Sequence[Need],
    forced: Forced,
    planned: Mapping[str, float],
    progress: Callable[[str, float], None] | None = None,
) -> tuple[float, tuple[ConfirmedStage, ...]]:
    """Make the forced units a need of their own, served before all others and by one node alone; solve; compare.

    Served first, they are made there wherever any plan can do so, whatever else is given up for it; once all of them
    are, every other stage measures what it measured before. `planned` are the plan's values by stage.

    Returns the units that the node can't make even so, and the stages of the plan, in their order.

    Raises: AssignmentFailedError when the solver fails.
    """
    options = build_options(*_with_twin(facts, needs, forced))
    solution = assign(options, progress)
    _, *stages = certify(options, solution)
    mean_need = {measure.name: measure.one_mean_need for measure in stage_measures(options)}
    values = {stage.measure: stage.value for stage in stages}
    compared = []
    for measure, value in planned.items():
        # A tier and rank whose only need is forced has no stage any more: nothing of it is short.
        now = values.get(measure, 0.0)
        least = WORSE_ABOVE * max(abs(value), mean_need.get(measure, 0.0))
        compared.append(
            ConfirmedStage(
                measure=measure,
                planned_value=value,
                forced_value=now,
                extra=now - value,
                is_worse=now - value > least,
            )
        )
    return float(solution.shortfall_units[-1]), tuple(compared)


def _with_twin(
    facts: PlanningFacts, needs: Sequence[Need], forced: Forced
) -> tuple[PlanningFacts, list[Need]]:
    """Split the need: the forced part, last of all, is of a twin product that the one node makes as it makes the product."""
    split = next(need for need in needs if need.need_id == forced.need_id)
    product = next(p for p in facts.products if p.product_code == split.product_code)
    of_node = (forced.node_code, split.product_code)
    capability = next(c for c in facts.capabilities if (c.node_code, c.product_code) == of_node)
    twin = split.product_code + TWIN
    units = min(forced.units, split.units)
    must = msgspec.structs.replace(
        split,
        need_id=len(needs) + 1,
        product_code=twin,
        tier="order",
        rank=min(need.rank for need in needs) - 1,
        units=units,
    )
    rest = [msgspec.structs.replace(split, units=split.units - units)] if units < split.units else []
    twins = msgspec.structs.replace(
        facts,
        products=(*facts.products, msgspec.structs.replace(product, product_code=twin)),
        capabilities=(*facts.capabilities, msgspec.structs.replace(capability, product_code=twin)),
    )
    return twins, [*(need for need in needs if need.need_id != split.need_id), *rest, must]
