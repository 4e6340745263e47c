from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from pullplan.engine.model import (
    Accuracy,
    Candidate,
    Forecast,
    ForecastsInForce,
    Grounds,
    PastForecast,
    SeriesForecast,
)
from pullplan.storage import forecasts, listings
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MONDAY = date(2024, 1, 1)
DATES = [MONDAY, MONDAY + timedelta(weeks=1)]


def series(product_code: str, region_code: str, **more: Any) -> SeriesForecast:
    return SeriesForecast(
        **{
            "product_code": product_code,
            "region_code": region_code,
            "demand_class": "smooth",
            "model": "AutoETS",
            "history_buckets": 52,
            "mean_units": (10.1, 1 / 3),
            "p10_units": (5.0, 0.0),
            "p50_units": (10.0, 0.25),
            "p90_units": (15.0, 1.5),
            "adjustment_units": (0.0, -2.0),
            "error_paths_units": ((0.1, -0.2), (1e-12, 7.0)),
            "accuracy": Accuracy(n_origins=4, wape_share=0.3),
            **more,
        }
    )


def forecast() -> Forecast:
    all_series = (
        series("BREAD", "NORTH"),
        series(
            "BREAD", "SOUTH", demand_class="lumpy", fallback_reason="AutoETS failed", error_paths_units=()
        ),
        series("CAKE", "NORTH", demand_class="new", accuracy=Accuracy()),
    )
    return Forecast(
        first_bucket_date=MONDAY, bucket="week", n_steps=2, series=all_series, measures=Accuracy(n_origins=4)
    )


def grounds() -> tuple[Grounds, ...]:
    """Of the first series alone; of the others nothing is known."""
    first = Grounds(
        history_first_date=MONDAY - timedelta(weeks=3),
        history_units=(3.0, None, 1 / 3),
        history_used_units=(2.0, None, 1 / 3),
        history_marks=("outlier", "missing", None),
        candidates=(
            Candidate(model="AutoETS", score=0.9, bias_share=0.01),
            Candidate(model="SES", score=0.8, bias_share=0.4, is_biased=True),
            Candidate(model="AutoCES", failure="ZeroDivisionError"),
        ),
        backtest=(
            PastForecast(
                first_bucket_date=MONDAY - timedelta(weeks=2),
                mean_units=(2.0, 4.0),
                p10_units=(1.0, 2.0),
                p50_units=(2.0, 3.0),
                p90_units=(3.0, 6.0),
            ),
            PastForecast(first_bucket_date=MONDAY - timedelta(weeks=1), mean_units=(9.0, 9.0)),
        ),
    )
    return first, Grounds(), Grounds()


async def stored(connection: Connection, made: Forecast | None = None, **more: Any) -> UUID:
    forecast_id = uuid4()
    record = forecasts.ForecastRecord(
        forecast_id=forecast_id,
        run_id=forecast_id,
        as_of=more.get("as_of", datetime(2024, 1, 3, tzinfo=UTC)),
        horizon_buckets=1,
        parameters={"bucket": "week"},
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        snapshot_hash="0" * 64,
        wall_seconds=1.5,
        code_version="0.1.0",
    )
    made = made or forecast()
    async with connection.transaction():
        await forecasts.insert(
            connection, record, made, grounds()[: len(made.series)], more.get("dates", DATES)
        )
    return forecast_id


async def test_a_forecast_is_read_back_for_planning_exactly_as_it_was_made(connection: Connection):
    assert await forecasts.find_for_planning(connection, await stored(connection)) == forecast()


async def test_an_unknown_forecast_is_not_found(connection: Connection):
    assert await forecasts.find(connection, uuid4()) is None
    assert await forecasts.find_for_planning(connection, uuid4()) is None


async def test_a_forecast_without_series_is_stored_too(connection: Connection):
    empty = msgspec.structs.replace(forecast(), series=())
    assert await forecasts.find_for_planning(connection, await stored(connection, empty)) == empty


async def test_values_are_read_page_by_page_in_a_stable_order(connection: Connection):
    forecast_id = await stored(connection)
    seen: list[tuple[Any, ...]] = []
    after: tuple[Any, ...] | None = None
    while page := await listings.list_page(connection, forecasts.VALUES, forecast_id, after=after, limit=2):
        seen += [tuple(row[name] for name in forecasts.VALUES.key) for row in page]
        after = seen[-1]
    assert seen == [
        (s.product_code, s.region_code, bucket_date) for s in forecast().series for bucket_date in DATES
    ]


async def test_values_are_filtered_by_product_and_region(connection: Connection):
    rows = [
        (row["bucket_date"], row["mean_units"], row["adjustment_units"])
        async for row in listings.stream(
            connection, forecasts.VALUES, await stored(connection), product_code="BREAD", region_code="SOUTH"
        )
    ]
    assert rows == [(DATES[0], 10.1, 0.0), (DATES[1], 1 / 3, -2.0)]


async def test_series_are_filtered_by_class_and_tell_their_accuracy(connection: Connection):
    forecast_id = await stored(connection)
    [lumpy] = await listings.list_page(
        connection, forecasts.SERIES, forecast_id, after=None, limit=10, demand_class="lumpy"
    )
    assert (lumpy["region_code"], lumpy["fallback_reason"]) == ("SOUTH", "AutoETS failed")
    assert lumpy["accuracy"]["wape_share"] == 0.3


async def test_a_filter_that_the_list_does_not_have_is_refused(connection: Connection):
    with pytest.raises(KeyError, match="node_code"):
        await listings.list_page(connection, forecasts.VALUES, uuid4(), after=None, limit=1, node_code="MILL")


async def test_forecasts_are_listed_newest_first(connection: Connection):
    ids = [await stored(connection) for _ in range(3)]
    [first] = await forecasts.list_all(connection, after=None, limit=1)
    rest = await forecasts.list_all(connection, after=(first["created_at"], first["forecast_id"]), limit=10)
    assert [first["forecast_id"], *(row["forecast_id"] for row in rest)] == ids[::-1]
    since = await forecasts.list_all(connection, after=None, limit=10, updated_since=first["created_at"])
    assert [row["forecast_id"] for row in since] == [ids[-1]]


async def test_crossing_quantiles_are_refused_by_the_database(connection: Connection):
    crossing = msgspec.structs.replace(forecast(), series=(series("B", "N", p10_units=(99.0, 0.0)),))
    with pytest.raises(asyncpg.CheckViolationError):
        await stored(connection, crossing)
    assert await forecasts.list_all(connection, after=None, limit=10) == []


async def all_rows(
    connection: Connection, listing: listings.Listing, forecast_id: UUID
) -> list[dict[str, Any]]:
    """Read a list one row at a time, so that every cursor is tried, and hold it to the stream."""
    rows: list[dict[str, Any]] = []
    after: tuple[Any, ...] | None = None
    while page := await listings.list_page(connection, listing, forecast_id, after=after, limit=1):
        rows += map(dict, page)
        after = tuple(rows[-1][name] for name in listing.key)
    assert rows == [dict(row) async for row in listings.stream(connection, listing, forecast_id)]
    return rows


async def test_history_is_read_by_bucket_and_what_is_missing_is_null(connection: Connection):
    rows = await all_rows(connection, forecasts.HISTORY, await stored(connection))
    assert [(row["bucket_date"], row["units"], row["used_units"], row["mark"]) for row in rows] == [
        (MONDAY - timedelta(weeks=3), 3.0, 2.0, "outlier"),
        (MONDAY - timedelta(weeks=2), None, None, "missing"),
        (MONDAY - timedelta(weeks=1), 1 / 3, 1 / 3, None),
    ]


async def test_candidates_are_read_in_their_order_and_say_which_was_chosen(connection: Connection):
    rows = await all_rows(connection, forecasts.CANDIDATES, await stored(connection))
    assert [(r["place"], r["model"], r["is_chosen"], r["score"], r["is_biased"], r["failure"]) for r in rows] == [
        (1, "AutoETS", True, 0.9, False, None),
        (2, "SES", False, 0.8, True, None),
        (3, "AutoCES", False, None, False, "ZeroDivisionError"),
    ]  # fmt: skip


async def test_past_forecasts_stand_beside_what_came(connection: Connection):
    rows = await all_rows(connection, forecasts.BACKTEST, await stored(connection))
    assert [
        (r["origin_date"], r["bucket_date"], r["actual_units"], r["mean_units"], r["p90_units"]) for r in rows
    ] == [
        (MONDAY - timedelta(weeks=2), MONDAY - timedelta(weeks=2), None, 2.0, 3.0),
        (MONDAY - timedelta(weeks=2), MONDAY - timedelta(weeks=1), 1 / 3, 4.0, 6.0),
        (MONDAY - timedelta(weeks=1), MONDAY - timedelta(weeks=1), 1 / 3, 9.0, None),
        (MONDAY - timedelta(weeks=1), MONDAY, None, 9.0, None),
    ]


async def test_in_force_is_the_latest_forecast_that_was_made_from_before_a_buckets_end(
    connection: Connection,
):
    def of(first_date: date, level: float) -> Forecast:
        said = dict.fromkeys(("mean_units", "p10_units", "p50_units", "p90_units"), (level, level))
        return msgspec.structs.replace(
            forecast(), first_bucket_date=first_date, series=(series("BREAD", "NORTH", **said),)
        )

    weeks = [MONDAY + timedelta(weeks=n) for n in range(4)]
    midnight = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in weeks]
    for n, level in ((0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)):
        await stored(connection, of(weeks[n], level), as_of=midnight[n], dates=weeks[n : n + 2])
    read = await forecasts.list_in_force(
        connection, "week", MONDAY - timedelta(weeks=1), weeks[3], midnight[1], bucket_days=7
    )
    # Nothing was in force before the first; of two as of one week the later made; what is made from later on is not read.
    assert sorted(zip(read.bucket_dates, read.mean_units, strict=True)) == [
        (weeks[0], 1.0),
        (weeks[1], 3.0),
        (weeks[2], 3.0),
    ]
    assert (read.product_codes, read.region_codes) == (("BREAD",) * 3, ("NORTH",) * 3)
    nothing = await forecasts.list_in_force(connection, "day", MONDAY, weeks[3], midnight[3], bucket_days=1)
    assert nothing == ForecastsInForce()
