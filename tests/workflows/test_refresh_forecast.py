"""Does a refresh make anew what has news since its base, all of it and nothing else?"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network, signal, stock

from pullplan.engine.model import Experience, ForecastRequest, SeriesForecast
from pullplan.storage import facts, forecast_refreshes, forecast_totals, forecasts, listings
from pullplan.storage.database import Connection, prepare_connection

pytestmark = pytest.mark.anyio

MONDAY = datetime(2024, 6, 3, 12, tzinfo=UTC)
LAST_WEEK = MONDAY - timedelta(days=4)
FULL_LIMIT = 0.03
"""How far the mean of a refresh may lie from that of a forecast of all series: a panel of six moves with each."""

Pair = tuple[str, str]


async def forecast(connection: Connection, url: str, **asked: Any) -> UUID:
    request = ForecastRequest(**{"as_of": AS_OF, "profile": "quick", **asked})
    return await computed(connection, url, "forecast", request)


async def refresh(connection: Connection, url: str, **asked: Any) -> tuple[UUID, set[Pair]]:
    """Refresh; tell which series were made anew."""
    refreshed = await forecast(connection, url, refresh=True, **asked)
    return refreshed, {
        (row["product_code"], row["region_code"])
        for row in await rows_of(connection, forecasts.SERIES, refreshed)
        if row["refresh_reason"] == "news"
    }


async def rows_of(
    connection: Connection, listing: listings.Listing, forecast_id: UUID
) -> list[dict[str, Any]]:
    return [dict(row) async for row in listings.stream(connection, listing, forecast_id)]


async def series_of(connection: Connection, forecast_id: UUID) -> dict[Pair, SeriesForecast]:
    read = await forecasts.find_for_planning(connection, forecast_id)
    assert read is not None
    return {(s.product_code, s.region_code): s for s in read.series}


async def base_of(connection: Connection, forecast_id: UUID) -> UUID | None:
    head = await forecasts.find(connection, forecast_id)
    assert head is not None
    base: UUID | None = head["base_forecast_id"]
    return base


async def rolled_from(connection: Connection, forecast_id: UUID) -> UUID | None:
    head = await forecasts.find(connection, forecast_id)
    assert head is not None
    earlier: UUID | None = head["rolled_from_forecast_id"]
    return earlier


async def sums_of(connection: Connection, forecast_id: UUID) -> dict[tuple[str, str, date], float]:
    """Add series up by product, by region and in all."""
    added: defaultdict[tuple[str, str, date], float] = defaultdict(float)
    for row in await rows_of(connection, forecasts.VALUES, forecast_id):
        for total in (("product", row["product_code"]), ("region", row["region_code"]), ("all", "")):
            added[(*total, row["bucket_date"])] += row["mean_units"]
    return added


async def totals_of(connection: Connection, forecast_id: UUID) -> dict[tuple[str, str, date], float]:
    totals = await rows_of(connection, forecast_totals.TOTAL_VALUES, forecast_id)
    return {(t["totalled_by"], t["code"], t["bucket_date"]): t["mean_units"] for t in totals}


@asynccontextmanager
async def other_connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    await prepare_connection(connection)
    try:
        yield connection
    finally:
        await connection.close()


async def test_late_demand_of_one_series_changes_that_series_as_a_full_forecast_would_and_no_other(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), *demand()])
    base = await forecast(connection, database_url)
    await insert(connection, [signal("late", "consumption", 55.0, occurred_at=LAST_WEEK)])
    refreshed, touched = await refresh(connection, database_url)
    assert touched == {("BREAD", "NORTH")}
    assert await base_of(connection, refreshed) == base

    was, now = await series_of(connection, base), await series_of(connection, refreshed)
    full = await series_of(connection, await forecast(connection, database_url))
    assert [pair for pair in was if was[pair] != now[pair]] == [("BREAD", "NORTH")]
    news, anew = now["BREAD", "NORTH"], full["BREAD", "NORTH"]
    assert sum(news.mean_units) > 1.02 * sum(was["BREAD", "NORTH"].mean_units)
    if news.model == anew.model:
        assert sum(news.mean_units) == pytest.approx(sum(anew.mean_units), rel=FULL_LIMIT)
    for listing in (forecasts.VALUES, forecasts.HISTORY, forecasts.CANDIDATES, forecasts.BACKTEST):
        before, after = [
            [row for row in await rows_of(connection, listing, one) if row["region_code"] != "NORTH"]
            for one in (base, refreshed)
        ]
        assert before == after != []
    assert await totals_of(connection, refreshed) == pytest.approx(await sums_of(connection, refreshed))
    told = await rows_of(connection, forecasts.HISTORY, refreshed)
    assert {(r["bucket_date"]) for r in told if r["region_code"] == "NORTH"} == {
        r["bucket_date"] for r in told if r["region_code"] == "SOUTH"
    }

    # The base and the facts decide: made once more, upon the same base, it is the very same.
    again, _ = await refresh(connection, database_url, as_of=AS_OF + timedelta(hours=1))
    assert await base_of(connection, again) != base
    assert (await series_of(connection, again)) == full


async def test_without_news_a_refresh_is_its_base(connection: Connection, database_url: str):
    await insert(connection, [*network(), *demand(), *stock()])
    base = await forecast(connection, database_url)
    later = {"as_of": AS_OF + timedelta(hours=5)}
    this_week = {"occurred_at": AS_OF + timedelta(hours=1)}
    place = {"product_code": "BREAD", "region_code": "NORTH"}
    await insert(connection, [
        signal("today", "consumption", 9.0, **this_week),
        signal("to come", "order", 70.0, due_date=date(2024, 6, 20), **this_week),
        ("stock_counts", {"source": "erp", "external_id": "c2", **place, "counted_at": LAST_WEEK, "on_hand_units": 3.0}),
    ])  # fmt: skip
    refreshed, touched = await refresh(connection, database_url, **later)
    assert touched == set()
    assert await base_of(connection, refreshed) == base
    assert await series_of(connection, refreshed) == await series_of(connection, base)
    twice = [(await refresh(connection, database_url, **later))[0] for _ in range(2)]
    assert await series_of(connection, twice[0]) == await series_of(connection, twice[1])


async def test_news_are_whatever_a_forecast_would_look_at(connection: Connection, database_url: str):
    ordered = signal("old", "order", 5.0, due_date=date(2024, 5, 6), occurred_at=LAST_WEEK)
    await insert(connection, [*network(), *demand(), *stock(), ordered])
    await forecast(connection, database_url)
    # A correction that moves a sale to another pair is news for both.
    await connection.execute(
        "UPDATE demand_signals SET superseded_at = now() WHERE external_id = 'BREAD-SOUTH-3'"
    )
    moved = {"product_code": "CAKE", "region_code": "SOUTH", "occurred_at": LAST_WEEK, "revision": 2}
    await insert(connection, [signal("BREAD-SOUTH-3", "consumption", 70.0, **moved)])
    assert (await refresh(connection, database_url))[1] == {("BREAD", "SOUTH"), ("CAKE", "SOUTH")}
    # An adjustment, an order of the past, and a shelf found empty.
    await forecast(connection, database_url)
    west, cake = {"region_code": "WEST"}, {"product_code": "CAKE"}
    weeks = {"from_date": date(2024, 6, 10), "until_date": date(2024, 6, 17)}
    await insert(connection, [
        signal("more", "adjustment", None, multiplier=2.0, **weeks),
        signal("due", "order", 5.0, due_date=date(2024, 5, 22), occurred_at=LAST_WEEK, **west),
        ("stock_counts", {
            "source": "erp", "external_id": "none", "product_code": "CAKE", "region_code": "NORTH",
            "counted_at": MONDAY - timedelta(days=6), "on_hand_units": 0.0,
        }),
    ])  # fmt: skip
    refreshed, touched = await refresh(connection, database_url)
    assert touched == {("BREAD", "NORTH"), ("BREAD", "WEST"), ("CAKE", "NORTH")}
    bread = (await series_of(connection, refreshed))["BREAD", "NORTH"]
    assert bread.adjustment_units[1] == pytest.approx(bread.mean_units[1] / 2) != 0
    # What was announced later than as_of is not read yet, and is news once it is.
    await forecast(connection, database_url)
    await insert(
        connection,
        [signal("x", "adjustment", 9.0, occurred_at=AS_OF + timedelta(hours=2), **west, **cake, **weeks)],
    )
    await forecast(connection, database_url)
    assert (await refresh(connection, database_url, as_of=AS_OF + timedelta(hours=1)))[1] == set()
    assert (await refresh(connection, database_url, as_of=AS_OF + timedelta(hours=3)))[1] == {
        ("CAKE", "WEST")
    }


async def test_a_product_that_sells_for_the_first_time_has_a_series_and_a_total(
    connection: Connection, database_url: str
):
    bread = [row for row in demand() if row[1].get("product_code") != "CAKE"]
    await insert(connection, [*network(), *bread])
    base = await forecast(connection, database_url)
    first = {"product_code": "CAKE", "region_code": "WEST", "occurred_at": LAST_WEEK}
    await insert(connection, [signal("first", "consumption", 7.0, **first)])
    refreshed, touched = await refresh(connection, database_url)
    assert (await base_of(connection, refreshed), touched) == (base, {("CAKE", "WEST")})
    cake = (await series_of(connection, refreshed))["CAKE", "WEST"]
    totals = await rows_of(connection, forecast_totals.TOTAL_VALUES, refreshed)
    assert [t["mean_units"] for t in totals if t["code"] == "CAKE"] == list(cake.mean_units)
    assert [
        (t["totalled_by"], t["n_series"])
        for t in await rows_of(connection, forecast_totals.TOTALS, refreshed)
        if t["code"] in {"", "CAKE", "WEST"}
    ] == [("all", 4), ("product", 1), ("region", 2)]


async def test_what_was_being_written_while_the_base_was_made_is_news(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), *demand()])
    async with other_connection(database_url) as other:
        async with other.transaction():
            await insert(other, [signal("slow", "consumption", 40.0, occurred_at=LAST_WEEK)])
            base = await forecast(connection, database_url)
            await insert(
                connection, [signal("quick", "consumption", 4.0, occurred_at=LAST_WEEK, region_code="SOUTH")]
            )
            assert (await refresh(connection, database_url))[1] == {("BREAD", "SOUTH")}
        refreshed, touched = await refresh(connection, database_url)
    assert touched == {("BREAD", "NORTH"), ("BREAD", "SOUTH")}
    assert await base_of(connection, refreshed) == base


async def test_buckets_that_have_ended_move_all_series_on(connection: Connection, database_url: str):
    await insert(connection, [*network(), *demand()])
    base = await forecast(connection, database_url)
    # Bread sells ten times as much in the west from now on: its model follows, as two weeks are too few to speak of drift.
    for week in range(2):
        sold = AS_OF + timedelta(weeks=week, hours=3)
        await insert(connection, [
            signal(
                f"{product} {region} {week}", "consumption", 600.0 if (product, region) == ("BREAD", "WEST") else 66.0,
                product_code=product, region_code=region, occurred_at=sold,
            )
            for product in ("BREAD", "CAKE") for region in ("NORTH", "SOUTH", "WEST")
        ])  # fmt: skip
    asked = {"as_of": AS_OF + timedelta(weeks=2)}
    moved = await forecast(connection, database_url, refresh=True, **asked)
    head = await forecasts.find(connection, moved)
    assert head is not None
    assert (head["base_forecast_id"], head["rolled_from_forecast_id"]) == (None, base)
    assert (head["n_refreshed_series"], head["n_refitted_series"]) == (6, 0)
    assert head["first_bucket_date"] == date(2024, 6, 17)
    assert {row["refresh_reason"] for row in await rows_of(connection, forecasts.SERIES, moved)} == {"bucket"}
    was, now = await series_of(connection, base), await series_of(connection, moved)
    assert {pair: s.model for pair, s in was.items()} == {pair: s.model for pair, s in now.items()}
    whole = await series_of(connection, await forecast(connection, database_url, **asked))
    steady = [pair for pair in whole if pair != ("BREAD", "WEST")]
    said, meant = (np.array([of[pair].mean_units for pair in steady]) for of in (now, whole))
    assert np.abs(said - meant).sum() <= 0.1 * meant.sum()
    assert await totals_of(connection, moved) == pytest.approx(await sums_of(connection, moved))
    totals = await rows_of(connection, forecast_totals.TOTAL_VALUES, moved)
    for total in totals:
        assert 0 <= total["p10_units"] <= total["p50_units"] <= total["p90_units"]


async def test_what_was_rolled_forward_is_a_base_for_refreshes_which_let_the_drifted_compete_first(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), *demand()])
    base = await forecast(connection, database_url)
    later = {"as_of": AS_OF + timedelta(weeks=1)}
    moved, _ = await refresh(connection, database_url, **later)
    assert await rolled_from(connection, moved) == base
    refreshed, touched = await refresh(connection, database_url, **later)
    assert (await base_of(connection, refreshed), touched) == (moved, set())
    drifted = Experience(n_buckets=9, tracking_signal=-8.0, has_drifted=True)
    await connection.execute(
        "UPDATE forecast_series SET experience = $2 WHERE forecast_id = $1 AND region_code = 'SOUTH'",
        moved,
        drifted,
    )
    await insert(connection, [signal("late", "consumption", 55.0, occurred_at=LAST_WEEK)])
    refreshed, touched = await refresh(connection, database_url, **later)
    assert touched == {("BREAD", "NORTH")}
    again = {
        (row["product_code"], row["region_code"])
        for row in await rows_of(connection, forecasts.SERIES, refreshed)
        if row["refresh_reason"] == "drift"
    }
    assert again == {("BREAD", "SOUTH"), ("CAKE", "SOUTH")}
    head = await forecasts.find(connection, refreshed)
    assert head is not None
    assert (head["n_refreshed_series"], head["n_refitted_series"]) == (3, 2)
    # Three weeks after all was learned it is rolled once more, from the latest; a week later all is learned anew.
    for weeks, expected in ((3, moved), (4, None)):
        further, _ = await refresh(connection, database_url, as_of=AS_OF + timedelta(weeks=weeks))
        assert await rolled_from(connection, further) == expected


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        ({"profile": "thorough"}, None),
        ({"as_of": AS_OF + timedelta(weeks=4)}, None),
        (
            {},
            "INSERT INTO policies (product_code, region_code, policy) VALUES ('CAKE', 'WEST', 'base_stock')",
        ),
        ({}, "UPDATE products SET retired_at = now() WHERE product_code = 'CAKE'"),
    ],
)
async def test_where_no_forecast_answers_the_same_question_all_series_are_made_anew(
    connection: Connection, database_url: str, asked: dict[str, Any], change: str | None
):
    await insert(connection, [*network(), *demand(weeks=20)])
    await forecast(connection, database_url)
    if change:
        await connection.execute(change)
    refreshed, touched = await refresh(connection, database_url, **asked)
    assert (await base_of(connection, refreshed), touched) == (None, set())
    assert await series_of(connection, refreshed) == await series_of(
        connection, await forecast(connection, database_url, **asked)
    )


async def test_a_refresh_reads_the_signals_of_no_other_pair(connection: Connection):
    await insert(connection, [*network(), *demand()])
    await connection.execute("ANALYZE demand_signals")
    async with connection.transaction():
        await connection.execute(facts.SQL["prefer_hash_joins"])
        async with forecast_refreshes.few_rows_read(connection):
            [[plan]] = await connection.fetch(
                "EXPLAIN (ANALYZE, FORMAT JSON) " + facts.SQL["list_daily_consumption"],
                AS_OF.date(), "UTC", None, ["CAKE"], ["WEST"],
            )  # fmt: skip
    n_sold = await connection.fetchval(
        "SELECT count(*) FROM demand_signals WHERE product_code = 'CAKE' AND region_code = 'WEST'"
    )
    read = [node for node in nodes_of(json.loads(plan)[0]["Plan"]) if node.get("Alias") == "s"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) == n_sold
    assert sum(node.get("Rows Removed by Filter", 0) for node in read) == 0


def nodes_of(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", []) for below in nodes_of(child))]
