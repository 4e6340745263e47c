"""What does a re-plan hold of its parent, how much of that has moved, and what does that add to each bound?

A held unit costs a stage's churn price more on every way but its own line: `Held.cover` adds that to what the needs are
covered at, and the bound of all plans that move no more units than this one takes off churn price × moved units.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.checker.columns import (
    UNKNOWN,
    FloatArray,
    IntArray,
    floats,
    last_places,
    places,
    spread,
    whole_numbers,
)
from pullplan.engine.checker.exactness import UNIT_ROUNDOFF, Sum, add_up
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.lines import Counted
from pullplan.engine.checker.needs import Needs, read_needs
from pullplan.engine.checker.options import Weights, Work
from pullplan.engine.model import Finding, Horizon, Plan, Stability

DUST_SHARE = 1e-9
"""Of a need: a line that covers less of it is not held."""
MOVED_TOLERANCE_SHARE = 1e-7
"""Of the needs' units: so far may moved units be from what is stated, or from the budget."""


type PricedSlices = tuple[IntArray, FloatArray, FloatArray]
"""Needs, the units of each, and the price of one left short."""


@dataclass(frozen=True)
class Held:
    """What the parent makes of needs that could stay, line by line, in the order of the needs; arrays are (n_held,)."""

    work: Work | None = None
    """None where nothing is held."""
    units: FloatArray = field(default_factory=lambda: np.zeros(0))
    churn_prices: Sequence[float] = ()
    moved_units: float = 0.0
    most_moved_units: float = 0.0
    """By the plan or, where orders are cut into lots, by its relaxation, as that says: what bounds allow to move."""

    def cover(
        self, k: int, weights: Weights, cheapest: FloatArray, slices: Sequence[PricedSlices]
    ) -> tuple[float, float]:
        """Add up what holds add to the cheapest cover of the needs, and the amounts that this is made of.

        At a price v of a need, not above that of its cheapest way, its units are covered at
        Σ units × min(v, price of being short) + Σ held units × min(churn price, line's price − v); the best v counts,
        and is one at which either bends.
        """
        if self.work is None:
            return 0.0, 0.0
        churn, price = self.price(k), weights.price(self.work)
        needs, first, at, n_lines = np.unique(
            self.work.need, return_index=True, return_inverse=True, return_counts=True
        )
        most, every = cheapest[needs], np.arange(len(needs))
        short = [_of_needs(needs, one, len(cheapest)) for one in slices]

        def covered(which: IntArray, v: FloatArray) -> FloatArray:
            total = np.zeros(len(which))
            for units, weight in short:
                total += units[which] * np.minimum(v, weight[which])
            return total

        def with_holds(which: IntArray, v: FloatArray) -> FloatArray:
            owner, line = spread(first[which], n_lines[which])
            held = self.units[line] * np.minimum(churn, price[line] - v[owner])
            return covered(which, v) + np.bincount(owner, held, len(which))

        best = np.maximum(with_holds(every, most), with_holds(every, np.zeros(len(needs))))
        for _, weight in short:
            best = np.maximum(best, with_holds(every, np.clip(weight, 0.0, most)))
        np.maximum.at(best, at, with_holds(at, np.clip(price - churn, 0.0, most[at])))
        plain = covered(every, most)
        amounts = [*(self.units * (price + most[at] + churn)).tolist(), *(2 * plain).tolist()]
        return add_up((best - plain).tolist()), add_up(amounts)

    def raised(self, k: int, bound: Sum, held: tuple[float, float], *, roundings: int, n_joined: int) -> Sum:
        """Add to a stage's bound what holds prove: `held` is what they add to the cover, and its amounts."""
        churn, (cover, amounts) = self.price(k), held
        amounts = n_joined * (amounts + churn * self.most_moved_units)
        value = math.fsum((bound.value, n_joined * cover, -n_joined * churn * self.most_moved_units))
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


def _of_needs(needs: IntArray, slices: PricedSlices, n_needs: int) -> tuple[FloatArray, FloatArray]:
    """Lay units and prices of slices out for some needs; those that have none there have no units."""
    counted, units, price = slices
    of_all = np.zeros((2, n_needs))
    of_all[:, counted] = units, price
    return of_all[0, needs], of_all[1, needs]


def find_held(
    ground: Ground, needs: Needs, counted: Counted, stability: Stability, parent: tuple[Plan, Horizon]
) -> Held:
    """Work out which of the parent's lines could stay, and how much of them did."""
    work, line, units = _standing(ground, needs, *parent)
    stays = ~np.isin(line, np.array(stability.released_assignment_ids, dtype=np.int64))
    work = Work.of(ground, needs, *(of[stays] for of in (work.need, work.capability, work.start)))
    units = units[stays]
    n_ways, n_buckets = len(ground.capabilities.rows), ground.n_buckets
    made_at, cell = np.unique(
        (counted.need * n_ways + counted.capability) * n_buckets + counted.start_bucket, return_inverse=True
    )
    place = last_places(made_at, (work.need * n_ways + work.capability) * n_buckets + work.start)
    gone = units - np.append(np.bincount(cell, counted.units, len(made_at)), 0.0)[place]
    moved = gone[gone > DUST_SHARE * needs.units[work.need]]
    moved_units, relaxed = add_up(moved.tolist()), stability.relaxation_moved_units
    most_moved = max(moved_units, relaxed) if relaxed is not None and math.isfinite(relaxed) else moved_units
    return Held(work, units, stability.churn_prices, moved_units, most_moved)


def check_held(plan: Plan, needs: Needs, parent: Plan | None, held: Held) -> Iterator[Finding]:
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
    slack = MOVED_TOLERANCE_SHARE * add_up(needs.finite_units.tolist())
    found = add_up(held.units.tolist())
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
    for name, said in (
        ("churn budget", stability.churn_budget_units),
        ("least saving", stability.least_saving_per_unit),
        ("relaxation's moved units", stability.relaxation_moved_units),
    ):
        if said is not None and not (math.isfinite(said) and said >= 0):
            yield _wrong(f"its {name} is {said:g}")


def _wrong(detail: str) -> Finding:
    return Finding(code="stability_wrong", detail=detail)


def _standing(
    ground: Ground, needs: Needs, parent: Plan, parent_horizon: Horizon
) -> tuple[Work, IntArray, FloatArray]:
    """Find what the parent's lines are today, with their numbers, and the units of each that could stay."""
    first, before = bucket_dates(ground.facts.horizon)[0], bucket_dates(parent_horizon)[0]
    shift = (before - first).days // ground.days_per_bucket
    was, lines = read_needs(ground, parent.needs), parent.assignments
    place = last_places(was.need_id, whole_numbers(lines, "need_id"))
    need = np.append(_find_needs(needs, was, shift), UNKNOWN)[place]
    start = whole_numbers(lines, "start_bucket") + shift
    at = np.flatnonzero((need != UNKNOWN) & (start >= 0) & (start < ground.n_buckets))
    at = at[needs.is_known[need[at]]]
    at = at[np.argsort(need[at], kind="stable")]
    node = places(lines, "node_code", ground.node)[at]
    capability = ground.capabilities.find(needs.product[need[at]], node)
    at, capability = at[capability != UNKNOWN], capability[capability != UNKNOWN]
    work = Work.of(ground, needs, need[at], capability, start[at])
    at, capability = at[work.is_option], capability[work.is_option]
    units = _within_needs(need[at], floats(lines, "units")[at], needs.units)
    holds = units > 0
    at, capability, units = at[holds], capability[holds], units[holds]
    work = Work.of(ground, needs, need[at], capability, start[at])
    return work, whole_numbers(lines, "assignment_id")[at], units


def _find_needs(needs: Needs, was: Needs, shift: int) -> IntArray:
    """Find every need of the parent by what it is of, whatever its number: the first of equals is the first."""
    n_now = len(needs.rows)
    columns = [
        np.append(needs.product, was.product),
        np.append(needs.region, was.region),
        np.append(needs.bucket, was.bucket + shift),
        np.append(needs.tier, was.tier),
        np.append(needs.rank, was.rank),
    ]
    order = np.lexsort(columns)
    differs = np.any([column[order[1:]] != column[order[:-1]] for column in columns], axis=0)
    kind = np.append(0, np.cumsum(differs))[: len(order)]
    is_now = order < n_now
    first = np.searchsorted(kind, kind)
    n_alike_now = np.bincount(kind, is_now).astype(np.int64)[kind]
    number = np.arange(len(order)) - first - n_alike_now
    is_found = ~is_now & (number < n_alike_now)
    found = np.full(len(was.rows), UNKNOWN)
    found[order[is_found] - n_now] = order[(first + number)[is_found]]
    return found


def _within_needs(need: IntArray, units: FloatArray, need_units: FloatArray) -> FloatArray:
    """Let lines, ordered by need, take what their need has left, one after another; 0 where that is dust."""
    number = np.arange(len(need)) - np.searchsorted(need, need)
    taken, left = np.zeros(len(need)), need_units.copy()
    for j in range(int(number.max(initial=-1)) + 1):
        lines = np.flatnonzero(number == j)
        of, dust = need[lines], DUST_SHARE * need_units[need[lines]]
        there = left[of]
        fits = np.where(units[lines] <= there + dust, units[lines], there)
        taken[lines] = np.where(there > dust, fits, 0.0)
        left[of] -= taken[lines]
    return taken
