from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from pullplan.engine.model import (
    Assignment,
    CapacityPrice,
    Figures,
    Horizon,
    Need,
    PassedOver,
    Plan,
    PlanningFacts,
    PlanParameters,
    Product,
    ResourceLoad,
    Shortfall,
    Stage,
)
from pullplan.storage import listings, plans
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MONDAY = date(2024, 1, 1)
DATES = [MONDAY, MONDAY + timedelta(weeks=1)]
FACTS = PlanningFacts(
    horizon=Horizon(as_of_date=MONDAY, horizon_buckets=2),
    parameters=PlanParameters(),
    products=(Product(product_code="BREAD"),),
)


def need(need_id: int, region_code: str, units: float, **more: Any) -> Need:
    return Need(
        **{
            "need_id": need_id,
            "product_code": "BREAD",
            "region_code": region_code,
            "bucket": 1,
            "tier": "order",
            "units": units,
            "latest_bucket": 1,
            **more,
        }
    )


def assignment(assignment_id: int, need_id: int, node_code: str, units: float) -> Assignment:
    return Assignment(
        assignment_id=assignment_id,
        need_id=need_id,
        node_code=node_code,
        start_bucket=0,
        arrival_bucket=1,
        units=units,
        started_units=units,
        distance_km=12.5,
        cost_per_unit=12.5,
        distance_rank=2,
        passed_over=(NEAR,),
    )


def load(node_code: str, bucket: int, capacity: float, used: float, **more: Any) -> ResourceLoad:
    return ResourceLoad(
        node_code=node_code, resource_code="hours", bucket=bucket, capacity=capacity, used=used, **more
    )


NEAR = PassedOver(
    node_code="NEAR",
    cause="at_capacity",
    capacity_price=3.5,
    forcing_measure="cost:nearest",
    forcing_cost_per_unit=2.0,
    forcing_cost=3.0,
)
PLAN = Plan(
    method="by hand",
    reproducible=True,
    snapshot_hash="1" * 64,
    plan_hash="2" * 64,
    needs=(need(1, "NORTH", 10.0), need(2, "SOUTH", 4.0, tier="buffer"), need(3, "WEST", 1.0)),
    assignments=(
        assignment(1, 1, "MILL", 6.0),
        assignment(2, 1, "YARD", 4.0),
        assignment(3, 2, "MILL", 1.5),
        assignment(4, 3, "YARD", 1.0),
    ),
    shortfalls=(Shortfall(shortfall_id=1, need_id=2, units=2.5, reason="at_capacity", detail="full"),),
    stages=(Stage(stage=1, measure="cost:nearest", value=9.0, lower_bound=9.0, gap=0.0, gap_absolute=0.0),),
    prices=tuple(
        CapacityPrice(stage=stage, node_code="MILL", resource_code="hours", bucket=b, price=1.0 + b)
        for stage in (1, 2)
        for b in (0, 1)
    ),
    loads=(
        load("MILL", 0, 10.0, 7.5),
        load("MILL", 1, 10.0, 10.0),
        load("STORE", 0, 20.0, 5.0, kind="stored"),
        load("STORE", 1, 15.0, 13.0, kind="stored"),
        load("YARD", 0, 0.0, 0.0),
    ),
    figures=Figures(needs_units=15.0, assigned_units=12.5, shortfall_units=2.5),
    tie_break="by code",
)


async def stored(connection: Connection, run_id: UUID | None = None) -> UUID:
    plan_id = uuid4()
    record = plans.PlanRecord(
        plan_id=plan_id,
        run_id=run_id or plan_id,
        forecast_id=None,
        as_of=datetime(2024, 1, 3, tzinfo=UTC),
        parameters={"objective": "nearest"},
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        wall_seconds=1.5,
        code_version="0.1.0",
    )
    async with connection.transaction():
        await plans.insert(connection, record, PLAN, FACTS, DATES)
    return plan_id


async def all_of(
    connection: Connection, listing: listings.Listing, plan_id: UUID, **filters: Any
) -> list[Any]:
    return [row async for row in listings.stream(connection, listing, plan_id, **filters)]


async def test_a_plan_says_what_it_is_and_what_it_was_made_from(connection: Connection):
    plan_id = await stored(connection)
    row = await plans.find(connection, plan_id)
    assert row is not None
    assert (row["first_bucket_date"], row["horizon_buckets"], row["objective"]) == (MONDAY, 2, "nearest")
    assert row["figures"]["needs_units"] == 15.0
    assert row["stages"][0]["measure"] == "cost:nearest"
    assert await plans.find_facts(connection, plan_id) == FACTS


@pytest.mark.parametrize("table", ["plan_needs", "plan_assignments"])
async def test_rows_are_of_a_stored_plan_and_go_with_it(connection: Connection, table: str):
    plan_id, other_id = await stored(connection), await stored(connection)
    stray = (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(row, jsonb_build_object('plan_id', $2::uuid))).*"
        f" FROM {table} AS row WHERE plan_id = $1"
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="not stored"):
        await connection.execute(stray, plan_id, uuid4())
    await connection.execute("DELETE FROM plans WHERE plan_id = $1", plan_id)
    of_plans = await connection.fetch(f"SELECT DISTINCT plan_id FROM {table}")
    assert [row["plan_id"] for row in of_plans] == [other_id]


async def test_an_unknown_plan_is_not_found(connection: Connection):
    assert await plans.find(connection, uuid4()) is None
    assert await plans.find_facts(connection, uuid4()) is None


async def test_each_need_says_what_of_it_is_assigned_and_what_is_short(connection: Connection):
    needs = await all_of(connection, plans.NEEDS, await stored(connection))
    assert [(n["units"], n["assigned_units"], n["shortfall_units"]) for n in needs] == [
        (10.0, 10.0, 0.0),
        (4.0, 1.5, 2.5),
        (1.0, 1.0, 0.0),
    ]
    assert {n["bucket_date"] for n in needs} == {DATES[1]}


async def test_lines_are_read_with_the_codes_and_dates_of_their_need(connection: Connection):
    plan_id = await stored(connection)
    [line, *_] = await all_of(connection, plans.ASSIGNMENTS, plan_id)
    assert (line["product_code"], line["region_code"], line["tier"]) == ("BREAD", "NORTH", "order")
    assert (line["need_bucket_date"], line["start_bucket_date"]) == (DATES[1], DATES[0])
    assert line["passed_over"] == [
        {
            "node_code": "NEAR",
            "cause": "at_capacity",
            "distance_km": None,
            "capacity_price": 3.5,
            "forcing_measure": "cost:nearest",
            "forcing_cost_per_unit": 2.0,
            "forcing_cost": 3.0,
        }
    ]
    [shortfall] = await all_of(connection, plans.SHORTFALLS, plan_id)
    assert (shortfall["region_code"], shortfall["tier"], shortfall["reason"]) == (
        "SOUTH",
        "buffer",
        "at_capacity",
    )


@pytest.mark.parametrize(
    "listing", [plans.NEEDS, plans.ASSIGNMENTS, plans.SHORTFALLS, plans.PRICES, plans.LOADS]
)
async def test_pages_put_together_are_the_whole_list(connection: Connection, listing: listings.Listing):
    await stored(connection)  # another plan's lines are none of ours
    plan_id = await stored(connection)
    whole, paged, after = await all_of(connection, listing, plan_id), [], None
    while page := await listings.list_page(connection, listing, plan_id, after=after, limit=2):
        paged += page
        after = tuple(page[-1][name] for name in listing.key)
    assert paged == whole
    assert len({tuple(row[name] for name in listing.key) for row in whole}) == len(whole) > 0


async def test_lines_are_filtered_by_node_region_and_tier(connection: Connection):
    plan_id = await stored(connection)

    async def ids(**filters: str) -> list[int]:
        return [
            row["assignment_id"] for row in await all_of(connection, plans.ASSIGNMENTS, plan_id, **filters)
        ]

    assert await ids(node_code="YARD") == [2, 4]
    assert await ids(node_code="YARD", region_code="WEST") == [4]
    assert await ids(tier="buffer") == [3]
    assert await ids(product_code="CAKE") == []


async def test_the_busiest_resource_comes_first_and_stored_stock_counts_once(connection: Connection):
    # MILL 17.5 of 20; STORE used 18 of the 20 that ever lay there (15 in the end + 5 used before); YARD has nothing
    busiest = await plans.list_busiest(connection, await stored(connection))
    assert [(b["node_code"], b["capacity"], b["used"], b["use_share"]) for b in busiest] == [
        ("STORE", 20.0, 18.0, 0.9),
        ("MILL", 20.0, 17.5, 0.875),
        ("YARD", 0.0, 0.0, None),
    ]


async def test_a_run_stores_one_plan_at_most(connection: Connection):
    run_id = uuid4()
    await stored(connection, run_id)
    with pytest.raises(asyncpg.UniqueViolationError, match="plans_one_for_each_run"):
        await stored(connection, run_id)


async def test_plans_are_listed_newest_first(connection: Connection):
    ids = [await stored(connection) for _ in range(3)]
    [first] = await plans.list_all(connection, after=None, limit=1)
    rest = await plans.list_all(connection, after=(first["created_at"], first["plan_id"]), limit=10)
    assert [first["plan_id"], *(row["plan_id"] for row in rest)] == ids[::-1]
    assert len(await plans.list_all(connection, after=None, limit=10, updated_since=first["created_at"])) == 1
