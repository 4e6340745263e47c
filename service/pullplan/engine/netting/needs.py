"""What must still arrive of every product in every region and bucket?"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from pullplan.engine.calendar import bucket_of, remaining_share_of_bucket_0
from pullplan.engine.demand import Pair, PolicyBook, history_basis, on_hand_units
from pullplan.engine.model import Need, PlanningFacts, PullPolicy, SeriesForecast, StockPosition
from pullplan.engine.netting.pegging import TIER_ORDER, DemandLine, Units, consume_forecast, peg
from pullplan.engine.netting.supply import arriving_supply, receipt_bucket
from pullplan.engine.netting.targets import buffer_targets, reference_lead_days

DUST_UNITS = 5e-7
"""What floating point and a dying series' smoothed forecast leave behind; a millionth of a unit is a need."""


@dataclass
class _PairFacts:
    """What is known of one product × region."""

    open_lines: dict[int, list[DemandLine]] = field(default_factory=lambda: defaultdict(list))
    """Orders and qualifying leads by the bucket in which they are due, none past due."""
    past_due: list[DemandLine] = field(default_factory=list)
    on_hand_units: float = 0.0
    receipts_units: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    series: SeriesForecast | None = None


def net(facts: PlanningFacts) -> tuple[Need, ...]:
    """Turn orders, leads, forecast and targets into needs that stock and supply do not cover.

    Need lines stand in the order product, region, bucket, tier, rank; need_id counts them from 1.

    Source: the planning model, sections 2 and 4.
    """
    book = PolicyBook(facts.policies)
    lead_days = reference_lead_days(facts)
    needs: list[Need] = []
    for pair, known in sorted(_gather(facts, book).items()):
        policy = book.policy_of(*pair)
        demand, targets = _gross(known, policy, lead_days.get(pair, 0), facts)
        receipts = [known.receipts_units.get(b, 0.0) for b in range(facts.horizon.horizon_buckets)]
        for b, short in enumerate(peg(demand, targets, receipts, known.on_hand_units)):
            for (tier, rank), units in sorted(short.items(), key=lambda n: (TIER_ORDER[n[0][0]], n[0][1])):
                if units > DUST_UNITS:
                    need = Need(
                        need_id=len(needs) + 1,
                        product_code=pair[0],
                        region_code=pair[1],
                        bucket=b,
                        tier=tier,
                        rank=rank,
                        units=units,
                        latest_bucket=facts.parameters.latest_bucket(tier, b, facts.horizon.horizon_buckets),
                    )
                    needs.append(need)
    return tuple(needs)


def _gather(facts: PlanningFacts, book: PolicyBook) -> Mapping[Pair, _PairFacts]:
    pairs: dict[Pair, _PairFacts] = defaultdict(_PairFacts)
    for order in facts.orders:
        open_units = order.ordered_units - order.shipped_units
        if open_units > 0:
            line = DemandLine("order", open_units, order.priority, order.external_id)
            _file(pairs[order.product_code, order.region_code], line, order.due_date, facts)
    for lead in facts.lead_signals:
        policy = book.policy_of(lead.product_code, lead.region_code)
        if lead.probability >= policy.lead_probability_min and lead.units * lead.probability > 0:
            line = DemandLine("lead", lead.units * lead.probability, lead.priority, lead.external_id)
            _file(pairs[lead.product_code, lead.region_code], line, lead.due_date, facts)
    consumed = frozenset(facts.consumption_pairs)
    for position in facts.stock:
        pair = (position.product_code, position.region_code)
        pairs[pair].on_hand_units += _stock_units(position, book, has_consumption=pair in consumed)
    for series in facts.forecast.series if facts.forecast else ():
        pairs[series.product_code, series.region_code].series = series
    for pair, due, units in arriving_supply(facts):
        bucket = receipt_bucket(due, facts)
        if bucket is not None:
            pairs[pair].receipts_units[bucket] += units
    return pairs


def _stock_units(position: StockPosition, book: PolicyBook, *, has_consumption: bool) -> float:
    policy = book.policy_of(position.product_code, position.region_code)
    return on_hand_units(position, history_basis(policy, has_consumption=has_consumption))


def _file(known: _PairFacts, line: DemandLine, due: date, facts: PlanningFacts) -> None:
    if due < facts.horizon.as_of_date:
        known.past_due.append(line)
    else:
        known.open_lines[bucket_of(due, facts.horizon)].append(line)


def _gross(
    known: _PairFacts, policy: PullPolicy, lead_days: int, facts: PlanningFacts
) -> tuple[list[list[DemandLine]], list[float]]:
    """Lay out one pair's demand and targets by bucket of the horizon."""
    horizon = facts.horizon
    n_buckets = horizon.horizon_buckets
    demand = [list(known.open_lines.get(b, ())) for b in range(n_buckets)]
    demand[0] += known.past_due
    if policy.policy != "base_stock" or known.series is None:
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
