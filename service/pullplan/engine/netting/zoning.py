"""How large would DDMRP buffers be today, and which of their zones are in force?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers import BufferZones, Sizing, blended_usage, size_buffers, usage_per_day
from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.engine.demand import Pair
from pullplan.engine.model import (
    Basis,
    BufferChange,
    BufferReason,
    BufferSizing,
    PlanningFacts,
    PullPolicy,
    SeriesForecast,
)
from pullplan.engine.netting.past_usage import PastUsage, add_up_usage
from pullplan.engine.netting.targets import ReferenceNode

type Numbers = npt.NDArray[np.float64]
type Places = npt.NDArray[np.intp]

ANOTHER_NODE_SHARE = 1.0
"""Another reference node is a change of the whole buffer, however alike its zones are: it is tolerated only where all is."""


@dataclass(frozen=True)
class Zoned:
    """Buffers as they would be sized today, and what of it is in force; arrays are (n_buffers,)."""

    pairs: tuple[Pair, ...]
    policies: tuple[PullPolicy, ...]
    bases: tuple[Basis, ...]
    used: PastUsage
    past_usage: Numbers
    forward_usage: Numbers
    """NaN where the policy does not look at it."""
    sizing: Sizing
    today: BufferZones
    nodes: tuple[ReferenceNode | None, ...]
    lead_days_today: Places
    accepted: tuple[BufferSizing | None, ...]
    changed_share: tuple[float, ...]
    """Of what was accepted; 1 where nothing was."""
    is_held: npt.NDArray[np.bool_]
    """What was accepted stays in force, as today's is further from it than the policy tolerates."""
    zones: BufferZones
    """In force."""
    lead_days: Places
    """In force."""

    def has_node(self, i: int) -> bool:
        """Tell whether what is in force of a buffer has a reference node."""
        was = self.accepted[i]
        return was.has_reference_node if was is not None and self.is_held[i] else self.nodes[i] is not None


def zone(
    facts: PlanningFacts,
    place: Mapping[Pair, int],
    policies: tuple[PullPolicy, ...],
    bases: tuple[Basis, ...],
    references: Mapping[Pair, ReferenceNode],
) -> Zoned:
    """Size buffers by today's usage and lead times, and keep what was accepted where that is too far from it.

    Source: the planning model, section 5.
    """
    used = add_up_usage(facts, place, policies, bases)
    past = usage_per_day(np.arange(len(place)), used.units, len(place), used.counted_days)
    forward = _forward_usage(facts, place, policies)
    share = np.array(
        [_PAST_SHARES.get(p.usage_basis, p.usage_past_share) for p in policies], dtype=np.float64
    )
    usage = np.where(np.isnan(forward), past, blended_usage(past, np.nan_to_num(forward), share))
    nodes = tuple(references.get(pair) for pair in place)
    days = np.array([0 if node is None else node.lead_days for node in nodes], dtype=np.intp)
    sizing = _sizing(policies, usage, days.astype(np.float64), facts)
    today = size_buffers(sizing)
    known = {(one.product_code, one.region_code): one for one in facts.accepted_sizings}
    accepted = tuple(known.get(pair) for pair in place)
    codes = (None if node is None else node.node_code for node in nodes)
    tops = zip(
        *(top.tolist() for top in (today.top_of_red, today.top_of_yellow, today.top_of_green)), strict=True
    )
    changed = tuple(
        1.0 if was is None else _changed_share(_levels(was), _Levels(red, yellow, green, code))
        for was, (red, yellow, green), code in zip(accepted, tops, codes, strict=True)
    )
    is_held = np.array(
        [
            was is not None and share_of > policy.buffer_tolerance_share
            for was, share_of, policy in zip(accepted, changed, policies, strict=True)
        ],
        dtype=bool,
    )
    held = [(i, was) for i, was in enumerate(accepted) if was is not None and is_held[i]]
    lead_days = days.copy()
    lead_days[is_held] = [was.lead_days for _, was in held]
    return Zoned(
        pairs=tuple(place),
        policies=policies,
        bases=bases,
        used=used,
        past_usage=past,
        forward_usage=forward,
        sizing=sizing,
        today=today,
        nodes=nodes,
        lead_days_today=days,
        accepted=accepted,
        changed_share=changed,
        is_held=is_held,
        zones=_with_accepted(today, held),
        lead_days=lead_days,
    )


def size_in_words(zoned: Zoned, i: int, facts: PlanningFacts) -> BufferSizing:
    """Put into words how one buffer would be sized today."""
    zones, node, forward = zoned.today, zoned.nodes[i], float(zoned.forward_usage[i])
    policy, (product_code, region_code) = zoned.policies[i], zoned.pairs[i]
    today = facts.horizon.as_of_date

    def at(values: Numbers) -> float:
        return float(values[i])

    red, yellow, green = at(zones.red), at(zones.yellow), at(zones.green)
    return BufferSizing(
        product_code=product_code,
        region_code=region_code,
        sized_on_date=today,
        usage_basis=policy.usage_basis,
        history_basis=zoned.bases[i],
        usage_from_date=today - timedelta(days=policy.usage_past_days),
        usage_until_date=today,
        excluded_usage=zoned.used.excluded[i],
        excluded_usage_days=int(zoned.used.excluded_days[i]),
        past_usage_units=at(zoned.used.units),
        past_usage_units_per_day=at(zoned.past_usage),
        forward_usage_units_per_day=None if np.isnan(forward) else forward,
        usage_units_per_day=at(np.asarray(zoned.sizing.usage_units_per_day)),
        adjusted_usage_units_per_day=at(zones.usage_units_per_day),
        lead_days=int(zoned.lead_days_today[i]),
        has_reference_node=node is not None,
        reference_node_code=None if node is None else node.node_code,
        adjusted_lead_days=at(zones.lead_days),
        yellow_units=yellow,
        red_base_units=at(zones.red_base),
        red_safety_units=at(zones.red_safety),
        red_units=red,
        green_by_lead_time_units=at(zones.green_by_lead_time),
        green_by_order_cycle_units=at(zones.green_by_order_cycle),
        green_by_minimum_order_units=at(zones.green_by_minimum_order),
        green_units=green,
        top_of_red_units=red,
        top_of_yellow_units=red + yellow,
        top_of_green_units=red + yellow + green,
    )


def tell_changes(zoned: Zoned, facts: PlanningFacts) -> list[BufferChange]:
    """Tell every buffer that would be sized otherwise today than it was accepted, and why."""
    at = [i for i, share in enumerate(zoned.changed_share) if share > 0]
    changes = []
    for i in at:
        was, policy = zoned.accepted[i], zoned.policies[i]
        now = size_in_words(zoned, i, facts)
        changes.append(
            BufferChange(
                before=was,
                after=now,
                reasons=("first",) if was is None else _reasons(was, now, policy, facts),
                changed_share=zoned.changed_share[i],
                tolerance_share=policy.buffer_tolerance_share,
                is_tolerated=not zoned.is_held[i],
            )
        )
    return changes


def changed_share(was: BufferSizing, now: BufferSizing) -> float:
    """Take the largest change of any zone's top, of the larger of old and new; 1 where the reference node is another."""
    return _changed_share(_levels(was), _levels(now))


class _Levels(NamedTuple):
    top_of_red: float
    top_of_yellow: float
    top_of_green: float
    node_code: str | None


def _levels(of: BufferSizing) -> _Levels:
    return _Levels(of.top_of_red_units, of.top_of_yellow_units, of.top_of_green_units, of.reference_node_code)


def _changed_share(was: _Levels, now: _Levels) -> float:
    if was.node_code != now.node_code:
        return ANOTHER_NODE_SHARE
    tops = zip(was[:3], now[:3], strict=True)
    return max((abs(new - old) / max(new, old) for old, new in tops if new != old), default=0.0)


def _reasons(
    was: BufferSizing, now: BufferSizing, policy: PullPolicy, facts: PlanningFacts
) -> tuple[BufferReason, ...]:
    """Tell what moved the zones: usage, lead time, the node, or, where old ones would size otherwise today, the policy."""
    again = size_buffers(
        _sizing([policy], np.array([was.usage_units_per_day]), np.array([float(was.lead_days)]), facts)
    )
    tops = (again.top_of_red.item(), again.top_of_yellow.item(), again.top_of_green.item())
    said: tuple[tuple[BufferReason, bool], ...] = (
        ("usage", was.usage_units_per_day != now.usage_units_per_day),
        ("lead_time", was.lead_days != now.lead_days),
        ("reference_node", was.reference_node_code != now.reference_node_code),
        ("policy", tops != _levels(was)[:3]),
    )
    return tuple(reason for reason, is_so in said if is_so)


_PAST_SHARES = {"past": 1.0, "forward": 0.0}
_SIZED_BY = (
    *("lead_time_factor", "variability_factor", "minimum_order_units"),
    *("demand_adjustment_factor", "lead_time_adjustment_factor"),
    *("red_zone_factor", "yellow_zone_factor", "green_zone_factor"),
)
_OF_SIZING = {
    "usage_units_per_day": "adjusted_usage_units_per_day",
    "lead_days": "adjusted_lead_days",
    **{
        name: f"{name}_units"
        for name in (
            *("red_base", "red_safety", "red", "yellow", "green"),
            *("green_by_lead_time", "green_by_order_cycle", "green_by_minimum_order"),
        )
    },
}
"""What fields of zones are called in a sizing."""


def of_policies(policies: Sequence[PullPolicy], name: str) -> Numbers:
    """Lay out a number of every buffer's policy."""
    return np.array([getattr(policy, name) for policy in policies], dtype=np.float64)


def _sizing(
    policies: Sequence[PullPolicy], usage: Numbers, lead_days: Numbers, facts: PlanningFacts
) -> Sizing:
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    cycle = [bucket_days if p.order_cycle_days is None else p.order_cycle_days for p in policies]
    return Sizing(
        usage_units_per_day=usage,
        lead_days=lead_days,
        order_cycle_days=np.array(cycle, dtype=np.float64),
        **{name: of_policies(policies, name) for name in _SIZED_BY},
        rounding=tuple(p.buffer_rounding for p in policies),
    )


def _with_accepted(today: BufferZones, held: Sequence[tuple[int, BufferSizing]]) -> BufferZones:
    """Put what was accepted in the place of today's zones."""
    if not held:
        return today
    at = np.array([i for i, _ in held], dtype=np.intp)
    columns = {}
    for name, of_sizing in _OF_SIZING.items():
        columns[name] = np.array(getattr(today, name))
        columns[name][at] = [getattr(was, of_sizing) for _, was in held]
    return replace(today, **columns)


def _forward_usage(
    facts: PlanningFacts, place: Mapping[Pair, int], policies: Sequence[PullPolicy]
) -> Numbers:
    """Average the forecast of the days to come; NaN where the policy does not ask, or nothing is forecast."""
    forward = np.full(len(policies), np.nan)
    bucket_days = DAYS_PER_BUCKET[facts.horizon.bucket]
    to_come = days_to_come(facts)[0]
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


def days_to_come(facts: PlanningFacts) -> Numbers:
    """Count the days of every bucket from as_of on.

    Shapes: (n_buckets,)
    """
    dates = bucket_dates(facts.horizon)
    days = np.full(len(dates) - 1, float(DAYS_PER_BUCKET[facts.horizon.bucket]))
    days[0] -= (facts.horizon.as_of_date - dates[0]).days
    return days
