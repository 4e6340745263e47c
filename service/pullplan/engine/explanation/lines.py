"""Which nearer or cheaper node does a line pass over, and for what cause?"""

from collections.abc import Iterator

from pullplan.engine.explanation.routes import Route, Routes, best_by_route
from pullplan.engine.explanation.shortage import explain_shortfalls
from pullplan.engine.model import Assignment, PassedOver, PassedOverCause, Shortfall
from pullplan.engine.options import OptionRows, Options, Solution

COST_TOLERANCE = 1e-7
"""Of the line's own cost: a smaller difference is rounding."""


def explain(options: Options, solution: Solution) -> tuple[tuple[Assignment, ...], tuple[Shortfall, ...]]:
    """Write every line and every shortfall down with its reasons, ordered by need, node and start bucket."""
    routes = best_by_route(options, solution)
    lines = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    cost = lines.cost
    assignments: list[Assignment] = []
    for line, units in enumerate(solution.units.tolist()):
        assignments.append(
            Assignment(
                assignment_id=len(assignments) + 1,
                need_id=options.needs[lines.need[line]].need_id,
                node_code=options.capabilities.rows[lines.capability[line]].node_code,
                start_bucket=int(lines.start_bucket[line]),
                arrival_bucket=int(lines.arrival_bucket[line]),
                units=units,
                distance_km=float(lines.distance_km[line]),
                cost_per_unit=float(cost[line]),
                distance_rank=int(lines.distance_rank[line]),
                passed_over=tuple(_passed_over(options, routes, lines, line, units)),
            )
        )
    return tuple(assignments), explain_shortfalls(options, solution)


def _passed_over(
    options: Options, routes: Routes, lines: OptionRows, line: int, units: float
) -> Iterator[PassedOver]:
    """Go through the product's other nodes that are nearer, or under landed cost cheaper, than the line's own."""
    need = int(lines.need[line])
    own = int(lines.capability[line])
    nodes = options.capabilities.node
    distances_km = options.lanes.distance_km[:, options.need_region[need]]
    own_place = (float(lines.distance_km[line]), int(nodes[own]))
    by_cost = options.parameters.objective == "landed_cost"
    cost, late = float(lines.route_cost[line] + lines.holding_cost[line]), int(lines.late_buckets[line])
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
