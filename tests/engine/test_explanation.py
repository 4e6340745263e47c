"""Does every line say what it passed over, and every shortfall what it lacked?"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from tests.engine.instances import networks
from tests.engine.oracle import Way, ways_to_serve

from pullplan.engine.assignment import assign
from pullplan.engine.explanation import explain, resource_loads
from pullplan.engine.model import (
    Assignment,
    Capability,
    Horizon,
    Lane,
    Need,
    Node,
    PassedOver,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    ReleasedWork,
    Resource,
    Shortfall,
)
from pullplan.engine.options import CapacityKey, build_options

MONDAY = date(2021, 3, 1)
NODES = ("CLOSE", "FULL", "LATER", "LEARNER", "SHUT", "UNLINKED", "USED")
FACTS = PlanningFacts(
    horizon=Horizon(as_of_date=MONDAY, bucket="week", horizon_buckets=2),
    parameters=PlanParameters(lanes="given_only"),
    products=(Product(product_code="LOAF"), Product(product_code="ROLL")),
    regions=(Region(region_code="TOWN"),),
    nodes=tuple(Node(node_code=code, status="offline" if code == "SHUT" else "online") for code in NODES),
    resources=tuple(
        Resource(node_code=code, resource_code="oven", capacity_per_day=1.0 if code == "FULL" else 100.0)
        for code in NODES
    ),
    capabilities=tuple(
        Capability(
            node_code=code,
            product_code="LOAF",
            unit_cost=1.0,
            make_lead_time_days=14 if code == "LATER" else 0,
            use_per_unit={"oven": 1.0},
            qualified=code != "LEARNER",
        )
        for code in NODES
        if code != "CLOSE"
    ),
    lanes=tuple(
        Lane(
            node_code=code,
            region_code="TOWN",
            distance_km=10.0 * (n + 1),
            transit_days=0,
            freight_cost_per_unit=1.0,
            forbidden=code == "UNLINKED",
        )
        for n, code in enumerate(NODES)
    ),
)
NEED = Need(
    need_id=1, product_code="LOAF", region_code="TOWN", bucket=0, tier="order", units=20.0, latest_bucket=1
)


def changed(facts: PlanningFacts, **fields: Any) -> PlanningFacts:
    return msgspec.structs.replace(facts, **fields)


def without(*node_codes: str) -> PlanningFacts:
    """Take capabilities of some nodes away."""
    return changed(FACTS, capabilities=tuple(c for c in FACTS.capabilities if c.node_code not in node_codes))


def explained(facts: PlanningFacts, *needs: Need) -> tuple[tuple[Assignment, ...], tuple[Shortfall, ...]]:
    options = build_options(facts, needs or [NEED])
    return explain(options, assign(options))


def forced(
    passed: PassedOver, line: Assignment, per_unit: float, measure: str = "cost:nearest"
) -> PassedOver:
    return msgspec.structs.replace(
        passed,
        forcing_measure=measure,
        forcing_cost_per_unit=per_unit,
        forcing_cost=per_unit * line.units,
    )


def only_shortfall(facts: PlanningFacts, need: Need = NEED) -> Shortfall:
    assignments, shortfalls = explained(facts, need)
    assert assignments == ()
    assert len(shortfalls) == 1
    assert shortfalls[0].units == need.units
    return shortfalls[0]


def test_a_line_names_every_nearer_node_that_makes_the_product_and_why_not() -> None:
    assignments, shortfalls = explained(FACTS)
    assert shortfalls == ()
    full, used = assignments
    assert (full.node_code, full.units, full.distance_rank, full.passed_over) == ("FULL", 7.0, 1, ())
    assert (used.node_code, used.units, used.distance_rank) == ("USED", 13.0, 3)
    assert used.cost_per_unit == used.distance_km == 70.0
    assert used.passed_over == (
        forced(
            PassedOver(node_code="FULL", cause="at_capacity", distance_km=20.0, capacity_price=50.0),
            used,
            0.0,
        ),
        PassedOver(node_code="LATER", cause="too_late", distance_km=30.0),
        PassedOver(node_code="LEARNER", cause="not_qualified", distance_km=40.0),
        PassedOver(node_code="SHUT", cause="offline", distance_km=50.0),
        PassedOver(node_code="UNLINKED", cause="no_lane", distance_km=60.0),
    )


@pytest.mark.parametrize(
    ("released_units", "cause"),
    [(5.0, "at_capacity"), (6.5, "keeps_released_work"), (7.0, "keeps_released_work")],
)
def test_a_node_whose_released_work_has_the_room_that_a_line_wants_says_so(
    released_units: float, cause: str
) -> None:
    work = ReleasedWork(
        work_order_id="W",
        product_code="LOAF",
        region_code="TOWN",
        node_code="FULL",
        units=released_units,
        start_date=MONDAY,
        arrival_date=MONDAY,
    )
    # One order is served by FULL where that has room; of the other, 6.2 units, the rest would have to fit as well.
    needs = [
        msgspec.structs.replace(NEED, units=7.0 - released_units or 0.1),
        msgspec.structs.replace(NEED, need_id=2, units=6.2),
    ]
    facts = changed(FACTS, released_work=(work,))
    lines, _ = explained(facts, *needs)
    used = next(line for line in lines if line.node_code == "USED" and line.need_id == 2)
    passed = next(p for p in used.passed_over if p.node_code == "FULL")
    assert (passed.cause, passed.capacity_price) == (cause, 50.0)


def possible_causes(
    c: Capability,
    lane: Lane | None,
    best: Sequence[Way],
    line: Assignment,
    *,
    is_late: bool,
    offline: Collection[str],
) -> set[str]:
    """Tell what rules a node out first; several only where several of its options are equally good."""
    if not c.qualified:
        return {"not_qualified"}
    if c.node_code in offline:
        return {"offline"}
    if lane is None or lane.forbidden:
        return {"no_lane"}
    if is_late:
        return {"too_late"}
    return {"costs_more" if way.cost > line.cost_per_unit + 1e-6 else "at_capacity" for way in best}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_lines_pass_over_what_plain_loops_over_lanes_and_ways_find(
    network: tuple[PlanningFacts, list[Need]],
) -> None:
    facts, needs = network
    options = build_options(facts, needs)
    solution = assign(options)
    cost_prices = next(p for p in solution.stage_prices if p.measure.startswith("cost:")).capacity
    price_of = dict(zip(options.capacities.keys, cost_prices.tolist(), strict=True))
    saving_of = dict(zip(options.capacities.keys, solution.capacity_savings.tolist(), strict=True))
    need_of = {need.need_id: need for need in needs}
    lane_of = {(lane.node_code, lane.region_code): lane for lane in facts.lanes}
    offline = {node.node_code for node in facts.nodes if node.status == "offline"}
    all_ways = ways_to_serve(facts, needs)

    def taken(way: Way, rate_of: dict[CapacityKey, list[float]]) -> float:
        uses = way.capability.use_per_unit.items()
        return sum(
            use * rate_of[CapacityKey(way.capability.node_code, code)][way.start] for code, use in uses
        )

    for line in explain(options, solution)[0]:
        need = need_of[line.need_id]
        line_is_late = max(0, line.arrival_bucket - need.bucket)
        found = {passed.node_code: passed for passed in line.passed_over}
        assert list(found) == sorted(found)
        for c in facts.capabilities:
            if c.product_code != need.product_code or c.node_code == line.node_code:
                continue
            lane = lane_of.get((c.node_code, need.region_code))
            ways = [way for way in all_ways if way.need is need and way.capability is c]
            keys = [(way.late, way.cost + taken(way, price_of)) for way in ways]
            late, dear = min(keys, default=(0, 0.0))
            best = [way for way, key in zip(ways, keys, strict=True) if key <= (late, dear + 1e-9)]
            is_nearer = lane is not None and (lane.distance_km, c.node_code) < (
                line.distance_km,
                line.node_code,
            )
            is_by_cost = facts.parameters.objective == "landed_cost"
            cheaper = [way.cost < line.cost_per_unit - 1e-6 for way in best]
            passed = found.pop(c.node_code, None)
            if not is_nearer and not (is_by_cost and any(cheaper)):
                assert passed is None or is_by_cost
                continue
            if passed is None:
                assert not is_nearer
                assert not all(cheaper)  # of ways that tie at the prices, the dearer was looked at
                continue
            assert (passed.forcing_measure is None) == (passed.forcing_cost is None) == (not ways)
            is_late = not ways or best[0].late > line_is_late
            cause: str = passed.cause
            if cause == "keeps_released_work":
                assert c.node_code in {work.node_code for work in facts.released_work}
                cause = "at_capacity"  # with the node's own work in the way
            assert cause in possible_causes(c, lane, best, line, is_late=is_late, offline=offline)
            if cause == "at_capacity":
                assert any(taken(way, saving_of) == pytest.approx(passed.capacity_price) for way in best)
            else:
                assert passed.capacity_price is None
        assert found == {}


def test_lines_are_numbered_by_need_node_and_start() -> None:
    assignments, _ = explained(FACTS, NEED, msgspec.structs.replace(NEED, need_id=2, bucket=1))
    assert [line.assignment_id for line in assignments] == list(range(1, len(assignments) + 1))
    keys = [(line.need_id, line.node_code, line.start_bucket) for line in assignments]
    assert keys == sorted(keys)


def test_a_nearer_node_that_could_only_arrive_later_than_the_line_is_too_late() -> None:
    slow = tuple(
        msgspec.structs.replace(c, make_lead_time_days=7 if c.node_code == "FULL" else 0)
        for c in FACTS.capabilities
    )
    (line,) = explained(changed(FACTS, capabilities=slow), msgspec.structs.replace(NEED, units=5.0))[0]
    assert line.node_code == "LATER"
    late = PassedOver(node_code="FULL", cause="too_late", distance_km=20.0)
    assert line.passed_over == (forced(late, line, 1.0, "lateness_unit_buckets"),)


def test_landed_cost_tells_nearer_but_dearer_nodes_from_cheaper_but_full_ones() -> None:
    unit_cost = {"FULL": 1.0, "LATER": 9.0, "USED": 5.0}
    facts = changed(
        FACTS,
        parameters=PlanParameters(lanes="given_only", objective="landed_cost"),
        capabilities=tuple(
            msgspec.structs.replace(c, unit_cost=unit_cost[c.node_code], make_lead_time_days=0)
            for c in FACTS.capabilities
            if c.node_code in unit_cost
        ),
    )
    lines = {line.node_code: line for line in explained(facts)[0]}
    assert set(lines) == {"FULL", "USED"}
    assert lines["FULL"].passed_over == ()
    used = lines["USED"]
    full = PassedOver(node_code="FULL", cause="at_capacity", distance_km=20.0, capacity_price=4.0)
    later = PassedOver(node_code="LATER", cause="costs_more", distance_km=30.0)
    assert used.passed_over == (
        forced(full, used, 0.0, "cost:landed_cost"),
        forced(later, used, 10.0 - 6.0, "cost:landed_cost"),
    )


def test_landed_cost_also_names_cheaper_nodes_that_are_farther() -> None:
    facts = changed(
        FACTS,
        parameters=PlanParameters(lanes="given_only", objective="landed_cost"),
        resources=tuple(
            msgspec.structs.replace(r, capacity_per_day=1.0 if r.node_code == "USED" else 100.0)
            for r in FACTS.resources
        ),
        capabilities=tuple(
            msgspec.structs.replace(c, unit_cost=1.0 if c.node_code == "USED" else 3.0)
            for c in FACTS.capabilities
            if c.node_code in {"FULL", "USED"}
        ),
    )
    lines = {line.node_code: line for line in explained(facts)[0]}
    used = PassedOver(node_code="USED", cause="at_capacity", distance_km=70.0, capacity_price=2.0)
    assert lines["FULL"].passed_over == (forced(used, lines["FULL"], 0.0, "cost:landed_cost"),)


def test_a_product_that_no_node_makes_has_no_capable_node() -> None:
    shortfall = only_shortfall(FACTS, msgspec.structs.replace(NEED, product_code="ROLL"))
    assert (shortfall.reason, shortfall.detail) == ("no_capable_node", "no node can make ROLL")


@pytest.mark.parametrize(
    ("taken_away", "reason", "detail"),
    [
        (
            ("FULL", "LATER", "SHUT", "UNLINKED", "USED"),
            "not_qualified",
            "LEARNER can make LOAF, but is not qualified for it",
        ),
        (
            ("FULL", "LATER", "UNLINKED", "USED"),
            "offline",
            "every node that is qualified for LOAF is offline: SHUT",
        ),
        (("FULL", "LATER", "USED"), "no_lane", "no lane leads to TOWN from UNLINKED"),
        (
            ("FULL", "USED"),
            "too_late",
            (
                "the soonest that new work can reach TOWN is the week of 2021-03-15 from LATER; "
                "it had to arrive by the week of 2021-03-08"
            ),
        ),
    ],
)
def test_a_shortfall_names_the_first_thing_that_rules_every_node_out(
    taken_away: tuple[str, ...], reason: str, detail: str
) -> None:
    shortfall = only_shortfall(without(*taken_away))
    assert (shortfall.reason, shortfall.detail) == (reason, detail)


def test_a_shortfall_at_capacity_names_what_is_full_and_when() -> None:
    _, (shortfall,) = explained(without("USED"))
    assert shortfall.units == pytest.approx(6.0)
    assert shortfall.reason == "at_capacity"
    assert shortfall.detail == (
        "no capacity is left that could serve TOWN with LOAF by the week of 2021-03-08: "
        "FULL (oven full from the week of 2021-03-01 to the week of 2021-03-08)"
    )


def test_a_resource_without_any_capacity_is_named_as_such() -> None:
    needs_salt = tuple(
        msgspec.structs.replace(c, use_per_unit={"oven": 1.0, "salt": 1.0}) for c in FACTS.capabilities
    )
    detail = only_shortfall(changed(without("USED"), capabilities=needs_salt[:1])).detail
    assert detail.endswith("FULL (salt: no capacity)")


def test_many_full_nodes_are_counted_and_not_all_named() -> None:
    codes = [f"N{n}" for n in range(7)]
    facts = changed(
        FACTS,
        nodes=tuple(Node(node_code=code) for code in codes),
        resources=(),
        capabilities=tuple(
            Capability(node_code=code, product_code="LOAF", use_per_unit={"oven": 1.0}) for code in codes
        ),
        lanes=tuple(
            Lane(node_code=code, region_code="TOWN", distance_km=1.0, transit_days=0) for code in codes
        ),
    )
    assert only_shortfall(facts).detail.endswith("N3 (oven: no capacity) and 3 more nodes")


def test_loads_count_new_and_released_work() -> None:
    work = ReleasedWork(
        work_order_id="W",
        product_code="LOAF",
        region_code="TOWN",
        node_code="FULL",
        units=3.0,
        start_date=MONDAY,
        arrival_date=MONDAY,
    )
    options = build_options(changed(FACTS, released_work=(work,)), [NEED])
    loads = {(w.node_code, w.bucket): w for w in resource_loads(options, assign(options))}
    assert len(loads) == len(NODES) * 2
    assert (loads["FULL", 0].capacity, loads["FULL", 0].used) == (7.0, 7.0)
    assert (loads["USED", 0].capacity, loads["USED", 0].used) == (700.0, 16.0)
    assert (loads["SHUT", 0].capacity, loads["SHUT", 0].used) == (0.0, 0.0)


def test_the_load_of_a_store_is_what_is_there_and_what_is_taken_of_it() -> None:
    store = Resource(
        node_code="USED", resource_code="oven", kind="stored", on_hand=15.0, capacity_per_day=1.0
    )
    facts = changed(without("FULL", "LATER"), resources=(store,))
    second = msgspec.structs.replace(NEED, need_id=2, bucket=1, units=5.0)
    options = build_options(facts, [NEED, second])
    loads = [w for w in resource_loads(options, assign(options)) if w.node_code == "USED"]
    assert [(w.capacity, w.used) for w in loads] == [(22.0, 20.0), (9.0, 5.0)]
