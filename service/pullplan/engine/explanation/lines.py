"""Which nearer or cheaper node does a line pass over, and for what cause?"""

from collections.abc import Iterator

from pullplan.engine.explanation.routes import Route, Routes, best_by_route
from pullplan.engine.explanation.shortage import explain_shortfalls
from pullplan.engine.model import Assignment, PassedOver, PassedOverCause, Shortfall
from pullplan.engine.options import Options, Solution

COST_TOLERANCE = 1e-7
"""Of the line's own cost: a smaller difference is rounding."""


def explain(options: Options, solution: Solution) -> tuple[tuple[Assignment, ...], tuple[Shortfall, ...]]:
    """Write every line and every shortfall down with its reasons, ordered by need, node and start bucket."""
    routes = best_by_route(options, solution)
    option_cost = options.option_cost
    assignments: list[Assignment] = []
    for option, units in zip(solution.option_index.tolist(), solution.units.tolist(), strict=True):
        capability = options.capabilities.rows[options.option_capability[option]]
        cost = float(option_cost[option])
        assignments.append(
            Assignment(
                assignment_id=len(assignments) + 1,
                need_id=options.needs[options.option_need[option]].need_id,
                node_code=capability.node_code,
                start_bucket=int(options.option_start_bucket[option]),
                arrival_bucket=int(options.option_arrival_bucket[option]),
                units=units,
                distance_km=float(options.option_distance_km[option]),
                cost_per_unit=cost,
                distance_rank=int(options.option_distance_rank[option]),
                passed_over=tuple(_passed_over(options, routes, option, cost, units)),
            )
        )
    return tuple(assignments), explain_shortfalls(options, solution)


def _passed_over(
    options: Options, routes: Routes, option: int, cost: float, units: float
) -> Iterator[PassedOver]:
    """Go through the product's other nodes that are nearer, or under landed cost cheaper, than the line's own."""
    need = int(options.option_need[option])
    own = int(options.option_capability[option])
    nodes = options.capabilities.node
    distances_km = options.lanes.distance_km[:, options.need_region[need]]
    own_place = (float(options.option_distance_km[option]), int(nodes[own]))
    by_cost = options.parameters.objective == "landed_cost"
    late = max(0, int(options.option_arrival_bucket[option]) - int(options.need_bucket[need]))
    for capability in options.capabilities.of_product[options.need_product[need]].tolist():
        distance_km = float(distances_km[nodes[capability]])
        route = routes.get((need, capability))
        is_nearer = (distance_km, int(nodes[capability])) < own_place
        is_cheaper = by_cost and route is not None and route.cost < cost * (1 - COST_TOLERANCE)
        if capability == own or not (is_nearer or is_cheaper):
            continue
        cause = _obstacle(options, capability, need) or _disadvantage(route, late, cost)
        yield PassedOver(
            node_code=options.capabilities.rows[capability].node_code,
            cause=cause,
            distance_km=distance_km,
            capacity_price=route.saving if route is not None and cause == "at_capacity" else None,
            forcing_measure=None if route is None else route.forcing_measure,
            forcing_cost_per_unit=None if route is None else route.forcing_cost_per_unit,
            forcing_cost=None if route is None else units * route.forcing_cost_per_unit,
        )


def _obstacle(options: Options, capability: int, need: int) -> PassedOverCause | None:
    """Tell what keeps a node from serving a need's region at all."""
    node = int(options.capabilities.node[capability])
    if not options.capabilities.rows[capability].qualified:
        return "not_qualified"
    if options.nodes[node].status == "offline":
        return "offline"
    if not options.lanes.usable[node, options.need_region[need]]:
        return "no_lane"
    return None


def _disadvantage(route: Route | None, late: int, cost: float) -> PassedOverCause:
    """Tell a node that would be later or dearer from one whose capacity is worth more elsewhere."""
    if route is None or route.late_buckets > late:
        return "too_late"
    return "costs_more" if route.cost > cost * (1 + COST_TOLERANCE) else "at_capacity"
