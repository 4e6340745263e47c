"""Which slices of which needs does each shortfall stage count, and how short are they?

A need of u units is cut into n slices of u ÷ n, and what stays short is of its last slices. Ranges of slices are joined in
a stage where one proof does for all of them.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pullplan.engine.checker.columns import UNKNOWN, FloatArray, IntArray, floats
from pullplan.engine.checker.exactness import UNIT_ROUNDOFF, Sum, sum_of_products
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.lines import Shorts
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.room import Room
from pullplan.engine.model import TIERS, ShortfallStage

_SHORT_ROUNDINGS = 4
"""Of a need's units each, besides those of its shortfalls' sum: what is short in some slices is a difference."""


@dataclass(frozen=True)
class Slices:
    """What one shortfall stage counts; arrays are (n_counted,)."""

    stage: ShortfallStage
    needs: IntArray
    """Positions."""
    units: FloatArray
    weight: FloatArray
    first: int
    last: int
    n_slices: int

    @property
    def n_joined(self) -> int:
        """Count the slices."""
        return self.last - self.first + 1

    @property
    def slice_units(self) -> FloatArray:
        """Cut every need."""
        return self.units / self.n_slices

    def one_mean_need(self) -> float:
        """Measure one mean need, in all its slices."""
        return float((self.units * self.weight).mean())

    def value(self, shorts: Shorts, n_needs: int) -> Sum:
        """Measure what is short in these slices."""
        total = np.bincount(shorts.need, shorts.units, n_needs)[self.needs]
        after = self.units * ((self.n_slices - self.last) / self.n_slices)
        counted = np.clip(total - after, 0.0, self.slice_units * self.n_joined)
        found = sum_of_products(counted, self.weight)
        most_parts = int(np.bincount(shorts.need, minlength=1).max())
        amounts = np.bincount(shorts.need, np.abs(shorts.units), n_needs)[self.needs]
        in_doubt = float(self.weight @ np.where(amounts > 0, np.maximum(amounts, self.units), 0.0))
        return Sum(
            value=found.value,
            rounding=found.rounding + (_SHORT_ROUNDINGS + most_parts) * UNIT_ROUNDOFF * in_doubt,
            amounts=found.amounts,
            exact=lambda: self._exact_value(shorts),
        )

    def _exact_value(self, shorts: Shorts) -> Fraction:
        short: dict[int, Fraction] = defaultdict(Fraction)
        for need, units in zip(shorts.need.tolist(), shorts.units.tolist(), strict=True):
            short[need] += Fraction(units)
        value = Fraction(0)
        for need, units, weight in zip(
            self.needs.tolist(), self.units.tolist(), self.weight.tolist(), strict=True
        ):
            if need in short:
                one = Fraction(units) / self.n_slices
                over = short[need] - one * (self.n_slices - self.last)
                value += Fraction(weight) * min(max(over, Fraction(0)), one * self.n_joined)
        return value


def read_shortfall_stages(
    needs: Needs, weight: FloatArray, names: Sequence[str], n_slices: int
) -> tuple[list[Slices], str]:
    """Read the stages that names begin with; where they don't count every slice once, in order, say what they should.

    Returns the stages, and what is wrong with them: mostly nothing
    """
    found: list[Slices] = []
    rest = list(names)
    counted = np.flatnonzero(needs.tier != UNKNOWN)
    ranks, number = np.unique(needs.rank[counted], return_inverse=True)
    number += needs.tier[counted] * len(ranks)
    for tier, at in (divmod(both, len(ranks)) for both in np.unique(number).tolist()):
        rank, of_needs = int(ranks[at]), counted[number == tier * len(ranks) + at]
        first = 1
        while first <= n_slices:
            stage = ShortfallStage.read(rest.pop(0)) if rest else None
            one, last = (stage.first_slice or 1, stage.last_slice or n_slices) if stage else (0, 0)
            is_next = stage is not None and (stage.tier, stage.rank) == (TIERS[tier], rank) and one == first
            if stage is None or not is_next or not first <= last <= n_slices:
                wanted = f"shortfall:{TIERS[tier]}:{rank}"
                return [], f"{wanted} counts no slice from {first} of {n_slices} on where it should"
            units = needs.finite_units[of_needs]
            found.append(Slices(stage, of_needs, units, weight[of_needs], first, last, n_slices))
            first = last + 1
    return found, ""


def shortfall_weights(ground: Ground, room: Room, needs: Needs) -> FloatArray:
    """Weigh one unit short of every need; what would weigh nothing weighs as the least that weighs anything."""
    match ground.facts.parameters.shortfall_measure:
        case "units":
            return np.ones(len(needs.rows))
        case "value":
            weight = floats(ground.products, "value_per_unit")
        case "resource_hours":
            weight = _least_hours(ground, room)
    floor = min((w for w in weight.tolist() if w > 0), default=1.0)
    of_needs: FloatArray = np.append(weight, floor)[needs.product]
    return np.maximum(of_needs, floor)


def _least_hours(ground: Ground, room: Room) -> FloatArray:
    """Add up the renewed resources of one started unit at the node that takes the least, of those that may make it."""
    least = np.full(len(ground.products), np.inf)
    for c in np.flatnonzero(ground.capabilities.allowed).tolist():
        made = ground.capabilities.rows[c]
        hours = math.fsum(
            use
            for code, use in made.use_per_unit.items()
            if not room.is_stored[room.row[made.node_code, code]]
        )
        product = ground.capabilities.product[c]
        least[product] = min(least[product], hours)
    return np.where(np.isfinite(least), least, 0.0)
