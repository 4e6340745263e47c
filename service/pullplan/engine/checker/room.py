"""How much is there of every resource for new work, and how much may each node make of a product? Worked out anew."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from pullplan.engine.calendar import bucket_dates, bucket_of, capacity_by_bucket
from pullplan.engine.checker.columns import BoolArray, FloatArray, IntArray
from pullplan.engine.checker.ground import Ground
from pullplan.engine.checker.needs import Needs
from pullplan.engine.model import Capability, CapacityException, PlanningFacts, ReleasedWork


@dataclass(frozen=True)
class Room:
    """Every node × resource, then every share limit, in the order of their codes; arrays are (n_rows, n_buckets).

    A share limit is a store: all that may be started is there from the beginning.
    """

    keys: tuple[tuple[str, str], ...]
    """Node and resource."""
    row: dict[tuple[str, str], int]
    """By node and resource."""
    share_row: dict[tuple[str, str], int]
    """By node and product."""
    is_stored: BoolArray
    """(n_rows,)"""
    calendar: FloatArray
    released: FloatArray
    allowed: FloatArray
    """What new work may take: renewed in the bucket, stored from the first bucket up to the end of this one."""
    used_row: IntArray
    used: FloatArray
    """(n_capabilities, most rows that one uses): how much of which rows one good unit takes; else 0 of row 0."""


def survey_room(ground: Ground, needs: Needs) -> Room:
    """Work out what is there, and what one unit of each capability takes of it."""
    facts = ground.facts
    node = {n.node_code: n for n in facts.nodes}
    resource = {(r.node_code, r.resource_code): r for r in facts.resources}
    named = {
        *resource,
        *(
            (c.node_code, code)
            for c in facts.capabilities
            for code in (*c.use_per_unit, *c.setup_use_per_order)
        ),
    }
    keys = tuple(sorted(key for key in named if key[0] in node))
    row = {key: k for k, key in enumerate(keys)}
    exceptions: dict[tuple[str, str], list[CapacityException]] = defaultdict(list)
    for exception in facts.capacity_exceptions:
        exceptions[exception.node_code, exception.resource_code].append(exception)
    shares = _share_limits(ground, needs)
    share_row = {key: len(keys) + k for k, key in enumerate(sorted(shares))}
    calendar = np.zeros((len(keys) + len(shares), ground.n_buckets))
    for key, k in share_row.items():
        calendar[k, 0] = shares[key]
    for key, k in row.items():
        if key in resource:
            calendar[k] = capacity_by_bucket(
                resource[key],
                exceptions[key],
                node[key[0]],
                facts.horizon,
                facts.parameters.earliest_start_date,
            )
    stored = [key in resource and resource[key].kind == "stored" for key in keys] + [True] * len(shares)
    is_stored = np.array(stored, dtype=np.bool_)
    released = _released(facts, row, share_row, calendar.shape)
    allowed = _allowed(calendar, released, is_stored)
    used_row, used = _use(ground.capabilities.rows, row, share_row)
    return Room(keys, row, share_row, is_stored, calendar, released, allowed, used_row, used)


def _use(
    capabilities: Sequence[Capability],
    row: Mapping[tuple[str, str], int],
    share_row: Mapping[tuple[str, str], int],
) -> tuple[IntArray, FloatArray]:
    most = 1 + max((len(c.use_per_unit) for c in capabilities), default=0)
    used_row = np.zeros((len(capabilities), most), dtype=np.int64)
    used = np.zeros((len(capabilities), most))
    for c, capability in enumerate(capabilities):
        for j, (code, amount) in enumerate(capability.use_per_unit.items()):
            used_row[c, j] = row[capability.node_code, code]
            used[c, j] = amount / capability.yield_share
        share = share_row.get((capability.node_code, capability.product_code))
        if share is not None:
            used_row[c, -1] = share
            used[c, -1] = 1 / capability.yield_share
    return used_row, used


def _released(
    facts: PlanningFacts,
    row: Mapping[tuple[str, str], int],
    share_row: Mapping[tuple[str, str], int],
    shape: tuple[int, ...],
) -> FloatArray:
    """Add up what released work takes in its start bucket; what started before the horizon took it then."""
    released = np.zeros(shape)
    for work, start, made in _kept_work(facts):
        if made is None:
            continue
        started_units = work.units / made.yield_share
        for resource_code, use in made.use_per_unit.items():
            if (work.node_code, resource_code) in row:
                released[row[work.node_code, resource_code], start] += use * started_units
        if (work.node_code, work.product_code) in share_row:
            released[share_row[work.node_code, work.product_code], start] += started_units
    return released


def _allowed(calendar: FloatArray, released: FloatArray, is_stored: BoolArray) -> FloatArray:
    renewed = np.maximum(0.0, calendar - released)
    left = np.maximum(0.0, np.cumsum(calendar - released, axis=1))
    # Nothing may be taken that released work of a later bucket still needs.
    stored = np.minimum.accumulate(left[:, ::-1], axis=1)[:, ::-1]
    return np.where(is_stored[:, None], stored, renewed)


def _kept_work(facts: PlanningFacts) -> Iterator[tuple[ReleasedWork, int, Capability | None]]:
    """List the released work of the horizon with its start bucket and what its node can do of it.

    What starts inside the frozen buckets stays; later work only where its node could start it.
    """
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    dates = bucket_dates(facts.horizon)
    product = {p.product_code: p for p in facts.products}
    capability = {(c.node_code, c.product_code): c for c in facts.capabilities}
    for work in facts.released_work:
        start = bucket_of(work.start_date, facts.horizon)
        if not 0 <= start < facts.horizon.horizon_buckets:
            continue
        made, goods = capability.get((work.node_code, work.product_code)), product.get(work.product_code)
        # Its bucket's days from as_of on, all of which lie inside the dates if the first and the last one do.
        first = max(dates[start], facts.horizon.as_of_date)
        last = dates[start + 1] - timedelta(days=1)
        can_make = (
            made is not None
            and made.qualified
            and work.node_code not in offline
            and all(
                (dated.effective_from is None or dated.effective_from <= first)
                and (dated.effective_until is None or last < dated.effective_until)
                for dated in (made, goods)
                if dated is not None
            )
        )
        if start < facts.parameters.frozen_buckets or can_make:
            yield work, start, made


def _share_limits(ground: Ground, needs: Needs) -> dict[tuple[str, str], float]:
    """Limit by node and product the units that may be started over the horizon, released work included."""
    facts, capabilities = ground.facts, ground.capabilities
    default = facts.parameters.largest_share
    limited = {
        p: default if product.largest_share is None else product.largest_share
        for p, product in enumerate(ground.products)
        if default is not None or product.largest_share is not None
    }
    if not limited:
        return {}
    can_ship = ~ground.is_offline & ~ground.is_store & ground.lanes.usable.any(axis=1)
    usable = capabilities.qualified & can_ship[capabilities.node] & capabilities.may_start.any(axis=1)
    released: dict[int, list[float]] = defaultdict(list)
    for work, _, _ in _kept_work(facts):
        released[ground.product.get(work.product_code, -1)].append(work.units)
    by_product = np.argsort(needs.product, kind="stable")
    ends = np.searchsorted(needs.product[by_product], np.arange(len(ground.products) + 1))
    limits: dict[tuple[str, str], float] = {}
    for p, largest_share in limited.items():
        units = needs.finite_units[by_product[ends[p] : ends[p + 1]]]
        total = math.fsum((*units.tolist(), *released[p]))
        ways = range(capabilities.first[p], capabilities.first[p + 1])
        makers = [capabilities.rows[c] for c in ways if usable[c]]
        if not makers or total <= 0:
            continue
        share = max(largest_share or 0.0, 1 / len(makers))
        if share < 1:
            lowest_yield = min(c.yield_share for c in makers)
            for c in makers:
                limits[c.node_code, c.product_code] = share * total / lowest_yield
    return limits
