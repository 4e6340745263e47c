"""What do DDMRP buffers say today, and what will they order?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers import (
    BufferStatus,
    BufferZones,
    Ordering,
    Outlook,
    QualifiedDemand,
    Sizing,
    blended_usage,
    project_orders,
    qualify_demand,
    read_status,
    size_buffers,
    spike_threshold_units,
    usage_per_day,
)
from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, bucket_of
from pullplan.engine.demand import Pair, PolicyBook, has_policy, history_basis, on_hand_units
from pullplan.engine.model import (
    Basis,
    BufferDerivation,
    PlanningFacts,
    PullPolicy,
    PullPolicyName,
    SeriesForecast,
    Spike,
)
from pullplan.engine.netting.supply import arriving_supply, receipt_bucket

type Numbers = npt.NDArray[np.float64]
type Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Buffers:
    """The buffers of some product × regions; arrays are (n_buffers,), or (n_buckets, n_buffers) where said."""

    pairs: tuple[Pair, ...]
    policies: tuple[PullPolicy, ...]
    bases: tuple[Basis, ...]
    past_usage_units: Numbers
    past_usage: Numbers
    forward_usage: Numbers
    """NaN where the policy does not look at it."""
    sizing: Sizing
    zones: BufferZones
    threshold_units: Numbers
    spike_horizon_days: Numbers
    qualified: QualifiedDemand
    on_hand_units: Numbers
    supply_units: Numbers
    lead_days: Places
    has_lead: npt.NDArray[np.bool_]
    status: BufferStatus
    due_bucket: Places
    """Of orders placed in each bucket: (n_buckets, n_buffers)."""
    projected_units: Numbers
    """By the bucket they are due in: (n_buckets, n_buffers)."""


def pairs_pulled_by(policy: PullPolicyName, facts: PlanningFacts, book: PolicyBook) -> tuple[Pair, ...]:
    """Name the product × regions of a policy of which anything at all is known, be it that they have this policy themselves."""
    if not has_policy(policy, facts):
        return ()
    products = {product.product_code for product in facts.products}
    regions = {region.region_code for region in facts.regions}
    known: set[Pair] = {
        (p.product_code, p.region_code)
        for p in facts.policies
        if p.product_code in products and p.region_code in regions
    }
    for daily in (facts.recent_consumption, facts.recent_orders):
        known.update(zip(daily.product_codes, daily.region_codes, strict=True))
    for facts_of_pairs in (facts.orders, facts.lead_signals, facts.stock, facts.open_supply):
        known.update((one.product_code, one.region_code) for one in facts_of_pairs)
    known.update((s.product_code, s.region_code) for s in (facts.forecast.series if facts.forecast else ()))
    return tuple(sorted(pair for pair in known if book.policy_of(*pair).policy == policy))


def read_buffers(
    facts: PlanningFacts, pairs: tuple[Pair, ...], book: PolicyBook, lead_days: Mapping[Pair, int]
) -> Buffers:
    """Size buffers, see where they stand, and lay out what they order.

    Source: the planning model, sections 4 and 5.
    """
    place = {pair: i for i, pair in enumerate(pairs)}
    policies = tuple(book.policy_of(*pair) for pair in pairs)
    consumed = frozenset(facts.consumption_pairs)
    bases = tuple(
        history_basis(policy, has_consumption=pair in consumed)
        for pair, policy in zip(pairs, policies, strict=True)
    )
    past_units = _past_usage_units(facts, place, policies, bases)
    past = usage_per_day(np.arange(len(pairs)), past_units, len(pairs), _of(policies, "usage_past_days"))
    forward = _forward_usage(facts, place, policies)
    share = np.array(
        [_PAST_SHARES.get(p.usage_basis, p.usage_past_share) for p in policies], dtype=np.float64
    )
    usage = np.where(np.isnan(forward), past, blended_usage(past, np.nan_to_num(forward), share))
    days = np.array([lead_days.get(pair, 0) for pair in pairs], dtype=np.intp)
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    cycle = [bucket_days if p.order_cycle_days is None else p.order_cycle_days for p in policies]
    sizing = Sizing(
        usage_units_per_day=usage,
        lead_days=days.astype(np.float64),
        order_cycle_days=np.array(cycle, dtype=np.float64),
        **{name: _of(policies, name) for name in _SIZED_BY},
        rounding=tuple(p.buffer_rounding for p in policies),
    )
    zones = size_buffers(sizing)
    threshold = np.where(
        [p.spike_threshold_units is None for p in policies],
        spike_threshold_units(zones.red),
        [p.spike_threshold_units or 0.0 for p in policies],
    )
    horizon_days = np.where(
        [p.spike_horizon_days is None for p in policies], days, [p.spike_horizon_days or 0 for p in policies]
    ).astype(np.float64)
    qualified, order_demand = _demand(facts, place, threshold, horizon_days)
    on_hand, supply = _on_hand(facts, place, bases), _supply(facts, place)
    ordering = Ordering(
        _of(policies, "minimum_order_units"),
        _of(policies, "order_multiple_units"),
        tuple(p.buffer_rounding for p in policies),
    )
    status = read_status(zones, on_hand, supply, qualified.units, ordering)
    due_bucket = _due_buckets(facts, days)
    used = _days_to_come(facts)[:, None] * zones.usage_units_per_day
    demand = np.maximum(used, order_demand) - _qualified_by_bucket(facts, qualified, used.shape)
    outlook = Outlook(status.net_flow_units, status.order_units, np.maximum(0.0, demand), due_bucket)
    projected = project_orders(zones, ordering, outlook)
    return Buffers(
        *(
            pairs,
            policies,
            bases,
            past_units,
            past,
            forward,
            sizing,
            zones,
            threshold,
            horizon_days,
            qualified,
        ),
        *(on_hand, supply, days, np.array([pair in lead_days for pair in pairs], dtype=bool)),
        *(status, due_bucket, projected),
    )


def derive(buffers: Buffers, facts: PlanningFacts) -> list[BufferDerivation]:
    """Put buffers into words, each with every step on the way to its order."""
    return [_derived(buffers, i, facts) for i in range(len(buffers.pairs))]


_PAST_SHARES = {"past": 1.0, "forward": 0.0}
_SIZED_BY = (
    *("lead_time_factor", "variability_factor", "minimum_order_units"),
    *("demand_adjustment_factor", "lead_time_adjustment_factor"),
    *("red_zone_factor", "yellow_zone_factor", "green_zone_factor"),
)


def _of(policies: Sequence[PullPolicy], name: str) -> Numbers:
    return np.array([getattr(policy, name) for policy in policies], dtype=np.float64)


def _past_usage_units(
    facts: PlanningFacts, place: Mapping[Pair, int], policies: Sequence[PullPolicy], bases: Sequence[Basis]
) -> Numbers:
    """Add up what was used in each buffer's window, today excluded."""
    units = np.zeros(len(policies))
    first = [facts.horizon.as_of_date - timedelta(days=p.usage_past_days) for p in policies]
    for basis, daily in (("consumption", facts.recent_consumption), ("order", facts.recent_orders)):
        rows = zip(daily.product_codes, daily.region_codes, daily.days, daily.units, strict=True)
        for product_code, region_code, day, n in rows:
            at = place.get((product_code, region_code))
            if at is not None and bases[at] == basis and first[at] <= day < facts.horizon.as_of_date:
                units[at] += n
    return units


def _forward_usage(
    facts: PlanningFacts, place: Mapping[Pair, int], policies: Sequence[PullPolicy]
) -> Numbers:
    """Average the forecast of the days to come; NaN where the policy does not ask, or nothing is forecast."""
    forward = np.full(len(policies), np.nan)
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    to_come = _days_to_come(facts)[0]
    for series in facts.forecast.series if facts.forecast else ():
        at = place.get((series.product_code, series.region_code))
        if at is None or policies[at].usage_basis == "past":
            continue
        forward[at] = _mean_per_day(series, policies[at].usage_forward_days, bucket_days, to_come)
    return forward


def _mean_per_day(series: SeriesForecast, n_days: int, bucket_days: int, to_come: float) -> float:
    """Average over so many days from today, buckets by their share; beyond the forecast its last bucket goes on."""
    left, units = float(n_days), 0.0
    for step, mean in enumerate(series.mean_units):
        days = min(left, to_come if step == 0 else bucket_days)
        units += mean * days / bucket_days
        left -= days
    return (units + left * series.mean_units[-1] / bucket_days) / n_days


def _demand(
    facts: PlanningFacts, place: Mapping[Pair, int], threshold: Numbers, horizon_days: Numbers
) -> tuple[QualifiedDemand, Numbers]:
    """Qualify open orders, and add them all up by bucket of the horizon, what is past due in the first."""
    rows = [
        (at, (order.due_date - facts.horizon.as_of_date).days, order.ordered_units - order.shipped_units,
         max(0, bucket_of(order.due_date, facts.horizon)))
        for order in facts.orders
        if (at := place.get((order.product_code, order.region_code))) is not None
        and order.ordered_units > order.shipped_units
    ]  # fmt: skip
    rows.sort()  # sums do not depend on the order of the facts
    lines = np.array(rows, dtype=np.float64).reshape(-1, 4)
    buffer, ahead, bucket = lines[:, [0, 1, 3]].T.astype(np.intp)
    units = lines[:, 2]
    found = qualify_demand(buffer, ahead, units, threshold_units=threshold, horizon_days=horizon_days)
    by_bucket = np.zeros((facts.horizon.horizon_buckets, len(place)))
    inside = bucket < facts.horizon.horizon_buckets
    np.add.at(by_bucket, (bucket[inside], buffer[inside]), units[inside])
    return found, by_bucket


def _qualified_by_bucket(facts: PlanningFacts, found: QualifiedDemand, shape: tuple[int, ...]) -> Numbers:
    """Lay out by bucket what net flow has counted already."""
    units = np.zeros(shape)
    units[0] = found.past_due_units + found.today_units
    today = facts.horizon.as_of_date
    buckets = [bucket_of(today + timedelta(days=int(d)), facts.horizon) for d in found.spike_days_ahead]
    for buffer, bucket, n in zip(found.spike_buffer, buckets, found.spike_day_units, strict=True):
        if bucket < shape[0]:
            units[bucket, buffer] += n
    return units


def _on_hand(facts: PlanningFacts, place: Mapping[Pair, int], bases: Sequence[Basis]) -> Numbers:
    units = np.zeros(len(place))
    for position in facts.stock:
        at = place.get((position.product_code, position.region_code))
        if at is not None:
            units[at] += on_hand_units(position, bases[at])
    return units


def _supply(facts: PlanningFacts, place: Mapping[Pair, int]) -> Numbers:
    units = np.zeros(len(place))
    for pair, due, n in arriving_supply(facts):
        if pair in place and receipt_bucket(due, facts) is not None:
            units[place[pair]] += n
    return units


def _days_to_come(facts: PlanningFacts) -> Numbers:
    """Count the days of every bucket from as_of on.

    Shapes: (n_buckets,)
    """
    dates = bucket_dates(facts.horizon)
    days = np.full(len(dates) - 1, float(DAYS_PER_BUCKET[facts.horizon.bucket]))
    days[0] -= (facts.horizon.as_of_date - dates[0]).days
    return days


def _due_buckets(facts: PlanningFacts, lead_days: Places) -> Places:
    """Tell where work arrives that starts in each bucket, by its last day: the need of an order placed there."""
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    last_days = np.arange(facts.horizon.horizon_buckets) * bucket_days + bucket_days - 1
    return (last_days[:, None] + lead_days) // bucket_days


def _derived(buffers: Buffers, i: int, facts: PlanningFacts) -> BufferDerivation:
    policy, zones, status, found = buffers.policies[i], buffers.zones, buffers.status, buffers.qualified
    today = facts.horizon.as_of_date
    forward = float(buffers.forward_usage[i])
    priority = float(status.priority_percent[i])
    spikes = tuple(
        Spike(due_date=today + timedelta(days=int(found.spike_days_ahead[k])), units=float(found.spike_day_units[k]))
        for k in np.flatnonzero(found.spike_buffer == i)
    )  # fmt: skip
    usage = np.broadcast_to(buffers.sizing.usage_units_per_day, len(buffers.pairs))

    def at(values: Numbers) -> float:
        return float(values[i])

    return BufferDerivation(
        product_code=buffers.pairs[i][0],
        region_code=buffers.pairs[i][1],
        as_of_date=today,
        usage_basis=policy.usage_basis,
        history_basis=buffers.bases[i],
        usage_from_date=today - timedelta(days=policy.usage_past_days),
        usage_until_date=today,
        past_usage_units=at(buffers.past_usage_units),
        past_usage_units_per_day=at(buffers.past_usage),
        forward_usage_units_per_day=None if np.isnan(forward) else forward,
        usage_units_per_day=at(usage),
        adjusted_usage_units_per_day=at(zones.usage_units_per_day),
        lead_days=int(buffers.lead_days[i]),
        has_reference_node=bool(buffers.has_lead[i]),
        adjusted_lead_days=at(zones.lead_days),
        yellow_units=at(zones.yellow),
        red_base_units=at(zones.red_base),
        red_safety_units=at(zones.red_safety),
        red_units=at(zones.red),
        green_by_lead_time_units=at(zones.green_by_lead_time),
        green_by_order_cycle_units=at(zones.green_by_order_cycle),
        green_by_minimum_order_units=at(zones.green_by_minimum_order),
        green_units=at(zones.green),
        top_of_red_units=at(zones.top_of_red),
        top_of_yellow_units=at(zones.top_of_yellow),
        top_of_green_units=at(zones.top_of_green),
        on_hand_units=at(buffers.on_hand_units),
        open_supply_units=at(buffers.supply_units),
        past_due_units=at(found.past_due_units),
        due_today_units=at(found.today_units),
        spike_threshold_units=at(buffers.threshold_units),
        spike_horizon_days=int(buffers.spike_horizon_days[i]),
        spikes=spikes,
        qualified_demand_units=at(found.units),
        net_flow_units=at(status.net_flow_units),
        priority_percent=None if np.isnan(priority) else priority,
        color=str(status.color[i]),  # type: ignore[arg-type]
        on_hand_alert=str(status.on_hand_alert[i]),  # type: ignore[arg-type]
        order_units=at(status.order_units),
        order_due_date=today + timedelta(days=int(buffers.lead_days[i])),
        order_bucket=int(buffers.due_bucket[0, i]),
        projected_order_units=tuple(buffers.projected_units[:, i].tolist()),
    )
