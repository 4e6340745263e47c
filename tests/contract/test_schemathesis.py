"""Does the service do what the document says, whatever it is sent? Over real HTTP, on a real database."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from pullplan.api import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KEY = "pp_schemathesis"
KNOWN = {"product_code": "P1", "region_code": "R1", "node_code": "N1", "source": "shop", "external_id": "1"}
EXAMPLES = 6
OPERATIONS = [
    f"{method.upper()} {path}" for path, item in openapi.document()["paths"].items() for method in item
]


async def _prepare(url: str, name: str, template: str) -> None:
    server = await asyncpg.connect(url)
    await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await server.close()


async def _insert_key(url: str) -> None:
    connection = await asyncpg.connect(url)
    digest = hashlib.sha256(KEY.encode()).digest()
    await connection.execute(
        "INSERT INTO api_keys (key_id, name, key_sha256, scopes) VALUES ($1, 'test', $2, '{admin}')",
        uuid.uuid4(),
        digest,
    )
    await connection.close()


async def _drop(url: str, name: str) -> None:
    server = await asyncpg.connect(url)
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


def _load(url: str) -> None:
    """Make what the known codes name, so that requests get beyond `there is no such`."""
    rows = {
        "products": [{"product_code": "P1"}],
        "regions": [{"region_code": "R1", "latitude": 1, "longitude": 1}],
        "nodes": [{"node_code": "N1", "latitude": 1, "longitude": 1}],
        "capacity": [{"node_code": "N1", "resource_code": "hours", "capacity_per_day": 8}],
        "capabilities": [{"node_code": "N1", "product_code": "P1", "use_per_unit": {"hours": 0.5}}],
        "lanes": [{"node_code": "N1", "region_code": "R1", "distance_km": 5}],
    }
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        for collection, items in rows.items():
            answer = http.put(f"/v1/{collection}", json=items)
            assert answer.status_code == 200, answer.text
        signal = {
            "kind": "consumption", "source": "shop", "external_id": "1", "product_code": "P1", "region_code": "R1",
            "units": 3, "occurred_at": "2024-01-01T12:00:00Z",
        }  # fmt: skip
        assert http.post("/v1/demand-signals", json=signal).status_code == 201


@pytest.fixture(scope="module")
def service(
    server_url: Callable[[str], str], template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve the API in a process of its own, without a worker."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(_prepare(server_url("postgres"), name, template_database))
    asyncio.run(_insert_key(server_url(name)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(Path(sys.executable).with_name("granian"), "--interface", "asgi", "--factory", "--no-ws"),
                *("--host", "127.0.0.1", "--port", str(port), "pullplan.api.app:create"),
            ],
            env=os.environ | {"DATABASE_URL": server_url(name)},
            stdout=output,
            stderr=output,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(url, process, log)
            _load(url)
            yield url
        finally:
            process.terminate()
            process.wait(30)
            asyncio.run(_drop(server_url("postgres"), name))


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"the service did not come up: {log.read_text()}")


@pytest.fixture(scope="module")
def schema(service: str) -> Any:
    loaded = schemathesis.openapi.from_dict(openapi.document())
    loaded.config.update(base_url=service)
    return loaded


def _send(case: Any, service: str, checks: list[Any]) -> None:
    case.call_and_validate(
        base_url=service, headers={"Authorization": f"Bearer {KEY}"}, checks=checks, timeout=30
    )


def _run(strategy: Any, examine: Callable[[Any], None]) -> None:
    quick = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(20261122)(quick(given(strategy)(examine)))()


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_a_valid_request_gets_is_what_the_document_promises(schema: Any, service: str, label: str):
    method, path = label.split(" ")
    operation = schema[path][method]

    def examine(case: Any) -> None:
        _send(case, service, CHECKS)
        if case.path_parameters:
            case.path_parameters = {
                name: KNOWN.get(name, value) for name, value in case.path_parameters.items()
            }
            _send(case, service, CHECKS)

    _run(operation.as_strategy(), examine)


@pytest.mark.parametrize("label", [label for label in OPERATIONS if not label.startswith("GET /health")])
def test_what_the_document_forbids_is_refused(schema: Any, service: str, label: str):
    method, path = label.split(" ")
    operation = schema[path][method]

    def examine(case: Any) -> None:
        # With partial=true a batch is answered with its bad lines, not refused.
        partial = str((case.query or {}).get("partial", "")).lower() == "true"
        _send(case, service, CHECKS if partial else [*CHECKS, negative_data_rejection])

    try:
        _run(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), examine)
    except schemathesis.errors.SchemathesisError as error:
        pytest.skip(f"nothing to get wrong here: {error}")
