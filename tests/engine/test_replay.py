"""Is history lived through as it was, with nothing known before its time and no unit made or lost on the way?"""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullplan.engine.demand import Pair, Units
from pullplan.engine.forecast import forecast_demand
from pullplan.engine.model import (
    Capability,
    DailyUnits,
    ForecastFacts,
    Horizon,
    Node,
    OpenSupply,
    Order,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    Resource,
    StockPosition,
)
from pullplan.engine.netting import forecast_steps, wants_forecast
from pullplan.engine.replay import Replay, ReplayPolicy, Shelves, Unmet, add_up, later_steps

MONDAY = date(2024, 1, 1)
WEEK = timedelta(weeks=1)
PAIRS: tuple[Pair, ...] = tuple((p, r) for p in ("ALE", "RYE") for r in ("EAST", "WEST"))
N_KNOWN_WEEKS, N_WEEKS = 30, 8
MAKE_TO_ORDER = ReplayPolicy(name="to order", policy=PullPolicy(policy="make_to_order"))
BUFFER = ReplayPolicy(name="buffer", policy=PullPolicy(policy="ddmrp_buffer"))


def base_stock(service_level_share: float, unmet: Unmet | None = None) -> ReplayPolicy:
    policy = PullPolicy(policy="base_stock", service_level_share=service_level_share)
    return ReplayPolicy(name=f"base stock {service_level_share}", policy=policy, unmet=unmet)


def network(make_lead_time_days: int = 7, capacity_per_day: float = 1_000.0) -> PlanningFacts:
    """Make two products at two nodes for two regions."""
    return PlanningFacts(
        horizon=Horizon(as_of_date=MONDAY, bucket="week", horizon_buckets=4),
        parameters=PlanParameters(),
        products=tuple(Product(product_code=code, value_per_unit=2.0) for code in ("ALE", "RYE")),
        regions=(
            Region(region_code="EAST", latitude=50.0, longitude=10.0),
            Region(region_code="WEST", latitude=50.0, longitude=8.0),
        ),
        nodes=(
            Node(node_code="E", latitude=50.0, longitude=10.1),
            Node(node_code="W", latitude=50.0, longitude=8.1),
        ),
        resources=tuple(
            Resource(node_code=code, resource_code="line", capacity_per_day=capacity_per_day) for code in "EW"
        ),
        capabilities=tuple(
            Capability(
                node_code=node_code,
                product_code=product_code,
                use_per_unit={"line": 1.0},
                make_lead_time_days=make_lead_time_days,
            )
            for node_code in "EW"
            for product_code in ("ALE", "RYE")
        ),
        consumption_pairs=PAIRS,
    )


def drawn_demand(seed: int, n_weeks: int = N_KNOWN_WEEKS + N_WEEKS) -> Units:
    """Draw demand by pair and week, the first ones before the replay."""
    return np.random.default_rng(seed).poisson([[40], [25], [60], [10]], (len(PAIRS), n_weeks)).astype(float)


def lived(
    policies: list[ReplayPolicy],
    units: Units,
    start: PlanningFacts | None = None,
    *,
    refit_every: int = 4,
) -> list[Replay]:
    """Live through all weeks after those that were known, each told only what came before it."""
    start = start or network()
    replays, forecast = [Replay(policy, start) for policy in policies], None
    for week in range(units.shape[1] - N_KNOWN_WEEKS):
        today, n_known = MONDAY + week * WEEK, N_KNOWN_WEEKS + week
        history = daily(units[:, :n_known], today)
        horizon = msgspec.structs.replace(start.horizon, as_of_date=today)
        known = msgspec.structs.replace(start, horizon=horizon, recent_consumption=history)
        looking = [facts for one in replays if wants_forecast(facts := one.under_policy(known))]
        if looking and week % refit_every == 0:
            n_steps = max(map(forecast_steps, looking)) + refit_every - 1
            asked = ForecastFacts(horizon=horizon, n_steps=n_steps, consumption=history, profile="quick")
            forecast = forecast_demand(asked)
        now = None if forecast is None else later_steps(forecast, today)
        for one in replays:
            one.live(one.plan(known, now), dict(zip(PAIRS, units[:, n_known].tolist(), strict=True)))
    return replays


def daily(units: Units, end: date) -> DailyUnits:
    rows = [
        (*pair, end - (units.shape[1] - week) * WEEK, float(units[i, week]))
        for i, pair in enumerate(PAIRS)
        for week in range(units.shape[1])
    ]
    product_codes, region_codes, days, n = zip(*rows, strict=True)
    return DailyUnits(product_codes=product_codes, region_codes=region_codes, days=days, units=n)


def assert_nothing_is_made_or_lost(one: Replay, stock_before: float = 0.0) -> None:
    served = [r.served for r in one.results]
    came = stock_before + sum(s.received_units for s in served)
    went = sum(s.in_time_units + s.owed_units_served for s in served)
    assert came == pytest.approx(went + served[-1].stock_units, rel=1e-9)
    assert sum(one.shelves.on_hand_units.values()) == pytest.approx(served[-1].stock_units)
    for s in served:
        assert s.demanded_units == pytest.approx(s.in_time_units + s.late_units + s.lost_units)


WHOLE = st.integers(0, 50).map(float)
BY_PAIR = st.dictionaries(st.sampled_from(PAIRS), WHOLE)


@given(
    stock=BY_PAIR, weeks=st.lists(st.tuples(BY_PAIR, BY_PAIR), min_size=1, max_size=6), keeps=st.booleans()
)
@settings(max_examples=40)
def test_what_was_there_and_came_was_served_or_is_there(
    stock: Mapping[Pair, float], weeks: list[tuple[Mapping[Pair, float], Mapping[Pair, float]]], keeps: bool
):
    shelves = Shelves(stock)
    values = {"ALE": 1.0, "RYE": 3.0}

    def unmet_of(_pair: Pair) -> Unmet:
        return "backorder" if keeps else "lost"

    served = [shelves.serve(received, demanded, values, unmet_of) for received, demanded in weeks]
    came = sum(stock.values()) + sum(s.received_units for s in served)
    went = sum(s.in_time_units + s.owed_units_served for s in served)
    assert came == went + sum(shelves.on_hand_units.values())  # whole units add up exactly
    assert (
        sum(s.late_units for s in served) == sum(s.owed_units_served for s in served) + served[-1].owed_units
    )
    assert sum(s.demanded_units for s in served) == sum(
        s.in_time_units + s.late_units + s.lost_units for s in served
    )
    assert keeps or served[-1].owed_units == 0
    assert not any(shelves.on_hand_units.get(pair) for pair in shelves.owed_units)


def test_policies_side_by_side_on_a_small_network():
    policies = [MAKE_TO_ORDER, base_stock(0.6), base_stock(0.98), base_stock(0.98, "backorder"), BUFFER]
    units = drawn_demand(1)
    replays = lived(policies, units)
    for one in replays:
        assert_nothing_is_made_or_lost(one)
    to_order, low, high, owing, buffer = (add_up(one.results) for one in replays)

    # What nobody announced is made to order a lead time late; nothing is ever in stock, and nothing is lost.
    assert to_order.mean_stock_units == pytest.approx(0.0, abs=1e-6)
    assert to_order.in_time_share == pytest.approx(0.0)
    assert to_order.late_share == pytest.approx(1.0)
    # It starts what was demanded the week before: of units of which nothing was made, all were planned anew.
    assert to_order.ordered_units == pytest.approx(units[:, N_KNOWN_WEEKS:-1].sum())
    assert to_order.replanned_share == pytest.approx(1.0)
    by_product = units[:, N_KNOWN_WEEKS:].reshape(2, 2, -1).sum(axis=1)
    late = np.concatenate([np.zeros((2, 1)), by_product[:, :-1]], axis=1)
    ratio = late.var(axis=1).sum() / by_product.var(axis=1).sum()
    assert to_order.bullwhip_ratio == pytest.approx(ratio)

    assert high.in_time_share is not None
    assert low.in_time_share is not None
    assert high.in_time_share >= low.in_time_share
    assert high.mean_stock_units > low.mean_stock_units
    assert high.mean_stock_value == pytest.approx(2 * high.mean_stock_units)
    assert high.lost_share == pytest.approx(1 - high.in_time_share)
    assert (owing.lost_share, high.late_share) == (0.0, 0.0)
    assert buffer.n_orders < high.n_orders
    assert high.replanned_share is not None
    assert 0 < high.replanned_share < 1


def test_the_same_history_makes_the_same_replay_and_a_later_future_changes_nothing_before_it():
    policies, units = [base_stock(0.9), BUFFER], drawn_demand(2)
    other = units.copy()
    changed_week = 5
    other[:, N_KNOWN_WEEKS + changed_week :] *= 5
    ours, again, others = (lived(policies, n) for n in (units, units, other))
    for one, same, another in zip(ours, again, others, strict=True):
        assert one.results == same.results
        assert one.results[:changed_week] == another.results[:changed_week]
        # The week itself is planned alike: what is demanded in it is seen at its end.
        before, after = one.results[changed_week], another.results[changed_week]
        assert before.ordered_by_product == after.ordered_by_product
        assert one.results[changed_week + 1] != another.results[changed_week + 1]


def test_stock_and_supply_of_the_start_are_used_and_each_arrives_once():
    supply = OpenSupply(
        external_id="s", product_code="ALE", region_code="EAST", units=30.0, due_date=MONDAY + WEEK
    )
    count = StockPosition(product_code="ALE", region_code="EAST", count_units=90.0, consumed_units_since=10.0)
    start = msgspec.structs.replace(network(), stock=(count,), open_supply=(supply,))
    units = np.zeros((len(PAIRS), N_KNOWN_WEEKS + 4))
    units[0, N_KNOWN_WEEKS:] = 50.0
    (one,) = lived([MAKE_TO_ORDER], units, start)
    assert_nothing_is_made_or_lost(one, stock_before=80.0)
    in_time = [r.served.in_time_units for r in one.results]
    received = [r.served.received_units for r in one.results]
    assert in_time[:2] == [50.0, 50.0]
    # 80 + 30 last for two weeks, and ten more for the third; the 40 it owes are started a week later, and take one more.
    assert received[:3] == [0.0, 30.0, 0.0]
    assert one.results[2].served.late_units == 40.0
    assert one.results[3].ordered_units == pytest.approx(40.0)


def test_orders_that_were_announced_are_made_in_time_even_to_order():
    due = MONDAY + 2 * WEEK
    order = Order(external_id="o", product_code="RYE", region_code="WEST", ordered_units=25.0, due_date=due)
    start = msgspec.structs.replace(network(), orders=(order,))
    units = np.zeros((len(PAIRS), N_KNOWN_WEEKS + 4))
    units[PAIRS.index(("RYE", "WEST")), N_KNOWN_WEEKS + 2] = 25.0
    (one,) = lived([MAKE_TO_ORDER], units, start)
    assert add_up(one.results).in_time_share == 1.0
    assert [r.ordered_units for r in one.results] == [0.0, 25.0, 0.0, 0.0]
    assert one.results[1].unit_km > 0
    # Known from the start, it was planned once, and stood.
    assert add_up(one.results).replanned_share == 0.0


def test_nothing_replayed_has_no_shares():
    nothing = add_up([])
    assert (nothing.n_buckets, nothing.in_time_share, nothing.bullwhip_ratio) == (0, None, None)


def test_whole_lots_arrive_with_what_they_make_beyond_the_needs():
    facts = network(make_lead_time_days=0)
    capabilities = tuple(
        msgspec.structs.replace(c, lot_multiple_units=30.0, minimum_lot_units=30.0)
        for c in facts.capabilities
    )
    start = msgspec.structs.replace(
        facts,
        capabilities=capabilities,
        parameters=msgspec.structs.replace(facts.parameters, make_minimum=True),
    )
    (one,) = lived([MAKE_TO_ORDER], drawn_demand(3, N_KNOWN_WEEKS + 3), start)
    assert_nothing_is_made_or_lost(one)
    for result in one.results:
        for units in result.ordered_by_product.values():
            assert units / 30.0 == pytest.approx(round(units / 30.0), abs=1e-6)
    # What a lot makes beyond the needs serves the next weeks' demand at once.
    assert sum(r.served.in_time_units for r in one.results) > 0
