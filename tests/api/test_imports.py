"""Is a file that a run stores worth the same as one that is stored at once: its report, its problems, whole or not at all?"""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from tests.api.test_intake import BATCH, CSV, NDJSON, as_csv, as_ndjson, count_signals, sold
from tests.computing import compute_next

from pullplan.api import openapi
from pullplan.api.examples import BODIES
from pullplan.engine.errors import LinesRefusedError
from pullplan.settings import Settings
from pullplan.storage.database import Connection, Pool
from pullplan.storage.destinations import DESTINATIONS
from pullplan.worker import tidying

pytestmark = pytest.mark.anyio

ASYNC = {"Prefer": "respond-async"}
LARGE_BYTES = 20_000
AS_LOADED = (
    *(
        "loadProducts",
        "loadRegions",
        "loadNodes",
        "loadCapacity",
        "loadCapacityExceptions",
        "loadCapabilities",
    ),
    *("loadLanes", "loadPolicies", "loadUsageExclusions", "addStockCounts", "addNodeStockCounts"),
    *("addOpenSupply", "addDemandSignals"),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Let a file be very large sooner."""
    return Settings(data_folder=tmp_path, pool_connections=5, import_run_bytes=LARGE_BYTES)


async def load_network(client: httpx.AsyncClient) -> None:
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "RUM")])
    await client.put("/v1/regions", json=[{"region_code": code} for code in ("EAST", "WEST")])


async def queued(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], path: str = BATCH, verb: str = "POST"
) -> dict[str, Any]:
    answer = await client.request(verb, path, content=body, headers=headers | ASYNC)
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    assert (run["kind"], run["state"]) == ("import", "queued")
    assert answer.headers["location"] == f"/v1/runs/{run['run_id']}"
    return run


async def n_pieces(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM import_pieces")
    return found


async def test_a_run_reports_what_the_answer_would_have_said(
    client: httpx.AsyncClient, database_url: str, connection: Connection, pool: Pool
):
    await load_network(client)
    rows = [sold(0), sold(1, units=-1.0), sold(2, product_code="VODKA"), sold(0), sold(4), sold(5)]
    at_once = (
        await client.post(f"{BATCH}?dry_run=true&partial=true", content=as_csv(rows), headers=CSV | ASYNC)
    ).json()
    assert (at_once["dry_run"], at_once["stored"], at_once["refused"]) == (True, 3, 3)
    run = await queued(client, as_csv(rows), CSV, f"{BATCH}?partial=true")
    assert run["parameters"] == {
        "subject": "demand-signals",
        "partial": True,
        "mode": "merge",
        "lines": 6,
    }
    assert await count_signals(client) == 0
    assert await compute_next(database_url) == UUID(run["run_id"])
    shown = (await client.get(f"/v1/runs/{run['run_id']}")).json()
    assert (shown["state"], shown["result"]) == ("succeeded", f"/v1/imports/{run['run_id']}")
    by_run = (await client.get(shown["result"])).json()
    assert by_run == at_once | {"dry_run": False}
    assert await count_signals(client) == 3
    [entry] = (await client.get("/v1/audit?action=load&subject=demand-signals")).json()["items"]
    assert entry["details"] == {"stored": 3, "known": 0, "refused": 3, "retired": 0}
    assert await n_pieces(connection) == 2
    assert await tidying.forget_files(pool) == 2
    assert await n_pieces(connection) == 0


async def test_a_refused_file_leaves_nothing_and_names_items_as_its_sender_counts_them(
    client: httpx.AsyncClient, database_url: str, connection: Connection
):
    await load_network(client)
    rows = [sold(0), sold(1, region_code="NORTH"), sold(2, units="many")]
    body, headers = json.dumps(rows).encode(), {"Content-Type": "application/json"}
    at_once = (await client.post(BATCH, content=body, headers=headers)).json()
    await queued(client, body, headers)
    with pytest.raises(LinesRefusedError) as refused:
        await compute_next(database_url)
    assert msgspec.to_builtins(refused.value.problems) == at_once["errors"]
    assert [error["pointer"] for error in at_once["errors"]] == ["/1/region_code", "/2/units"]
    assert await count_signals(client) == 0
    assert await connection.fetchval("SELECT count(*) FROM imports") == 0


async def test_what_cannot_be_read_at_all_is_refused_at_once_and_queues_nothing(client: httpx.AsyncClient):
    await load_network(client)
    for body, status in ((b"nobody,knows\n1,2\n", 422), (as_csv([sold(0)]) + b"\xff", 400)):
        answer = await client.post(BATCH, content=body, headers=CSV | ASYNC)
        assert answer.status_code == status, answer.text
    answer = await client.put("/v1/products?mode=replace&partial=true", json=[], headers=ASYNC)
    assert answer.status_code == 422
    assert (await client.get("/v1/runs")).json()["items"] == []


async def test_a_very_large_file_is_stored_by_a_run_whatever_its_sender_prefers(
    client: httpx.AsyncClient, database_url: str
):
    assert (await client.get("/v1/settings")).json()["limits"]["import_run_bytes"] == LARGE_BYTES
    await load_network(client)
    rows = [sold(number) for number in range(200)]
    body = as_ndjson(rows)
    assert len(gzip.compress(body)) < LARGE_BYTES < len(body)
    dry = await client.post(f"{BATCH}?dry_run=true", content=body, headers=NDJSON | ASYNC)
    assert (dry.status_code, dry.json()["stored"]) == (200, 200)
    small = await client.post(BATCH, content=as_ndjson(rows[:2]), headers=NDJSON | {"Prefer": "wait=5"})
    assert (small.status_code, small.json()["stored"]) == (200, 2)
    packed = await client.post(
        BATCH, content=gzip.compress(body), headers=NDJSON | {"Content-Encoding": "gzip"}
    )
    assert packed.status_code == 202
    run_id = await compute_next(database_url)
    report = (await client.get(f"/v1/imports/{run_id}")).json()
    assert (report["stored"], report["known"]) == (198, 2)
    nowhere = await client.get(f"/v1/imports/{uuid4()}")
    assert nowhere.status_code == 404


async def test_the_same_key_with_the_same_file_is_the_same_run(client: httpx.AsyncClient, database_url: str):
    await load_network(client)
    body, other = as_ndjson([sold(0), sold(1)]), as_ndjson([sold(0), sold(2)])
    headers = NDJSON | {"Idempotency-Key": "night 1"}
    first = await queued(client, body, headers)
    for again in (
        await client.post(BATCH, content=body, headers=headers | ASYNC),
        await client.post(BATCH, content=body, headers=headers),
        await client.post(BATCH, content=gzip.compress(body), headers=headers | {"Content-Encoding": "gzip"}),
    ):
        assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (202, first, "true")
    for path, content in ((BATCH, other), (f"{BATCH}?partial=true", body)):
        refused = await client.post(path, content=content, headers=headers | ASYNC)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    await compute_next(database_url)
    assert len((await client.get("/v1/runs")).json()["items"]) == 1

    at_once = NDJSON | {"Idempotency-Key": "night 2"}
    told = [await client.post(BATCH, content=other, headers=at_once) for _ in range(2)]
    assert [answer.status_code for answer in told] == [200, 200]
    assert told[0].json() == told[1].json() != {}
    assert (told[0].json()["stored"], told[0].json()["known"]) == (1, 1)
    assert [answer.headers.get("idempotent-replayed") for answer in told] == [None, "true"]


async def test_files_of_every_resource_can_be_stored_by_a_run(client: httpx.AsyncClient, database_url: str):
    operations = {
        operation["operationId"]: (verb, path)
        for path, methods in openapi.document()["paths"].items()
        for verb, operation in methods.items()
        if "text/csv" in operation.get("requestBody", {}).get("content", {})
    }
    assert {*operations} == {*AS_LOADED}
    subjects = set()
    for name in AS_LOADED:
        verb, path = operations[name]
        example: Any = BODIES[name]
        content = {"Content-Type": "application/json"}
        run = await queued(client, json.dumps(example).encode(), content, path, verb)
        subjects.add(run["parameters"]["subject"])
        report = (await client.get(f"/v1/imports/{await compute_next(database_url)}")).json()
        assert (report["stored"], report["errors"]) == (len(example), []), name
    assert subjects == {*DESTINATIONS}
    products: Any = BODIES["loadProducts"]
    run = await queued(
        client, json.dumps([{"product_code": "NEW"}]).encode(), content, "/v1/products?mode=replace", "put"
    )
    report = (await client.get(f"/v1/imports/{await compute_next(database_url)}")).json()
    assert (report["stored"], report["retired"]) == (1, len(products))


async def test_a_file_that_waits_can_be_cancelled_and_is_forgotten_then(
    client: httpx.AsyncClient, connection: Connection, pool: Pool
):
    await load_network(client)
    waiting, cancelled = [await queued(client, as_csv([sold(number)]), CSV) for number in range(2)]
    assert (await client.post(f"/v1/runs/{cancelled['run_id']}/cancel")).json()["state"] == "cancelled"
    assert await tidying.forget_files(pool) == 2
    left = await connection.fetch("SELECT DISTINCT run_id FROM import_pieces")
    assert [str(row["run_id"]) for row in left] == [waiting["run_id"]]
    assert (await client.get(f"/v1/imports/{cancelled['run_id']}")).status_code == 404
