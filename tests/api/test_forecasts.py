"""Forecasts: started, read by value and by series."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest

from pullplan.engine.model import (
    Accuracy,
    Candidate,
    Forecast,
    Grounds,
    PastForecast,
    SeriesForecast,
    TotalForecast,
    TotalledBy,
)
from pullplan.storage import forecast_totals, forecasts
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

MONDAY = date(2024, 1, 1)

_EARLIER_ID = UUID(int=7)
_GROUNDS = Grounds(
    refresh_reason="drift",
    history_first_date=MONDAY - timedelta(weeks=2),
    history_units=(4.0, None),
    history_used_units=(4.0, None),
    history_marks=(None, "missing"),
    candidates=(Candidate(model="AutoETS", score=0.9), Candidate(model="SES", failure="too short")),
    backtest=(PastForecast(first_bucket_date=MONDAY - timedelta(weeks=2), mean_units=(2.0, 5.0)),),
)


def _series(product_code: str, region_code: str, **more: Any) -> SeriesForecast:
    fields: dict[str, Any] = {
        "demand_class": "smooth", "model": "AutoETS", "history_buckets": 52, "mean_units": (10.0, 0.5),
        "p10_units": (5.0, 0.0), "p50_units": (9.0, 0.25), "p90_units": (15.0, 1.5), "adjustment_units": (0.0, -2.0),
        "error_paths_units": ((0.1, -0.2),), "accuracy": Accuracy(n_origins=4, wape_share=0.3),
    }  # fmt: skip
    return SeriesForecast(product_code=product_code, region_code=region_code, **(fields | more))


def _total(totalled_by: TotalledBy, code: str, **more: Any) -> TotalForecast:
    fields: dict[str, Any] = {
        "n_series": 1, "method": "bottom_up", "method_scores": {}, "method_failures": {}, "model_failures": {}, "mean_units": (20.0, 1.0), "p10_units": (12.0, 0.0),
        "p50_units": (19.0, 0.75), "p90_units": (27.0, 2.5),
    }  # fmt: skip
    return TotalForecast(totalled_by=totalled_by, code=code, **(fields | more))


_TOTALS = (
    _total("all", "", n_series=2),
    _total("product", "BREAD", n_series=2, method="mint_shrink", method_scores={"bottom_up": 1.0, "mint_shrink": 0.5}, method_failures={"top_down": "no answer"}, model_failures={"AutoETS": "gone astray"},
           accuracy=Accuracy(n_origins=4, wape_share=0.2)),
    _total("region", "NORTH"),
    _total("region", "SOUTH"),
)  # fmt: skip


async def _store(connection: Connection) -> UUID:
    forecast_id = uuid4()
    record = forecasts.ForecastRecord(
        forecast_id=forecast_id,
        run_id=forecast_id,
        as_of=datetime(2024, 1, 3, tzinfo=UTC),
        horizon_buckets=1,
        parameters={"bucket": "week"},
        snapshot_at=datetime(2024, 1, 4, tzinfo=UTC),
        snapshot_hash="0" * 64,
        wall_seconds=1.5,
        code_version="0.1.0",
        rolled_from_forecast_id=_EARLIER_ID,
    )
    made = Forecast(
        first_bucket_date=MONDAY,
        bucket="week",
        n_steps=2,
        series=(
            _series("BREAD", "NORTH"),
            _series("BREAD", "SOUTH", demand_class="lumpy", fallback_reason="too short"),
        ),
        measures=Accuracy(n_origins=4, wape_share=0.25, naive_wape_share=0.5),
    )
    async with connection.transaction():
        weeks = [MONDAY, MONDAY + timedelta(weeks=1)]
        await forecasts.insert(connection, record, made, [_GROUNDS, Grounds()], weeks)
        await forecast_totals.insert(connection, forecast_id, _TOTALS, weeks)
    return forecast_id


async def test_a_forecast_is_shown_with_its_accuracy_beside_the_naive_one(client, connection):
    forecast_id = await _store(connection)
    shown = (await client.get(f"/v1/forecasts/{forecast_id}")).json()
    assert (shown["measures"]["wape_share"], shown["measures"]["naive_wape_share"]) == (0.25, 0.5)
    assert (shown["first_bucket_date"], shown["n_steps"]) == ("2024-01-01", 2)
    assert (shown["base_forecast_id"], shown["rolled_from_forecast_id"]) == (None, str(_EARLIER_ID))
    assert (shown["n_refreshed_series"], shown["n_refitted_series"]) == (2, 1)
    assert (await client.get("/v1/forecasts")).json() == {"items": [shown], "next_cursor": None}


async def test_values_are_read_by_bucket_and_filtered(client, connection):
    path = f"/v1/forecasts/{await _store(connection)}/values"
    south = (await client.get(path, params={"region_code": "SOUTH"})).json()["items"]
    assert [(item["bucket_date"], item["mean_units"], item["p90_units"], item["adjustment_units"]) for item in south] == [
        ("2024-01-01", 10.0, 15.0, 0.0),
        ("2024-01-08", 0.5, 1.5, -2.0),
    ]  # fmt: skip
    first = (await client.get(path, params={"limit": 3})).json()
    rest = (await client.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    lines = (await client.get(path, headers={"Accept": "application/x-ndjson"})).text.splitlines()
    assert first["items"] + rest["items"] == [json.loads(line) for line in lines]


async def test_series_say_their_class_model_and_why_a_simpler_one_had_to_do(client, connection):
    path = f"/v1/forecasts/{await _store(connection)}/series"
    (item,) = (await client.get(path, params={"demand_class": "lumpy"})).json()["items"]
    assert (item["region_code"], item["model"], item["fallback_reason"]) == ("SOUTH", "AutoETS", "too short")
    assert item["accuracy"]["wape_share"] == 0.3
    assert len((await client.get(path)).json()["items"]) == 2


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("history", [{"bucket_date": "2023-12-18", "units": 4.0, "mark": None}, {"units": None, "mark": "missing"}]),
        ("candidates", [{"model": "AutoETS", "is_chosen": True}, {"model": "SES", "failure": "too short"}]),
        ("backtest", [{"actual_units": 4.0, "mean_units": 2.0}, {"actual_units": None, "p10_units": None}]),
    ],
)  # fmt: skip
async def test_what_a_forecast_rests_on_is_read_as_json_csv_and_lines(client, connection, table, told):
    path = f"/v1/forecasts/{await _store(connection)}/{table}"
    items = (await client.get(path, params={"product_code": "BREAD", "region_code": "NORTH"})).json()["items"]
    assert [{name: item[name] for name in row} for item, row in zip(items, told, strict=True)] == told
    lines = (await client.get(path, headers={"Accept": "application/x-ndjson"})).text.splitlines()
    assert [json.loads(line) for line in lines] == items
    rows = list(csv.DictReader(StringIO((await client.get(path, headers={"Accept": "text/csv"})).text)))
    assert [list(row) for row in rows] == [list(item) for item in items]
    assert [row["region_code"] for row in rows] == ["NORTH", "NORTH"]


async def test_totals_say_how_they_add_up_and_what_comes(client, connection):
    path = f"/v1/forecasts/{await _store(connection)}"
    (product,) = (await client.get(f"{path}/totals", params={"totalled_by": "product"})).json()["items"]
    assert (product["code"], product["n_series"], product["method"]) == ("BREAD", 2, "mint_shrink")
    assert product["method_scores"] == {"bottom_up": 1.0, "mint_shrink": 0.5}
    assert product["method_failures"] == {"top_down": "no answer"}
    assert product["model_failures"] == {"AutoETS": "gone astray"}
    assert product["accuracy"]["wape_share"] == 0.2
    asked = {"totalled_by": "region", "code": "SOUTH"}
    south = (await client.get(f"{path}/total-values", params=asked)).json()["items"]
    assert [(row["bucket_date"], row["mean_units"], row["p90_units"]) for row in south] == [
        ("2024-01-01", 20.0, 27.0),
        ("2024-01-08", 1.0, 2.5),
    ]


@pytest.mark.parametrize(("table", "n_rows"), [("totals", 4), ("total-values", 8)])
async def test_totals_are_read_page_by_page_as_csv_and_as_lines(client, connection, table, n_rows):
    path = f"/v1/forecasts/{await _store(connection)}/{table}"
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (await client.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(items) == n_rows
    lines = (await client.get(path, headers={"Accept": "application/x-ndjson"})).text.splitlines()
    assert [json.loads(line) for line in lines] == items
    rows = list(csv.DictReader(StringIO((await client.get(path, headers={"Accept": "text/csv"})).text)))
    assert [(row["totalled_by"], row["code"]) for row in rows] == [
        (i["totalled_by"], i["code"]) for i in items
    ]


async def test_a_forecast_that_is_not_there_is_a_404(client):
    tables = ("", "/values", "/series", "/history", "/candidates", "/backtest", "/totals", "/total-values")
    for table in tables:
        assert (await client.get(f"/v1/forecasts/{uuid4()}{table}")).status_code == 404


@pytest.mark.parametrize(
    "asked", [{"as_of": "3000-01-01T00:00:00Z"}, {"horizon_buckets": 0}, {"bucket": "month"}]
)
async def test_a_forecast_that_cannot_be_made_is_refused_at_once(client, asked):
    answer = await client.post("/v1/forecasts", json=asked)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(asked)))
