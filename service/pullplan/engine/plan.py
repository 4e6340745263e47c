"""What is the plan for these facts? Net, lay out options, assign, certify, explain, and add up the figures."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Any

import msgspec

from pullplan.engine.assignment import Spread, assign, here
from pullplan.engine.certificate import capacity_prices, certify
from pullplan.engine.explanation import blame_the_stop, explain, resource_loads
from pullplan.engine.lots import cut_into_lots
from pullplan.engine.model import (
    Assignment,
    CapacityPrice,
    DailyUnits,
    Fact,
    Figures,
    Forecast,
    LotFigures,
    Need,
    Plan,
    PlanningFacts,
    ProductionOrder,
    Progress,
    ResourceLoad,
    Shortfall,
    Stability,
    Stage,
)
from pullplan.engine.netting import net, refuse_broken_pins
from pullplan.engine.options import build_options

LINES_AT_ONCE = 10_000
"""Encoded together for a hash."""
ARRAY_HEADER, MAP_HEADER = (0x90, 0xDC, 0xDD), (0x80, 0xDE, 0xDF)
"""Of msgpack: up to 15 members, 16 bits, 32 bits."""

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def make_plan(
    facts: PlanningFacts,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    spread: Spread = here,
) -> Plan:
    """Turn facts into a plan with its proof and its reasons; in whatever order the facts are given.

    `progress` hears the step, the share of it that is done and, while assigning, how far the search is. Once
    `should_stop` says so, the best plan found by then has to do: it is feasible, and its bounds hold.
    `spread` lends workers to the search; how many there are changes nothing in the plan.

    Raises: PinInfeasibleError where a pin can't be kept; AssignmentFailedError when the solver fails.
    """
    tell = progress or (lambda _step, _done_share, _search=None: None)
    facts = in_canonical_order(facts)
    tell("netting", 0.0)
    needs = net(facts)
    tell("assigning", 0.0)
    options = build_options(facts, needs)
    relaxation = assign(
        options,
        lambda search: tell(search.step, search.done_share, search),
        should_stop=should_stop,
        spread=spread,
    )
    lots = cut_into_lots(
        options,
        relaxation,
        lambda search: tell("cutting into lots", search.done_share, search),
        should_stop=should_stop,
    )
    solution = relaxation if lots is None else lots.solution
    tell("explaining", 0.0)
    stages = certify(options, relaxation, None if lots is None else lots.values)
    prices = capacity_prices(options, solution)
    assignments, shortfalls = explain(options, solution, lots)
    refuse_broken_pins(facts, needs, shortfalls)
    if not solution.is_complete:
        assignments = tuple(map(blame_the_stop, assignments))
    loads = resource_loads(options, solution, lots)
    orders = () if lots is None else lots.production_orders
    figures = add_up(needs, assignments, shortfalls, loads)
    if lots is not None:
        figures = msgspec.structs.replace(figures, lots=add_up_lots(orders, stages))
    return Plan(
        method=solution.method if lots is None else f"{solution.method}; {lots.method}",
        reproducible=solution.is_complete,
        snapshot_hash=hash_in_order(facts),
        plan_hash=plan_hash(needs, assignments, shortfalls, prices, stages, orders=orders),
        needs=needs,
        assignments=assignments,
        shortfalls=shortfalls,
        stages=stages,
        prices=prices,
        loads=loads,
        figures=figures,
        tie_break=solution.tie_break,
        production_orders=orders,
    )


def add_up(
    needs: Sequence[Need],
    assignments: Sequence[Assignment],
    shortfalls: Sequence[Shortfall],
    loads: Sequence[ResourceLoad],
) -> Figures:
    """Add up what a planner reads first; a share is None where there is nothing to take it of."""
    bucket_of_need = {need.need_id: need.bucket for need in needs}
    needs_units = math.fsum([n.units for n in needs])
    assigned_units = math.fsum([a.units for a in assignments])
    unit_km = math.fsum([a.units * a.distance_km for a in assignments])
    untimely = [
        (a.units, buckets)
        for a in assignments
        if (buckets := a.arrival_bucket - bucket_of_need[a.need_id]) != 0
    ]
    renewed = [load for load in loads if load.kind == "renewed"]
    return Figures(
        needs_units=needs_units,
        assigned_units=assigned_units,
        shortfall_units=math.fsum(s.units for s in shortfalls),
        served_share=_share(assigned_units, needs_units),
        nearest_share=_share(
            math.fsum([a.units for a in assignments if a.distance_rank == 1]), assigned_units
        ),
        unit_km=unit_km,
        km_per_unit=_share(unit_km, assigned_units),
        late_unit_buckets=math.fsum(units * max(0, buckets) for units, buckets in untimely),
        early_unit_buckets=math.fsum(units * max(0, -buckets) for units, buckets in untimely),
        capacity_use_share=_share(
            math.fsum(load.used for load in renewed), math.fsum(load.capacity for load in renewed)
        ),
        n_needs=len(needs),
        n_assignments=len(assignments),
        n_shortfalls=len(shortfalls),
    )


def add_up_lots(orders: Sequence[ProductionOrder], stages: Sequence[Stage]) -> LotFigures:
    """Add up what lots do to a plan."""
    surplus_units = math.fsum(order.surplus_units for order in orders)
    return LotFigures(
        n_production_orders=len(orders),
        n_lots=sum(order.n_lots + order.n_smaller_lots for order in orders),
        surplus_units=surplus_units,
        surplus_share=_share(surplus_units, math.fsum(order.units for order in orders)),
        price_of_lots=next(stage.price_of_lots for stage in stages if stage.measure.startswith("cost:")),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


# --- equal for equal -----------------------------------------------------------------------------------------


def plan_hash(
    needs: Sequence[Need],
    assignments: Sequence[Assignment],
    shortfalls: Sequence[Shortfall],
    prices: Sequence[CapacityPrice],
    stages: Sequence[Stage],
    *,
    orders: Sequence[ProductionOrder] = (),
    stability: Stability | None = None,
) -> str:
    """Name a plan by what it says, its orders where it has any, and a re-plan by what it holds as well."""
    said = [needs, assignments, shortfalls, prices, stages]
    said += [orders] if orders else []
    return _sha256([*said, stability] if stability is not None else said)


def snapshot_hash(facts: Fact) -> str:
    """Name facts by their content: the same in whatever order they were gathered."""
    return hash_in_order(in_canonical_order(facts))


def hash_in_order(facts: Fact) -> str:
    """Name facts that are in canonical order."""
    return _sha256(facts)


def in_canonical_order[F: Fact](facts: F) -> F:
    """Order every collection of facts by what its members say, codes first."""
    changes = {name: _in_order(getattr(facts, name)) for name in facts.__struct_fields__}
    return msgspec.structs.replace(facts, **changes)


def _in_order(value: Any) -> Any:
    match value:
        case tuple():
            return tuple(sorted(value, key=_ENCODER.encode))
        case Forecast():
            return msgspec.structs.replace(value, series=_in_order(value.series))
        case DailyUnits():
            rows = sorted(zip(value.product_codes, value.region_codes, value.days, value.units, strict=True))
            columns = zip(*rows, strict=True) if rows else ((), (), (), ())
            return DailyUnits(**dict(zip(value.__struct_fields__, columns, strict=True)))
        case _:
            return value


def _sha256(content: Any) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(content):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(content: Any, *, is_whole: bool = True) -> Iterator[bytes]:
    """Cut content's encoding up: a million lines would take hundreds of megabytes at once."""
    match content:
        case tuple():
            yield _header(len(content), ARRAY_HEADER)
            if is_whole:
                for part in content:
                    yield from _pieces(part, is_whole=False)
            else:
                for batch in batched(content, LINES_AT_ONCE):
                    yield _ENCODER.encode(batch)[len(_header(len(batch), ARRAY_HEADER)) :]
        case Fact() if is_whole:
            yield _header(len(content.__struct_fields__), MAP_HEADER)
            for name in content.__struct_fields__:
                yield _ENCODER.encode(name)
                yield from _pieces(getattr(content, name), is_whole=False)
        case _:
            yield _ENCODER.encode(content)


def _header(n: int, codes: tuple[int, int, int]) -> bytes:
    """Write what msgpack writes before n members."""
    few, many, most = codes
    if n < 1 << 4:
        return bytes([few | n])
    return bytes([many]) + n.to_bytes(2) if n < 1 << 16 else bytes([most]) + n.to_bytes(4)
