"""Is the plan right where networks are at their edge, whichever way it is made, and does the checker agree?"""

import math
from collections.abc import Mapping, Sequence
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.instances import MONDAY, PUBLISHED, networks
from tests.engine.oracle import EARTH_RADIUS_KM
from tests.engine.planned import stated

from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.solving import assign_whole
from pullplan.engine.assignment.stages import FEASIBILITY_TOLERANCE
from pullplan.engine.checker import check
from pullplan.engine.model import (
    Capability,
    Horizon,
    Need,
    Node,
    Order,
    Plan,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
)
from pullplan.engine.options import build_options
from pullplan.engine.plan import make_plan

pytestmark = pytest.mark.usefixtures("few_needs_open_at_first")

type Places = Mapping[str, tuple[float, float]]

A_DEGREE_KM = EARTH_RADIUS_KM * math.pi / 180


def one_day(
    nodes: Places,
    regions: Places,
    *,
    capacity: Mapping[str, float] | float,
    made_at: Mapping[str, Sequence[str]] | None = None,
    use: float = 1.0,
) -> PlanningFacts:
    """Lay out one day; `made_at` lists each product's nodes (default: P at all)."""
    made_at = made_at or {"P": list(nodes)}
    return PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=1),
        parameters=PlanParameters(same_day_km=20_100.0, **PUBLISHED),
        products=tuple(Product(product_code=code) for code in made_at),
        regions=tuple(Region(region_code=code, latitude=y, longitude=x) for code, (y, x) in regions.items()),
        nodes=tuple(Node(node_code=code, latitude=y, longitude=x) for code, (y, x) in nodes.items()),
        resources=tuple(
            Resource(
                node_code=code,
                resource_code="hours",
                capacity_per_day=capacity if isinstance(capacity, float) else capacity[code],
            )
            for code in nodes
        ),
        capabilities=tuple(
            Capability(node_code=node, product_code=product, use_per_unit={"hours": use})
            for product, at in made_at.items()
            for node in at
        ),
    )


def needs_of(units: Mapping[tuple[str, str], float]) -> list[Need]:
    return [
        Need(
            need_id=i,
            product_code=product,
            region_code=region,
            bucket=0,
            tier="order",
            units=amount,
            latest_bucket=0,
        )
        for i, ((product, region), amount) in enumerate(units.items(), start=1)
    ]


def proven(facts: PlanningFacts, needs: list[Need], *, gap: float = 1e-8) -> list[Plan]:
    """Plan whole and by prices; every stage is proven, and the checker finds nothing."""
    options = build_options(facts, needs)
    priced = assign_by_prices(options)
    assert priced is not None or len(options.option_need) == 0
    plans = [
        stated(facts, options, solution)
        for solution in (assign_whole(options), priced)
        if solution is not None
    ]
    for plan in plans:
        assert check(facts, plan).findings == (), plan.method
        assert all(abs(stage.gap) <= gap for stage in plan.stages), plan.stages
    assert all(
        one.value == pytest.approx(other.value, rel=1e-7, abs=1e-7)
        for one, other in zip(plans[0].stages, plans[-1].stages, strict=True)
    ), [plan.stages for plan in plans]
    return plans


def flows(plan: Plan) -> dict[tuple[int, str], float]:
    return {(line.need_id, line.node_code): line.units for line in plan.assignments}


LINE: Places = {"A": (0.0, 0.0), "B": (0.0, 10.0)}
TOWNS: Places = {"NEAR-A": (0.0, 1.0), "NEAR-B": (0.0, 9.0)}


# --- little, or nothing -------------------------------------------------------------------------------------


def test_one_need_at_one_node_takes_all_that_is_there() -> None:
    for capacity, made in ((5.0, 5.0), (8.0, 8.0), (20.0, 8.0)):
        for plan in proven(
            one_day({"A": (0, 0)}, {"T": (0, 1)}, capacity=capacity), needs_of({("P", "T"): 8.0})
        ):
            assert flows(plan) == {(1, "A"): pytest.approx(made)}
            assert plan.figures.shortfall_units == pytest.approx(8.0 - made)
            assert plan.figures.unit_km == pytest.approx(made * A_DEGREE_KM)


def test_without_capacity_everything_is_short_and_says_so() -> None:
    for plan in proven(
        one_day(LINE, TOWNS, capacity=0.0), needs_of({("P", "NEAR-A"): 3.0, ("P", "NEAR-B"): 4.0})
    ):
        assert plan.assignments == ()
        assert [(s.units, s.reason) for s in plan.shortfalls] == [(3.0, "at_capacity"), (4.0, "at_capacity")]
        assert plan.stages[0].value == 7.0


def test_one_node_without_capacity_sends_its_needs_to_the_other() -> None:
    facts = one_day(LINE, TOWNS, capacity={"A": 0.0, "B": 10.0})
    for plan in proven(facts, needs_of({("P", "NEAR-A"): 3.0, ("P", "NEAR-B"): 4.0})):
        assert flows(plan) == {(1, "B"): 3.0, (2, "B"): 4.0}
        assert plan.figures.unit_km == pytest.approx((3 * 9 + 4 * 1) * A_DEGREE_KM)


def test_a_network_that_is_offline_everywhere_serves_nobody_and_says_so() -> None:
    facts = one_day(LINE, TOWNS, capacity=100.0)
    nodes = tuple(msgspec.structs.replace(node, status="offline") for node in facts.nodes)
    for plan in proven(msgspec.structs.replace(facts, nodes=nodes), needs_of({("P", "NEAR-A"): 3.0})):
        assert [(s.units, s.reason) for s in plan.shortfalls] == [(3.0, "offline")]


# --- sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity_share", [1.5, 0.5])
def test_needs_of_a_millionth_and_of_a_thousand_million_units_share_a_network(capacity_share: float) -> None:
    """All at A, what A can't make at B, and what both can't make is short: to the last millionth."""
    units = {("P", "NEAR-A"): 1e9, ("P", "NEAR-B"): 1e-6, ("Q", "NEAR-A"): 1e-6, ("Q", "NEAR-B"): 1e9}
    made_at = {"P": ["A", "B"], "Q": ["A", "B"]}
    facts = one_day(LINE, TOWNS, capacity=capacity_share * 1e9, made_at=made_at)
    for plan in proven(facts, needs_of(units)):
        assert plan.figures.shortfall_units == pytest.approx(max(0.0, 1 - capacity_share) * 2e9, rel=1e-9)
        if capacity_share > 1:
            assert {key: pytest.approx(amount) for key, amount in flows(plan).items()} == {
                (1, "A"): 1e9,
                (2, "B"): 1e-6,
                (3, "A"): 1e-6,
                (4, "B"): 1e9,
            }


def test_a_need_too_small_for_the_solver_stays_short_only_where_nothing_has_room() -> None:
    """A is full to its last unit, B has nothing, and what nobody can make is as large as ever.

    Prices may lay it on top of A's thousand million, within the tolerance of everything.
    """
    units = {("P", "NEAR-A"): 1e9, ("P", "NEAR-B"): 1e-6, ("Q", "NEAR-A"): 1e9}
    facts = one_day(LINE, TOWNS, capacity={"A": 1e9, "B": 0.0}, made_at={"P": ["A", "B"], "Q": []})
    whole, *_ = proven(facts, needs_of(units))
    assert flows(whole) == {(1, "A"): pytest.approx(1e9)}
    assert {s.need_id: s.reason for s in whole.shortfalls} == {2: "at_capacity", 3: "no_capable_node"}


def test_a_need_too_small_for_the_solver_is_all_that_is_served() -> None:
    units = {("P", "NEAR-B"): 1e-6, ("Q", "NEAR-A"): 1e9}
    facts = one_day(LINE, TOWNS, capacity=1.0, made_at={"P": ["A", "B"], "Q": []})
    for plan in proven(facts, needs_of(units)):
        assert flows(plan) == {(1, "B"): 1e-6}


def test_capacities_over_nine_orders_of_magnitude_are_each_filled() -> None:
    """Towns on a line, each with a node that can make a thousandth less than it needs; one large node afar.

    The solver tells no two amounts apart that differ by less than a thousand-millionth of the mean need.
    """
    sizes = [10.0**k for k in range(-3, 7)]
    towns: Places = {f"T{k}": (0.0, 2.0 * k) for k in range(len(sizes))}
    nodes: Places = {f"N{k}": (0.0, 2.0 * k) for k in range(len(sizes))} | {"FAR": (60.0, 9.0)}
    capacity = {f"N{k}": 0.999 * size for k, size in enumerate(sizes)} | {"FAR": 1e6}
    plans = proven(
        one_day(nodes, towns, capacity=capacity),
        needs_of({("P", f"T{k}"): size for k, size in enumerate(sizes)}),
    )
    for plan in plans:
        assert plan.stages[0].value == pytest.approx(0.0, abs=1e-9)
        assert math.fsum(line.units for line in plan.assignments if line.node_code == "FAR") == pytest.approx(
            0.001 * sum(sizes)
        )
        made = {load.node_code: load.used for load in plan.loads}
        tolerance = FEASIBILITY_TOLERANCE * sum(sizes) / len(sizes)
        for k, size in enumerate(sizes):
            assert made[f"N{k}"] == pytest.approx(0.999 * size, rel=1e-6, abs=tolerance), (k, plan.method)


# --- ties -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.7, 1.25])
def test_thousands_of_exact_ties_are_settled_within_capacity(load: float) -> None:
    """Twenty nodes at one place: which of them makes what is all the same, how much is not."""
    chance = np.random.default_rng(7)
    regions: Places = {f"R{r}": (float(r % 7), float(r // 7)) for r in range(30)}
    nodes: Places = {f"N{n}": (3.0, 3.0) for n in range(20)}
    made_at = {f"P{p}": list(nodes) for p in range(20)}
    units = {(p, r): float(chance.integers(1, 40)) for p in made_at for r in regions}
    total = sum(units.values())
    facts, needs = one_day(nodes, regions, capacity=total / load / 20, made_at=made_at), needs_of(units)
    options = build_options(facts, needs)
    solution = assign_by_prices(options)
    assert solution is not None
    plan = stated(facts, options, solution)
    assert check(facts, plan).findings == ()
    assert all(abs(stage.gap) <= 1e-8 for stage in plan.stages)
    least = max(0.0, total * (1 - 1 / load))
    assert plan.stages[0].value == pytest.approx(least, rel=1e-9, abs=1e-6)
    assert plan.figures.unit_km == pytest.approx(nearest_first(facts, needs, total - least))


def nearest_first(facts: PlanningFacts, needs: Sequence[Need], units: float) -> float:
    """Add up the unit-kilometres of serving so many units from one place, the nearest regions first."""
    away = {(line.region_code): line for line in facts.regions}
    place = facts.nodes[0]
    by_distance = sorted((_km(place, away[need.region_code]), need.units) for need in needs)
    total = 0.0
    for distance_km, amount in by_distance:
        total += distance_km * min(amount, units)
        units -= min(amount, units)
    return total


def _km(one: Node, other: Region) -> float:
    assert one.latitude is not None
    assert one.longitude is not None
    assert other.latitude is not None
    assert other.longitude is not None
    north, north_too = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(one.longitude - other.longitude)
    across = math.sin(north) * math.sin(north_too) + math.cos(north) * math.cos(north_too) * math.cos(east)
    return EARTH_RADIUS_KM * math.acos(min(1.0, across))


def test_products_without_a_common_node_are_planned_as_if_alone() -> None:
    chance = np.random.default_rng(3)
    nodes: Places = {f"N{n}": (float(n), float(chance.uniform(0, 50))) for n in range(12)}
    regions: Places = {f"R{r}": (float(chance.uniform(0, 12)), 25.0) for r in range(9)}
    made_at = {f"P{p}": [f"N{3 * p + k}" for k in range(3)] for p in range(4)}
    units = {(p, r): float(chance.integers(1, 50)) for p in made_at for r in regions}
    together = one_day(nodes, regions, capacity=float(sum(units.values()) / 13), made_at=made_at)
    alone = []
    for product, at in made_at.items():
        own = msgspec.structs.replace(
            together,
            products=tuple(p for p in together.products if p.product_code == product),
            nodes=tuple(n for n in together.nodes if n.node_code in at),
            resources=tuple(r for r in together.resources if r.node_code in at),
            capabilities=tuple(c for c in together.capabilities if c.product_code == product),
        )
        needs = needs_of({key: amount for key, amount in units.items() if key[0] == product})
        alone.append(proven(own, needs)[0])
    assert any(plan.stages[0].value > 0 for plan in alone)
    assert any(plan.stages[0].value == 0 for plan in alone)
    for plan in proven(together, needs_of(units)):
        for k, stage in enumerate(plan.stages):
            assert stage.value == pytest.approx(math.fsum(own.stages[k].value for own in alone))


@pytest.mark.parametrize("load", [1.05, 1.4, 3.0])
def test_twenty_products_under_shortage_are_proven_stage_by_stage(load: float) -> None:
    """Few products and little capacity: every class of needs ties, and prices alone do not settle."""
    chance = np.random.default_rng(11)
    nodes: Places = {
        f"N{n}": (float(chance.uniform(40, 50)), float(chance.uniform(0, 20))) for n in range(10)
    }
    regions: Places = {
        f"R{r}": (float(chance.uniform(40, 50)), float(chance.uniform(0, 20))) for r in range(25)
    }
    made_at = {f"P{p}": [n for n in nodes if chance.random() < 0.4] or ["N0"] for p in range(20)}
    units = {(p, r): float(chance.gamma(1, 20)) + 0.01 for p in made_at for r in regions}
    facts = one_day(nodes, regions, capacity=sum(units.values()) / load / len(nodes), made_at=made_at)
    for plan in proven(facts, needs_of(units), gap=1e-7):
        assert plan.stages[0].value >= sum(units.values()) * (1 - 1 / load) * (1 - 1e-12)
        assert {s.reason for s in plan.shortfalls} == {"at_capacity"}


# --- the globe ------------------------------------------------------------------------------------------------


def test_at_a_pole_every_longitude_is_as_near() -> None:
    towns: Places = {f"T{east}": (89.0, float(east)) for east in (-180, -90, 0, 90, 180)}
    nodes: Places = {"POLE": (90.0, 123.0), "SOUTH": (-90.0, 0.0), "SIDE": (88.0, 0.0)}
    for plan in proven(one_day(nodes, towns, capacity=100.0), needs_of({("P", town): 2.0 for town in towns})):
        # T0 lies as far from SIDE as from the pole, by the same meridian; all others lie farther from SIDE.
        assert {line.node_code for line in plan.assignments if line.need_id != 3} == {"POLE"}
        assert plan.figures.unit_km == pytest.approx(10 * A_DEGREE_KM)


def test_the_way_over_the_date_line_is_the_short_one() -> None:
    towns: Places = {"FIJI": (0.0, 179.9), "SAMOA": (0.0, -179.9)}
    nodes: Places = {"EAST": (0.0, -179.7), "WEST": (0.0, 178.0)}
    for plan in proven(
        one_day(nodes, towns, capacity={"EAST": 15.0, "WEST": 100.0}),
        needs_of({("P", "FIJI"): 10.0, ("P", "SAMOA"): 10.0}),
    ):
        # Fiji is 0.4° from EAST and 1.9° from WEST, Samoa 0.2° and 2.1°: five units go west, and from Fiji.
        assert flows(plan) == {
            (1, "EAST"): pytest.approx(5.0),
            (1, "WEST"): pytest.approx(5.0),
            (2, "EAST"): pytest.approx(10.0),
        }
        assert plan.figures.unit_km == pytest.approx((5 * 0.4 + 5 * 1.9 + 10 * 0.2) * A_DEGREE_KM)


# --- order ----------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.randoms(use_true_random=False))
def test_in_whatever_order_facts_arrive_the_plan_has_the_same_hash(
    network: tuple[PlanningFacts, list[Need]], chance: Random
) -> None:
    facts, needs = network
    facts = msgspec.structs.replace(
        facts,
        policies=(PullPolicy(policy="make_to_order"),),
        orders=tuple(
            Order(
                external_id=f"O{need.need_id}",
                product_code=need.product_code,
                region_code=need.region_code,
                ordered_units=need.units,
                due_date=MONDAY,
                priority=need.rank,
            )
            for need in needs
        ),
    )
    shuffled = {
        name: tuple(chance.sample(rows, len(rows)))
        for name in facts.__struct_fields__
        if isinstance(rows := getattr(facts, name), tuple)
    }
    one, two = make_plan(facts), make_plan(msgspec.structs.replace(facts, **shuffled))
    assert (one.plan_hash, one.snapshot_hash) == (two.plan_hash, two.snapshot_hash)
    assert one == two
