"""What does a re-plan hold of its parent, how much of that has moved, and what does that add to each bound?

A held unit costs a stage's churn price more on every way but its own line: `Held.cover` adds that to what the needs are
covered at, and the bound of all plans that move no more units than this one takes off churn price × moved units.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.checker.exactness import UNIT_ROUNDOFF, Sum
from pullplan.engine.checker.ground import FloatArray, Ground
from pullplan.engine.checker.options import Block, Weights, blocks
from pullplan.engine.model import Assignment, Finding, Horizon, Need, Plan, Stability

DUST_SHARE = 1e-9
"""Of a need: a line that covers less of it is not held."""
MOVED_TOLERANCE_SHARE = 1e-7
"""Of the needs' units: so far may moved units be from what is stated, or from the budget."""


@dataclass(frozen=True)
class HeldLine:
    """Units that the parent makes of a need at a node from a start bucket, and that could stay there."""

    need: int
    """Position of its need."""
    capability: int
    start_bucket: int
    units: float


@dataclass
class Held:
    """All held lines, and what they add to each stage's bound once every block was looked at."""

    lines: Sequence[HeldLine] = ()
    churn_prices: Sequence[float] = ()
    moved_units: float = 0.0
    _priced: dict[int, list[tuple[HeldLine, float]]] = field(default_factory=lambda: defaultdict(list))
    """By stage: what a unit of each line costs there."""

    def look(self, k: int, block: Block, weights: Weights) -> None:
        """Note what the lines of a block's needs cost in stage k."""
        lines = self._of_block(block) if self.price(k) > 0 else []
        if not lines:
            return
        priced = block.prices(weights)
        for i, line in lines:
            price = float(priced[i, line.capability, line.start_bucket - int(block.starts[0])])
            self._priced[k].append((line, price))

    def cover(
        self, k: int, cheapest: FloatArray, slices: Mapping[int, Sequence[tuple[float, float]]]
    ) -> tuple[float, float]:
        """Add up what holds add to the cheapest cover of the needs, and the amounts that this is made of.

        At a price v of a need, not above that of its cheapest way, its units are covered at
        Σ units × min(v, price of being short) + Σ held units × min(churn price, line's price − v); the best v counts.
        """
        churn = self.price(k)
        lines: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for line, price in self._priced[k]:
            lines[line.need].append((line.units, price))
        added, amounts = [], []
        for need, held in lines.items():
            most = float(cheapest[need])
            short = slices.get(need, ())
            bends = [most, 0.0, *(weight for _, weight in short), *(price - churn for _, price in held)]
            covers = [
                math.fsum(
                    (
                        *(units * min(v, weight) for units, weight in short),
                        *(units * min(churn, price - v) for units, price in held),
                    )
                )
                for v in {min(most, max(0.0, bend)) for bend in bends}
            ]
            plain = math.fsum(units * min(most, weight) for units, weight in short)
            added.append(max(covers) - plain)
            amounts += [units * (price + most + churn) for units, price in held]
            amounts += [2 * units * min(most, weight) for units, weight in short]
        return math.fsum(added), math.fsum(amounts)

    def raised(self, k: int, bound: Sum, held: tuple[float, float], *, roundings: int, n_joined: int) -> Sum:
        """Add to a stage's bound what holds prove: `held` is what they add to the cover, and its amounts."""
        churn, (cover, amounts) = self.price(k), held
        amounts = n_joined * (amounts + churn * self.moved_units)
        value = math.fsum((bound.value, n_joined * cover, -n_joined * churn * self.moved_units))
        return Sum(
            value=value,
            rounding=bound.rounding + (roundings + 6) * UNIT_ROUNDOFF * amounts,
            amounts=bound.amounts + amounts,
            # Prices of held lines are known in float64 only: so is what this adds up to.
            exact=lambda: Fraction(value),
        )

    def price(self, k: int) -> float:
        """Tell a stage's churn price; 0 where there is none that can be used."""
        price = self.churn_prices[k] if k < len(self.churn_prices) else 0.0
        return price if math.isfinite(price) and price > 0 else 0.0

    def _of_block(self, block: Block) -> list[tuple[int, HeldLine]]:
        place = {need: i for i, need in enumerate(block.needs.tolist())}
        return [(place[line.need], line) for line in self.lines if line.need in place]


def find_held(ground: Ground, plan: Plan, parent: Plan | None, parent_horizon: Horizon | None) -> Held:
    """Work out which of the parent's lines could stay, and how much of them did."""
    stability = plan.stability
    if stability is None or parent is None or parent_horizon is None:
        return Held()
    lines = list(
        _standing(ground, plan, parent, parent_horizon, frozenset(stability.released_assignment_ids))
    )
    made: dict[tuple[int, str, int], float] = defaultdict(float)
    for line in plan.assignments:
        made[line.need_id, line.node_code, line.start_bucket] += line.units
    moved = []
    for held in lines:
        need = plan.needs[held.need]
        node_code = ground.ways(need.product_code).capabilities[held.capability].node_code
        gone = held.units - made[need.need_id, node_code, held.start_bucket]
        if gone > DUST_SHARE * need.units:
            moved.append(gone)
    return Held(lines, stability.churn_prices, math.fsum(moved))


def check_held(plan: Plan, parent: Plan | None, held: Held) -> Iterator[Finding]:
    """Hold what a re-plan says about its parent to what was found."""
    stability = plan.stability
    if stability is None:
        return
    if parent is None:
        yield _wrong("the plan says that it holds lines of a parent, and there is none to compare it with")
        return
    yield from _check_prices(plan, stability)
    if parent.plan_hash != stability.parent_plan_hash:
        yield _wrong(f"its parent is not the plan that the hash {stability.parent_plan_hash[:12]}… names")
    slack = MOVED_TOLERANCE_SHARE * math.fsum(need.units for need in plan.needs)
    found = math.fsum(line.units for line in held.lines)
    for name, said, right in (
        ("held", stability.held_units, found),
        ("moved", stability.moved_units, held.moved_units),
    ):
        if not abs(said - right) <= slack:
            yield _wrong(f"{right:.9g} units are {name}; the plan says {said:.9g}")
    budget = stability.churn_budget_units
    if budget is not None and not held.moved_units <= budget + slack:
        yield _wrong(f"{held.moved_units:.9g} units have moved, and no more than {budget:.9g} might")


def _check_prices(plan: Plan, stability: Stability) -> Iterator[Finding]:
    prices = stability.churn_prices
    if len(prices) != len(plan.stages) or not all(math.isfinite(p) and p >= 0 for p in prices):
        yield _wrong(f"it needs one churn price ≥ 0 for each stage, and has {list(prices)}")


def _wrong(detail: str) -> Finding:
    return Finding(code="stability_wrong", detail=detail)


def _standing(
    ground: Ground, plan: Plan, parent: Plan, parent_horizon: Horizon, released: frozenset[int]
) -> Iterator[HeldLine]:
    horizon = ground.facts.horizon
    first, before = bucket_dates(horizon)[0], bucket_dates(parent_horizon)[0]
    shift = (before - first).days // ground.days_per_bucket
    now = _by_identity(plan.needs, shift=0)
    was = _by_identity(parent.needs, shift=shift)
    need_now = {was[key]: position for key, position in now.items() if key in was}
    place = {need.need_id: i for i, need in enumerate(parent.needs)}
    left = {i: plan.needs[i].units for i in now.values()}
    asked: list[tuple[int, int, int, Assignment]] = []
    for line in parent.assignments:
        i = need_now.get(place.get(line.need_id, -1))
        if i is None or not ground.can_serve(plan.needs[i]):
            continue
        c = ground.ways(plan.needs[i].product_code).position.get(line.node_code)
        if c is not None:
            asked.append((i, c, line.start_bucket + shift, line))
    possible = _possible(ground, plan.needs, [one[:3] for one in asked])
    for i, c, start, line in asked:
        dust = DUST_SHARE * plan.needs[i].units
        if (i, c, start) not in possible or left[i] <= dust:
            continue
        units = line.units if line.units <= left[i] + dust else left[i]
        left[i] -= units
        if line.assignment_id not in released:
            yield HeldLine(i, c, start, units)


def _possible(
    ground: Ground, needs: Sequence[Need], asked: Sequence[tuple[int, int, int]]
) -> set[tuple[int, int, int]]:
    """Find which of these are options: need, capability, start bucket."""
    of_need: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, c, start in asked:
        of_need[i].append((c, start))
    found = set()
    for block in blocks(ground, needs):
        first, n_starts = (int(block.starts[0]) if len(block.starts) else 0), len(block.starts)
        for at, i in enumerate(block.needs.tolist()):
            for c, start in of_need.get(i, ()):
                if 0 <= start - first < n_starts and block.is_option[at, c, start - first]:
                    found.add((i, c, start))
    return found


def _by_identity(needs: Sequence[Need], *, shift: int) -> dict[tuple[str, str, int, str, int, int], int]:
    """Find needs by what they are of, whatever their number."""
    times: Counter[tuple[str, str, int, str, int]] = Counter()
    found: dict[tuple[str, str, int, str, int, int], int] = {}
    for i, need in enumerate(needs):
        same = (need.product_code, need.region_code, need.bucket + shift, need.tier, need.rank)
        found[*same, times[same]] = i
        times[same] += 1
    return found
