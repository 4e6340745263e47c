"""What does it cost to make units of a need at one node? Solved anew with them forced there, stage by stage."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from pullplan.engine.assignment import Spread, assign, here
from pullplan.engine.certificate import stage_values
from pullplan.engine.model import ConfirmedStage, Forced, Need, PlanningFacts, SearchProgress
from pullplan.engine.options import Options, Solution, build_options, stage_measures

WORSE_ABOVE, WORSE_ABOVE_OF_VALUE = 1e-6, 1e-10
"""Of the measure of one mean need, and of the stage's value: what grows by no more than both has not grown. In a large
plan one line is a small share of the value."""


def solve_forced(
    facts: PlanningFacts,
    needs: Sequence[Need],
    forced: Forced,
    planned: Mapping[str, float],
    progress: Callable[[SearchProgress], None] | None = None,
    *,
    spread: Spread = here,
) -> tuple[float, tuple[ConfirmedStage, ...]]:
    """Make the forced units a need of their own, served before all others and by one node alone; solve; compare.

    Served first, they are made there wherever any plan can do so, whatever else is given up for it; once all of them
    are, every other stage measures what it measured before. `planned` are the plan's values by stage.

    Returns the units that the node can't make even so, and the stages of the plan, in their order.

    Raises: AssignmentFailedError when the solver fails.
    """
    options = with_forced(facts, needs, forced)
    solution = assign(options, progress, spread=spread)
    return float(solution.shortfall_units[-1]), compare(options, solution, planned)


def with_forced(facts: PlanningFacts, needs: Sequence[Need], forced: Forced) -> Options:
    """Lay the needs out with the forced units as the last of them, served before all others and by one node alone."""
    return _keep_slices(build_options(facts, _with_pin(needs, forced)), needs)


def compare(options: Options, solution: Solution, planned: Mapping[str, float]) -> tuple[ConfirmedStage, ...]:
    """Hold what a plan with forced units measures to what was planned, stage by stage.

    By the plan's own stages: with units forced, other slices might be joined, and the forced part has a stage as well.
    """
    measures = stage_measures(options, list(planned))
    compared = []
    for measure, now in zip(measures, stage_values(options, measures, solution), strict=True):
        value = planned[measure.name]
        least = max(WORSE_ABOVE * measure.one_mean_need, WORSE_ABOVE_OF_VALUE * abs(value))
        compared.append(
            ConfirmedStage(
                measure=measure.name,
                planned_value=value,
                forced_value=now,
                extra=now - value,
                is_worse=now - value > least,
            )
        )
    return tuple(compared)


def _keep_slices(options: Options, needs: Sequence[Need]) -> Options:
    """Cut what is left of a need as the need was cut: the forced units are of its first slices."""
    n_slices = options.parameters.share_slices
    slice_units = {need.need_id: need.units / n_slices for need in needs}
    kept = [
        slice_units.get(need.need_id, units)
        for need, units in zip(options.needs, options.need_slice_units.tolist(), strict=True)
    ]
    return dataclasses.replace(options, need_slice_units=np.array(kept))


def _with_pin(needs: Sequence[Need], forced: Forced) -> list[Need]:
    """Split the need: the forced part, last of all, is pinned to the node and served before everything else."""
    split = next(need for need in needs if need.need_id == forced.need_id)
    units = min(forced.units, split.units)
    must = msgspec.structs.replace(
        split,
        need_id=len(needs) + 1,
        tier="pinned",
        rank=min(need.rank for need in needs) - 1,
        units=units,
        pinned_node_code=forced.node_code,
    )
    rest = [msgspec.structs.replace(split, units=split.units - units)] if units < split.units else []
    return [*(need for need in needs if need.need_id != split.need_id), *rest, must]
