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
