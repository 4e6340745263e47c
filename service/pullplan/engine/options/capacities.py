"""How much of every resource is there in every bucket, and what has released work taken of it?"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import bucket_of, capacity_by_bucket
from pullplan.engine.model import CapacityException, PlanningFacts

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Capacities:
    """Every node × resource, ordered by code; arrays are (n_resources, n_buckets).

    A resource that a capability uses and the node does not have stands here with capacity 0.
    """

    keys: tuple[tuple[str, str], ...]
    """(node_code, resource_code)."""
    is_stored: BoolArray
    """(n_resources,): what is not used in a bucket stays for the next."""
    calendar: FloatArray
    """What there is (renewed) or what arrives (stored) in each bucket."""
    released_use: FloatArray
    """What released work takes in its start bucket."""
    available: FloatArray
    """What new work may take: renewed in that bucket, stored from that bucket on. Never negative."""


def build_capacities(facts: PlanningFacts) -> Capacities:
    """Lay the capacity calendars out by bucket and take away what released work needs."""
    resources = {(r.node_code, r.resource_code): r for r in facts.resources}
    used = {(c.node_code, code) for c in facts.capabilities for code in c.use_per_unit}
    nodes = {node.node_code: node for node in facts.nodes}
    keys = tuple(key for key in sorted(resources.keys() | used) if key[0] in nodes)
    exceptions: dict[tuple[str, str], list[CapacityException]] = defaultdict(list)
    for exception in facts.capacity_exceptions:
        exceptions[exception.node_code, exception.resource_code].append(exception)
    n_buckets = facts.horizon.horizon_buckets
    calendar = np.zeros((len(keys), n_buckets))
    for k, key in enumerate(keys):
        if key in resources:
            calendar[k] = capacity_by_bucket(
                resources[key],
                exceptions[key],
                nodes[key[0]],
                facts.horizon,
                facts.parameters.earliest_start_date,
            )
    is_stored = np.array([key in resources and resources[key].kind == "stored" for key in keys], dtype=bool)
    released_use = _released_use(facts, keys, n_buckets)
    return Capacities(
        keys=keys,
        is_stored=is_stored,
        calendar=calendar,
        released_use=released_use,
        available=_available(calendar, released_use, is_stored),
    )


def _released_use(facts: PlanningFacts, keys: tuple[tuple[str, str], ...], n_buckets: int) -> FloatArray:
    row_of = {key: k for k, key in enumerate(keys)}
    capability_of = {(c.node_code, c.product_code): c for c in facts.capabilities}
    released_use = np.zeros((len(keys), n_buckets))
    for work in sorted(facts.released_work, key=lambda w: w.work_order_id):
        start = bucket_of(work.start_date, facts.horizon)
        capability = capability_of.get((work.node_code, work.product_code))
        # What started before bucket 0 took its capacity then.
        if capability is None or not 0 <= start < n_buckets:
            continue
        for resource_code, use in sorted(capability.use_per_unit.items()):
            row = row_of.get((work.node_code, resource_code))
            if row is not None:
                released_use[row, start] += use * work.units
    return released_use


def _available(calendar: FloatArray, released_use: FloatArray, is_stored: BoolArray) -> FloatArray:
    renewed = np.maximum(0.0, calendar - released_use)
    # New work may take of a store only what no later bucket's released work still needs.
    left = np.maximum(0.0, np.cumsum(calendar - released_use, axis=1))
    reserved = np.minimum.accumulate(left[:, ::-1], axis=1)[:, ::-1]
    stored = np.diff(reserved, axis=1, prepend=0.0)
    return np.where(is_stored[:, None], stored, renewed)
