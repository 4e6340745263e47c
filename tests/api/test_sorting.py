"""Are the lines of a plan read in the order that is asked for, page by page, each once?"""

import csv
import io

import pytest
from tests.api.accounts import items
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network, stock

from pullplan.api import openapi
from pullplan.engine.model import PlanRequest

pytestmark = pytest.mark.anyio


def sorts() -> list[tuple[str, str]]:
    """List every order that the document offers, with its path."""
    return [
        (path, sort)
        for path, operations in openapi.document()["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", ())
        if parameter["name"] == "sort"
        for sort in parameter["schema"]["enum"]
        if sort is not None
    ]


@pytest.fixture
async def plan_id(connection, database_url):
    await insert(connection, [*network(), *stock(), *demand()])
    return await computed(connection, database_url, "plan", PlanRequest(as_of=AS_OF, horizon_buckets=6))


async def test_every_order_of_the_document_is_kept_through_all_pages_and_forms(client, plan_id):
    offered = sorts()
    assert len(offered) > 30
    longest = 0
    for template, sort in offered:
        path, column = template.format(plan_id=plan_id), sort.removeprefix("-")
        rows = await items(client, path, 3)
        longest = max(longest, len(rows))
        # Equal ones stay in the list's own order, whichever way.
        expected = sorted(rows, key=lambda row: row[column], reverse=sort != column)
        assert await items(client, path, 3, sort=sort) == expected, (path, sort)
        whole = await client.get(path, params={"sort": sort}, headers={"Accept": "text/csv"})
        table = csv.DictReader(io.StringIO(whole.text))
        assert [row[column] for row in table] == [str(row[column]) for row in expected]
    assert longest > 10


async def test_filters_and_order_go_together(client, plan_id):
    path = f"/v1/plans/{plan_id}/needs"
    rows = await items(client, path, 3, sort="-units", product_code="BREAD")
    assert {row["product_code"] for row in rows} == {"BREAD"}
    units = [row["units"] for row in rows]
    assert units == sorted(units, reverse=True)
    assert len(set(units)) > 1


@pytest.mark.parametrize("other", ["units", None])
async def test_a_cursor_goes_on_in_its_own_order_only(client, plan_id, other):
    path = f"/v1/plans/{plan_id}/needs"
    cursor = (await client.get(path, params={"sort": "-units", "limit": 2})).json()["next_cursor"]
    params = {"cursor": cursor} | ({} if other is None else {"sort": other})
    answer = await client.get(path, params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "cursor-invalid"
    refused = await client.get(path, params={"sort": "product_code"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "sort")
