"""Which needs must be looked at again, where few have changed, and what proves that the others need not?

Needs that are not looked at stay as they are to the others: what they leave of every capacity is all that counts. The
prices that prove the small plan prove the whole one as long as no line that stays is dearer than another way of its
need; where one is, its need is looked at as well, and all is solved again. So

    value − bound = what it is among the needs that are looked at + Σ other lines: units × what they cost above the cheapest way
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights, stage_weights
from pullplan.engine.model import TIERS, Assignment, Plan, ShortfallStage, Stage
from pullplan.engine.options import Options, StageMeasure, StagePrices, shortfall_weight, stage_measures
from pullplan.engine.replanning.laid import Change, Laid
from pullplan.engine.replanning.lines import Lines
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.proving import Proven
from pullplan.engine.replanning.searching import CHEAPER_BY, Progress, search
from pullplan.engine.replanning.standing import Parent, Standing, find_standing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_LOOKED_AT_SHARE = 0.2
"""Of the needs: where more would have to be looked at, all are."""


@dataclass(frozen=True)
class Others:
    """What is not looked at, and stays."""

    lines: Lines
    assignments: Sequence[Assignment]
    """All of the parent's."""
    numbers: IntArray
    """Of these, in their order."""
    gone: IntArray
    """Numbers of those whose needs are gone."""
    looked_at: IntArray
    """Positions of the needs that are looked at, among all."""

    def with_lines(self, options: Options, now: Sequence[Assignment]) -> Lines:
        """Put the lines of the needs that were looked at, whose options these are, among the others'."""
        lines = Lines.of(options, now)
        return self.lines.joined(replace(lines, need=self.looked_at[lines.need]))

    def among(self, before: Sequence[Assignment], now: Sequence[Assignment]) -> tuple[Assignment, ...]:
        """Put the lines that the other needs now have in the place of those that they had, by number."""
        merged = list(self.assignments)
        new = {line.assignment_id: line for line in now}
        left = []
        for number in (*self.gone.tolist(), *(line.assignment_id for line in before)):
            at = int(np.searchsorted(self.numbers, number))
            if number in new:
                merged[at] = new.pop(number)
            else:
                left.append(at)
        for at in sorted(left, reverse=True):
            del merged[at]
        return (*merged, *(new[number] for number in sorted(new)))


@dataclass(frozen=True)
class Looked:
    """The needs that were looked at, and the best plan for them; its stages are those of the whole plan."""

    options: Options
    standing: Standing
    parent: Parent
    proven: Proven
    others: Others | None = None
    """None where all needs were looked at."""


def look_near(change: Change, parent: Plan, churn: Churn, progress: Progress | None = None) -> Looked | None:
    """Plan anew what has changed and whatever that makes dearer than it need be; None where that is much, or runs short.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    laid, assignments, numbers = change.laid, parent.assignments, change.before.numbers
    options, lines = laid.options, laid.lines
    # A need that its parent splits is one that ties: it is where a little room is found first.
    is_open = change.is_changed | (np.bincount(lines.need, minlength=len(options.needs)) > 1)
    is_open |= _first_of_each_rank(options)
    while is_open.sum() <= max(1, MOST_LOOKED_AT_SHARE * len(options.needs)):
        is_free = is_open[lines.need]
        others = lines[~is_free]
        looked_at = np.flatnonzero(is_open)
        part = options.part(looked_at, others.use(options))
        of_parent = Parent(
            lines=[
                assignments[at] for at in np.searchsorted(numbers, np.sort(lines.number[is_free])).tolist()
            ],
            shortfalls=(),
            last_assignment_id=int(numbers[-1]) if len(numbers) else 0,
            shift=0,
        )
        standing = find_standing(part, of_parent)
        proven = search(part, standing, np.ones(len(part.needs), dtype=bool), churn, progress)
        if proven.solution.shortfall_units.any():
            return None
        joined = _Joined(laid, part, proven, others)
        worse_off = joined.needs_worse_off()
        if len(worse_off) == 0:
            stay = Others(others, assignments, numbers, change.gone, looked_at)
            return Looked(part, standing, of_parent, joined.proven(), stay)
        is_open[worse_off] = True
    return None


def _first_of_each_rank(options: Options) -> BoolArray:
    """Take one need of every tier and rank, so that each has its stage."""
    is_first = np.zeros(len(options.needs), dtype=bool)
    rank = (
        options.need_tier * (np.ptp(options.need_rank) + 1 if len(options.needs) else 1) + options.need_rank
    )
    is_first[np.unique(rank, return_index=True)[1]] = True
    return is_first


class _Joined:
    """The plan of the needs that were looked at, held against the lines of the others."""

    def __init__(self, laid: Laid, part: Options, proven: Proven, others: Lines) -> None:
        self._laid = laid
        self._proven = proven
        self._others = others
        self._measures = stage_measures(part, proven.solution.stage_names)
        self._one_mean_need = one_mean_need(laid, self._measures)
        self._prices = self._with_others(part)
        self._excess = self._find_excess(part)

    def _with_others(self, part: Options) -> list[StagePrices]:
        """Let no other need be better off short, or late, where nothing is: that is proved by prices of 0."""
        found = []
        others, values = self._others, [stage.value for stage in self._proven.stages]
        weight = float(shortfall_weight(self._laid.options).min()) if len(others.need) else 1.0
        for k, prices in enumerate(self._proven.solution.stage_prices):
            weights = stage_weights(part, self._measures[: k + 1], prices)
            dearest = float(others.priced(weights).max(initial=0.0))
            multipliers = prices.multipliers.copy()
            for j, measure in enumerate(self._measures[:k]):
                if measure.counted is not None:
                    multipliers[j] = max(multipliers[j], dearest / weight)
                elif measure.late_bucket > 0 and values[j] == 0:
                    multipliers[j] = max(multipliers[j], dearest)
            found.append(replace(prices, multipliers=multipliers))
        return found

    def _weights(self, part: Options) -> list[StageWeights]:
        return [stage_weights(part, self._measures[: k + 1], prices) for k, prices in enumerate(self._prices)]

    def _find_excess(self, part: Options) -> list[FloatArray]:
        """Tell what each other line costs above its need's cheapest way, beyond what a move must save: by stage."""
        found = []
        for weights, churn_price in zip(self._weights(part), self._proven.churn_prices, strict=True):
            priced = self._others.priced(weights)
            if priced.any():
                priced -= self._laid.offers.cheapest(weights)[self._others.need] + churn_price
            found.append(np.maximum(0.0, priced))
        return found

    def needs_worse_off(self) -> IntArray:
        """List needs that have a way that is cheaper by more than rounding, in any stage."""
        units = self._laid.options.need_units
        mean_units = float(units.mean()) if len(units) else 1.0
        found = [np.empty(0, dtype=np.int64)]
        for excess, one in zip(self._excess, self._one_mean_need, strict=True):
            found.append(self._others.need[excess > CHEAPER_BY * one / mean_units])
        return np.unique(np.concatenate(found))

    def proven(self) -> Proven:
        """State the whole plan's stages."""
        stages = []
        for k, (stage, measure, one) in enumerate(
            zip(self._proven.stages, self._measures, self._one_mean_need, strict=True)
        ):
            value = stage.value + self._others.value(measure)
            gap = stage.gap_absolute + float((self._others.units * self._excess[k]).sum())
            reference = max(abs(value), one)
            stages.append(
                Stage(
                    stage=stage.stage,
                    measure=stage.measure,
                    value=value,
                    lower_bound=value - gap,
                    gap=gap / reference if reference > 0 else gap,
                    gap_absolute=gap,
                    multipliers=tuple(self._prices[k].multipliers.tolist()),
                )
            )
        solution = replace(self._proven.solution, stage_prices=tuple(self._prices))
        return replace(self._proven, solution=solution, stages=tuple(stages))


def one_mean_need(laid: Laid, measures: Sequence[StageMeasure]) -> list[float]:
    """Measure one mean need of the whole plan, stage by stage."""
    options = laid.options
    units, weight = options.need_units, shortfall_weight(options)
    mean_units = float(units.mean())
    found = []
    for measure in measures:
        stage = ShortfallStage.read(measure.name)
        if stage is not None:
            of_rank = (options.need_tier == TIERS.index(stage.tier)) & (options.need_rank == stage.rank)
            found.append(float((units * weight)[of_rank].mean()))
        else:
            found.append(mean_units * (laid.offers.mean_cost if measure.route_cost > 0 else 1.0))
    return found
