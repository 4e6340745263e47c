"""Which needs must be looked at again, where few have changed, and what proves that the others need not?

Needs that are not looked at stay as they are to the others: what they leave of every capacity is all that counts. The
prices that prove the small plan prove the whole one as long as no line that stays is dearer than another way of its
need; where one is, its need is looked at as well, and all is solved again. So

    value − bound = what it is among the needs that are looked at + Σ other lines: units × what they cost above the cheapest way
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights, stage_weights
from pullplan.engine.lots import LotPlan
from pullplan.engine.model import TIERS, Assignment, Plan, ShortfallStage, Stage
from pullplan.engine.options import Options, Solution, StagePrices, shortfall_weight, stage_measures
from pullplan.engine.replanning.laid import Change, Laid
from pullplan.engine.replanning.lines import Lines, Totals
from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.proving import Proven
from pullplan.engine.replanning.searching import CHEAPER_BY, Progress, search
from pullplan.engine.replanning.standing import Parent, Standing, find_standing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

OPENED_AT_ONCE = 30
"""Needs: each makes the programme dearer to solve, and all that is wanted is some room."""
MOST_LOOKED_AT_SHARE = 0.2
"""Of the needs: where more would have to be looked at, all are."""


@dataclass(frozen=True)
class Others:
    """What is not looked at, and stays."""

    laid: Laid
    """The needs as they are now, with the lines that they had."""
    assignments: Sequence[Assignment]
    """All of the parent's."""
    numbers: IntArray
    """Of these, in their order."""
    gone: IntArray
    """Numbers of those whose needs are gone."""
    looked_at: IntArray
    """Positions of the needs that are looked at, among all."""
    units: float
    """What the others' lines make."""

    def laid_with(self, options: Options, now: Sequence[Assignment]) -> Laid:
        """Lay out the plan in which the needs that were looked at, whose options these are, have other lines."""
        lines = Lines.of(options, now)
        return self.laid.with_lines(self.looked_at, replace(lines, need=self.looked_at[lines.need]))

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
    lots: LotPlan | None = None
    """What has become of the best plan as orders of whole lots; None where nobody has lot rules."""

    @property
    def solution(self) -> Solution:
        """Take the lines that are planned."""
        return self.proven.solution if self.lots is None else self.lots.solution


def look_near(change: Change, parent: Plan, churn: Churn, progress: Progress | None = None) -> Looked | None:
    """Plan anew what has changed and whatever that makes dearer than it need be; None where that is much, or runs short.

    Raises: AssignmentFailedError where HiGHS ends without an optimum.
    """
    laid, assignments, numbers = change.laid, parent.assignments, change.laid.numbers
    options, lines, totals = laid.options, laid.lines, laid.totals
    is_open = change.is_changed.copy()
    # A need that its parent splits is one that ties: it is where a little room is found first.
    is_open[totals.split] = True
    is_open[laid.first_of_rank] = True
    while is_open.sum() <= max(1, MOST_LOOKED_AT_SHARE * len(options.needs)):
        looked_at = np.flatnonzero(is_open)
        held = lines[lines.of_needs(looked_at)]
        of_held = Totals.of(options, held)
        part = options.part(looked_at, totals.use - of_held.use)
        of_parent = Parent(
            lines=[assignments[at] for at in np.searchsorted(numbers, np.sort(held.number)).tolist()],
            shortfalls=(),
            last_assignment_id=int(numbers[-1]) if len(numbers) else 0,
            shift=0,
        )
        standing = find_standing(part, of_parent)
        proven = search(part, standing, np.ones(len(part.needs), dtype=bool), churn, progress)
        joined = _Joined(laid, part, is_open, proven, of_held)
        worse_off = joined.needs_worse_off()
        if len(worse_off) == 0:
            if proven.solution.shortfall_units.any():
                return None
            units = totals.units - of_held.units
            stay = Others(laid, assignments, numbers, change.gone, looked_at, units)
            return Looked(part, standing, of_parent, joined.proven(), stay)
        is_open[worse_off] = True
    return None


class _Joined:
    """The plan of the needs that were looked at, held against the lines of the others."""

    def __init__(
        self, laid: Laid, part: Options, is_open: BoolArray, proven: Proven, of_held: Totals
    ) -> None:
        self._laid = laid
        self._proven = proven
        self._of_held = of_held
        self._measures = stage_measures(part, proven.solution.stage_names)
        self._weight = shortfall_weight(laid.options)
        self._one_mean_need = self._measure_one_mean_need()
        self._prices = self._with_others(part)
        self._worse_off = [
            laid.lines_worse_off(measure.name, weights, is_open, churn_price)
            for measure, weights, churn_price in zip(
                self._measures, self._weights(part), proven.churn_prices, strict=True
            )
        ]

    def _with_others(self, part: Options) -> list[StagePrices]:
        """Let no other need be better off short, or late, where nothing is: that is proved by prices of 0."""
        found = []
        values = self._values()
        weight = float(self._weight.min())
        for k, prices in enumerate(self._proven.solution.stage_prices):
            weights = stage_weights(part, self._measures[: k + 1], prices)
            dearest = self._laid.totals.dearest(weights)
            multipliers = prices.multipliers.copy()
            for j, measure in enumerate(self._measures[:k]):
                if measure.counted is not None and values[j] == 0:
                    multipliers[j] = max(multipliers[j], dearest / weight)
                elif measure.late_bucket > 0 and values[j] == 0:
                    multipliers[j] = max(multipliers[j], dearest)
            found.append(replace(prices, multipliers=multipliers))
        return found

    def _weights(self, part: Options) -> list[StageWeights]:
        return [stage_weights(part, self._measures[: k + 1], prices) for k, prices in enumerate(self._prices)]

    def needs_worse_off(self) -> IntArray:
        """List needs that have a way that is cheaper by more than rounding, in any stage: of many, those that gain most.

        What a need gains is what it saves in the cost stage, which counts what the stages before it are worth.
        """
        need, mean_units = self._laid.lines.need, float(self._laid.options.need_units.mean())
        found, gain = [np.empty(0, dtype=np.int64)], np.zeros(len(self._laid.options.needs))
        for (at, excess), one, measure in zip(
            self._worse_off, self._one_mean_need, self._measures, strict=True
        ):
            found.append(need[at[excess > CHEAPER_BY * one / mean_units]])
            if measure.route_cost > 0:
                np.maximum.at(gain, need[at], excess)
        needs = np.unique(np.concatenate(found))
        return needs[np.argsort(-gain[needs], kind="stable")[:OPENED_AT_ONCE]]

    def _values(self) -> list[float]:
        """Measure the whole plan: what was looked at, and the others."""
        return [
            stage.value + self._laid.totals.value(measure) - self._of_held.value(measure)
            for stage, measure in zip(self._proven.stages, self._measures, strict=True)
        ]

    def proven(self) -> Proven:
        """State the whole plan's stages."""
        stages = []
        for k, (stage, value, one) in enumerate(
            zip(self._proven.stages, self._values(), self._one_mean_need, strict=True)
        ):
            at, excess = self._worse_off[k]
            gap = stage.gap_absolute + math.fsum((self._laid.lines.units[at] * excess).tolist())
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

    def _measure_one_mean_need(self) -> list[float]:
        """Measure one mean need of the whole plan, stage by stage."""
        options = self._laid.options
        mean_units = float(options.need_units.mean())
        found = []
        for measure in self._measures:
            stage = ShortfallStage.read(measure.name)
            if stage is not None:
                short = options.need_units * self._weight
                if len(self._laid.first_of_rank) > 1:
                    is_tier = options.need_tier == TIERS.index(stage.tier)
                    short = short[is_tier & (options.need_rank == stage.rank)]
                found.append(float(short.mean()))
            else:
                found.append(mean_units * (self._laid.offers.mean_cost if measure.route_cost > 0 else 1.0))
        return found
