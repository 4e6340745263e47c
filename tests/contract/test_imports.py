"""Does a run of a real worker say of a file what the answer would have said at once?"""

import json
from typing import Any

import httpx
from tests.api.test_intake import BATCH, NDJSON, as_ndjson
from tests.faults.processes import wait_until

ASYNC = NDJSON | {"Prefer": "respond-async"}


def sold(number: int, **changes: Any) -> dict[str, Any]:
    place = {"product_code": "RYE", "region_code": "BIBERACH", "occurred_at": "2026-03-01T12:00:00Z"}
    said = {"source": "import", "external_id": f"i-{number}", "kind": "consumption", "units": 4.0}
    return said | place | changes


def followed(http: httpx.Client, body: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Send a file for a run and listen to its events; answer each state of the run, and the last one."""
    answer = http.post(BATCH, content=body, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    events = http.get(f"{answer.headers['location']}/events").text
    states = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    return states, states[-1]


def test_a_run_stores_a_file_or_says_what_is_wrong_as_the_answer_would(bakery: httpx.Client):
    rows = [sold(number) for number in range(20_000)]
    wrong = [*rows[:7], sold(7, product_code="VODKA"), sold(8, **{"nul\0": 1}), sold(1), *rows[8:]]
    at_once = bakery.post(BATCH, content=as_ndjson(wrong), headers=NDJSON)
    assert (at_once.status_code, len(at_once.json()["errors"])) == (422, 3)
    _, failed = followed(bakery, as_ndjson(wrong))
    assert (failed["state"], failed["result"], failed["attempt"]) == ("failed", None, 1)
    assert failed["problem"] == {name: at_once.json()[name] for name in ("code", "detail", "errors")}
    assert [(e["line"], e["field"], e["code"]) for e in failed["problem"]["errors"]] == [
        (8, "product_code", "unknown-code"),
        (9, "nul\\0", "unknown-field"),
        (10, "external_id", "duplicate-line"),
    ]

    states, stored = followed(bakery, as_ndjson(rows))
    assert (stored["state"], stored["progress"]["done_share"]) == ("succeeded", 1.0)
    assert bakery.get(stored["result"]).json() == {
        "stored": 20_000,
        "known": 0,
        "refused": 0,
        "retired": 0,
        "dry_run": False,
        "errors": [],
    }
    assert {state["progress"]["lines_done"] for state in states} <= {None, *range(20_001)}
    again = bakery.post(BATCH, content=as_ndjson(rows), headers=NDJSON)
    assert again.json()["known"] == 20_000
    wait_until(lambda: not bakery.get("/v1/runs?state=running").json()["items"], 5.0, "the end of all runs")
