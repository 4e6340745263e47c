"""Lists are read by keyset: whole, in order, without doubles, also while rows come."""

from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullplan.api import lists, openapi
from pullplan.api.errors import ContentInvalidError

KEYS = st.tuples(
    st.text(), st.integers(-(2**31), 2**31), st.dates(), st.datetimes(timezones=st.just(UTC)), st.uuids()
)


@settings(max_examples=50, deadline=None)
@given(KEYS)
def test_a_cursor_gives_back_the_key_that_it_was_made_of(key):
    read = lists.decode_cursor(lists.encode_cursor(key), tuple[str, int, date, datetime, UUID])
    assert read == key


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1))
def test_no_text_of_a_callers_own_breaks_the_reading_of_a_cursor(text):
    with suppress(ContentInvalidError):
        (part,) = lists.decode_cursor(text, tuple[str]) or ("",)
        assert isinstance(part, str)


def test_the_last_page_has_no_next():
    assert lists.page([1, 2], 2, key=lambda row: (row,)).next_cursor is None
    more = lists.page([1, 2, 3], 2, key=lambda row: (row,))
    assert more.items == [1, 2]
    assert lists.decode_cursor(more.next_cursor, tuple[int]) == (2,)


async def _pages(client, path: str, **params):
    cursor, seen = None, []
    while True:
        answer = await client.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        seen += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return seen


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_of_any_size_make_the_same_list(client, limit):
    made = [(await client.post("/v1/forecasts", json={})).json()["run_id"] for _ in range(7)]
    assert [run["run_id"] for run in await _pages(client, "/v1/runs", limit=limit)] == made[::-1]


@pytest.mark.anyio
async def test_what_comes_while_a_list_is_read_neither_doubles_nor_hides_a_row(client):
    made = [(await client.post("/v1/forecasts", json={})).json()["run_id"] for _ in range(4)]
    first = (await client.get("/v1/runs?limit=2")).json()
    await client.post("/v1/forecasts", json={})
    second = (await client.get("/v1/runs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [run["run_id"] for run in first["items"] + second["items"]] == made[::-1]


@pytest.mark.anyio
async def test_updated_since_leaves_out_what_was_not_touched_since(client):
    await client.post("/v1/forecasts", json={})
    late = (await client.post("/v1/plans", json={})).json()
    answer = await client.get("/v1/runs", params={"updated_since": late["updated_at"]})
    assert [run["run_id"] for run in answer.json()["items"]] == [late["run_id"]]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "cursor", ["x", "%00", lists.encode_cursor((1,)), lists.encode_cursor((str(UUID(int=1)), "a\0"))]
)
async def test_a_cursor_of_another_list_is_refused(client, cursor):
    answer = await client.get("/v1/runs", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "cursor-invalid"


def _that_are_no_text() -> list[tuple[str, str]]:
    """List every parameter of a list that is no text, with its path."""
    return [
        (path, parameter["name"])
        for path, operations in openapi.document()["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", ())
        if parameter["in"] == "query" and "{" not in path
        and (parameter["schema"].get("type") != "string" or {"format", "enum"} & parameter["schema"].keys())
    ]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("null", ["null", "NULL"])
async def test_null_is_no_value_of_a_parameter(client, null: str):
    asked = _that_are_no_text()
    assert len(asked) > 40
    for path, name in asked:
        answer = await client.get(path, params={name: null})
        assert answer.status_code == 422, (path, name)
        assert answer.json()["errors"][0]["field"] == name
    assert (await client.get("/v1/lanes", params={"node_code": "null"})).json()[
        "items"
    ] == []  # a code like any other


@pytest.mark.anyio
async def test_a_parameter_that_is_none_is_refused_everywhere_as_the_document_says(client):
    for path, operations in openapi.document()["paths"].items():
        if "get" in operations and "{" not in path:
            answer = await client.get(path, params={"no_such": "1"})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "no_such"), path


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["0.5", "1700000000", "1e9"])
async def test_a_number_is_no_instant(client, number: str):
    instants = [
        (path, parameter["name"])
        for path, operations in openapi.document()["paths"].items()
        for parameter in operations.get("get", {}).get("parameters", ())
        if parameter["schema"].get("format") == "date-time" and "{" not in path
    ]
    assert len(instants) > 15
    for path, name in instants:
        assert (await client.get(path, params={name: number})).status_code == 422, (path, name)
