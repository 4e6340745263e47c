from datetime import timedelta

import pytest
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network

from pullplan.engine.model import ForecastRequest
from pullplan.storage import forecasts, listings
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


async def test_a_forecast_tells_how_those_before_it_fared_and_is_itself_made_alike(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), *demand()])
    alone = await computed(connection, database_url, "forecast", ForecastRequest(as_of=AS_OF))
    first = await forecasts.find(connection, alone)
    assert first is not None
    assert (first["experience"]["n_buckets"], first["experience"]["wape_share"]) == (0, None)

    await computed(connection, database_url, "forecast", ForecastRequest(as_of=AS_OF - timedelta(weeks=8)))
    again = await computed(connection, database_url, "forecast", ForecastRequest(as_of=AS_OF))
    later = await forecasts.find(connection, again)
    assert later is not None
    assert later["experience"]["n_buckets"] == 8
    assert 0 < later["experience"]["wape_share"] < 1
    rows = await listings.list_page(connection, forecasts.SERIES, again, after=None, limit=100)
    judged = [row["experience"] for row in rows]
    assert {one["n_buckets"] for one in judged} == {8}
    assert later["experience"]["n_drifted_series"] == sum(one["has_drifted"] for one in judged)
    # What forecasts are judged by is no fact that they are made from.
    assert later["snapshot_hash"] == first["snapshot_hash"]
    assert await forecasts.find_for_planning(connection, again) == await forecasts.find_for_planning(
        connection, alone
    )


async def test_totals_are_stored_and_are_the_sums_of_what_is_stored_of_their_series(
    connection: Connection, database_url: str
):
    await insert(connection, [*network(), *demand()])
    forecast_id = await computed(connection, database_url, "forecast", ForecastRequest(as_of=AS_OF))
    rows = await connection.fetch(
        """
        SELECT t.totalled_by, t.n_series, v.mean_units, s.n_series AS n_found, s.mean_units AS added_up
        FROM forecast_totals AS t JOIN forecast_total_values AS v USING (forecast_id, totalled_by, code)
        JOIN LATERAL (
            SELECT count(*) AS n_series, sum(mean_units) AS mean_units FROM forecast_values AS f
            WHERE f.forecast_id = t.forecast_id AND f.bucket_date = v.bucket_date AND t.code = CASE t.totalled_by
                WHEN 'product' THEN product_code WHEN 'region' THEN region_code ELSE '' END
        ) AS s ON true
        WHERE t.forecast_id = $1
        """,
        forecast_id,
    )
    assert {row["totalled_by"] for row in rows} == {"product", "region", "all"}
    for row in rows:
        assert row["n_series"] == row["n_found"] > 0
        assert row["mean_units"] == pytest.approx(row["added_up"], rel=1e-12, abs=1e-9)
