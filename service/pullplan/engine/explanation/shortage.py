"""What keeps a need short? The first thing, from capability to capacity, that rules every node out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import DAYS_PER_BUCKET, arrival_bucket, bucket_dates, bucket_of
from pullplan.engine.model import Need, Shortfall, ShortfallReason
from pullplan.engine.options import OptionRows, Options, Solution

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
    row_of: dict[tuple[str, str], int]
    said: dict[tuple[int, int, int], str] = field(default_factory=dict)
    """What is full, by capability, first and last start: regions of a product share it."""

    def when(self, bucket: int) -> str:
        """Name a bucket as people do."""
        horizon = self.options.horizon
        day = bucket_dates(horizon)[0] + timedelta(days=bucket * DAYS_PER_BUCKET[horizon.bucket])
        return f"the week of {day}" if horizon.bucket == "week" else str(day)


def explain_shortfalls(options: Options, solution: Solution) -> tuple[Shortfall, ...]:
    """Give every need that stays short its reason and a sentence, ordered by need."""
    limits = _Limits(
        options=options,
        is_full=_full_resources(options, solution),
        row_of={key: row for row, key in enumerate(options.capacities.keys)},
    )
    shortfalls: list[Shortfall] = []
    for i, ways in _ways_of_short_needs(options, np.flatnonzero(solution.shortfall_units > 0)):
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


def _reason(limits: _Limits, i: int, ways: OptionRows) -> tuple[ShortfallReason, str]:
    options = limits.options
    need = options.needs[i]
    capable = options.capabilities.of_product[options.need_product[i]].tolist()
    rows = options.capabilities.rows
    if not capable:
        return "no_capable_node", f"no node can make {need.product_code}"
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
        return "too_late", _too_late(limits, need, linked, region)
    return "at_capacity", _at_capacity(limits, need, ways)


def _names(options: Options, capabilities: Sequence[int]) -> str:
    return _listed([options.capabilities.rows[c].node_code for c in capabilities])


def _listed(nodes: Sequence[str]) -> str:
    if len(nodes) <= MOST_NAMED:
        return ", ".join(nodes)
    return f"{', '.join(nodes[:MOST_NAMED])} and {len(nodes) - MOST_NAMED} more nodes"


def _too_late(limits: _Limits, need: Need, linked: Sequence[int], region: int) -> str:
    options = limits.options
    earliest_start = options.parameters.earliest_start_date or options.horizon.as_of_date
    start = max(0, bucket_of(earliest_start, options.horizon))
    arrivals = [
        arrival_bucket(
            start,
            options.capabilities.rows[c].make_lead_time_days,
            int(options.lanes.transit_days[options.capabilities.node[c], region]),
            options.horizon.bucket,
        )
        for c in linked
    ]
    soonest = int(np.argmin(arrivals))
    return (
        f"the soonest that new work can reach {need.region_code} is {limits.when(arrivals[soonest])} "
        f"from {options.capabilities.rows[linked[soonest]].node_code}; "
        f"it had to arrive by {limits.when(need.latest_bucket)}"
    )


def _at_capacity(limits: _Limits, need: Need, ways: OptionRows) -> str:
    """Name what is full at each node in the buckets in which it could start in time."""
    starts: dict[int, list[int]] = {}
    for capability, bucket in zip(ways.capability.tolist(), ways.start_bucket.tolist(), strict=True):
        starts.setdefault(capability, []).append(bucket)
    said = [_what_is_full(limits, capability, buckets) for capability, buckets in starts.items()]
    return (
        f"no capacity is left that could serve {need.region_code} with {need.product_code} by "
        f"{limits.when(need.latest_bucket)}: {_listed(said)}"
    )


def _what_is_full(limits: _Limits, capability: int, buckets: Sequence[int]) -> str:
    """Name a node and what of it is full in a range of buckets."""
    key = capability, buckets[0], buckets[-1]
    if key not in limits.said:
        row = limits.options.capabilities.rows[capability]
        causes = [
            _limit(limits, (row.node_code, resource_code), buckets)
            for resource_code, use in sorted(row.use_per_unit.items())
            if use > 0
        ]
        limits.said[key] = f"{row.node_code} ({', '.join(filter(None, causes)) or 'nothing left'})"
    return limits.said[key]


def _limit(limits: _Limits, key: tuple[str, str], buckets: Sequence[int]) -> str:
    row = limits.row_of[key]
    if not limits.options.capacities.calendar[row].any():
        return f"{key[1]}: no capacity"
    full = [bucket for bucket in buckets if limits.is_full[row, bucket]]
    if not full:
        return ""
    if len(full) == 1:
        return f"{key[1]} full in {limits.when(full[0])}"
    return f"{key[1]} full from {limits.when(full[0])} to {limits.when(full[-1])}"


def _full_resources(options: Options, solution: Solution) -> BoolArray:
    """Tell where no more can be started: renewed in that bucket, stored in that bucket or any later one.

    Shapes: (n_resources, n_buckets)
    """
    available = options.capacities.available
    used = options.use_by_bucket(solution.capability, solution.start_bucket, solution.units)
    up_to = np.cumsum(available - used, axis=1)
    stored_room = np.minimum.accumulate(up_to[:, ::-1], axis=1)[:, ::-1]
    room = np.where(options.capacities.is_stored[:, None], stored_room, available - used)
    limit = np.where(options.capacities.is_stored[:, None], available.sum(axis=1, keepdims=True), available)
    is_full: BoolArray = room <= FULL_WITHIN_SHARE * limit
    return is_full
