"""What a batch may look like, and that it is stored wholly or not at all."""

import asyncio
import csv
import gzip
import io
import json
from itertools import product
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

BATCH = "/v1/demand-signals/batch"
CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Load two products, two regions and a node."""
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "RUM")])
    await client.put("/v1/regions", json=[{"region_code": code} for code in ("EAST", "WEST")])
    await client.put("/v1/nodes", json=[{"node_code": "N1"}])
    return client


def sold(number: int, **changes: Any) -> dict[str, Any]:
    signal = {
        "source": "shop",
        "external_id": f"s-{number}",
        "kind": "consumption",
        "product_code": "GIN",
        "region_code": "EAST",
        "units": 4.0,
        "occurred_at": "2026-03-01T12:00:00+00:00",
    } | changes
    return {name: value for name, value in signal.items() if value is not ...}


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def count_signals(client: httpx.AsyncClient) -> int:
    return len((await client.get("/v1/demand-signals?limit=1000")).json()["items"])


async def refused(client: httpx.AsyncClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send rows in all three formats; each refuses them wholly. Give the problems of the lines."""
    as_json = await client.post(BATCH, json=rows)
    assert as_json.status_code == 422, as_json.text
    found: list[list[dict[str, Any]]] = []
    for body, headers in ((as_csv(rows), CSV), (as_ndjson(rows), NDJSON)):
        answer = await client.post(BATCH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "lines-refused"), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        found.append(answer.json()["errors"])
    by_csv, by_ndjson = found
    for item, csv_line, line in zip(as_json.json()["errors"], by_csv, by_ndjson, strict=True):
        # The header is line 1 of a CSV; an array's items count from 0.
        assert csv_line["line"] == line["line"] + 1
        assert item["pointer"].split("/")[1] == str(line["line"] - 1)
        assert item["field"] == csv_line["field"] == line["field"]
    assert await count_signals(client) == 0
    return by_ndjson


BAD_LINES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"product_code": "VODKA"}, "product_code", "unknown-code", "there is no product 'VODKA'"),
    ({"region_code": "NORTH"}, "region_code", "unknown-code", "there is no region 'NORTH'"),
    ({"units": -3.0}, "units", "invalid", "must not be negative, except with the reason 'return'"),
    ({"occurred_at": "2026-03-01T12:00:00"}, "occurred_at", "invalid", "timezone"),
    ({"external_id": "s-1"}, "external_id", "duplicate-line", "repeats 's-1' of"),
    ({"external_id": "tab\there"}, "external_id", "invalid", "control characters"),
    ({"external_id": "nul\0"}, "external_id", "invalid", "control characters"),
    ({"source": "a b"}, "source", "invalid", "only A–Z a–z 0–9"),
    ({"source": "x" * 65}, "source", "invalid", "length <= 64"),
    ({"units": 1e13}, "units", "invalid", "<="),
    ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "invalid", "between 1900 and 2200"),
    ({"kind": "gift"}, "kind", "invalid", "gift"),
]


async def test_a_bad_line_is_named_with_its_field_and_nothing_is_stored(network: httpx.AsyncClient):
    for changes, field, code, words in BAD_LINES:
        problems = await refused(network, [sold(0), sold(1), sold(2, **changes), sold(3)])
        assert len(problems) == 1
        assert (problems[0]["line"], problems[0]["field"], problems[0]["code"]) == (3, field, code)
        assert words in problems[0]["detail"]


async def test_a_repeated_line_names_both_lines(network: httpx.AsyncClient):
    body = as_csv([sold(0), sold(1), sold(0)])
    problem = (await network.post(BATCH, content=body, headers=CSV)).json()["errors"][0]
    assert (problem["line"], problem["code"]) == (4, "duplicate-line")
    assert problem["detail"] == "repeats 's-0' of line 2"


async def test_the_first_hundred_bad_lines_are_told_in_their_order(network: httpx.AsyncClient):
    rows = [
        sold(number, **({"units": "many"} if number % 2 else {"product_code": "?"})) for number in range(300)
    ]
    answer = (await network.post(BATCH, content=as_ndjson(rows), headers=NDJSON)).json()
    assert [problem["line"] for problem in answer["errors"]] == list(range(1, 101))
    assert answer["detail"].startswith("300 lines were refused")


async def test_partial_stores_the_good_lines_and_reports_the_others(network: httpx.AsyncClient):
    rows = [sold(0), sold(1, units=-1.0), sold(2, product_code="VODKA"), sold(0), sold(4)]
    report = (await network.post(f"{BATCH}?partial=true", content=as_csv(rows), headers=CSV)).json()
    assert (report["stored"], report["refused"], report["known"]) == (2, 3, 0)
    assert [(problem["line"], problem["field"]) for problem in report["errors"]] == [
        (3, "units"),
        (4, "product_code"),
        (5, "external_id"),
    ]
    assert await count_signals(network) == 2


async def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(network: httpx.AsyncClient):
    report = (await network.post(f"{BATCH}?dry_run=true", json=[sold(0), sold(1)])).json()
    assert (report["stored"], report["dry_run"]) == (2, True)
    assert await count_signals(network) == 0
    bad = await network.post(f"{BATCH}?dry_run=true", json=[sold(0, units=-1.0)])
    assert bad.status_code == 422


async def test_a_broken_line_7_of_a_csv_is_named(network: httpx.AsyncClient):
    lines = as_csv([sold(number) for number in range(9)]).split(b"\r\n")
    for broken in (b"shop,s-5,consumption", lines[6] + b",more", b'shop,"s-5"x,consumption,GIN,EAST,4,2026'):
        body = b"\r\n".join([*lines[:6], broken, *lines[7:]])
        answer = await network.post(BATCH, content=body, headers=CSV)
        assert answer.status_code == 422
        assert [(p["line"], p["code"]) for p in answer.json()["errors"]] == [(7, "malformed-line")]
    unclosed = b"\r\n".join(
        [*lines[:6], b'shop,"s-5,consumption,GIN,EAST,4,2026-03-01T12:00:00Z', *lines[7:]]
    )
    problems = (await network.post(BATCH, content=unclosed, headers=CSV)).json()["errors"]
    assert [(p["line"], p["code"]) for p in problems] == [(7, "malformed-line")]
    assert await count_signals(network) == 0


async def test_lines_are_counted_as_an_editor_counts_them(network: httpx.AsyncClient):
    header = b"source,external_id,kind,product_code,region_code,units,occurred_at,reason\n"
    tail = b",consumption,GIN,EAST,4,2026-03-01T12:00:00Z,"
    body = (
        header
        + b"shop,a"
        + tail
        + b'"two\nlines"\n'
        + b"\n"
        + b"shop,b"
        + tail
        + b"\nshop,c,gift"
        + tail[12:]
        + b"\n"
    )
    problems = (await network.post(BATCH, content=body, headers=CSV)).json()["errors"]
    assert [(p["line"], p["field"]) for p in problems] == [(2, "reason"), (6, "kind")]
    blank = as_ndjson([sold(0)]) + b"\n \n" + as_ndjson([sold(1, kind="gift")])
    problems = (await network.post(BATCH, content=blank, headers=NDJSON)).json()["errors"]
    assert [(p["line"], p["field"]) for p in problems] == [(4, "kind")]


async def test_two_objects_on_one_line_are_refused_also_where_a_blank_line_makes_up_for_it(
    network: httpx.AsyncClient,
):
    one = json.dumps(sold(0)).encode()
    body = one + json.dumps(sold(1)).encode() + b"\n\n"
    problems = (await network.post(BATCH, content=body, headers=NDJSON)).json()["errors"]
    assert [(p["line"], p["code"]) for p in problems] == [(1, "malformed-line")]


@pytest.mark.parametrize("media_type", ["text/csv", "application/x-ndjson", "application/json"])
async def test_bad_utf8_is_malformed_and_its_line_is_named(network: httpx.AsyncClient, media_type: str):
    rows = [sold(0), sold(1, external_id="caf\xe9"), sold(2)]
    body = {
        "text/csv": as_csv(rows),
        "application/x-ndjson": b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows),
        "application/json": b"["
        + b",\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
        + b"]",
    }[media_type]
    body = body.replace("\xe9".encode(), b"\xe9")
    answer = await network.post(BATCH, content=body, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (400, "text-not-utf8")
    assert answer.json()["errors"][0]["line"] == (3 if media_type == "text/csv" else 2)
    assert await count_signals(network) == 0


async def test_units_that_are_no_finite_number_are_refused_in_every_format(network: httpx.AsyncClient):
    formats = ((as_csv([sold(0)]), CSV), (as_ndjson([sold(0)]), NDJSON))
    for word, (body, headers) in product((b"inf", b"-Infinity", b"nan", b"1e999"), formats):
        changed = body.replace(b"4.0", word, 1)
        assert word in changed
        answer = await network.post(BATCH, content=changed, headers=headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["line"] == (2 if headers == CSV else 1)
    assert await count_signals(network) == 0


async def test_units_beyond_every_number_are_refused_inside_an_array_too(network: httpx.AsyncClient):
    body = json.dumps([sold(0), sold(1)]).encode()
    assert body.count(b"4.0") == 2
    for word, code in (
        (b"1e999", "lines-refused"),
        (b"-1e999", "lines-refused"),
        (b"Infinity", "body-malformed"),
    ):
        changed = word.join(body.rsplit(b"4.0", 1))
        answer = await network.post(BATCH, content=changed, headers={"Content-Type": "application/json"})
        assert answer.json()["code"] == code, answer.text
        assert [e["pointer"] for e in answer.json().get("errors", ())] in ([], ["/1/units"])
    assert await count_signals(network) == 0


async def test_a_header_is_any_order_of_the_fields_and_nothing_else(network: httpx.AsyncClient):
    good = b"\xef\xbb\xbfname,product_code,weight_kg\r\nRye,RYE,\r\n"
    assert (await network.put("/v1/products", content=good, headers=CSV)).json()["stored"] == 1
    shown = (await network.get("/v1/products/RYE")).json()
    assert (shown["name"], shown["weight_kg"]) == ("Rye", 1.0)
    for header, field, code in (
        (b"name,weight_kg", "product_code", "missing-field"),
        (b"product_code,colour", "colour", "unknown-field"),
        (b"product_code,name,name", "name", "repeated-field"),
    ):
        answer = await network.put("/v1/products", content=header + b"\r\nx,y\r\n", headers=CSV)
        assert answer.status_code == 422
        assert [(p["line"], p["field"], p["code"]) for p in answer.json()["errors"]] == [(1, field, code)]


async def test_a_number_is_no_instant_in_a_csv(network: httpx.AsyncClient):
    body = as_csv([sold(0, occurred_at="1772366400")])
    problem = (await network.post(BATCH, content=body, headers=CSV)).json()["errors"][0]
    assert (problem["line"], problem["field"]) == (2, "occurred_at")


async def test_bodies_beyond_their_bounds_are_too_large(network: httpx.AsyncClient):
    many = await network.post(BATCH, json=[sold(number) for number in range(10_001)])
    long = await network.post(BATCH, json=[sold(0, external_id="x" * (5 << 20))])
    endless = await network.post(BATCH, content=b'{"source": "' + b"x" * (2 << 20), headers=NDJSON)
    for answer in (many, long, endless):
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert await count_signals(network) == 0


async def test_what_is_no_array_is_refused(network: httpx.AsyncClient):
    for content in (b"", b"{", b'{"items": []}', b"[{}", b"17", b"[" * 100_000):
        answer = await network.post(BATCH, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), content[:20]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_another_media_type_is_not_read(network: httpx.AsyncClient):
    for media_type in ("application/xml", "text/csv; charset=latin-1"):
        answer = await network.post(BATCH, content=b"x", headers={"Content-Type": media_type})
        assert (answer.status_code, answer.json()["code"]) == (415, "media-type-unsupported")


async def test_replacing_in_part_is_refused(network: httpx.AsyncClient):
    answer = await network.put("/v1/products?mode=replace&partial=true", json=[])
    assert answer.status_code == 422
    assert len((await network.get("/v1/products")).json()["items"]) == 2


async def test_every_character_that_a_name_may_have_is_stored_as_it_was_sent(network: httpx.AsyncClient):
    names = ['back\\slash, "quotes"', "null", "\\N", "{}", "Ünïcødé 東京 🚚", "'", "\\.", "a\\nb"]
    rows = [{"product_code": f"P{number}", "name": name} for number, name in enumerate(names)]
    assert (await network.put("/v1/products?mode=replace", json=rows)).json()["stored"] == len(names)
    stored = (await network.get("/v1/products")).json()["items"]
    assert [item["name"] for item in stored] == names
    again = await network.put("/v1/products", content=as_csv(rows), headers=CSV)
    assert again.json()["known"] == len(names)


async def test_a_file_of_many_blocks_arrives_whole(network: httpx.AsyncClient):
    rows = [sold(number, product_code="RUM" if number % 3 else "GIN") for number in range(12_345)]
    report = (await network.post(BATCH, content=as_csv(rows), headers=CSV)).json()
    assert (report["stored"], report["refused"]) == (12_345, 0)
    rows[12_000]["region_code"] = "NORTH"
    again = (await network.post(f"{BATCH}?partial=true", content=as_ndjson(rows), headers=NDJSON)).json()
    assert (again["known"], again["refused"]) == (12_344, 1)
    assert [problem["line"] for problem in again["errors"]] == [12_001]


async def test_the_same_batch_sent_twice_at_once_is_stored_once(network: httpx.AsyncClient):
    rows = [sold(number) for number in range(500)]
    answers = await asyncio.gather(*(network.post(BATCH, json=rows) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted(answer.json()["stored"] for answer in answers) == [0, 0, 0, 500]
    assert await count_signals(network) == 500


# --- any mutation of a valid batch is either wholly stored or wholly refused -------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(
        ["GIN", "VODKA", "2026-03-01", "2026-03-01T12:00:00", "return", "order", "lead", "\0", ""]
    ),
    st.lists(st.integers(), max_size=2),
)
FIELDS = st.one_of(
    st.sampled_from(["source", "external_id", "kind", "product_code", "region_code", "units", "occurred_at"]),
    st.sampled_from(["due_date", "reason", "priority", "shipped_units", "multiplier", "colour"]),
)
CHANGED = st.tuples(st.just("change"), st.integers(0, 5), FIELDS, VALUES)
REMOVED = st.tuples(st.just("remove"), st.integers(0, 5), FIELDS, st.none())
REPEATED = st.tuples(st.just("repeat"), st.integers(0, 5), st.just(""), st.none())
SPLICED = st.tuples(st.just("splice"), st.integers(0, 600), st.just(""), st.binary(max_size=6))
MUTATIONS = st.lists(st.one_of(CHANGED, REMOVED, REPEATED, SPLICED), min_size=1, max_size=3)


def mutate(mutations: list[tuple[str, int, str, Any]], media_type: str, start: int) -> tuple[int, bytes]:
    rows = [sold(start + number) for number in range(6)]
    for what, row, field, value in mutations:
        if what == "change":
            rows[row][field] = value
        elif what == "remove":
            rows[row].pop(field, None)
        elif what == "repeat":
            rows.append(dict(rows[row]))
    body = {"text/csv": as_csv, "application/x-ndjson": as_ndjson}.get(
        media_type, lambda rows: json.dumps(rows).encode()
    )(rows)
    for what, place, _, splice in mutations:
        if what == "splice":
            body = body[:place] + splice + body[place:]
    return len(rows), body


async def test_any_mutation_of_a_valid_batch_is_wholly_stored_or_wholly_refused(
    network: httpx.AsyncClient, connection: asyncpg.Connection
):
    loop = asyncio.get_running_loop()
    seen: dict[int, int] = {}
    turn = 0

    async def count() -> int:
        return int(await connection.fetchval("SELECT count(*) FROM demand_signals"))

    async def send(mutations: list[tuple[str, int, str, Any]], media_type: str) -> None:
        nonlocal turn
        turn += 10
        n_rows, body = mutate(mutations, media_type, turn)
        before = await count()
        answer = await network.post(BATCH, content=body, headers={"Content-Type": media_type})
        stored = await count() - before
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if answer.status_code == 200:
            report = answer.json()
            assert report["refused"] == 0
            assert stored == report["stored"]
            assert report["stored"] + report["known"] <= n_rows + 1  # a splice may add a line's end
        else:
            assert answer.status_code in (400, 413, 422), answer.text
            assert stored == 0
            assert answer.json()["detail"]

    @settings(
        max_examples=120,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(MUTATIONS, st.sampled_from(["text/csv", "application/x-ndjson", "application/json"]))
    def hold(mutations: list[tuple[str, int, str, Any]], media_type: str) -> None:
        asyncio.run_coroutine_threadsafe(send(mutations, media_type), loop).result()

    await asyncio.to_thread(hold)
    assert {200, 422} <= seen.keys()


GZIP = {"Content-Encoding": "gzip"}


async def test_a_packed_batch_is_stored_as_if_it_were_not(network):
    rows = [sold(number) for number in range(300)]
    halves = gzip.compress(as_ndjson(rows[:150])) + gzip.compress(as_ndjson(rows[150:]))
    answer = await network.post(BATCH, content=halves, headers=NDJSON | GZIP)
    assert answer.json()["stored"] == 300
    again = await network.post(BATCH, content=gzip.compress(as_csv(rows)), headers=CSV | GZIP)
    assert again.json()["known"] == 300
    one = gzip.compress(json.dumps(sold(1)).encode())
    single = await network.post(
        "/v1/demand-signals", content=one, headers={"Content-Type": "application/json"} | GZIP
    )
    assert single.status_code == 200


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (gzip.compress(b" " * 40_000_000), "gzip", 413, "body-too-large"),
        (gzip.compress(as_ndjson([sold(1)] * 9))[:-9], "gzip", 400, "body-malformed"),
        (as_ndjson([sold(1)]), "gzip", 400, "body-malformed"),
        (as_ndjson([sold(1)]), "br", 415, "media-type-unsupported"),
    ],
)
async def test_what_unpacks_to_too_much_or_to_nothing_is_refused_and_nothing_stored(
    network, body, encoding, status, code
):
    answer = await network.post(BATCH, content=body, headers=NDJSON | {"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await count_signals(network) == 0


async def test_a_csv_as_spreadsheets_write_it_in_half_of_europe_is_read_as_it_is_meant(network):
    text = as_csv([sold(1, units=2.5), sold(2, units=1e3), sold(3, units=7)])
    european = text.decode().replace(",", ";").replace("2.5", "2,5").replace("1000.0", "1000,0").encode()
    answer = await network.post(
        BATCH, content=b"\xef\xbb\xbf" + european, headers={"Content-Type": "text/csv; decimal=comma"}
    )
    assert answer.json()["stored"] == 3
    stored = (await network.get("/v1/demand-signals")).json()["items"]
    assert sorted(signal["units"] for signal in stored) == [2.5, 7.0, 1000.0]
    recipe = "node_code;product_code;use_per_unit\nN1;GIN;hours=0,5\n"
    await network.put(
        "/v1/capacity", json=[{"node_code": "N1", "resource_code": "hours", "capacity_per_day": 8}]
    )
    await network.put("/v1/capabilities", content=recipe, headers={"Content-Type": "text/csv; decimal=comma"})
    shown = (await network.get("/v1/capabilities")).json()["items"]
    assert shown[0]["use_per_unit"] == {"hours": 0.5}


async def test_a_number_that_may_mean_two_things_is_refused_with_its_line(network):
    line = as_csv([sold(1)]).replace(b"4.0", b"1.234")
    answer = await network.post(BATCH, content=line, headers={"Content-Type": "text/csv; decimal=comma"})
    assert answer.status_code == 422
    problem = answer.json()["errors"][0]
    assert (problem["line"], problem["field"]) == (2, "units")
    assert "1234,5" in problem["detail"]
