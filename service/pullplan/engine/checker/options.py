"""What becomes of work that is started for a need, and which is its cheapest option? Over all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Self

import numpy as np

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.checker.columns import BoolArray, FloatArray, IntArray, in_portions, spread
from pullplan.engine.checker.exactness import UNIT_ROUNDOFF, add_up
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.room import Room

PORTION_OPTIONS = 1 << 16
"""Options looked at together: so memory stays small however many there are."""
_ROUNDED_STEPS = 12
"""Roundings of one option's price besides those of its uses."""


@dataclass(frozen=True)
class Work:
    """Work of some capabilities for some known needs, from buckets inside the horizon; arrays broadcast with each other."""

    ground: Ground
    needs: Needs
    need: IntArray
    capability: IntArray
    start: IntArray
    arrival: IntArray

    @classmethod
    def of(cls, ground: Ground, needs: Needs, need: IntArray, capability: IntArray, start: IntArray) -> Self:
        """Start work: it is ready at the end of its start bucket's last day, then made and sent."""
        capabilities, days = ground.capabilities, ground.days_per_bucket
        transit_days = ground.lanes.transit_days[capabilities.node[capability], needs.region[need]]
        offset = (days - 1 + capabilities.make_days[capability] + transit_days) // days
        return cls(ground, needs, need, capability, start, start + offset)

    @cached_property
    def node(self) -> IntArray:
        """Tell the place of the node."""
        return self.ground.capabilities.node[self.capability]

    @cached_property
    def region(self) -> IntArray:
        """Tell the place of the region."""
        return self.needs.region[self.need]

    @cached_property
    def product(self) -> IntArray:
        """Tell the place of the product."""
        return self.needs.product[self.need]

    @cached_property
    def late_buckets(self) -> FloatArray:
        """Count the buckets that it arrives after it is due."""
        late: FloatArray = np.maximum(self.arrival - self.needs.bucket[self.need], 0.0)
        return late

    @cached_property
    def early_buckets(self) -> FloatArray:
        """Count the buckets that it lies there until it is due."""
        early: FloatArray = np.maximum(self.needs.bucket[self.need] - self.arrival, 0.0)
        return early

    @property
    def distance_km(self) -> FloatArray:
        """Measure its way."""
        return self.ground.lanes.distance_km[self.node, self.region]

    @cached_property
    def cost_per_unit(self) -> FloatArray:
        """Price a unit, holding included."""
        route = self.ground.cost_per_unit(self.product, self.capability, self.region)
        return route + self.early_buckets * self.ground.holding_per_bucket[self.product]

    @property
    def has_lane(self) -> BoolArray:
        """Tell whether its node may send to the region."""
        return self.ground.lanes.usable[self.node, self.region]

    @property
    def is_in_time(self) -> BoolArray:
        """Tell whether it is there by the last bucket in which it may."""
        return self.arrival <= self.needs.latest_bucket[self.need]

    @property
    def is_fresh(self) -> BoolArray:
        """Tell whether it keeps until it is due."""
        return self.early_buckets * self.ground.days_per_bucket <= self.ground.shelf_life_days[self.product]

    @property
    def is_effective(self) -> BoolArray:
        """Tell whether its start lies inside the dates of product and capability."""
        return self.ground.capabilities.may_start[self.capability, self.start]

    @property
    def leaves(self) -> IntArray:
        """Tell the day (an ordinal) on which it is made and leaves."""
        first_day = bucket_dates(self.ground.facts.horizon)[0].toordinal()
        days = self.ground.days_per_bucket
        made = first_day + days - 1 + self.ground.capabilities.make_days[self.capability]
        return made + self.start * days

    @property
    def may_leave(self) -> BoolArray:
        """Tell whether the lane is open on that day."""
        lanes, leaves = self.ground.lanes, self.leaves
        pair = self.node, self.region
        may: BoolArray = (lanes.leaves_from[pair] <= leaves) & (leaves < lanes.leaves_until[pair])
        return may

    @property
    def keeps_pins(self) -> BoolArray:
        """Tell whether it is at the node, and starts in the bucket, that its need is pinned to."""
        pinned_start = self.needs.pinned_start[self.need]
        at_node = ~self.needs.is_pinned[self.need] | (self.needs.pinned_node[self.need] == self.node)
        keeps: BoolArray = at_node & (np.isnan(pinned_start) | (pinned_start == self.start))
        return keeps

    @cached_property
    def is_option(self) -> BoolArray:
        """Tell whether a plan may have it."""
        at_node: BoolArray = self.ground.capabilities.allowed[self.capability] & self.has_lane
        may: BoolArray = at_node & (self.start >= self.ground.first_start) & self.is_effective
        may &= self.is_in_time & self.is_fresh & self.may_leave
        if self.needs.is_pinned.any():
            may &= self.keeps_pins
        may &= self.needs.may_be_made[self.need]
        return may


@dataclass(frozen=True)
class Weights:
    """What one stage's bound counts: each measure's weight, and the prices of room."""

    room: Room
    lateness: float
    cost: float
    earliness: float
    prices: FloatArray
    """(n_rows, n_buckets)"""
    multipliers: list[float]
    """One for each earlier stage."""

    def of_measures(self, work: Work) -> Iterator[tuple[float, FloatArray]]:
        """List what counts of some work, each with its weight."""
        if self.lateness > 0:
            yield self.lateness, work.late_buckets
        if self.cost > 0:
            yield self.cost, work.cost_per_unit
        if self.earliness > 0:
            yield self.earliness, work.early_buckets

    def of_room(self, ways: slice) -> FloatArray:
        """Price what one unit of some capabilities takes of all room: (n_ways, n_buckets)."""
        used, used_row = self.room.used[ways], self.room.used_row[ways]
        priced = np.zeros((len(used), self.prices.shape[1]))
        for j in range(used.shape[1]) if self._has_prices else ():
            priced += used[:, j, None] * self.prices[used_row[:, j]]
        return priced

    def price(self, work: Work, of_room: FloatArray | None = None) -> FloatArray:
        """Price one unit of some options; `of_room` is what that takes of all room, where it was priced before."""
        if of_room is None:
            of_room = self.of_room(slice(None))[work.capability, work.start]
        for weight, measure in self.of_measures(work):
            of_room = of_room + weight * measure
        return of_room

    def exact_price(self, work: Work, option: tuple[int, ...]) -> Fraction:
        """Price one unit of an option in rationals."""
        capability, start = (
            int(np.broadcast_to(of, work.arrival.shape)[option]) for of in (work.capability, work.start)
        )
        taken = zip(self.room.used_row[capability].tolist(), self.room.used[capability].tolist(), strict=True)
        price = sum(
            (Fraction(use) * Fraction(float(self.prices[row, start])) for row, use in taken),
            start=Fraction(0),
        )
        for weight, measure in self.of_measures(work):
            price += Fraction(weight) * Fraction(float(np.broadcast_to(measure, work.arrival.shape)[option]))
        return price

    @cached_property
    def _has_prices(self) -> bool:
        return bool(self.prices.any())


@dataclass(frozen=True)
class Portion:
    """Some needs with all the ways that there are to make their products; of work, arrays are (n_starts, n_pairs)."""

    needs: IntArray
    first_pair: IntArray
    """(n_needs,)"""
    owner: IntArray
    """(n_pairs,): which of the needs."""
    work: Work

    def prices(self, weights: Weights) -> FloatArray:
        """Price one unit of every option; ∞ where there is none."""
        capability, starts = self.work.capability, self.work.start[:, 0]
        ways = slice(int(capability.min()), int(capability.max()) + 1)
        of_room = weights.of_room(ways)[:, starts].T[:, capability - ways.start]
        return np.where(self.work.is_option, weights.price(self.work, of_room), np.inf)

    def cheapest(self, weights: Weights) -> FloatArray:
        """Find the least price of a unit of every need; infinite where there is no option."""
        return np.minimum.reduceat(self.prices(weights).min(axis=0, initial=np.inf), self.first_pair)

    def exact_cheapest(self, weights: Weights, roundings: int) -> Iterator[tuple[int, Fraction]]:
        """Find the same in rationals: only what float64 can't tell from the least is computed again."""
        priced = self.prices(weights)
        least = np.minimum.reduceat(priced.min(axis=0, initial=np.inf), self.first_pair)
        near = (priced <= (least * (1 + 2 * roundings * UNIT_ROUNDOFF))[self.owner]) & np.isfinite(priced)
        for option in zip(*(of.tolist() for of in np.nonzero(near)), strict=True):
            yield int(self.needs[self.owner[option[1]]]), weights.exact_price(self.work, option)


def portions(ground: Ground, needs: Needs) -> Iterator[Portion]:
    """Lay out every option of every need that the facts know, some needs at a time."""
    first = ground.capabilities.first
    known = np.flatnonzero(needs.is_known)
    known = known[np.argsort(needs.product[known], kind="stable")]
    n_ways = first[needs.product[known] + 1] - first[needs.product[known]]
    known, n_ways = known[n_ways > 0], n_ways[n_ways > 0]
    starts = np.arange(min(ground.first_start, ground.n_buckets), ground.n_buckets)[:, None]
    for some in in_portions(n_ways, PORTION_OPTIONS // max(1, len(starts))):
        at, count = known[some], n_ways[some]
        owner, capability = spread(first[needs.product[at]], count)
        work = Work.of(ground, needs, at[owner], capability, starts)
        yield Portion(at, np.cumsum(count) - count, owner, work)


def roundings_of_a_price(room: Room) -> int:
    """Count the roundings of one option's price, each of a share of it: all its parts are ≥ 0."""
    return _ROUNDED_STEPS + int((room.used > 0).sum(axis=1).max(initial=0))


@dataclass(frozen=True)
class Cheapest:
    """What it costs to serve every need in the cheapest way under several stages' weights."""

    by_stage: list[FloatArray]
    """Each (n_needs,), infinite where a need has no option."""
    n_options: int
    mean_cost: float
    """Of a unit, over all options."""


def find_cheapest(ground: Ground, needs: Needs, weights: Sequence[Weights]) -> Cheapest:
    """Look at every option of every need once."""
    by_stage = [np.full(len(needs.rows), np.inf) for _ in weights]
    n_options, costs = 0, []
    for portion in portions(ground, needs):
        is_option = portion.work.is_option
        n_options += int(np.count_nonzero(is_option))
        costs.append(float(np.sum(portion.work.cost_per_unit, where=is_option)))
        for found, of_stage in zip(by_stage, weights, strict=True):
            found[portion.needs] = portion.cheapest(of_stage)
    return Cheapest(by_stage, n_options, add_up(costs) / max(1, n_options))
