"""What keeps a need short? The first thing, from capability to capacity, that rules every node out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, bucket_of
from pullplan.engine.lots import LotPlan, lot_sizes
from pullplan.engine.model import Need, Shortfall, ShortfallReason
from pullplan.engine.options import NEVER, CapacityKey, OptionRows, Options, Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FULL_WITHIN_SHARE = 1e-6
"""Room below this share of the capacity is rounding."""
CHUNK_NEEDS = 4_096
MOST_NAMED = 4
"""Nodes that a sentence names; it counts the others."""


@dataclass(frozen=True)
class _Limits:
    """What the sentences look up."""

    options: Options
    is_full: BoolArray
    row_of: dict[CapacityKey, int]
    said: dict[tuple[int, int, int], tuple[str, bool]] = field(default_factory=dict)
    """What is full, and whether the share limit alone keeps it so, by capability, first and last start: regions of a
    product share it."""

    def when(self, bucket: int) -> str:
        """Name a bucket as people do."""
        horizon = self.options.horizon
        day = bucket_dates(horizon)[0] + timedelta(days=bucket * DAYS_PER_BUCKET[horizon.bucket])
        return f"the week of {day}" if horizon.bucket == "week" else str(day)


def explain_shortfalls(
    options: Options, solution: Solution, lots: LotPlan | None = None
) -> tuple[Shortfall, ...]:
    """Give every need that stays short its reason and a sentence, ordered by need."""
    limits = _Limits(
        options=options,
        is_full=full_resources(options, solution, lots),
        row_of={key: row for row, key in enumerate(options.capacities.keys)},
    )
    shortfalls: list[Shortfall] = []
    for i, ways in _ways_of_short_needs(options, np.flatnonzero(solution.shortfall_units > 0)):
        if options.need_latest_bucket[i] == NEVER:
            reason, detail = _do_not_produce(options.needs[i])
        elif lots is not None and lots.is_short_by_lots(i):
            reason, detail = _lot_rule(limits, i, ways)
        else:
            reason, detail = _reason(limits, i, ways)
        shortfalls.append(
            Shortfall(
                shortfall_id=len(shortfalls) + 1,
                need_id=options.needs[i].need_id,
                units=float(solution.shortfall_units[i]),
                reason=reason,
                detail=detail,
            )
        )
    return tuple(shortfalls)


def _ways_of_short_needs(options: Options, short: IntArray) -> Iterator[tuple[int, OptionRows]]:
    """List every option of needs that stay short, need by need; some thousand needs are looked at together."""
    for cut in range(0, len(short), CHUNK_NEEDS):
        needs = short[cut : cut + CHUNK_NEEDS]
        rows = options.rows_of(needs)
        ends = np.searchsorted(rows.need, needs, side="right").tolist()
        for i, first, end in zip(needs.tolist(), [0, *ends], ends, strict=False):
            yield i, rows[first:end]


def _do_not_produce(need: Need) -> tuple[ShortfallReason, str]:
    return "do_not_produce", f"by its policy no {need.product_code} is made for {need.region_code}"


def _reason(limits: _Limits, i: int, ways: OptionRows) -> tuple[ShortfallReason, str]:
    options = limits.options
    need = options.needs[i]
    rows = options.capabilities.rows
    of_product = options.capabilities.of_product[options.need_product[i]].tolist()
    capable = [c for c in of_product if need.pinned_node_code in (None, rows[c].node_code)]
    if not capable:
        can_not = "no node can" if need.pinned_node_code is None else f"{need.pinned_node_code} can't"
        return "no_capable_node", f"{can_not} make {need.product_code}"
    qualified = [c for c in capable if rows[c].qualified]
    if not qualified:
        blame = "is not" if len(capable) == 1 else "none of them is"
        return (
            "not_qualified",
            f"{_names(options, capable)} can make {need.product_code}, but {blame} qualified for it",
        )
    reachable = [c for c in qualified if options.capabilities.is_usable[c]]
    if not reachable:
        names = _names(options, qualified)
        return "offline", f"every node that is qualified for {need.product_code} is offline: {names}"
    region = int(options.need_region[i])
    linked = [c for c in reachable if options.lanes.usable[options.capabilities.node[c], region]]
    if not linked:
        return "no_lane", f"no lane leads to {need.region_code} from {_names(options, reachable)}"
    if len(ways.need) == 0:
        return _out_of_time(limits, i, linked)
    return _at_capacity(limits, need, ways)


def _lot_rule(limits: _Limits, i: int, ways: OptionRows) -> tuple[ShortfallReason, str]:
    """Tell which lots the nodes that could serve a need make."""
    options = limits.options
    said = []
    for capability in np.unique(ways.capability).tolist():
        row = options.capabilities.rows[capability]
        minimum, multiple, maximum = lot_sizes(row, options.products[options.need_product[i]])
        rules = [
            f"{name} {size:g}"
            for name, size in (("minimum", minimum), ("multiple", multiple), ("maximum", maximum))
            if 0 < size < math.inf
        ]
        said.append(f"{row.node_code} ({', '.join(rules) or 'lots of any size'})")
    need = options.needs[i]
    detail = (
        f"without lots it would be served; no order that keeps to them, and fits, is left that could serve "
        f"{need.region_code} with {need.product_code} by {limits.when(need.latest_bucket)}: {_listed(said)}"
    )
    return "lot_rule", detail


def _names(options: Options, capabilities: Sequence[int]) -> str:
    return _listed([options.capabilities.rows[c].node_code for c in capabilities])


def _listed(nodes: Sequence[str]) -> str:
    if len(nodes) <= MOST_NAMED:
        return ", ".join(nodes)
    return f"{', '.join(nodes[:MOST_NAMED])} and {len(nodes) - MOST_NAMED} more nodes"


def _out_of_time(limits: _Limits, i: int, linked: Sequence[int]) -> tuple[ShortfallReason, str]:
    """Tell nodes that are too far away in time from those whose dates, or whose pin, leave no start."""
    options = limits.options
    need = options.needs[i]
    arrivals = soonest_arrival(options, np.array(linked), np.array([i])).tolist()
    soonest = int(np.argmin(arrivals))
    if arrivals[soonest] > need.latest_bucket:
        return "too_late", (
            f"the soonest that new work can reach {need.region_code} is {limits.when(arrivals[soonest])} "
            f"from {options.capabilities.rows[linked[soonest]].node_code}; "
            f"it had to arrive by {limits.when(need.latest_bucket)}"
        )
    start = need.pinned_start_bucket
    when = (
        "no bucket is left in which work may start"
        if start is None
        else f"work of {limits.when(start)} won't do"
    )
    return "not_effective", (
        f"{when}: to serve {need.region_code} by {limits.when(need.latest_bucket)}, inside the dates of "
        f"{need.product_code}, its capabilities and lanes, from {_names(options, linked)}"
    )


def soonest_arrival(options: Options, capability: IntArray, need: IntArray) -> IntArray:
    """Find the bucket in which new work would arrive if no dates kept it back.

    Shapes: (n,), (n,) or (1,) → (n,)
    """
    horizon, capabilities = options.horizon, options.capabilities
    start = max(0, bucket_of(options.parameters.earliest_start_date or horizon.as_of_date, horizon))
    transit_days = options.lanes.transit_days[capabilities.node[capability], options.need_region[need]]
    days = DAYS_PER_BUCKET[horizon.bucket]
    # As calendar.arrival_bucket.
    ready: IntArray = days - 1 + capabilities.make_lead_time_days[capability] + transit_days
    return start + ready // days


def _at_capacity(limits: _Limits, need: Need, ways: OptionRows) -> tuple[ShortfallReason, str]:
    """Name what is full at each node in the buckets in which it could start in time.

    The share limit is the reason where without it a node would have room.
    """
    starts: dict[int, list[int]] = {}
    for capability, bucket in zip(ways.capability.tolist(), ways.start_bucket.tolist(), strict=True):
        starts.setdefault(capability, []).append(bucket)
    found = [_what_is_full(limits, capability, buckets) for capability, buckets in starts.items()]
    by_share = any(is_share for _, is_share in found)
    return "share_limit" if by_share else "at_capacity", (
        f"no {'share' if by_share else 'capacity'} is left that could serve {need.region_code} with "
        f"{need.product_code} by {limits.when(need.latest_bucket)}: {_listed([said for said, _ in found])}"
    )


def _what_is_full(limits: _Limits, capability: int, buckets: Sequence[int]) -> tuple[str, bool]:
    """Name a node and what of it is full in a range of buckets; tell whether that is its share limit alone."""
    at = capability, buckets[0], buckets[-1]
    if at not in limits.said:
        row = limits.options.capabilities.rows[capability]
        keys = [CapacityKey(row.node_code, code) for code, use in sorted(row.use_per_unit.items()) if use > 0]
        causes = [_limit(limits, key, buckets) for key in keys]
        share = limits.row_of.get(CapacityKey(row.node_code, product_code=row.product_code))
        by_share = share is not None and bool(limits.is_full[share, 0])
        if share is not None and by_share:
            units = float(limits.options.capacities.calendar[share, 0])
            causes.append(f"may start no more than {units:.9g} in all")
            rows = [limits.row_of[key] for key in keys]
            by_share = any(not limits.is_full[rows, bucket].any() for bucket in buckets)
        limits.said[at] = f"{row.node_code} ({', '.join(filter(None, causes)) or 'nothing left'})", by_share
    return limits.said[at]


def _limit(limits: _Limits, key: CapacityKey, buckets: Sequence[int]) -> str:
    row = limits.row_of[key]
    if not limits.options.capacities.calendar[row].any():
        return f"{key.resource_code}: no capacity"
    full = [bucket for bucket in buckets if limits.is_full[row, bucket]]
    if not full:
        return ""
    if len(full) == 1:
        return f"{key.resource_code} full in {limits.when(full[0])}"
    return f"{key.resource_code} full from {limits.when(full[0])} to {limits.when(full[-1])}"


def full_resources(options: Options, solution: Solution, lots: LotPlan | None = None) -> BoolArray:
    """Tell where no more can be started: renewed in that bucket, stored in that bucket or any later one.

    Shapes: (n_resources, n_buckets)
    """
    available = options.capacities.available
    used = options.use_by_bucket(solution.capability, solution.start_bucket, solution.units)
    if lots is not None:
        used += lots.extra_use
    up_to = np.cumsum(available - used, axis=1)
    stored_room = np.minimum.accumulate(up_to[:, ::-1], axis=1)[:, ::-1]
    room = np.where(options.capacities.is_stored[:, None], stored_room, available - used)
    whole = available + options.capacities.others_use
    limit = np.where(options.capacities.is_stored[:, None], whole.sum(axis=1, keepdims=True), whole)
    is_full: BoolArray = room <= FULL_WITHIN_SHARE * limit
    return is_full
