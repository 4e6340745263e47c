"""What do DDMRP buffers say today, and what will they order?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import numpy as np

from pullplan.engine.buffers import (
    BufferStatus,
    Ordering,
    Outlook,
    QualifiedDemand,
    project_orders,
    qualify_demand,
    read_status,
    spike_threshold_units,
    split_order,
)
from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_of
from pullplan.engine.demand import Pair, PolicyBook, has_policy, history_basis, on_hand_units
from pullplan.engine.model import (
    Basis,
    BufferDerivation,
    BufferSizing,
    BufferWarning,
    PlanningFacts,
    PullPolicyName,
    Spike,
)
from pullplan.engine.netting.supply import arriving_supply, receipt_bucket
from pullplan.engine.netting.targets import ReferenceNode
from pullplan.engine.netting.zoning import (
    Numbers,
    Places,
    Zoned,
    days_to_come,
    of_policies,
    size_in_words,
    zone,
)


@dataclass(frozen=True)
class Buffers:
    """The buffers of some product × regions; arrays are (n_buffers,), or (n_buckets, n_buffers) where said."""

    zoned: Zoned
    threshold_units: Numbers
    spike_horizon_days: Numbers
    qualified: QualifiedDemand
    on_hand_units: Numbers
    supply_units: Numbers
    status: BufferStatus
    n_orders: Places
    """What is ordered today is split into."""
    largest_order_units: Numbers
    due_bucket: Places
    """Of orders placed in each bucket: (n_buckets, n_buffers)."""
    projected_units: Numbers
    """By the bucket they are due in: (n_buckets, n_buffers)."""
    spare_units: Numbers
    """What net flow exceeds the top of green by at the end of the horizon, if nothing is ordered."""

    @property
    def lead_days_by_pair(self) -> dict[Pair, int]:
        """Tell the lead times in force of buffers that anybody could fill."""
        days = self.zoned.lead_days.tolist()
        return {pair: days[i] for i, pair in enumerate(self.zoned.pairs) if self.zoned.has_node(i)}


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
    facts: PlanningFacts, pairs: tuple[Pair, ...], book: PolicyBook, references: Mapping[Pair, ReferenceNode]
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
    zoned = zone(facts, place, policies, bases, references)
    zones, days = zoned.zones, zoned.lead_days
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
        of_policies(policies, "minimum_order_units"),
        of_policies(policies, "order_multiple_units"),
        np.array([np.inf if p.maximum_order_units is None else p.maximum_order_units for p in policies]),
        tuple(p.buffer_rounding for p in policies),
    )
    status = read_status(zones, on_hand, supply, qualified.units, ordering)
    due_bucket = _due_buckets(facts, days)
    used = days_to_come(facts)[:, None] * zoned.today.usage_units_per_day
    demand = np.maximum(used, order_demand) - _qualified_by_bucket(facts, qualified, used.shape)
    outlook = Outlook(status.net_flow_units, status.order_units, np.maximum(0.0, demand), due_bucket)
    projected = project_orders(zones, ordering, outlook)
    ends = status.net_flow_units - outlook.demand_units.sum(axis=0)
    return Buffers(
        *(zoned, threshold, horizon_days, qualified, on_hand, supply),
        *(status, *split_order(status.order_units, ordering)),
        *(due_bucket, projected, np.maximum(0.0, ends - zones.top_of_green)),
    )


def derive(buffers: Buffers, facts: PlanningFacts) -> list[BufferDerivation]:
    """Put buffers into words, each with every step on the way to its order."""
    return [_derived(buffers, i, facts) for i in range(len(buffers.zoned.pairs))]


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


def _due_buckets(facts: PlanningFacts, lead_days: Places) -> Places:
    """Tell where work arrives that starts in each bucket, by its last day: the need of an order placed there."""
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    last_days = np.arange(facts.horizon.horizon_buckets) * bucket_days + bucket_days - 1
    return (last_days[:, None] + lead_days) // bucket_days


def _derived(buffers: Buffers, i: int, facts: PlanningFacts) -> BufferDerivation:
    zoned, status, found = buffers.zoned, buffers.status, buffers.qualified
    today, days = facts.horizon.as_of_date, int(zoned.lead_days[i])
    priority = float(status.priority_percent[i])
    spikes = tuple(
        Spike(due_date=today + timedelta(days=int(found.spike_days_ahead[k])), units=float(found.spike_day_units[k]))
        for k in np.flatnonzero(found.spike_buffer == i)
    )  # fmt: skip
    sized = size_in_words(zoned, i, facts)
    was = zoned.accepted[i]
    in_force, proposed = (was, sized) if was is not None and zoned.is_held[i] else (sized, None)
    order_bucket = int(buffers.due_bucket[0, i])

    def at(values: Numbers) -> float:
        return float(values[i])

    return BufferDerivation(
        **msgspec.structs.asdict(in_force),
        as_of_date=today,
        proposed=proposed,
        warnings=_warnings(in_force, proposed, is_beyond=order_bucket >= facts.horizon.horizon_buckets),
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
        n_orders=int(buffers.n_orders[i]),
        largest_order_units=at(buffers.largest_order_units),
        order_due_date=today + timedelta(days=days),
        order_bucket=order_bucket,
        projected_order_units=tuple(buffers.projected_units[:, i].tolist()),
    )


def _warnings(
    zones: BufferSizing, proposed: BufferSizing | None, *, is_beyond: bool
) -> tuple[BufferWarning, ...]:
    """Name what a planner should know of a buffer."""
    top = zones.top_of_yellow_units
    by_flow = max(zones.green_by_lead_time_units, zones.green_by_order_cycle_units)
    said: tuple[tuple[BufferWarning, bool], ...] = (
        ("zones_await_acceptance", proposed is not None),
        ("no_reference_node", not zones.has_reference_node),
        ("no_lead_time", zones.has_reference_node and zones.adjusted_lead_days == 0),
        (
            "all_usage_excluded",
            zones.excluded_usage_days == (zones.usage_until_date - zones.usage_from_date).days,
        ),
        ("no_usage", zones.adjusted_usage_units_per_day == 0),
        ("minimum_above_buffer", zones.green_by_minimum_order_units > top + by_flow and top > 0),
        ("lead_time_beyond_horizon", is_beyond),
    )
    return tuple(warning for warning, is_so in said if is_so)
