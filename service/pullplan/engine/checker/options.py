"""Which options does every need have, and which is the cheapest under a stage's prices? Over all of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pullplan.engine.checker.exactness import UNIT_ROUNDOFF
from pullplan.engine.checker.ground import BoolArray, FloatArray, Ground, IntArray, Ways
from pullplan.engine.model import Need

BLOCK_NEEDS = 2048
"""Needs looked at together: so memory stays small however many there are."""
_ROUNDED_STEPS = 12
"""Roundings of one option's price besides those of its uses."""


@dataclass(frozen=True)
class Weights:
    """What one stage's bound counts: each measure's weight, and prices (n_resources, n_buckets)."""

    lateness: float
    cost: float
    earliness: float
    prices: FloatArray
    multipliers: list[float]
    """One for each earlier stage."""


@dataclass(frozen=True)
class Block:
    """Needs of one product with all their options: arrays over (needs, capabilities, starts)."""

    needs: IntArray
    ways: Ways
    starts: IntArray
    is_option: BoolArray
    late: FloatArray
    early: FloatArray
    cost: FloatArray

    def prices(self, weights: Weights) -> FloatArray:
        """Price one unit of every option; ∞ where there is none."""
        by_start: FloatArray = (self.ways.use @ weights.prices)[None, :, self.starts]
        priced = np.where(self.is_option, by_start, np.inf)
        for weight, measure in (
            (weights.lateness, self.late),
            (weights.cost, self.cost),
            (weights.earliness, self.early),
        ):
            if weight > 0:
                priced += weight * measure
        return priced

    def cheapest(self, weights: Weights) -> FloatArray:
        """Find the least price of a unit of every need; infinite where there is no option."""
        if self.is_option.size == 0:
            return np.full(len(self.needs), np.inf)
        least: FloatArray = self.prices(weights).min(axis=(1, 2))
        return least

    def exact_cheapest(self, weights: Weights) -> list[Fraction | None]:
        """Find the same in rationals: only what float64 can't tell from the least is computed again."""
        priced = self.prices(weights).reshape(len(self.needs), self.late[0].size)
        rounding = 2 * self.roundings() * UNIT_ROUNDOFF
        found: list[Fraction | None] = []
        for i, row in enumerate(priced):
            least = float(row.min(initial=np.inf))
            near = np.flatnonzero(row <= least * (1 + rounding)).tolist() if np.isfinite(least) else []
            found.append(min((self._exact_price(weights, i, option) for option in near), default=None))
        return found

    def roundings(self) -> int:
        """Count the roundings of one option's price, each of a share of it: all its parts are ≥ 0."""
        return _ROUNDED_STEPS + int((self.ways.use > 0).sum(axis=1).max(initial=0))

    def _exact_price(self, weights: Weights, i: int, option: int) -> Fraction:
        c, s = divmod(option, len(self.starts))
        price = sum(
            (
                Fraction(float(self.ways.use[c, k])) * Fraction(float(weights.prices[k, self.starts[s]]))
                for k in np.flatnonzero(self.ways.use[c]).tolist()
            ),
            start=Fraction(0),
        )
        for weight, measure in (
            (weights.lateness, self.late),
            (weights.cost, self.cost),
            (weights.earliness, self.early),
        ):
            price += Fraction(weight) * Fraction(float(measure[i, c, s]))
        return price


def blocks(ground: Ground, needs: Sequence[Need]) -> Iterator[Block]:
    """Lay out every option of every need whose product and region are known, block by block."""
    of_product: dict[str, list[int]] = defaultdict(list)
    for i, need in enumerate(needs):
        if ground.can_serve(need):
            of_product[need.product_code].append(i)
    for product_code, positions in sorted(of_product.items()):
        for first in range(0, len(positions), BLOCK_NEEDS):
            yield _block(ground, needs, product_code, positions[first : first + BLOCK_NEEDS])


def _block(ground: Ground, needs: Sequence[Need], product_code: str, positions: list[int]) -> Block:
    ways = ground.ways(product_code)
    region = [ground.region[needs[i].region_code] for i in positions]
    due = np.array([needs[i].bucket for i in positions])[:, None, None]
    latest = np.array([ground.latest_bucket(needs[i]) for i in positions])[:, None, None]
    starts = np.arange(min(ground.first_start, ground.n_buckets), ground.n_buckets)
    arrival = ways.offset_buckets[:, region].T[:, :, None] + starts
    early = np.maximum(0, due - arrival).astype(np.float64)
    is_option = ways.allowed[:, region].T[:, :, None] & (arrival <= latest) & ways.may_start[:, starts]
    leaves = ways.ready_day[:, None] + starts * ground.days_per_bucket
    is_option &= (leaves >= ways.leaves_from[:, region].T[:, :, None]) & (
        leaves < ways.leaves_until[:, region].T[:, :, None]
    )
    shelf_life_days = ground.product[product_code].shelf_life_days
    if shelf_life_days is not None:
        is_option &= early * ground.days_per_bucket <= shelf_life_days
    for i, position in enumerate(positions):
        _keep_pinned(is_option[i], ways, starts, needs[position])
    cost = ways.cost[:, region].T[:, :, None] + early * ground.holding_per_bucket(product_code)
    return Block(
        needs=np.array(positions),
        ways=ways,
        starts=starts,
        is_option=is_option,
        late=np.maximum(0, arrival - due).astype(np.float64),
        early=early,
        cost=np.where(is_option, cost, 0.0),  # a pair without a lane may have no distance either
    )


def _keep_pinned(is_option: BoolArray, ways: Ways, starts: IntArray, need: Need) -> None:
    """Close what a pinned need may not take: (n_capabilities, n_starts)."""
    if need.pinned_node_code is not None:
        is_option[[c.node_code != need.pinned_node_code for c in ways.capabilities]] = False
    if need.pinned_start_bucket is not None:
        is_option[:, starts != need.pinned_start_bucket] = False
