"""Is every stage's value what its lines add up to, and its bound what its prices prove?

    bound_k = Σ units × min over options and shortfall of (measure_k + prices · use + Σ_j multiplier_j measure_j)
              − prices · capacity − Σ_j multiplier_j achieved_j

holds for every plan that is no worse than this one in stages 1 … k−1, whatever the prices ≥ 0 are; the minimum is taken
slice by slice. A stage that joins n slices is bounded by n × the bound of its first: relabelled so that the last slices
stay short first, no plan is less short in a slice than in the one before it. Source: the planning model, section 6.3. Distances and costs per unit are taken in float64; all that is summed from them, exactly.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pullplan.engine.checker.columns import UNKNOWN, FloatArray, floats, whole_numbers
from pullplan.engine.checker.exactness import (
    STATED_ROUNDING,
    UNIT_ROUNDOFF,
    Judge,
    Sum,
    exactly,
    sum_of_products,
)
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.holding import Held, PricedSlices
from pullplan.engine.checker.lines import Counted, Shorts
from pullplan.engine.checker.lots import LotChecker
from pullplan.engine.checker.needs import Needs
from pullplan.engine.checker.options import Cheapest, Weights, find_cheapest, portions, roundings_of_a_price
from pullplan.engine.checker.room import Room
from pullplan.engine.checker.slices import Slices, read_shortfall_stages, shortfall_weights
from pullplan.engine.model import CheckedStage, Finding, FindingCode, Plan, Stage

PROOF_TOLERANCE_SHARE = 1e-9
"""Of the stage's value, or of the measure of one mean need where that is more: so far may what is stated of a stage
be from what is recomputed, besides what a sum in float64 may be off."""
BELOW_BOUND_SHARE = 1e-6
"""Of the same: so far may a value be below its bound, as loads may exceed capacities a little."""


@dataclass(frozen=True)
class Stated:
    """What a plan, or the plan of a re-plan that would hold nothing, says and is measured by."""

    ground: Ground
    room: Room
    needs: Needs
    plan: Plan
    held: Held
    lots: LotChecker | None = None
    lines: tuple[Counted, Shorts] | None = None
    """None where they are not stored: values are taken as stated."""


class Proof:
    """Recomputes every stage from lines and prices, and holds what the plan states to it."""

    def __init__(self, stated: Stated, judge: Judge) -> None:
        self._stated = stated
        self._ground = stated.ground
        self._needs = stated.needs
        self._plan = stated.plan
        self._has_lots = stated.lots is not None and stated.lots.has_lots
        self._judge = judge
        self._short_weight = shortfall_weights(stated.ground, stated.room, stated.needs)
        self._roundings = roundings_of_a_price(stated.room)
        self._shortfalls: list[Slices] = []
        self.n_options = 0
        self.stages: list[CheckedStage] = []

    def check(self) -> Iterator[Finding]:
        """Look at stages, prices and multipliers, then at every value, bound and gap."""
        lots, held = self._stated.lots, self._stated.held
        problem = self._read_stages() or (lots.problem_of_stages() if lots else "")
        if problem:
            yield Finding(code="stages_wrong", detail=problem)
            return
        prices, impossible = read_prices(self._stated)
        yield from impossible
        for stage in self._plan.stages:
            yield from _check_multipliers(stage)
        weights = [self._weights(k, of_stage) for k, of_stage in enumerate(prices)]
        cheapest = find_cheapest(self._ground, self._needs, weights)
        self.n_options = cheapest.n_options
        values = [self._value(k) for k in range(len(self._plan.stages))]
        relaxed = [
            value if stage.relaxation_value is None else exactly(stage.relaxation_value)
            for stage, value in zip(self._plan.stages, values, strict=True)
        ]
        for k, stage in enumerate(self._plan.stages):
            bound = self._bound(k, cheapest.by_stage[k], weights[k], relaxed)
            if held.price(k) > 0:
                slices = list(self._priced_slices(k, weights[k].multipliers))
                cover = held.cover(k, weights[k], cheapest.by_stage[k], slices)
                bound = held.raised(k, bound, cover, roundings=self._roundings, n_joined=self._n_joined(k))
            one_mean_need = self._one_mean_need(k, cheapest)
            yield from self._hold(stage, values[k], relaxed[k], bound, one_mean_need)
            if self._has_lots:
                own = self._bound(k, cheapest.by_stage[k], weights[k], values)
                yield from self._not_below(stage, values[k], own, one_mean_need)

    def _read_stages(self) -> str:
        """Read what each shortfall stage counts; say what is wrong with the plan's stages, if anything is."""
        plan, parameters = self._plan, self._ground.facts.parameters
        in_time = ["lateness_unit_buckets", f"cost:{parameters.objective}", "earliness_unit_buckets"]
        names = [stage.measure for stage in plan.stages]
        said = f"the plan's stages are {', '.join(names)}"
        taken = [stage.value for stage in plan.stages if self._stated.lines is None]
        taken += [stage.relaxation_value or 0.0 for stage in plan.stages]
        if not all(map(math.isfinite, taken)):
            return f"{said}; what is taken as they state it are {', '.join(f'{value:g}' for value in taken)}"
        if [stage.stage for stage in plan.stages] != list(range(1, len(names) + 1)) or names[-3:] != in_time:
            return f"{said}; they should be counted from 1 and end with {', '.join(in_time)}"
        self._shortfalls, problem = read_shortfall_stages(
            self._needs, self._short_weight, names[:-3], parameters.share_slices
        )
        if not problem and len(self._shortfalls) + len(in_time) != len(names):
            problem = f"{names[len(self._shortfalls)]} counts what there is not, or is counted"
        return f"{said}; {problem}" if problem else ""

    # --- what is stated ------------------------------------------------------------------------------------------

    def _weights(self, k: int, prices: FloatArray) -> Weights:
        multipliers = _usable_multipliers(self._plan.stages[k], k)
        weight = [*multipliers, 1.0, *[0.0] * (len(self._plan.stages) - k - 1)]
        lateness, cost, earliness = weight[len(self._shortfalls) :]
        return Weights(self._stated.room, lateness, cost, earliness, prices, multipliers)

    # --- what is recomputed --------------------------------------------------------------------------------------

    def _value(self, k: int) -> Sum:
        if self._stated.lines is None:
            return exactly(self._plan.stages[k].value)
        counted, shorts = self._stated.lines
        if k < len(self._shortfalls):
            return self._shortfalls[k].value(shorts, len(self._needs.rows))
        name = ("late_buckets", "cost", "early_buckets")[k - len(self._shortfalls)]
        surplus = self._stated.lots.surplus if self._stated.lots and name != "late_buckets" else []
        return sum_of_products(
            np.append(counted.units, [left.order.surplus_units for left in surplus]),
            np.append(getattr(counted, name), [float(getattr(left, name)) for left in surplus]),
        )

    def _n_joined(self, k: int) -> int:
        return self._shortfalls[k].n_joined if k < len(self._shortfalls) else 1

    def _one_mean_need(self, k: int, cheapest: Cheapest) -> float:
        if k < len(self._shortfalls):
            return self._shortfalls[k].one_mean_need()
        is_cost = k == len(self._shortfalls) + 1
        return self._needs.mean_units * (cheapest.mean_cost if is_cost else 1.0)

    def _bound(self, k: int, cheapest: FloatArray, weights: Weights, values: Sequence[Sum]) -> Sum:
        multipliers, n_joined = weights.multipliers, self._n_joined(k)
        slices = list(self._priced_slices(k, multipliers))
        # Every slice that has a price is covered in the cheapest way, which may be to leave it short.
        served = sum_of_products(
            np.concatenate([units for _, units, _ in slices] or [np.zeros(0)]),
            np.concatenate(
                [np.minimum(cheapest[needs], price) for needs, _, price in slices] or [np.zeros(0)]
            ),
        )
        room = _value_of_room(self._stated.room, weights.prices)
        kept = sum_of_products(multipliers, [value.value for value in values[:k]])
        earlier = list(zip(multipliers, values[:k], strict=True))

        def exact() -> Fraction:
            total = -room.exact() - sum((Fraction(m) * v.exact() for m, v in earlier if m), start=Fraction(0))
            return n_joined * (total + self._exact_cover(k, weights))

        amounts = served.amounts + room.amounts + kept.amounts
        return Sum(
            value=n_joined * math.fsum((served.value, -room.value, -kept.value)),
            rounding=n_joined
            * (
                (self._roundings + 6) * UNIT_ROUNDOFF * amounts
                + math.fsum(m * v.rounding for m, v in earlier)
            ),
            amounts=n_joined * amounts,
            exact=exact,
        )

    def _counted_slices(self, k: int, multipliers: Sequence[float]) -> Iterator[tuple[Slices, float, int]]:
        """List what is short at a price, that price, and how many of the slices count: of the last stage, the first."""
        for j, slices in enumerate(self._shortfalls[: k + 1]):
            if j == k:
                yield slices, 1.0, 1
            elif multipliers[j] > 0:
                yield slices, multipliers[j], slices.n_joined

    def _priced_slices(self, k: int, multipliers: Sequence[float]) -> Iterator[PricedSlices]:
        for slices, price, n_counted in self._counted_slices(k, multipliers):
            yield slices.needs, n_counted * slices.slice_units, price * slices.weight

    def _exact_cover(self, k: int, weights: Weights) -> Fraction:
        least: dict[int, Fraction] = {}
        for portion in portions(self._ground, self._needs):
            for need, of_option in portion.exact_cheapest(weights, self._roundings):
                least[need] = min(of_option, least.get(need, of_option))
        covered = Fraction(0)
        for slices, price, n_counted in self._counted_slices(k, weights.multipliers):
            of_needs = zip(slices.needs.tolist(), slices.units.tolist(), slices.weight.tolist(), strict=True)
            for need, units, weight in of_needs:
                short = Fraction(price) * Fraction(weight)
                covered_at = min(short, least.get(need, short))
                covered += covered_at * n_counted * Fraction(units) / slices.n_slices
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


def read_prices(stated: Stated) -> tuple[FloatArray, list[Finding]]:
    """Read prices as they may be used, none negative, none of a store rising: (n_stages, n_rows, n_buckets)."""
    room, told, n_stages = stated.room, stated.plan.prices, len(stated.plan.stages)
    n_rows, n_buckets = room.allowed.shape
    row = np.fromiter(
        (
            room.row.get((price.node_code, price.resource_code or ""), UNKNOWN)
            if price.product_code is None
            else UNKNOWN
            if price.resource_code is not None
            else room.share_row.get((price.node_code, price.product_code), UNKNOWN)
            for price in told
        ),
        np.int64,
        len(told),
    )
    stage, bucket, price = whole_numbers(told, "stage"), whole_numbers(told, "bucket"), floats(told, "price")
    # A share limit's price is told once, and holds in all buckets.
    last_bucket = np.where(row < len(room.keys), n_buckets - 1, 0)
    is_price = (row != UNKNOWN) & (stage >= 1) & (stage <= n_stages) & (bucket >= 0) & (bucket <= last_bucket)
    is_price &= np.isfinite(price) & (price >= 0)
    at = np.flatnonzero(is_price)
    _, first = np.unique(((stage * n_rows + row) * n_buckets + bucket)[at], return_index=True)
    used = at[first]
    prices = np.zeros((n_stages, n_rows, n_buckets))
    prices[stage[used] - 1, row[used], bucket[used]] = price[used]
    shares = prices[:, len(room.keys) :]
    shares[:] = shares[:, :, :1]
    # What arrives later can do no more than what is there before.
    prices[:, room.is_stored] = np.minimum.accumulate(prices[:, room.is_stored], axis=-1)
    is_price[at] = False
    is_price[used] = True
    return prices, [
        Finding(
            code="price_invalid",
            detail=f"the price {told[i].price:g} of {told[i].resource_code or told[i].product_code} at "
            f"{told[i].node_code} in bucket {told[i].bucket} is no price of stage {told[i].stage}: "
            f"prices are ≥ 0, one for each capacity that there is",
            stage=told[i].stage,
            node_code=told[i].node_code,
            resource_code=told[i].resource_code,
        )
        for i in np.flatnonzero(~is_price).tolist()
    ]


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


def _value_of_room(room: Room, prices: FloatArray) -> Sum:
    """Price all room: renewed by bucket, stored by what is added in each; as products, so that each is exact."""
    kept = np.zeros(room.allowed.shape)
    kept[room.is_stored, 1:] = room.allowed[room.is_stored, :-1]
    return sum_of_products(
        np.concatenate([prices.ravel(), -prices.ravel()]),
        np.concatenate([room.allowed.ravel(), kept.ravel()]),
    )
