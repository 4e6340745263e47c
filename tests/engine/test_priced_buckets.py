"""Is what prices find over several buckets the same as what the whole programme proves, and does it hold?"""

from collections import Counter
from datetime import timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from bench.facts import DAY, facts_of
from bench.instances import reference_instance
from hypothesis import HealthCheck, given, settings
from tests.engine.instances import MONDAY, networks
from tests.engine.oracle import is_close
from tests.engine.planned import stated
from tests.engine.test_priced_assignment import assert_equal_stages, assert_holds

from pullplan.engine.assignment import shortage, sifting, sifting_starts
from pullplan.engine.assignment.layout import lay_out
from pullplan.engine.assignment.priced import assign_by_prices
from pullplan.engine.assignment.pricing import price_short
from pullplan.engine.assignment.stages import Search
from pullplan.engine.certificate import certify
from pullplan.engine.checker import check
from pullplan.engine.model import (
    Capability,
    CapacityException,
    Horizon,
    Lane,
    Need,
    Node,
    PlanningFacts,
    PlanParameters,
    Product,
    Region,
    Resource,
    Tier,
)
from pullplan.engine.options import Options, build_options, needs_by_rank

pytestmark = pytest.mark.usefixtures("few_needs_open_at_first")


def seasonal_network(
    seed: int,
    *,
    load: float,
    n_buckets: int,
    n_nodes: int = 4,
    n_products: int = 5,
    n_regions: int = 6,
    from_bucket: int = 1,
) -> tuple[PlanningFacts, list[Need]]:
    """Draw demand with a peak late in the horizon; `load` is needs ÷ capacity, roughly, so that some is made early.

    What is due `from_bucket` 0 can't always be in time, as some of it travels for a bucket.
    """
    chance = np.random.default_rng(seed)
    horizon = Horizon(as_of_date=MONDAY, bucket="day", horizon_buckets=n_buckets)
    peak = 1 + 0.6 * np.sin(2 * np.pi * (np.arange(n_buckets) - n_buckets / 4) / n_buckets)
    base = chance.gamma(1, 20, (n_products, n_regions)) + 0.01
    tier: Tier = "order" if seed % 2 else "forecast"
    needs = [
        Need(
            need_id=0,
            product_code=f"P{p}",
            region_code=f"R{r}",
            bucket=b,
            tier=tier,
            units=float(base[p, r] * peak[b] * chance.uniform(0.8, 1.2)),
            latest_bucket=b if tier == "forecast" else n_buckets - 1,
        )
        for p in range(n_products)
        for r in range(n_regions)
        for b in range(n_buckets)
        if b >= from_bucket or n_buckets == 1
    ]
    with_store = seed % 3 == 0
    capacity = float(base.sum()) * 1.1 / load / n_nodes
    travels = seed % 5 == 0
    facts = PlanningFacts(
        horizon=horizon,
        parameters=PlanParameters(
            objective=("landed_cost", "nearest")[seed // 2 % 2], shortfall_measure="units", lanes="given_only"
        ),
        products=tuple(
            Product(
                product_code=f"P{p}",
                value_per_unit=1.0,
                holding_cost_per_unit_per_day=float(chance.choice([0.0, 0.1, chance.uniform(0, 1)])),
            )
            for p in range(n_products)
        ),
        regions=tuple(Region(region_code=f"R{r}") for r in range(n_regions)),
        nodes=tuple(Node(node_code=f"N{n}") for n in range(n_nodes)),
        resources=tuple(
            Resource(
                node_code=f"N{n}",
                resource_code="hours",
                capacity_per_day=float(capacity * chance.uniform(0.7, 1.3)),
            )
            for n in range(n_nodes)
        )
        + tuple(
            Resource(
                node_code=f"N{n}",
                resource_code="resin",
                kind="stored",
                on_hand=capacity,
                capacity_per_day=float(capacity * chance.uniform(0.7, 1.3)),
            )
            for n in range(n_nodes if with_store else 0)
        ),
        capabilities=tuple(
            Capability(
                node_code=f"N{n}",
                product_code=f"P{p}",
                unit_cost=float(chance.uniform(5, 50)),
                use_per_unit={"hours": float(chance.uniform(0.5, 1.5))}
                | ({"resin": float(chance.uniform(0.5, 1.5))} if with_store else {}),
            )
            for n in range(n_nodes)
            for p in range(n_products)
            if n == p % n_nodes or chance.random() < 0.7
        ),
        lanes=tuple(
            Lane(
                node_code=f"N{n}",
                region_code=f"R{r}",
                distance_km=float(chance.integers(1, 400)),
                transit_days=int(chance.integers(0, 2)) if travels else 0,
                freight_cost_per_unit=float(chance.uniform(1, 100)),
            )
            for n in range(n_nodes)
            for r in range(n_regions)
        ),
    )
    return facts, [msgspec.structs.replace(need, need_id=i + 1) for i, need in enumerate(needs)]


def test_random_seasonal_networks_are_as_good_as_the_whole_programme_stage_by_stage() -> None:
    n_priced = n_early = 0
    for seed in range(16):
        facts, needs = seasonal_network(seed, load=(0.5, 0.7, 0.8, 0.9)[seed % 4], n_buckets=1 + seed % 8)
        options = build_options(facts, needs)
        solution = assign_by_prices(options)
        if solution is not None:
            n_priced += 1
            assert_holds(options, solution)
            assert_equal_stages(options, solution)
            n_early += certify(options, solution)[-1].value > 0
            assert check(facts, stated(facts, options, solution)).findings == ()
    assert n_priced > 12
    assert n_early > 6


def test_plans_that_cost_nothing_are_started_as_late_as_can_be() -> None:
    n_early = 0
    for seed in range(5):
        facts, needs = seasonal_network(seed, load=0.9, n_buckets=4)
        free = msgspec.structs.replace(
            facts,
            parameters=msgspec.structs.replace(facts.parameters, objective="landed_cost"),
            products=tuple(
                msgspec.structs.replace(p, holding_cost_per_unit_per_day=0.0) for p in facts.products
            ),
            capabilities=tuple(msgspec.structs.replace(c, unit_cost=0.0) for c in facts.capabilities),
            lanes=tuple(msgspec.structs.replace(lane, freight_cost_per_unit=0.0) for lane in facts.lanes),
        )
        options = build_options(free, needs)
        solution = assign_by_prices(options)
        assert solution is not None
        assert_equal_stages(options, solution)
        n_early += certify(options, solution)[-1].value > 0
        assert check(free, stated(free, options, solution)).findings == ()
    assert n_early > 2


def test_days_off_are_priced_as_days_without_capacity() -> None:
    for seed in range(5):
        facts, needs = seasonal_network(seed, load=(0.35, 0.9)[seed % 2], n_buckets=7)
        off = tuple(
            CapacityException(
                node_code=node.node_code,
                resource_code="hours",
                from_date=MONDAY + timedelta(days=2 + seed % 3),
                until_date=MONDAY + timedelta(days=4 + seed % 3),
                capacity_per_day=0.0,
            )
            for node in facts.nodes
        )
        facts = msgspec.structs.replace(facts, capacity_exceptions=off)
        options = build_options(facts, needs)
        solution = assign_by_prices(options)
        assert solution is not None
        assert_equal_stages(options, solution)
        assert check(facts, stated(facts, options, solution)).findings == ()


def test_a_bound_is_not_lost_in_prices_of_what_nobody_may_use() -> None:
    """A node lacks the kiln that it needs, another is full: all but one unit stays short, and that one is early."""
    day = {"horizon_buckets": 2, "as_of_date": MONDAY, "bucket": "day"}
    facts = PlanningFacts(
        horizon=msgspec.convert(day, Horizon, strict=False),
        parameters=PlanParameters(lanes="given_only", shortfall_measure="units"),
        products=(Product(product_code="P0"), Product(product_code="P1")),
        regions=(Region(region_code="R0"),),
        nodes=(Node(node_code="N0"), Node(node_code="N1")),
        resources=tuple(
            Resource(node_code=node, resource_code="hours", capacity_per_day=1.0) for node in ("N0", "N1")
        ),
        capacity_exceptions=(
            CapacityException(
                node_code="N1",
                resource_code="hours",
                from_date=MONDAY + timedelta(days=1),
                until_date=MONDAY + timedelta(days=2),
                capacity_per_day=0.0,
            ),
        ),
        capabilities=(
            Capability(node_code="N0", product_code="P0", use_per_unit={"hours": 0.25, "kiln": 0.25}),
            Capability(node_code="N1", product_code="P1", use_per_unit={"hours": 0.75}),
        ),
        lanes=tuple(
            Lane(node_code=node, region_code="R0", distance_km=1.0, transit_days=0) for node in ("N0", "N1")
        ),
    )
    needs = [
        Need(
            need_id=p + 1,
            product_code=f"P{p}",
            region_code="R0",
            bucket=p,
            tier="order",
            units=(7.0, 2.0)[p],
            latest_bucket=1,
        )
        for p in range(2)
    ]
    options = build_options(facts, needs)
    solution = assign_by_prices(options)
    assert solution is not None
    assert_equal_stages(options, solution)
    earliness = certify(options, solution)[-1]
    assert earliness.value == pytest.approx(4 / 3)
    assert abs(earliness.gap) < 1e-8
    assert max(stage.capacity.max() for stage in solution.stage_prices[:-1]) < 100


def test_what_cannot_be_in_time_is_as_little_late_as_can_be_and_what_nobody_can_serve_is_left_out() -> None:
    n_priced = n_late = n_short = 0
    for seed in range(0, 70, 5):
        drawn = seasonal_network(seed, load=(0.4, 0.6)[seed % 2], n_buckets=2 + seed // 5 % 5, from_bucket=0)
        options = build_options(*drawn)
        solution = assign_by_prices(options)
        if solution is not None:
            n_priced += 1
            assert_holds(options, solution)
            assert_equal_stages(options, solution)
            n_late += certify(options, solution)[-3].value > 0
            n_short += bool(solution.shortfall_units.any())
            assert check(drawn[0], stated(drawn[0], options, solution)).findings == ()
    assert n_priced == 14
    assert n_late > 5
    assert n_short > 2


def short_of_time(seed: int) -> tuple[PlanningFacts, list[Need]]:
    """Draw a seasonal network that can't serve all in time: two tiers, ranks, some may be late, some share what is short."""
    chance = np.random.default_rng(seed)
    n_buckets = 2 + seed % 5
    facts, needs = seasonal_network(
        seed, load=(0.7, 0.9, 1.1, 1.5)[seed % 4], n_buckets=n_buckets, from_bucket=0
    )
    parameters = msgspec.structs.replace(
        facts.parameters,
        share_slices=(1, 1, 3, 10)[seed // 4 % 4],
        shortfall_measure="value" if seed % 3 else "units",
        late_buckets=int(chance.integers(0, 3)),
        forecast_late_buckets=int(chance.integers(0, 2)),
    )
    drawn = []
    for need in needs:
        tier: Tier = ("order", "forecast")[int(chance.integers(0, 2))]
        rank = int(chance.integers(0, 1 + seed % 2))
        latest = parameters.latest_bucket(tier, need.bucket, n_buckets)
        drawn.append(msgspec.structs.replace(need, tier=tier, rank=rank, latest_bucket=latest))
    return msgspec.structs.replace(facts, parameters=parameters), drawn


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 60), marks=pytest.mark.long)], ids=len)
def test_where_time_is_short_prices_are_as_good_as_the_whole_programme_stage_by_stage(seeds: range) -> None:
    n_late = n_short = n_early = 0
    for seed in seeds:
        facts, needs = short_of_time(seed)
        options = build_options(facts, needs)
        solution = assign_by_prices(options)
        assert solution is not None, seed
        assert_holds(options, solution)
        assert_equal_stages(options, solution)
        assert check(facts, stated(facts, options, solution)).findings == ()
        lateness, _, earliness = (stage.value for stage in certify(options, solution)[-3:])
        n_late += lateness > 0
        n_early += earliness > 0
        n_short += bool(solution.shortfall_units.any())
    assert n_late > len(seeds) / 5
    assert n_short > len(seeds) / 5
    assert n_early > len(seeds) / 2


def weak_at_first(
    n_products: int, n_regions: int, n_buckets: int, n_weak: int, *, capacity_factor: float
) -> Options:
    """Take regions of the reference network, capacity at 0.6 in the first buckets; three needs in ten may be late."""
    instance = reference_instance(n_products, capacity_factor=capacity_factor * n_regions / 300)
    facts = facts_of(instance)
    chance = np.random.default_rng(101)
    weak = tuple(
        CapacityException(
            node_code=r.node_code,
            resource_code=r.resource_code,
            from_date=DAY,
            until_date=DAY + timedelta(days=n_weak),
            capacity_per_day=0.6 * r.capacity_per_day,
        )
        for r in facts.resources
    )
    held = tuple(
        msgspec.structs.replace(p, holding_cost_per_unit_per_day=float(chance.uniform(0.02, 0.3)))
        for p in facts.products
    )
    needs = [
        Need(
            need_id=number + 1,
            product_code=product.product_code,
            region_code=region.region_code,
            bucket=bucket,
            tier="order",
            latest_bucket=min(n_buckets - 1, bucket + 2) if chance.random() < 0.3 else bucket,
            units=float(instance.units[p, r] * chance.uniform(0.8, 1.2)) + 0.01,
        )
        for number, (p, product, r, region, bucket) in enumerate(
            (p, product, r, region, bucket)
            for p, product in enumerate(facts.products)
            for r, region in enumerate(facts.regions[:n_regions])
            for bucket in range(n_buckets)
        )
    ]
    horizon = msgspec.structs.replace(facts.horizon, horizon_buckets=n_buckets)
    parameters = msgspec.structs.replace(facts.parameters, shortfall_measure="units", share_slices=1)
    facts = msgspec.structs.replace(
        facts,
        horizon=horizon,
        parameters=parameters,
        products=held,
        capacity_exceptions=weak,
        orders=(),
        policies=(),
    )
    return build_options(facts, needs)


def test_prices_settle_where_capacity_is_weak_at_first_and_every_node_is_full() -> None:
    options = weak_at_first(80, 3, 3, 1, capacity_factor=1.05)
    layout = lay_out(options, needs_by_rank(options).values(), options.need_latest_bucket)
    assert layout is not None
    plan = price_short(layout.market, 1)
    assert plan is not None
    assert plan.lines.n_rounds <= 3
    assert plan.lines.cost.bound == pytest.approx(plan.lines.cost.value, rel=1e-9)


def test_what_is_early_is_bounded_where_much_is_short_over_several_buckets() -> None:
    options = weak_at_first(12, 12, 6, 2, capacity_factor=0.9)
    solution = assign_by_prices(options)
    assert solution is not None
    stages = certify(options, solution)
    assert stages[0].value > 0
    assert stages[-1].value > 0
    for stage in stages:
        assert abs(stage.gap) < 1e-6


@pytest.mark.long
@pytest.mark.parametrize("capacity_factor", [0.9, 1.0])
def test_sixty_thousand_needs_that_are_short_of_time_at_first_are_priced(capacity_factor: float) -> None:
    options = weak_at_first(25, 300, 8, 2, capacity_factor=capacity_factor)
    solution = assign_by_prices(options)
    assert solution is not None
    assert_holds(options, solution)
    *before, earliness = certify(options, solution)
    for stage in before:
        assert abs(stage.gap) < 1e-8
    assert abs(earliness.gap) < 2e-4


def pinned_in_part(facts: PlanningFacts, need: Need, chance: np.random.Generator) -> Need:
    """Pin a tenth of some needs to a node that makes the product, half of these to a start bucket as well."""
    if chance.random() > 0.05:
        return need
    node = next(c.node_code for c in facts.capabilities if c.product_code == need.product_code)
    start = int(chance.integers(0, facts.horizon.horizon_buckets)) if chance.random() < 0.5 else None
    return msgspec.structs.replace(
        need,
        tier="pinned",
        rank=0,
        units=0.1 * need.units,
        pinned_node_code=node,
        pinned_start_bucket=start,
    )


def test_share_limits_and_pins_over_several_starts_are_priced() -> None:
    for seed in range(5):
        facts, needs = short_of_time(seed)
        chance = np.random.default_rng(seed)
        parameters = msgspec.structs.replace(facts.parameters, largest_share=0.45)
        options = build_options(
            msgspec.structs.replace(facts, parameters=parameters),
            [pinned_in_part(facts, need, chance) for need in needs],
        )
        solution = assign_by_prices(options)
        assert solution is not None
        assert_holds(options, solution)
        assert_equal_stages(options, solution)


def test_few_pairs_lead_to_the_same_shortfall_and_lateness_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortage, "SIFTED_FROM_PAIRS", 0)
    monkeypatch.setattr(sifting_starts, "NEAR_TIES_PER_ROW", 0)
    joined = Counter[bool]()

    def counted(search: Search, columns: npt.NDArray[np.int64], upper: float) -> None:
        joined[upper > 0] += 1
        sifting.bound(search, columns, upper)

    monkeypatch.setattr(sifting_starts, "bound", counted)
    for seed in range(0, 50, 5):  # in these some regions are reached later than others
        options = build_options(*short_of_time(seed))
        solution = assign_by_prices(options)
        assert solution is not None
        assert_equal_stages(options, solution)
    assert joined[False] > 2
    assert joined[True] > 2 * joined[False]  # pairs that were left out joined, before all did at the end


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_networks_with_every_kind_of_obstacle_are_priced_right_or_left_to_the_whole_programme(
    drawn: tuple[PlanningFacts, list[Need]],
) -> None:
    options = build_options(*drawn)
    solution = assign_by_prices(options)
    if solution is not None:
        assert_holds(options, solution)
        assert_equal_stages(options, solution)


def test_earlier_prices_lead_to_the_same_plan() -> None:
    for seed in (3, 8, 17, 22):
        options = build_options(*seasonal_network(seed, load=0.7, n_buckets=5))
        cold = assign_by_prices(options)
        assert cold is not None
        prices = next(p.capacity for p in cold.stage_prices if p.measure.startswith("cost:"))
        for warm_prices in (prices, 1.1 * prices, np.zeros_like(prices)):
            warm = assign_by_prices(options, warm_prices=warm_prices)
            assert warm is not None
            assert_holds(options, warm)
            for one, other in zip(certify(options, warm), certify(options, cold), strict=True):
                assert is_close(one.value, other.value, share=1e-6)
                assert abs(one.gap) < 1e-6
