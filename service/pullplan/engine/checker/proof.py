"""Is every stage's value what its lines add up to, and its bound what its prices prove?

    bound_k = Σ units × min over options and shortfall of (measure_k + prices · use + Σ_j multiplier_j measure_j)
              − prices · capacity − Σ_j multiplier_j achieved_j

holds for every plan that is no worse than this one in stages 1 … k−1, whatever the prices ≥ 0 are; the minimum is taken
slice by slice. A stage that joins n slices is bounded by n × the bound of its first: relabelled so that the last slices
stay short first, no plan is less short in a slice than in the one before it. Source: the planning model, section 6.3. Distances and costs per unit are taken in float64; all that is summed from them, exactly.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import numpy as np

from pullplan.engine.checker.exactness import (
    STATED_ROUNDING,
    UNIT_ROUNDOFF,
    Judge,
    Sum,
    exactly,
    sum_of_products,
)
from pullplan.engine.checker.ground import FloatArray, Ground
from pullplan.engine.checker.holding import Held
from pullplan.engine.checker.lines import CountedLine
from pullplan.engine.checker.lots import LotChecker
from pullplan.engine.checker.options import Weights, blocks
from pullplan.engine.checker.slices import Slices, read_shortfall_stages, shortfall_weights
from pullplan.engine.model import CapacityPrice, CheckedStage, Finding, FindingCode, Plan, Stage

PROOF_TOLERANCE_SHARE = 1e-9
"""Of the stage's value, or of the measure of one mean need where that is more: so far may what is stated of a stage
be from what is recomputed, besides what a sum in float64 may be off."""
BELOW_BOUND_SHARE = 1e-6
"""Of the same: so far may a value be below its bound, as loads may exceed capacities a little."""


@dataclass(frozen=True)
class Priced:
    """A stage's prices, as they may be used: none negative, none of a store rising."""

    prices: FloatArray
    multipliers: list[float]


class Proof:
    """Recomputes every stage from lines and prices, and holds what the plan states to it."""

    def __init__(
        self,
        ground: Ground,
        plan: Plan,
        counted: Sequence[CountedLine],
        judge: Judge,
        held: Held | None = None,
        *,
        lots: LotChecker | None = None,
    ) -> None:
        self._ground = ground
        self._plan = plan
        self._counted = counted
        self._lots = lots
        self._has_lots = lots is not None and lots.has_lots
        self._surplus = [] if lots is None else lots.surplus
        self._judge = judge
        self._held = held or Held()
        self._units = np.array([n.units if math.isfinite(n.units) else 0.0 for n in plan.needs])
        self._short_weight = shortfall_weights(ground, plan.needs)
        self._short_units = _short_units(plan)
        self._shortfalls: list[Slices] = []
        self.n_options = 0
        self._options_cost = 0.0
        self.stages: list[CheckedStage] = []

    def check(self) -> Iterator[Finding]:
        """Look at stages, prices and multipliers, then at every value, bound and gap."""
        problem = self._read_stages()
        if problem:
            yield Finding(code="stages_wrong", detail=problem)
            return
        problem = "" if self._lots is None else self._lots.problem_of_stages()
        if problem:
            yield Finding(code="stages_wrong", detail=problem)
            return
        problems, priced = self._read_prices()
        yield from problems
        weights = [self._weights(k, of_stage) for k, of_stage in enumerate(priced)]
        cheapest, roundings = self._find_cheapest(weights)
        values = [self._value(k) for k in range(len(self._plan.stages))]
        relaxed = [
            value if stage.relaxation_value is None else exactly(stage.relaxation_value)
            for stage, value in zip(self._plan.stages, values, strict=True)
        ]
        for k, stage in enumerate(self._plan.stages):
            bound = self._bound(k, cheapest[k], roundings, weights[k], relaxed)
            if self._held.price(k) > 0:
                slices = self._slices_by_need(k, weights[k].multipliers)
                n_joined = self._shortfalls[k].n_joined if k < len(self._shortfalls) else 1
                held = self._held.cover(k, cheapest[k], slices)
                bound = self._held.raised(k, bound, held, roundings=roundings, n_joined=n_joined)
            yield from self._hold(stage, values[k], relaxed[k], bound, self._one_mean_need(k))
            if self._has_lots:
                own = self._bound(k, cheapest[k], roundings, weights[k], values)
                yield from self._not_below(stage, values[k], own, self._one_mean_need(k))

    def _read_stages(self) -> str:
        """Read what each shortfall stage counts; say what is wrong with the plan's stages, if anything is."""
        plan, parameters = self._plan, self._ground.facts.parameters
        in_time = ["lateness_unit_buckets", f"cost:{parameters.objective}", "earliness_unit_buckets"]
        names = [stage.measure for stage in plan.stages]
        said = f"the plan's stages are {', '.join(names)}"
        if [stage.stage for stage in plan.stages] != list(range(1, len(names) + 1)) or names[-3:] != in_time:
            return f"{said}; they should be counted from 1 and end with {', '.join(in_time)}"
        self._shortfalls, problem = read_shortfall_stages(
            plan.needs, self._short_weight, names[:-3], parameters.share_slices
        )
        if not problem and len(self._shortfalls) + len(in_time) != len(names):
            problem = f"{names[len(self._shortfalls)]} counts what there is not, or is counted"
        return f"{said}; {problem}" if problem else ""

    # --- what is stated ------------------------------------------------------------------------------------------

    def _read_prices(self) -> tuple[list[Finding], list[Priced]]:
        ground, stages = self._ground, self._plan.stages
        findings: list[Finding] = []
        prices = np.zeros((len(stages), *ground.room.calendar.shape))
        seen = set()
        for price in self._plan.prices:
            row, buckets = _row_of_price(ground, price)
            key = (price.stage, row, price.bucket)
            is_price = 1 <= price.stage <= len(stages) and math.isfinite(price.price) and price.price >= 0
            if row is None or key in seen or not is_price:
                findings.append(
                    Finding(
                        code="price_invalid",
                        detail=f"the price {price.price:g} of {price.resource_code or price.product_code} at {price.node_code} "
                        f"in bucket {price.bucket} is no price of stage {price.stage}: "
                        f"prices are ≥ 0, one for each capacity that there is",
                        stage=price.stage,
                        node_code=price.node_code,
                        resource_code=price.resource_code,
                    )
                )
                continue
            seen.add(key)
            prices[price.stage - 1, row, buckets] = price.price
        for k in np.flatnonzero(ground.room.is_stored).tolist():
            # What arrives later can do no more than what is there before.
            prices[:, k] = np.minimum.accumulate(prices[:, k], axis=-1)
        findings += chain.from_iterable(map(_check_multipliers, stages))
        return findings, [Priced(prices[k], _usable_multipliers(stage, k)) for k, stage in enumerate(stages)]

    def _weights(self, k: int, priced: Priced) -> Weights:
        weight = [*priced.multipliers, 1.0, *[0.0] * (len(self._plan.stages) - k - 1)]
        lateness, cost, earliness = weight[len(self._shortfalls) :]
        return Weights(
            lateness=lateness,
            cost=cost,
            earliness=earliness,
            prices=priced.prices,
            multipliers=priced.multipliers,
        )

    # --- what is recomputed --------------------------------------------------------------------------------------

    def _find_cheapest(self, weights: Sequence[Weights]) -> tuple[list[FloatArray], int]:
        cheapest = [np.full(len(self._units), np.inf) for _ in weights]
        costs = []
        roundings = 0
        for block in blocks(self._ground, self._plan.needs):
            for k, (found, of_stage) in enumerate(zip(cheapest, weights, strict=True)):
                found[block.needs] = block.cheapest(of_stage)
                self._held.look(k, block, of_stage)
            roundings = max(roundings, block.roundings())
            self.n_options += int(block.is_option.sum())
            costs.append(float(block.cost[block.is_option].sum()))
        self._options_cost = math.fsum(costs)
        return cheapest, roundings

    def _value(self, k: int) -> Sum:
        if k < len(self._shortfalls):
            return self._shortfalls[k].value(self._short_units)
        name = ("late_buckets", "cost", "early_buckets")[k - len(self._shortfalls)]
        surplus = self._surplus if name != "late_buckets" else []
        return sum_of_products(
            [*(line.units for line in self._counted), *(left.order.surplus_units for left in surplus)],
            [float(getattr(of, name)) for of in (*self._counted, *surplus)],
        )

    def _one_mean_need(self, k: int) -> float:
        if k < len(self._shortfalls):
            return self._shortfalls[k].one_mean_need()
        mean_units = float(self._units.mean()) if len(self._units) else 0.0
        is_cost = k == len(self._shortfalls) + 1
        return mean_units * (self._options_cost / max(1, self.n_options) if is_cost else 1.0)

    def _bound(
        self,
        k: int,
        cheapest: FloatArray,
        roundings: int,
        weights: Weights,
        values: Sequence[Sum],
    ) -> Sum:
        multipliers = weights.multipliers
        served = self._covered(k, cheapest, multipliers)
        room = _value_of_room(self._ground, weights.prices)
        kept = sum_of_products(multipliers, [v.value for v in values[: len(multipliers)]])
        earlier = list(zip(multipliers, values, strict=False))
        n_joined = self._shortfalls[k].n_joined if k < len(self._shortfalls) else 1

        def exact() -> Fraction:
            total = -room.exact() - sum((Fraction(m) * v.exact() for m, v in earlier), start=Fraction(0))
            least: dict[int, Fraction | None] = {}
            for block in blocks(self._ground, self._plan.needs):
                least |= zip(block.needs.tolist(), block.exact_cheapest(weights), strict=True)
            return n_joined * (total + self._exact_covered(k, least, multipliers))

        amounts = served.amounts + room.amounts + kept.amounts
        return Sum(
            value=n_joined * math.fsum((served.value, -room.value, -kept.value)),
            rounding=n_joined
            * ((roundings + 6) * UNIT_ROUNDOFF * amounts + math.fsum(m * v.rounding for m, v in earlier)),
            amounts=n_joined * amounts,
            exact=exact,
        )

    def _priced_slices(self, k: int, multipliers: Sequence[float]) -> Iterator[tuple[Slices, float, int]]:
        """List what is short at a price, that price, and how many of the slices count: of the last stage, the first."""
        for j, slices in enumerate(self._shortfalls[: k + 1]):
            if j == k:
                yield slices, 1.0, 1
            elif multipliers[j] > 0:
                yield slices, multipliers[j], slices.n_joined

    def _covered(self, k: int, cheapest: FloatArray, multipliers: Sequence[float]) -> Sum:
        """Cover every slice that has a price in the cheapest way, which may be to leave it short."""
        units: list[float] = []
        prices: list[float] = []
        for slices, price, n_counted in self._priced_slices(k, multipliers):
            units += (n_counted * slices.slice_units).tolist()
            prices += np.minimum(cheapest[slices.needs], price * slices.weight).tolist()
        return sum_of_products(units, prices)

    def _slices_by_need(self, k: int, multipliers: Sequence[float]) -> dict[int, list[tuple[float, float]]]:
        """List each need's slices that have a price: units, and the price of one left short."""
        of_need: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for slices, price, n_counted in self._priced_slices(k, multipliers):
            units = (n_counted * slices.slice_units).tolist()
            for need, one, weight in zip(slices.needs.tolist(), units, slices.weight.tolist(), strict=True):
                of_need[need].append((one, price * weight))
        return of_need

    def _exact_covered(
        self, k: int, least: Mapping[int, Fraction | None], multipliers: Sequence[float]
    ) -> Fraction:
        covered = Fraction(0)
        for slices, price, n_counted in self._priced_slices(k, multipliers):
            of_needs = zip(
                slices.needs.tolist(), slices.exact_slice_units(), slices.weight.tolist(), strict=True
            )
            for i, units, weight in of_needs:
                short, way = Fraction(price) * Fraction(weight), least.get(i)
                covered += n_counted * units * (short if way is None else min(short, way))
        return covered

    # --- what is held to what ------------------------------------------------------------------------------------

    def _hold(
        self, stage: Stage, value: Sum, relaxed: Sum, bound: Sum, one_mean_need: float
    ) -> Iterator[Finding]:
        """Hold a stage to its value and its bound; where lots are cut, the gap is the relaxation's."""
        reference = max(abs(relaxed.value), one_mean_need)
        gap_absolute = relaxed.value - bound.value
        gap = gap_absolute / reference if reference > 0 else gap_absolute
        self.stages.append(
            CheckedStage(
                stage=stage.stage,
                measure=stage.measure,
                value=value.value,
                lower_bound=bound.value,
                gap=gap,
                gap_absolute=gap_absolute,
                rounding_bound=bound.rounding,
            )
        )
        share = PROOF_TOLERANCE_SHARE * reference
        value_slack = share + STATED_ROUNDING * value.amounts
        bound_slack = share + STATED_ROUNDING * bound.amounts
        slack = value_slack + bound_slack
        if not self._judge.agrees(value, stage.value, value_slack):
            yield _wrong(stage, "value_wrong", "its lines add up to a value of", value.value, stage.value)
        if not self._judge.agrees(bound, stage.lower_bound, bound_slack):
            yield _wrong(
                stage, "bound_wrong", "its prices prove a lower bound of", bound.value, stage.lower_bound
            )
        if not abs(stage.gap_absolute - gap_absolute) <= slack:
            yield _wrong(stage, "gap_wrong", "its absolute gap is", gap_absolute, stage.gap_absolute)
        if not abs(stage.gap - gap) <= slack / (reference or 1.0):
            yield _wrong(stage, "gap_wrong", "its gap is", gap, stage.gap)
        if self._has_lots:
            price = (value.value - relaxed.value) / (reference or 1.0)
            stated = math.nan if stage.price_of_lots is None else stage.price_of_lots
            if not abs(price - stated) <= slack / (reference or 1.0):
                yield _wrong(stage, "gap_wrong", "its price of lots is", price, stated)
        yield from self._not_below(stage, relaxed, bound, one_mean_need)

    def _not_below(self, stage: Stage, value: Sum, bound: Sum, one_mean_need: float) -> Iterator[Finding]:
        reference = max(abs(value.value), one_mean_need)
        allowance = BELOW_BOUND_SHARE * reference + STATED_ROUNDING * bound.amounts
        if not self._judge.is_at_most(bound, value.value, allowance):
            yield Finding(
                code="below_bound",
                detail=f"stage {stage.stage} ({stage.measure}): no plan that keeps to the facts has a value below "
                f"{bound.value:.12g}, and this one claims {value.value:.12g}",
                stage=stage.stage,
            )


def _wrong(stage: Stage, code: FindingCode, words: str, found: float, stated: float) -> Finding:
    return Finding(
        code=code,
        detail=f"stage {stage.stage} ({stage.measure}): {words} {found:.12g}; the plan says {stated:.12g}",
        stage=stage.stage,
    )


def _row_of_price(ground: Ground, price: CapacityPrice) -> tuple[int | None, slice]:
    """Find the room that a price is of, and its buckets: a share limit's is told once, and holds in all of them."""
    row = None
    buckets = slice(price.bucket, price.bucket + 1)
    if (
        price.product_code is None
        and price.resource_code is not None
        and 0 <= price.bucket < ground.n_buckets
    ):
        row = ground.room.row.get((price.node_code, price.resource_code))
    elif price.product_code is not None and price.resource_code is None and price.bucket == 0:
        row, buckets = ground.room.share_row.get((price.node_code, price.product_code)), slice(None)
    return row, buckets


def _check_multipliers(stage: Stage) -> Iterator[Finding]:
    if len(stage.multipliers) != stage.stage - 1 or not all(
        math.isfinite(m) and m >= 0 for m in stage.multipliers
    ):
        yield Finding(
            code="multiplier_invalid",
            detail=f"stage {stage.stage} ({stage.measure}) needs one multiplier ≥ 0 for each stage before it, "
            f"and has {list(stage.multipliers)}",
            stage=stage.stage,
        )


def _usable_multipliers(stage: Stage, n_earlier: int) -> list[float]:
    given = [m if math.isfinite(m) and m >= 0 else 0.0 for m in stage.multipliers[:n_earlier]]
    return given + [0.0] * (n_earlier - len(given))


def _value_of_room(ground: Ground, prices: FloatArray) -> Sum:
    """Price all room: renewed by bucket, stored by what is added in each; as products, so that each is exact."""
    allowed = ground.room.allowed
    kept = np.zeros(allowed.shape)
    for k in np.flatnonzero(ground.room.is_stored).tolist():
        kept[k, 1:] = allowed[k, :-1]
    priced = prices.ravel().tolist()
    return sum_of_products([*priced, *(-price for price in priced)], [*allowed.ravel(), *kept.ravel()])


def _short_units(plan: Plan) -> list[list[float]]:
    """List every need's shortfalls."""
    position = {need.need_id: i for i, need in enumerate(plan.needs)}
    short: list[list[float]] = [[] for _ in plan.needs]
    for shortfall in plan.shortfalls:
        if shortfall.need_id in position and math.isfinite(shortfall.units):
            short[position[shortfall.need_id]].append(shortfall.units)
    return short
