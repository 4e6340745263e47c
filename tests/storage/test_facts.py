from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.seeding import AS_OF, insert, network, signal

from pullplan.engine.model import (
    DailyUnits,
    ForecastFacts,
    Order,
    PlanningFacts,
    PlanParameters,
    Promotion,
    PullPolicy,
    StockPosition,
)
from pullplan.storage import facts
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

COUNTED_AT = AS_OF - timedelta(days=10)


async def planning_facts(
    connection: Connection, as_of: datetime = AS_OF, time_zone: str = "UTC", **more: Any
) -> PlanningFacts:
    async with facts.opened_snapshot(connection, as_of, time_zone) as moment:
        horizon = moment.horizon("week", 4)
        known = await facts.read_network_facts(connection, horizon, parameters=PlanParameters(), **more)
        return await facts.read_planning_facts(connection, moment, known)


async def forecast_facts(
    connection: Connection, as_of: datetime = AS_OF, time_zone: str = "UTC"
) -> ForecastFacts:
    async with facts.opened_snapshot(connection, as_of, time_zone) as moment:
        horizon = moment.horizon("week", 4)
        known = await facts.read_network_facts(connection, horizon, parameters=PlanParameters())
        return await facts.read_forecast_facts(connection, moment, known, n_steps=6)


def count(
    external_id: str, counted_at: datetime, on_hand_units: float, **more: Any
) -> tuple[str, dict[str, Any]]:
    place = {"product_code": "BREAD", "region_code": "NORTH"}
    columns = {"source": "erp", "external_id": external_id, **place, "counted_at": counted_at}
    return "stock_counts", columns | {"on_hand_units": on_hand_units} | more


def supply(external_id: str, units: float, **more: Any) -> tuple[str, dict[str, Any]]:
    place = {"product_code": "BREAD", "region_code": "NORTH"}
    columns = {
        "source": "erp",
        "external_id": external_id,
        **place,
        "units": units,
        "due_date": date(2024, 7, 1),
    }
    return "open_supply", columns | more


async def test_an_empty_database_is_read_as_an_empty_network(connection: Connection):
    known = await planning_facts(connection)
    assert (known.products, known.nodes, known.orders, known.stock) == ((), (), (), ())
    assert known.horizon.as_of_date == date(2024, 6, 5)
    assert (await forecast_facts(connection)).consumption == DailyUnits()


async def test_the_network_is_read_by_code_without_what_is_retired(connection: Connection):
    await insert(connection, network())
    await connection.execute("UPDATE nodes SET retired_at = now() WHERE node_code = 'YARD'")
    await connection.execute("UPDATE products SET retired_at = now() WHERE product_code = 'CAKE'")
    known = await planning_facts(connection)
    assert [n.node_code for n in known.nodes] == ["DEPOT", "MILL"]
    assert [(c.node_code, c.product_code) for c in known.capabilities] == [
        ("DEPOT", "BREAD"),
        ("MILL", "BREAD"),
    ]
    assert [r.node_code for r in known.resources] == ["DEPOT", "MILL"]
    assert known.capabilities[0].use_per_unit == {"hours": 0.5}


async def test_demand_of_a_retired_region_is_not_planned(connection: Connection):
    await insert(connection, [*network(), signal("o", "order", 5.0, due_date=date(2024, 6, 10))])
    await connection.execute("UPDATE regions SET retired_at = now() WHERE region_code = 'NORTH'")
    assert (await planning_facts(connection)).orders == ()


async def test_nothing_that_occurred_after_as_of_is_read(connection: Connection):
    due, later = date(2024, 6, 10), AS_OF + timedelta(seconds=1)
    rows = [
        signal("o", "order", 5.0, due_date=due, occurred_at=later),
        signal("l", "lead", 5.0, due_date=due, probability=1.0, occurred_at=later),
        signal("c", "consumption", 5.0, occurred_at=later),
        signal("a", "adjustment", 5.0, from_date=due, until_date=date(2024, 7, 1), occurred_at=later),
        count("late", later, 50.0),
    ]
    await insert(connection, network())
    before = await planning_facts(connection), await forecast_facts(connection)
    await insert(connection, rows)
    assert (await planning_facts(connection), await forecast_facts(connection)) == before
    known = await planning_facts(connection, later)
    assert (len(known.orders), len(known.lead_signals), len(known.stock)) == (1, 1, 1)
    assert known.consumption_pairs == (("BREAD", "NORTH"),)
    assert len((await forecast_facts(connection, later)).adjustments) == 1


async def test_only_the_current_revision_of_an_order_that_is_not_cancelled_counts(connection: Connection):
    due = date(2024, 6, 10)
    rows = [
        signal("o", "order", 5.0, due_date=due, superseded_at=AS_OF),
        signal("o", "order", 7.0, due_date=due, revision=2),
        signal("gone", "order", 9.0, due_date=due, cancelled=True),
    ]
    await insert(connection, [*network(), *rows])
    assert [(o.external_id, o.ordered_units) for o in (await planning_facts(connection)).orders] == [
        ("o", 7.0)
    ]


async def test_what_is_shipped_after_as_of_is_still_open_at_as_of(connection: Connection):
    shipped_at = AS_OF + timedelta(hours=1)
    order = signal("o", "order", 5.0, due_date=date(2024, 6, 10), shipped_units=5.0, shipped_at=shipped_at)
    await insert(connection, [*network(), order])
    assert [o.shipped_units for o in (await planning_facts(connection)).orders] == [0.0]
    assert (await planning_facts(connection, shipped_at)).orders == ()


async def test_an_order_says_what_is_open_of_it(connection: Connection):
    order = signal(
        *("o", "order", 5.0), due_date=date(2024, 6, 10), shipped_units=2.0, shipped_at=AS_OF, priority=3
    )
    await insert(connection, [*network(), order])
    assert (await planning_facts(connection)).orders == (
        Order(
            external_id="o",
            product_code="BREAD",
            region_code="NORTH",
            ordered_units=5.0,
            shipped_units=2.0,
            due_date=date(2024, 6, 10),
            priority=3,
        ),
    )


async def test_stock_is_the_last_count_and_what_moved_since(connection: Connection):
    after, before = COUNTED_AT + timedelta(hours=1), COUNTED_AT - timedelta(hours=1)
    rows = [
        count("old", before, 999.0),
        count("last", COUNTED_AT, 100.0, reserved_units=7.0, blocked_units=3.0),
        signal("c0", "consumption", 50.0, occurred_at=before),
        signal("c1", "consumption", 20.0, occurred_at=after),
        signal("c2", "consumption", -4.0, occurred_at=after, reason="return"),
        *(
            signal(
                *(f"o{i}", "order", 30.0),
                due_date=date(2024, 6, 1),
                shipped_units=units,
                shipped_at=at,
                occurred_at=before,
            )
            for i, (units, at) in enumerate([(11.0, before), (12.0, after), (13.0, AS_OF + timedelta(1))])
        ),
        supply("s0", 40.0, received_units=5.0, receipt_at=before),
        supply("s1", 40.0, received_units=6.0, receipt_at=after),
    ]
    await insert(connection, [*network(), *rows])
    assert (await planning_facts(connection)).stock == (
        StockPosition(
            product_code="BREAD",
            region_code="NORTH",
            counted_at=COUNTED_AT,
            count_units=90.0,
            consumed_units_since=16.0,
            shipped_units_since=12.0,
            received_units_since=6.0,
        ),
    )


async def test_an_order_shipped_in_parts_leaves_stock_once_on_either_side_of_a_count(connection: Connection):
    def said(revision: int, units: float, hours: float, **more: Any) -> tuple[str, dict[str, Any]]:
        shipped_at = COUNTED_AT + timedelta(hours=hours)
        columns = {"due_date": date(2024, 6, 10), "shipped_units": units, "shipped_at": shipped_at, **more}
        return signal("o", "order", 30.0, revision=revision, **columns)

    replaced = {"superseded_at": AS_OF, "true_until": AS_OF - timedelta(days=1)}
    rows = [
        said(1, 10.0, -1, **replaced),
        said(2, 14.0, 1, **replaced),
        said(3, 30.0, 0, shipped_at=AS_OF + timedelta(days=1)),
    ]
    await insert(connection, [*network(), count("c", COUNTED_AT, 100.0), *rows])
    then, later = (
        await planning_facts(connection),
        await planning_facts(connection, AS_OF + timedelta(days=20)),
    )
    assert [o.shipped_units for o in then.orders] == [14.0]
    assert (then.stock[0].shipped_units_since, later.stock[0].shipped_units_since) == (4.0, 20.0)
    assert later.orders == ()


async def test_an_order_amended_after_as_of_is_then_what_it_was_before(connection: Connection):
    due, amended_at = date(2024, 6, 10), AS_OF + timedelta(hours=1)
    first = signal("o", "order", 5.0, due_date=due, superseded_at=amended_at, true_until=amended_at)
    await insert(
        connection,
        [*network(), first, signal("o", "order", 9.0, due_date=due, revision=2, occurred_at=amended_at)],
    )
    assert [o.ordered_units for o in (await planning_facts(connection)).orders] == [5.0]
    assert [o.ordered_units for o in (await planning_facts(connection, amended_at)).orders] == [9.0]


async def test_what_was_shipped_of_a_cancelled_order_left_stock_and_was_demanded(connection: Connection):
    order = signal(
        *("o", "order", 30.0),
        due_date=COUNTED_AT.date(),
        shipped_units=12.0,
        shipped_at=COUNTED_AT + timedelta(hours=1),
        cancelled=True,
    )
    never = signal("n", "order", 30.0, due_date=COUNTED_AT.date(), cancelled=True)
    await insert(connection, [*network(), count("c", COUNTED_AT, 100.0), order, never])
    known = await planning_facts(connection)
    assert (known.orders, known.stock[0].shipped_units_since) == ((), 12.0)
    assert (await forecast_facts(connection)).order_history.units == (12.0,)


async def test_an_order_shipped_beyond_what_was_ordered_is_closed_and_left_stock_as_a_whole(
    connection: Connection,
):
    more = {
        "due_date": date(2024, 6, 10),
        "shipped_units": 33.0,
        "shipped_at": COUNTED_AT + timedelta(hours=1),
    }
    await insert(connection, [*network(), count("c", COUNTED_AT, 100.0), signal("o", "order", 30.0, **more)])
    known = await planning_facts(connection)
    assert (known.orders, known.stock[0].shipped_units_since) == ((), 33.0)


async def test_open_supply_is_what_is_still_to_arrive(connection: Connection):
    rows = [
        supply("part", 40.0, received_units=15.0, receipt_at=AS_OF),
        supply("later", 40.0, received_units=40.0, receipt_at=AS_OF + timedelta(days=1)),
        supply("all", 40.0, received_units=40.0, receipt_at=AS_OF),
        supply("closed", 40.0, closed=True),
    ]
    await insert(connection, [*network(), *rows])
    known = await planning_facts(connection)
    assert [(s.external_id, s.units) for s in known.open_supply] == [("later", 40.0), ("part", 25.0)]


async def test_a_line_received_in_parts_came_part_by_part(connection: Connection):
    line = supply("s", 40.0)[1]
    parts = [(1, 5.0, -1, False), (2, 15.0, 1, False), (3, 30.0, 24 * 11, True)]  # hours since the count
    rows = [
        (
            "open_supply" if revision == 3 else "open_supply_revisions",
            line
            | {"revision": revision, "received_units": units, "closed": closed}
            | {"receipt_at": COUNTED_AT + timedelta(hours=hours), "updated_at": AS_OF},
        )
        for revision, units, hours, closed in parts
    ]
    await insert(connection, [*network(), count("c", COUNTED_AT, 100.0), *rows])
    then, later = (
        await planning_facts(connection),
        await planning_facts(connection, AS_OF + timedelta(days=20)),
    )
    assert (then.stock[0].received_units_since, [s.units for s in then.open_supply]) == (10.0, [25.0])
    assert (later.stock[0].received_units_since, later.open_supply) == (25.0, ())


async def test_days_are_cut_in_the_deployments_time_zone(connection: Connection):
    # 22:30 UTC on Monday is already Tuesday in Berlin
    evening = datetime(2024, 5, 27, 22, 30, tzinfo=UTC)
    await insert(connection, [*network(), signal("c", "consumption", 5.0, occurred_at=evening)])
    assert (await forecast_facts(connection)).consumption.days == (date(2024, 5, 27),)
    assert (await forecast_facts(connection, time_zone="Europe/Berlin")).consumption.days == (
        date(2024, 5, 28),
    )
    late = datetime(2024, 6, 5, 23, 0, tzinfo=UTC)
    known = await planning_facts(connection, late, "Europe/Berlin")
    assert known.horizon.as_of_date == date(2024, 6, 6)


async def test_history_ends_before_as_ofs_own_day(connection: Connection):
    morning = AS_OF.replace(hour=1)
    rows = [
        signal("today", "consumption", 5.0, occurred_at=morning),
        signal("yesterday", "consumption", 6.0, occurred_at=morning - timedelta(days=1)),
        signal("due", "order", 7.0, due_date=date(2024, 6, 5)),
        signal("was-due", "order", 8.0, due_date=date(2024, 6, 4)),
    ]
    await insert(connection, [*network(), *rows])
    known = await forecast_facts(connection)
    assert known.consumption.units == (6.0,)
    assert known.order_history.units == (8.0,)


async def test_units_of_a_day_add_up_exactly_whatever_the_order_of_the_rows(connection: Connection):
    await insert(connection, network())
    units = [0.1, 0.2, 0.3, 1e6, -1e6 + 0.4]
    for turn in (units, units[::-1], units[2:] + units[:2]):
        await connection.execute("DELETE FROM demand_signals")
        await insert(connection, [signal(f"c{i}", "consumption", n) for i, n in enumerate(turn)])
        assert (await forecast_facts(connection)).consumption.units == (1.0,)


async def test_asked_policies_are_laid_over_the_stored_ones(connection: Connection):
    stored = {"product_code": "BREAD", "region_code": "*", "policy": "base_stock"}
    everywhere = {"product_code": "*", "region_code": "*", "policy": "make_to_order"}
    await insert(connection, [("policies", stored), ("policies", everywhere)])
    asked = PullPolicy(product_code="BREAD", policy="make_to_order", service_level_share=0.9)
    known = await planning_facts(connection, policy_overrides=[asked])
    assert [(p.product_code, p.policy) for p in known.policies] == [
        ("*", "make_to_order"),
        ("BREAD", "make_to_order"),
    ]


async def test_a_pair_without_history_is_forecast_when_it_holds_stock_or_has_a_base_stock_of_its_own(
    connection: Connection,
):
    policy = {"product_code": "CAKE", "region_code": "WEST", "policy": "base_stock"}
    unknown = {"product_code": "GHOST", "region_code": "WEST", "policy": "base_stock"}
    rows = [count("c", COUNTED_AT, 5.0), ("policies", policy), ("policies", unknown)]
    await insert(connection, [*network(), *rows])
    assert (await forecast_facts(connection)).pairs == (("BREAD", "NORTH"), ("CAKE", "WEST"))


async def test_a_snapshot_does_not_see_what_is_committed_meanwhile(connection: Connection, pool: Any):
    async with facts.opened_snapshot(connection, None, "UTC") as moment:
        horizon = moment.horizon("week", 4)
        async with pool.acquire() as other:
            await insert(other, network())
        known = await facts.read_network_facts(connection, horizon, parameters=PlanParameters())
    assert known.nodes == ()
    assert moment.as_of == moment.snapshot_at


@pytest.mark.parametrize("query", ["list_stock", "list_consumption_pairs", "list_open_orders", "list_leads"])
async def test_a_snapshot_never_loops_over_tables_that_have_no_statistics_yet(
    connection: Connection, query: str
):
    async with facts.opened_snapshot(connection, AS_OF, "UTC"):
        steps = [row[0] for row in await connection.fetch("EXPLAIN " + facts.SQL[query], AS_OF)]
    assert not any("Nested Loop" in step for step in steps)


async def test_announced_promotions_that_have_been_are_read_up_to_as_ofs_day(connection: Connection):
    days = {"from_date": date(2024, 5, 20), "until_date": date(2024, 6, 20)}
    rows = [
        signal("now", "adjustment", None, multiplier=2.0, reason="promotion", **days),
        signal("guess", "adjustment", None, multiplier=2.0, reason="a hunch", **days),
        signal("off", "adjustment", None, multiplier=2.0, reason="promotion", cancelled=True, **days),
        signal("to come", "adjustment", None, multiplier=2.0, reason="promotion",
            from_date=date(2024, 6, 5), until_date=date(2024, 6, 20)),
        signal("unheard", "adjustment", None, multiplier=2.0, reason="promotion",
            occurred_at=AS_OF + timedelta(seconds=1), **days),
    ]  # fmt: skip
    await insert(connection, [*network(), *rows])
    known = await forecast_facts(connection)
    assert known.promotions == (
        Promotion(
            external_id="now",
            product_code="BREAD",
            region_code="NORTH",
            from_date=date(2024, 5, 20),
            until_date=date(2024, 6, 5),
        ),
    )


async def test_a_region_is_out_of_stock_from_a_count_of_nothing_to_the_next_count_receipt_or_week(
    connection: Connection,
):
    may = datetime(2024, 5, 1, 12, tzinfo=UTC)
    day = timedelta(days=1)
    rows = [
        count("until the next count", may, 0.0),
        count("there", may + 3 * day, 5.0),
        count("all reserved, until the receipt", may + 10 * day, 5.0, reserved_units=5.0),
        count("for a week at most", may + 20 * day, 0.0),
        count("until as_of", AS_OF - 2 * day, -1.0),
        supply("receipt", 5.0, received_units=5.0, receipt_at=may + 12 * day),
        supply("nothing came of it", 5.0),
    ]
    await insert(connection, [*network(), *rows])
    known = await forecast_facts(connection)
    assert [(o.from_date, o.until_date) for o in known.out_of_stock] == [
        (date(2024, 5, 1), date(2024, 5, 4)),
        (date(2024, 5, 11), date(2024, 5, 13)),
        (date(2024, 5, 21), date(2024, 5, 28)),
        (date(2024, 6, 3), date(2024, 6, 5)),
    ]


async def test_out_of_stock_is_told_in_days_of_the_deployments_time_zone(connection: Connection):
    late = datetime(2024, 5, 1, 23, 30, tzinfo=UTC)
    await insert(
        connection, [*network(), count("empty", late, 0.0), count("there", late + timedelta(days=2), 5.0)]
    )
    (there,) = (await forecast_facts(connection, time_zone="Europe/Berlin")).out_of_stock
    assert (there.from_date, there.until_date) == (date(2024, 5, 2), date(2024, 5, 4))


async def test_a_policy_counts_on_its_days_and_of_several_the_one_that_began_last(connection: Connection):
    every = {"product_code": "*", "region_code": "*"}
    days = [
        (None, None),
        (date(2024, 6, 5), None),
        (date(2024, 6, 6), None),
        (date(2024, 5, 1), date(2024, 6, 5)),
    ]
    for n, (first, end) in enumerate(days, 1):
        row = every | {"policy": "base_stock", "review_period_days": n}
        await insert(connection, [("policies", row | {"effective_from": first, "effective_until": end})])
    in_force = {}
    for day in (date(2024, 4, 30), date(2024, 6, 4), date(2024, 6, 5), date(2024, 6, 6)):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        [policy] = (await planning_facts(connection, at)).policies
        in_force[day] = policy.review_period_days
    assert list(in_force.values()) == [1, 4, 2, 3]
    override = PullPolicy(policy="make_to_order")
    assert (await planning_facts(connection, policy_overrides=[override])).policies == (override,)
