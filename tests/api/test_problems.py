"""Every failure is problem+json with a stable code, whoever finds it."""

import importlib
import pkgutil
from typing import Any

import httpx
import pytest
from litestar import Litestar, get, post
from litestar.params import JSONBody

import pullplan.api
import pullplan.storage
from pullplan.api import problems
from pullplan.api.app import create_app
from pullplan.api.dependencies import DEPENDENCIES, Transaction
from pullplan.api.outer import Metrics, Outer
from pullplan.api.requests import StrictRequest
from pullplan.engine.errors import PullplanError
from pullplan.storage import database

pytestmark = pytest.mark.anyio


def _every_error() -> set[type[PullplanError]]:
    for package in (pullplan.api, pullplan.storage):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    found: set[type[PullplanError]] = set()
    waiting: list[type[PullplanError]] = [PullplanError]
    while waiting:
        heirs = waiting.pop().__subclasses__()
        found |= set(heirs)
        waiting += heirs
    near = ("pullplan.api.", "pullplan.storage.", "pullplan.engine.")
    return {error for error in found if error.__module__.startswith(near)}


def test_every_error_that_can_reach_a_caller_has_a_status():
    assert {e.__qualname__ for e in _every_error() - problems.STATUS_BY_ERROR.keys()} == set()


def test_no_two_errors_share_a_code():
    codes = [error.code for error in _every_error()]
    assert len(codes) == len(set(codes))


def _assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:pullplan:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["instance"].endswith("#" + answer.headers["x-request-id"])
    return body


async def test_nothing_at_a_path_is_a_problem(client):
    body = _assert_problem(await client.get("/v1/nothing%20here"), 404, "not-found")
    assert body["instance"].startswith("/v1/nothing%20here#")


async def test_a_method_that_a_resource_lacks_is_a_problem_that_names_those_it_has(client):
    answer = await client.delete("/v1/plans")
    _assert_problem(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_another_media_type_than_json_is_refused(client):
    _assert_problem(
        await client.post("/v1/plans", content="x=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        415, "media-type-unsupported",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"{", b'{"bucket": "\xff"}', b'{"horizon_buckets": NaN}', b'{"bucket":"\\ud800"}']
)
async def test_a_body_that_is_no_json_in_utf8_is_malformed(client, body: bytes):
    answer = await client.post("/v1/plans", content=body, headers={"Content-Type": "application/json"})
    _assert_problem(answer, 400, "body-malformed")


async def test_no_body_at_all_is_malformed(client):
    _assert_problem(await client.post("/v1/plans"), 400, "body-malformed")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"horizon_buckets": "8"}, "/horizon_buckets", "invalid"),
        ({"horizon_buckets": 105}, "/horizon_buckets", "invalid"),
        ({"horizon": 8}, "/horizon", "unknown-field"),
        ({"as_of": "2026-01-01T00:00:00"}, "/as_of", "invalid"),
        ({"policy_overrides": [{}, {"service_level_share": 2}]}, "/policy_overrides/1/service_level_share", "invalid"),
        ({"policy_overrides": [{"product_code": "a\n"}]}, "/policy_overrides/0/product_code", "invalid"),
    ],
)  # fmt: skip
async def test_an_invalid_value_is_named_by_its_place(client, body, pointer, code):
    problem = _assert_problem(await client.post("/v1/plans", json=body), 422, "content-invalid")
    assert [(e["pointer"], e["code"]) for e in problem["errors"]] == [(pointer, code)]


async def test_a_name_that_is_unknown_is_met_with_those_that_may_be_meant(client):
    async def told(method: str, path: str, **sent: Any) -> str:
        answer = await client.request(method, path, **sent)
        return str(answer.json()["errors"][0]["detail"])

    assert "did you mean `horizon_buckets`?" in await told("POST", "/v1/plans", json={"horizon": 8})
    overrides = {"policy_overrides": [{}, {"service_level": 0.9}]}
    assert "did you mean `service_level_share`?" in await told("POST", "/v1/plans", json=overrides)
    assert "did you mean `on_hand_units` or" in await told("POST", "/v1/stock-counts", json=[{"units": 1}])
    lines = {"content": b"product,region_code\nRYE,ULM\n", "headers": {"Content-Type": "text/csv"}}
    assert "did you mean `product_code`?" in await told("POST", "/v1/stock-counts", **lines)
    assert "did you mean `limit`?" in await told("GET", "/v1/runs?limt=5")
    pin = {"pins": [{"colour": "red"}]}
    assert "there are `product_code`, `region_code`" in await told("POST", "/v1/plans", json=pin)


async def test_a_refused_parameter_is_named(client):
    problem = _assert_problem(await client.get("/v1/plans?limit=1001"), 422, "content-invalid")
    assert [e["field"] for e in problem["errors"]] == ["limit"]


async def test_a_misspelt_parameter_and_one_given_twice_are_refused_by_name(client):
    answer = await client.get("/v1/runs?limt=5&limit=1&limit=2&%00=x")
    problem = _assert_problem(answer, 422, "content-invalid")
    assert {(e["field"], e["code"]) for e in problem["errors"]} == {
        ("limt", "unknown-field"),
        ("limit", "duplicate"),
        ("\0", "unknown-field"),
    }


@pytest.mark.parametrize("instant", ["2026-01-01T00:00:00", "yesterday", ""])
async def test_an_instant_without_an_offset_is_refused_in_a_query(client, instant):
    problem = _assert_problem(
        await client.get("/v1/plans", params={"updated_since": instant}), 422, "content-invalid"
    )
    assert [e["field"] for e in problem["errors"]] == ["updated_since"]


async def test_a_body_beyond_the_limit_is_refused(client):
    body = b'{"bucket": "' + b"x" * (4 * 1024 * 1024) + b'"}'
    answer = await client.post("/v1/plans", content=body, headers={"Content-Type": "application/json"})
    _assert_problem(answer, 413, "body-too-large")


async def test_a_database_that_is_away_is_a_problem_for_later(settings):
    nowhere = create_app(settings, "postgresql://pullplan@127.0.0.1:1/pullplan")
    async with (
        nowhere.app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(nowhere), base_url="http://pullplan") as http,
    ):
        for path in ("/v1/me", "/health/ready"):
            answer = await http.get(path, headers={"Authorization": "Bearer pp_x"})
            _assert_problem(answer, 503, "database-away")
            assert int(answer.headers["retry-after"]) >= 1
        assert (await http.get("/health/live")).status_code == 200


@post("/text", status_code=200)
async def _store_text(transaction: Transaction, data: JSONBody[dict[str, str]]) -> None:
    await transaction.execute("CREATE TABLE texts (body text)")
    await transaction.execute("INSERT INTO texts VALUES ($1)", data["body"])


@get("/slow")
async def _be_slow(transaction: Transaction) -> None:
    await transaction.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)")


@get("/broken")
async def _break(transaction: Transaction) -> None:
    await transaction.execute("CREATE TABLE half_done ()")
    raise RuntimeError("the secret of the house")


@get("/cut")
async def _cut(transaction: Transaction) -> None:
    await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@get("/outdated")
async def _read_what_is_not_there(transaction: Transaction) -> None:
    await transaction.execute("SELECT * FROM a_table_of_the_future")


@pytest.fixture
async def bare(pool: database.Pool):
    """Serve routes that fail in every way, over a real database."""
    app = Litestar(
        [_store_text, _be_slow, _break, _cut, _read_what_is_not_there],
        dependencies=DEPENDENCIES,
        exception_handlers=problems.EXCEPTION_HANDLERS,
        request_class=StrictRequest,
        openapi_config=None,
        logging_config=None,
    )
    app.state.update(pool=pool, metrics=Metrics())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Outer(app), raise_app_exceptions=False),
        base_url="http://bare",
    ) as http:
        yield http


async def _exists(pool: database.Pool, table: str) -> bool:
    return bool(await pool.fetchval("SELECT to_regclass($1) IS NOT NULL", table))


async def test_a_nul_in_text_is_the_callers_mistake_and_nothing_is_stored(bare, pool):
    answer = await bare.post("/text", json={"body": "a\0b"})
    assert (answer.status_code, answer.json()["code"]) == (422, "content-invalid")
    assert not await _exists(pool, "texts")


async def test_what_a_handler_did_is_committed_when_it_ends_well(bare, pool):
    assert (await bare.post("/text", json={"body": "ab"})).status_code == 200
    assert await pool.fetchval("SELECT body FROM texts") == "ab"


async def test_a_statement_that_takes_too_long_is_for_later(bare):
    answer = await bare.get("/slow")
    assert (answer.status_code, answer.json()["code"]) == (503, "database-busy")
    assert "retry-after" in answer.headers


async def test_the_unforeseen_is_a_500_without_its_words_and_undoes_what_was_done(bare, pool):
    answer = await bare.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret" not in answer.text
    assert not await _exists(pool, "half_done")


async def test_a_connection_that_dies_within_a_transaction_is_an_outage(bare):
    answer = await bare.get("/cut")
    assert (answer.status_code, answer.json()["code"]) == (503, "database-away")


async def test_a_schema_that_lacks_a_table_is_named_as_such(bare):
    answer = await bare.get("/outdated")
    assert (answer.status_code, answer.json()["code"]) == (503, "schema-outdated")
