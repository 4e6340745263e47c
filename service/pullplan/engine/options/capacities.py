"""How much of every resource, and of every share limit, is there in every bucket, and what has released work taken of it?"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import bucket_of, capacity_by_bucket
from pullplan.engine.model import Capability, CapacityException, PlanningFacts
from pullplan.engine.options.shares import ShareLimit
from pullplan.engine.released import kept_work

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class CapacityKey(NamedTuple):
    """What a row of capacities is of: a node's resource, or a node's share of a product."""

    node_code: str
    resource_code: str | None = None
    product_code: str | None = None


@dataclass(frozen=True)
class Capacities:
    """Every node × resource, then every share limit, each ordered by code; arrays are (n_resources, n_buckets).

    A resource that a capability uses and the node does not have stands here with capacity 0. A share limit is a stored
    resource with all of it on hand at the start, of which a unit of the product takes what must be started for it. So it
    needs one price and one row, at the horizon's end.
    """

    keys: tuple[CapacityKey, ...]
    is_stored: BoolArray
    """(n_resources,): what is not used in a bucket stays for the next."""
    is_share: BoolArray
    """(n_resources,): a share limit; it is stored as well."""
    calendar: FloatArray
    """What there is (renewed) or what arrives (stored) in each bucket."""
    released_use: FloatArray
    """What released work takes in its start bucket."""
    available: FloatArray
    """What new work may take: renewed in that bucket, stored from that bucket on. Never negative."""
    others_use: FloatArray | float = 0.0
    """What needs that are not looked at take; it is no longer available."""


def build_capacities(facts: PlanningFacts, shares: Sequence[ShareLimit] = ()) -> Capacities:
    """Lay the capacity calendars out by bucket, put share limits below, and take away what released work needs."""
    resources = {(r.node_code, r.resource_code): r for r in facts.resources}
    used = {
        (c.node_code, code) for c in facts.capabilities for code in (*c.use_per_unit, *c.setup_use_per_order)
    }
    nodes = {node.node_code: node for node in facts.nodes}
    keys = [CapacityKey(*key) for key in sorted(resources.keys() | used) if key[0] in nodes]
    exceptions: dict[tuple[str, str], list[CapacityException]] = defaultdict(list)
    for exception in facts.capacity_exceptions:
        exceptions[exception.node_code, exception.resource_code].append(exception)
    n_resources, n_buckets = len(keys), facts.horizon.horizon_buckets
    calendar = np.zeros((n_resources + len(shares), n_buckets))
    for k, (node_code, resource_code, _) in enumerate(keys):
        resource = resources.get((node_code, resource_code or ""))
        if resource is not None:
            calendar[k] = capacity_by_bucket(
                resource,
                exceptions[node_code, resource.resource_code],
                nodes[node_code],
                facts.horizon,
                facts.parameters.earliest_start_date,
            )
    calendar[n_resources:, 0] = [share.units for share in shares]
    keys += [CapacityKey(share.node_code, product_code=share.product_code) for share in shares]
    is_share = np.arange(len(keys)) >= n_resources
    stored = {key for key, resource in resources.items() if resource.kind == "stored"}
    is_stored = is_share | np.array([key[:2] in stored for key in keys], dtype=bool)
    released_use = _released_use(facts, keys, n_buckets)
    return Capacities(
        keys=tuple(keys),
        is_stored=is_stored,
        is_share=is_share,
        calendar=calendar,
        released_use=released_use,
        available=left_for_new_work(calendar - released_use, is_stored),
    )


def _released_use(facts: PlanningFacts, keys: Sequence[CapacityKey], n_buckets: int) -> FloatArray:
    row_of = {key: k for k, key in enumerate(keys)}
    capability_of = {(c.node_code, c.product_code): c for c in facts.capabilities}
    released_use = np.zeros((len(keys), n_buckets))
    for work in kept_work(facts):
        start = bucket_of(work.start_date, facts.horizon)
        capability = capability_of.get((work.node_code, work.product_code))
        # What started before bucket 0 took its capacity then.
        if capability is None or not 0 <= start < n_buckets:
            continue
        started_units = work.units / capability.yield_share
        for key, use in uses_per_started_unit(capability):
            if key in row_of:
                released_use[row_of[key], start] += use * started_units
    return released_use


def uses_per_started_unit(capability: Capability) -> list[tuple[CapacityKey, float]]:
    """List what one started unit may take of: the node's resources by code, then its share of the product."""
    node_code = capability.node_code
    return [
        *((CapacityKey(node_code, code), use) for code, use in sorted(capability.use_per_unit.items())),
        (CapacityKey(node_code, product_code=capability.product_code), 1.0),
    ]


def left_for_new_work(left: FloatArray, is_stored: BoolArray) -> FloatArray:
    """Tell what new work may take, given what other work leaves of what there is; below 0 where that takes too much.

    Shapes: (n_resources, n_buckets), (n_resources,) → (n_resources, n_buckets)
    """
    renewed = np.maximum(0.0, left)
    # New work may take of a store only what no later bucket's other work still needs.
    there = np.maximum(0.0, np.cumsum(left, axis=1))
    reserved = np.minimum.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    stored = np.diff(reserved, axis=1, prepend=0.0)
    return np.where(is_stored[:, None], stored, renewed)
