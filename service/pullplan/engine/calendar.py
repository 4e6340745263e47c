"""Which days make a bucket, how much capacity does it have, and when does work arrive?"""

import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise

from pullplan.engine.errors import HorizonInvalidError
from pullplan.engine.model import Bucket, CapacityException, Horizon, Node, Product, Resource

DAYS_PER_BUCKET: dict[Bucket, int] = {"day": 1, "week": 7}


def first_day_of_bucket(day: date, bucket: Bucket) -> date:
    """Find the bucket that a day lies in: the day itself, or its ISO week's Monday."""
    return day if bucket == "day" else day - timedelta(days=day.weekday())


def bucket_dates(horizon: Horizon, n_buckets: int | None = None) -> list[date]:
    """List the first days of buckets 0 … n−1 (default: the horizon's), then the day after the last one.

    Shapes: (n_buckets + 1,)
    Raises: HorizonInvalidError for a horizon of no bucket.
    """
    count = horizon.horizon_buckets if n_buckets is None else n_buckets
    if count < 1:
        raise HorizonInvalidError(f"a horizon of {count} buckets holds nothing to plan")
    first = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    step = timedelta(days=DAYS_PER_BUCKET[horizon.bucket])
    return [first + b * step for b in range(count + 1)]


def bucket_of(day: date, horizon: Horizon) -> int:
    """Number the bucket that a day lies in; negative before as_of's bucket, past due included."""
    first = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    return (day - first).days // DAYS_PER_BUCKET[horizon.bucket]


def buckets_of_shelf_life(product: Product, bucket: Bucket) -> int | None:
    """Count the whole buckets that a product may lie from its arrival to when it is due; None: for ever."""
    days = product.shelf_life_days
    return None if days is None else days // DAYS_PER_BUCKET[bucket]


def effective_starts(
    effective: Iterable[tuple[date | None, date | None]], horizon: Horizon, earliest_start: date | None = None
) -> tuple[int, int]:
    """Number the first and the last bucket in which work may start inside every one of some date ranges.

    Work of a bucket may start on any of its days from as_of (or the earliest start) on: all of them must lie inside.
    The first is beyond the last where there is no such bucket.
    """
    opens = max(horizon.as_of_date, earliest_start or horizon.as_of_date)
    days = DAYS_PER_BUCKET[horizon.bucket]
    origin = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    first, last = bucket_of(opens, horizon), horizon.horizon_buckets - 1
    for from_date, until_date in effective:
        if from_date is not None and from_date > opens:
            first = max(first, -((origin - from_date).days // days))
        if until_date is not None:
            last = min(last, (until_date - origin).days // days - 1)
    return first, last


def remaining_share_of_bucket_0(horizon: Horizon) -> float:
    """Tell which share of bucket 0's days is still to come, as_of's own day included."""
    days = DAYS_PER_BUCKET[horizon.bucket]
    gone = (horizon.as_of_date - first_day_of_bucket(horizon.as_of_date, horizon.bucket)).days
    return (days - gone) / days


def arrival_bucket(start_bucket: int, make_lead_time_days: int, transit_days: int, bucket: Bucket) -> int:
    """Find where work of a start bucket arrives: its last day + make lead time + transit.

    Source: the planning model, section 1 (`arrival_rule` last day).
    """
    days = DAYS_PER_BUCKET[bucket]
    last_day = start_bucket * days + days - 1
    return (last_day + make_lead_time_days + transit_days) // days


def capacity_by_bucket(
    resource: Resource,
    exceptions: Sequence[CapacityException],
    node: Node,
    horizon: Horizon,
    earliest_start_date: date | None = None,
) -> list[float]:
    """Sum a resource's capacity over the days of each bucket, days before as_of (or the earliest start) left out.

    `exceptions` are those of this resource; where several cover a day, the one that starts last wins. A `stored`
    resource's list is what arrives in each bucket, its on_hand in bucket 0. Offline nodes have nothing.

    Shapes: (horizon_buckets,)
    """
    dates = bucket_dates(horizon)
    opens = max(horizon.as_of_date, earliest_start_date or horizon.as_of_date)
    share = {"online": 1.0, "degraded": node.capacity_share, "offline": 0.0}[node.status]
    by_start = sorted(exceptions, key=lambda e: e.from_date, reverse=True)
    capacity = []
    for first, end in pairwise(dates):
        by_day = []
        for offset in range((end - first).days):
            day = first + timedelta(days=offset)
            if day < (opens if resource.kind == "renewed" else horizon.as_of_date):
                continue
            override = next((e for e in by_start if e.from_date <= day < e.until_date), None)
            if override is not None:
                by_day.append(override.capacity_per_day)
            elif day.isoweekday() in resource.working_weekdays:
                by_day.append(resource.capacity_per_day)
        # Rounded once: seven sevenths of a week must be the week.
        capacity.append(math.fsum(by_day))
    if resource.kind == "stored":
        capacity[0] += resource.on_hand
        return capacity if node.status != "offline" else [0.0] * len(capacity)
    return [total * share for total in capacity]
