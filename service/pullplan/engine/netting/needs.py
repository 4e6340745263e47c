"""What must still arrive of every product in every region and bucket?"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from pullplan.engine.calendar import bucket_of, buckets_of_shelf_life, remaining_share_of_bucket_0
from pullplan.engine.demand import Pair, PolicyBook, history_basis, on_hand_units
from pullplan.engine.model import (
    BufferDerivation,
    Need,
    PlanningFacts,
    PullPolicy,
    SeriesForecast,
    StockPosition,
)
from pullplan.engine.netting.buffered import buffered_pairs, derive, read_buffers, replenishment
from pullplan.engine.netting.ordering import OpenUnits, number_needs
from pullplan.engine.netting.pegging import TIER_ORDER, DemandLine, Units, consume_forecast, peg
from pullplan.engine.netting.pinning import pin_needs
from pullplan.engine.netting.supply import arriving_supply, receipt_bucket
from pullplan.engine.netting.targets import buffer_targets, reference_lead_days


@dataclass
class _PairFacts:
    """What is known of one product × region that has stock, receipts or a forecast to net against."""

    open_lines: dict[int, list[DemandLine]] = field(default_factory=lambda: defaultdict(list))
    """Orders and qualifying leads by the bucket in which they are due, none past due."""
    past_due: list[DemandLine] = field(default_factory=list)
    on_hand_units: float = 0.0
    receipts_units: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    series: SeriesForecast | None = None
    """Where its policy is base stock."""
    buffer_orders_units: Units | None = None
    """By bucket what its DDMRP buffer orders, where it has one. Shapes: (n_buckets,)"""


def net(facts: PlanningFacts) -> tuple[Need, ...]:
    """Turn orders, leads, forecast and targets into needs that stock and supply do not cover.

    Need lines stand in the order product, region, bucket, tier, rank; need_id counts them from 1.

    Raises: PinInfeasibleError where a pin holds what is not needed.
    Source: the planning model, sections 2 and 4.
    """
    book = PolicyBook(facts.policies)
    to_peg = _gather(facts, book)
    buffered = buffered_pairs(facts, book)
    has_series = any(known.series is not None for known in to_peg.values())
    lead_days = reference_lead_days(facts) if has_series or buffered else {}
    if buffered:
        for pair, orders in zip(
            buffered, read_buffers(facts, buffered, book, lead_days).projected_units, strict=True
        ):
            to_peg.setdefault(pair, _PairFacts()).buffer_orders_units = orders
    open_units = OpenUnits()
    _file_demand(facts, book, to_peg, open_units)
    shelf_buckets = {p.product_code: buckets_of_shelf_life(p, facts.horizon.bucket) for p in facts.products}
    for pair, known in to_peg.items():
        demand, targets = _gross(known, book.policy_of(*pair), lead_days.get(pair, 0), facts)
        receipts = [known.receipts_units.get(b, 0.0) for b in range(facts.horizon.horizon_buckets)]
        pegged = peg(demand, targets, receipts, known.on_hand_units, shelf_buckets.get(pair[0]))
        for b, short in enumerate(pegged):
            for (tier, rank), units in short.items():
                open_units.add(pair, b, TIER_ORDER[tier], rank, units)
        if known.buffer_orders_units is not None:
            taken = np.array([sum(short.values()) for short in pegged])
            for b, units in enumerate(replenishment(known.buffer_orders_units, taken).tolist()):
                open_units.add(pair, b, TIER_ORDER["buffer"], 0, units)
    return pin_needs(facts, number_needs(open_units, facts))


def derive_buffers(facts: PlanningFacts) -> list[BufferDerivation]:
    """Tell every DDMRP buffer, by product and region, with all that it follows from."""
    book = PolicyBook(facts.policies)
    pairs = buffered_pairs(facts, book)
    return derive(read_buffers(facts, pairs, book, reference_lead_days(facts)), facts) if pairs else []


def _gather(facts: PlanningFacts, book: PolicyBook) -> dict[Pair, _PairFacts]:
    """Find the pairs whose demand is not simply their need."""
    pairs: dict[Pair, _PairFacts] = defaultdict(_PairFacts)
    consumed = frozenset(facts.consumption_pairs)
    for position in facts.stock:
        pair = (position.product_code, position.region_code)
        units = _stock_units(position, book, has_consumption=pair in consumed)
        if units != 0:
            pairs[pair].on_hand_units += units
    for series in facts.forecast.series if facts.forecast else ():
        pair = (series.product_code, series.region_code)
        if book.policy_of(*pair).policy == "base_stock":
            pairs[pair].series = series
    for pair, due, units in arriving_supply(facts):
        bucket = receipt_bucket(due, facts)
        if bucket is not None:
            pairs[pair].receipts_units[bucket] += units
    return dict(pairs)


def _file_demand(
    facts: PlanningFacts, book: PolicyBook, to_peg: Mapping[Pair, _PairFacts], open_units: OpenUnits
) -> None:
    """Hand orders and qualifying leads to their pair; where there is nothing to peg they are open as they stand."""
    bucket_of_day = _BucketBook(facts)
    for order in facts.orders:
        units = order.ordered_units - order.shipped_units
        if units <= 0:
            continue
        pair, bucket = (order.product_code, order.region_code), bucket_of_day[order.due_date]
        known = to_peg.get(pair)
        if known is not None:
            _file(known, DemandLine("order", units, order.priority, order.external_id), bucket)
        elif bucket < facts.horizon.horizon_buckets:
            open_units.add(pair, max(0, bucket), TIER_ORDER["order"], order.priority, units)
    for lead in facts.lead_signals:
        pair, bucket = (lead.product_code, lead.region_code), bucket_of_day[lead.due_date]
        units = lead.units * lead.probability
        if lead.probability < book.policy_of(*pair).lead_probability_min or units <= 0:
            continue
        known = to_peg.get(pair)
        if known is not None:
            _file(known, DemandLine("lead", units, lead.priority, lead.external_id), bucket)
        elif bucket < facts.horizon.horizon_buckets:
            open_units.add(pair, max(0, bucket), TIER_ORDER["lead"], lead.priority, units)


class _BucketBook(dict[date, int]):
    """The bucket of every day that was asked for; −1 for a day that is past."""

    def __init__(self, facts: PlanningFacts) -> None:
        self._horizon = facts.horizon

    def __missing__(self, day: date) -> int:
        bucket = -1 if day < self._horizon.as_of_date else bucket_of(day, self._horizon)
        self[day] = bucket
        return bucket


def _stock_units(position: StockPosition, book: PolicyBook, *, has_consumption: bool) -> float:
    policy = book.policy_of(position.product_code, position.region_code)
    return on_hand_units(position, history_basis(policy, has_consumption=has_consumption))


def _file(known: _PairFacts, line: DemandLine, bucket: int) -> None:
    if bucket < 0:
        known.past_due.append(line)
    else:
        known.open_lines[bucket].append(line)


def _gross(
    known: _PairFacts, policy: PullPolicy, lead_days: int, facts: PlanningFacts
) -> tuple[list[list[DemandLine]], list[float]]:
    """Lay out one pair's demand and targets by bucket of the horizon."""
    horizon = facts.horizon
    n_buckets = horizon.horizon_buckets
    demand = [list(known.open_lines.get(b, ())) for b in range(n_buckets)]
    demand[0] += known.past_due
    if known.series is None:
        return demand, [0.0] * n_buckets
    forecast_left = _unconsumed_forecast(known, known.series, policy, facts)
    for b in range(n_buckets):
        if forecast_left[b] > 0:
            demand[b].append(DemandLine("forecast", float(forecast_left[b])))
    return demand, buffer_targets(known.series, policy, lead_days, horizon.bucket, n_buckets)


def _unconsumed_forecast(
    known: _PairFacts, series: SeriesForecast, policy: PullPolicy, facts: PlanningFacts
) -> Units:
    # Orders due beyond the horizon may consume forecast inside it, so that all forecast buckets take part.
    n_buckets = max(facts.horizon.horizon_buckets, len(series.mean_units))
    forecast, demanded = np.zeros(n_buckets), np.zeros(n_buckets)
    forecast[: len(series.mean_units)] = series.mean_units
    forecast[0] *= remaining_share_of_bucket_0(facts.horizon)
    for b, lines in known.open_lines.items():
        if b < n_buckets:
            demanded[b] = sum(line.units for line in sorted(lines, key=lambda n: (n.external_id, n.units)))
    return consume_forecast(forecast, demanded, policy.consume_buckets_back, policy.consume_buckets_forward)
