"""Which slices of which needs does each shortfall stage count, and how short are they?

A need of u units is cut into n slices of u ÷ n, and what stays short is of its last slices. Ranges of slices are joined in
a stage where one proof does for all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pullplan.engine.checker.exactness import UNIT_ROUNDOFF, Sum, sum_of_products
from pullplan.engine.checker.ground import FloatArray, Ground, IntArray
from pullplan.engine.model import TIERS, Need, ShortfallStage

_SHORT_ROUNDINGS = 4
"""Of a need's units each: what is short in some slices is a difference."""


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

    def exact_slice_units(self) -> list[Fraction]:
        """Cut every need, exactly."""
        return [Fraction(units) / self.n_slices for units in self.units.tolist()]

    def one_mean_need(self) -> float:
        """Measure one mean need, in all its slices."""
        return float((self.units * self.weight).mean())

    def value(self, short_units: Sequence[Sequence[float]]) -> Sum:
        """Measure what is short in these slices; `short_units` are those of every need's shortfalls."""
        short = [short_units[i] for i in self.needs.tolist()]
        after = self.units * ((self.n_slices - self.last) / self.n_slices)
        total = np.array([sum(parts) for parts in short])
        counted = np.clip(total - after, 0.0, self.slice_units * self.n_joined)
        found = sum_of_products(counted.tolist(), self.weight.tolist())
        in_doubt = float(self.weight @ np.where(total > 0, np.maximum(total, self.units), 0.0))
        return Sum(
            value=found.value,
            rounding=found.rounding + _SHORT_ROUNDINGS * UNIT_ROUNDOFF * in_doubt,
            amounts=found.amounts,
            exact=lambda: self._exact_value(short),
        )

    def _exact_value(self, short: Sequence[Sequence[float]]) -> Fraction:
        value = Fraction(0)
        for one, parts, weight in zip(self.exact_slice_units(), short, self.weight.tolist(), strict=True):
            over = sum(map(Fraction, parts), start=Fraction(0)) - one * (self.n_slices - self.last)
            value += Fraction(weight) * min(max(over, Fraction(0)), one * self.n_joined)
        return value


def read_shortfall_stages(
    needs: Sequence[Need], weight: FloatArray, names: Sequence[str], n_slices: int
) -> tuple[list[Slices], str]:
    """Read the stages that names begin with; where they don't count every slice once, in order, say what they should.

    Returns the stages, and what is wrong with them: mostly nothing
    """
    of_rank: dict[tuple[int, int], list[int]] = {}
    for i, need in enumerate(needs):
        if need.tier in TIERS:
            of_rank.setdefault((TIERS.index(need.tier), need.rank), []).append(i)
    units = np.array([need.units for need in needs])
    found: list[Slices] = []
    rest = list(names)
    for (tier, rank), positions in sorted(of_rank.items()):
        at = np.array(positions, dtype=np.int64)
        first = 1
        while first <= n_slices:
            stage = ShortfallStage.read(rest.pop(0)) if rest else None
            one, last = (stage.first_slice or 1, stage.last_slice or n_slices) if stage else (0, 0)
            is_next = stage is not None and (stage.tier, stage.rank) == (TIERS[tier], rank) and one == first
            if stage is None or not is_next or not first <= last <= n_slices:
                wanted = f"shortfall:{TIERS[tier]}:{rank}"
                return [], f"{wanted} counts no slice from {first} of {n_slices} on where it should"
            found.append(Slices(stage, at, units[at], weight[at], first, last, n_slices))
            first = last + 1
    return found, ""


def shortfall_weights(ground: Ground, needs: Sequence[Need]) -> FloatArray:
    """Weigh one unit short of every need; what would weigh nothing weighs as the least that weighs anything."""
    match ground.facts.parameters.shortfall_measure:
        case "units":
            return np.ones(len(needs))
        case "value":
            weight = {code: product.value_per_unit for code, product in ground.product.items()}
        case "resource_hours":
            weight = {code: _least_hours(ground, code) for code in ground.product}
    floor = min((w for w in weight.values() if w > 0), default=1.0)
    return np.array([max(weight.get(need.product_code, floor), floor) for need in needs])


def _least_hours(ground: Ground, product_code: str) -> float:
    """Add up the renewed resources of one unit at the node that takes the least, of those that may make it."""
    ways, room = ground.ways(product_code), ground.room
    hours = [
        math.fsum(
            use
            for code, use in sorted(c.use_per_unit.items())
            if not room.is_stored[room.row[c.node_code, code]]
        )
        for c in ways.capabilities
        if c.qualified and c.node_code not in ground.offline
    ]
    return min(hours, default=0.0)
