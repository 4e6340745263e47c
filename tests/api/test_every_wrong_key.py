"""Does any operation of the document answer a key that must not ask it?"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest
from tests.seeding import insert, network

from pullplan.api.access import Scope
from pullplan.api.openapi import document
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

SCOPES: tuple[str, ...] = get_args(Scope)
PATH_VALUES = {
    "node_code": "MILL",
    "product_code": "BREAD",
    "region_code": "NORTH",
    "source": "s",
    "external_id": "x",
}
NUMBERS = {
    parameter["name"]
    for methods in document()["paths"].values()
    for operation in methods.values()
    for parameter in operation.get("parameters", ())
    if parameter["in"] == "path" and parameter["schema"].get("type") == "integer"
}
_SCOPE = re.compile(r"Scope: `([a-z:]+)`(, or `node` for the key's own node)?\.$")


def operations() -> list[tuple[str, str, str | None, bool]]:
    """Name every operation that needs a key: method, path, scope, and whether a node's own key will do."""
    found = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if operation["security"]:
                said = _SCOPE.search(operation["description"])
                found.append((method, path, said and said[1], bool(said and said[2])))
    return found


def filled(path: str, **values: str) -> str:
    known = {**PATH_VALUES, **values}
    return re.sub(
        r"\{(\w+)\}", lambda name: known.get(name[1], "1" if name[1] in NUMBERS else str(uuid4())), path
    )


async def status(client: httpx.AsyncClient, method: str, path: str, key: str | None) -> tuple[int, str]:
    """Ask with a body that nobody reads before the key: what it answers, and by which code."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = await client.request(method, path, headers=headers, content=b"{" if method != "get" else b"")
    return answer.status_code, str(answer.json().get("code", ""))


async def test_no_operation_answers_a_key_that_is_none_or_of_yesterday(
    anonymous: httpx.AsyncClient, key_with: Any
):
    expired = await key_with(*SCOPES, node_code="MILL", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    wrong = {None: "key-missing", "pp_guessed": "key-refused", expired: "key-refused"}
    for method, path, _, _ in operations():
        for key, code in wrong.items():
            assert await status(anonymous, method, filled(path), key) == (401, code), (method, path)


async def test_no_operation_answers_a_key_without_its_scope(anonymous: httpx.AsyncClient, key_with: Any):
    keys = {
        scope: await key_with(*(s for s in SCOPES if s not in {scope, "admin", "node"})) for scope in SCOPES
    }
    assert {scope for _, _, scope, _ in operations()} <= {None, *SCOPES}
    for method, path, scope, _ in operations():
        if scope is not None:
            assert await status(anonymous, method, filled(path), keys[scope]) == (403, "scope-missing"), (
                method,
                path,
            )


async def test_a_nodes_key_sees_its_node_and_nothing_else(
    connection: Connection, anonymous: httpx.AsyncClient, key_with: Any
):
    await insert(connection, network())
    own, others = await key_with("node", node_code="MILL"), await key_with("node", node_code="ELSEWHERE")
    n_own = 0
    for method, path, scope, is_for_nodes in operations():
        if scope is None:
            continue
        said = await status(anonymous, method, filled(path), own)
        if not is_for_nodes:
            assert said == (403, "scope-missing"), (method, path)
            continue
        n_own += 1
        assert said[0] not in (401, 403, 404), (method, path, said)
        # Whether there is such a node is nothing that another may know.
        for node_code in ("MILL", "NOWHERE"):
            answer = await status(anonymous, method, filled(path, node_code=node_code), others)
            assert answer[0] == 404, (method, path, answer)
    assert n_own >= 5
    assert (await status(anonymous, "get", "/v1/me", own))[0] == 200


async def test_a_node_reports_how_it_is(connection: Connection, anonymous: httpx.AsyncClient, key_with: Any):
    await insert(connection, network())
    headers = {"Authorization": f"Bearer {await key_with('node', node_code='MILL')}"}
    answer = await anonymous.put("/v1/nodes/MILL/state", json={"status": "offline"}, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "offline")
    answer = await anonymous.put("/v1/nodes/MILL", json={}, headers=headers | {"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
