"""Plans to be re-planned, facts that changed, and what the best re-plan is by plain loops and scipy."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import numpy as np
from scipy.optimize import linprog
from tests.engine.oracle import Way, capacity_rows, ways_to_serve

from pullplan.engine.model import TIERS, Need, Order, Plan, PlanningFacts, PullPolicy, Stability

type Piece = tuple[Need, tuple[str, int] | None]
"""A part of a need as a need of its own, and the node and start bucket that hold it."""


def as_orders(facts: PlanningFacts, needs: Sequence[Need]) -> PlanningFacts:
    """Turn needs into orders due in their bucket, make to order."""
    days = 1 if facts.horizon.bucket == "day" else 7
    orders = tuple(
        Order(
            external_id=f"o{need.need_id}",
            product_code=need.product_code,
            region_code=need.region_code,
            ordered_units=need.units,
            due_date=facts.horizon.as_of_date + timedelta(days=days * need.bucket),
            priority=need.rank,
        )
        for need in needs
    )
    return msgspec.structs.replace(facts, orders=orders, policies=(PullPolicy(policy="make_to_order"),))


def shaken(facts: PlanningFacts, seed: int) -> PlanningFacts:
    """Let orders come, go and change, capacities rise and fall, nodes go and come back."""
    chance = np.random.default_rng(seed)
    orders = [order for order in facts.orders if chance.random() > 0.15]
    orders = [
        msgspec.structs.replace(order, ordered_units=float(chance.integers(1, 80)))
        if chance.random() < 0.2
        else order
        for order in orders
    ]
    if orders and chance.random() < 0.7:
        rank = int(chance.integers(0, 2))
        new = msgspec.structs.replace(orders[0], external_id="new", ordered_units=17.0, priority=rank)
        orders.append(new)
    resources = tuple(
        msgspec.structs.replace(r, capacity_per_day=r.capacity_per_day * float(chance.choice([0, 0.5, 1.5])))
        if chance.random() < 0.25
        else r
        for r in facts.resources
    )
    nodes = tuple(
        msgspec.structs.replace(node, status="offline" if node.status == "online" else "online")
        if chance.random() < 0.2
        else node
        for node in facts.nodes
    )
    return msgspec.structs.replace(facts, orders=tuple(orders), resources=resources, nodes=nodes)


def stability_of(plan: Plan) -> Stability:
    assert plan.stability is not None
    return plan.stability


def best_within(facts: PlanningFacts, plan: Plan, parent: Plan) -> list[float]:
    """Solve a re-plan's stages with every held line a need of its own; what a move has to save is in the cost stage.

    One horizon for both plans, daily buckets, every lane given.
    """
    pieces = _pieces(facts, plan, parent)
    if not pieces:
        return [0.0] * len(plan.stages)
    needs, holds = [need for need, _ in pieces], {id(need): hold for need, hold in pieces}
    ways = ways_to_serve(facts, needs)
    moved = [_is_move(holds[id(way.need)], way) for way in ways] + [
        float(hold is not None) for _, hold in pieces
    ]
    rows, limits, _ = capacity_rows(facts, ways)
    upper = [[*row, *[0.0] * len(needs)] for row in rows]
    stability = stability_of(plan)
    if stability.churn_budget_units is not None:
        upper.append(moved)
        limits.append(stability.churn_budget_units)
    served = [[float(way.need is need) for way in ways] + [float(n is need) for n in needs] for need in needs]
    values: list[float] = []
    for stage in _stages(facts, plan, needs, ways, moved):
        result = linprog(
            stage,
            A_ub=np.array(upper) if upper else None,
            b_ub=limits if upper else None,
            A_eq=np.array(served),
            b_eq=[need.units for need in needs],
            method="highs",
            options={"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
        )
        assert result.status == 0, result.message
        assert result.fun is not None
        values.append(max(0.0, float(result.fun)))
        upper.append(stage)
        limits.append(values[-1] + 1e-8 * max(1.0, values[-1]))
    return values


def _pieces(facts: PlanningFacts, plan: Plan, parent: Plan) -> list[Piece]:
    now = {(n.product_code, n.region_code, n.bucket, n.tier, n.rank): n for n in plan.needs}
    was = {n.need_id: (n.product_code, n.region_code, n.bucket, n.tier, n.rank) for n in parent.needs}
    possible = {(w.need.need_id, w.capability.node_code, w.start) for w in ways_to_serve(facts, plan.needs)}
    left = {need.need_id: need.units for need in plan.needs}
    pieces: list[Piece] = []
    for line in parent.assignments:
        need = now.get(was[line.need_id])
        if need is None or (need.need_id, line.node_code, line.start_bucket) not in possible:
            continue
        units = min(line.units, left[need.need_id])
        if units <= 1e-9:
            continue
        left[need.need_id] -= units
        is_held = line.assignment_id not in stability_of(plan).released_assignment_ids
        hold = (line.node_code, line.start_bucket) if is_held else None
        pieces.append((msgspec.structs.replace(need, units=units), hold))
    rest = [msgspec.structs.replace(n, units=left[n.need_id]) for n in plan.needs if left[n.need_id] > 1e-9]
    return pieces + [(need, None) for need in rest]


def _is_move(hold: tuple[str, int] | None, way: Way) -> float:
    return float(hold is not None and hold != (way.capability.node_code, way.start))


def _stages(
    facts: PlanningFacts, plan: Plan, needs: Sequence[Need], ways: Sequence[Way], moved: Sequence[float]
) -> list[list[float]]:
    value_of = {p.product_code: p.value_per_unit for p in facts.products}
    by_value = facts.parameters.shortfall_measure == "value"
    stages = []
    for tier, rank in sorted({(TIERS.index(need.tier), need.rank) for need in plan.needs}):
        weights = [
            (value_of[n.product_code] if by_value else 1.0) * ((n.tier, n.rank) == (TIERS[tier], rank))
            for n in needs
        ]
        stages.append([0.0] * len(ways) + weights)
    nothing = [0.0] * len(needs)
    cost = np.array([way.cost for way in ways] + nothing)
    return [
        *stages,
        [float(way.late) for way in ways] + nothing,
        list(cost + stability_of(plan).least_saving_per_unit * np.array(moved)),
        [float(way.early) for way in ways] + nothing,
    ]
