"""The application in this process, on a real database of the test's own; every answer is held to the document."""

import hashlib
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from pullplan.api import openapi
from pullplan.api.app import create_app
from pullplan.api.outer import Outer
from pullplan.settings import Settings
from pullplan.storage import database, keys

type KeyMaker = Callable[..., Awaitable[str]]


@cache
def _document() -> dict[str, Any]:
    return openapi.document()


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """Pair each documented path with its pattern, those without parameters first."""
    paths = sorted(_document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace(".", r"\."))), path) for path in paths]


def _promised(method: str, path: str, status: int) -> dict[str, Any] | None:
    response: dict[str, Any] | None = _document()["paths"][path][method]["responses"].get(str(status))
    if response is not None and "$ref" in response:
        response = _document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


@cache
def _validator(method: str, path: str, status: int, media_type: str) -> Any:
    schema = (_promised(method, path, status) or {})["content"][media_type]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": _document()["components"]})


async def hold_to_document(answer: httpx.Response) -> None:
    """Fail on an answer whose status, media type or content the document does not promise."""
    path = next((path for pattern, path in _paths() if pattern.fullmatch(answer.url.path)), None)
    method = answer.request.method.lower()
    if path is None or method not in _document()["paths"][path]:
        return
    await answer.aread()
    said = f"{method} {path} {answer.status_code}"
    promised = _promised(method, path, answer.status_code)
    assert promised is not None, f"{said} is not promised: {answer.text}"
    if "content" not in promised:
        assert answer.content == b"", f"{said} is promised without content"
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in promised["content"], f"{said} is not promised as {media_type}"
    if media_type in ("application/json", "application/problem+json"):
        _validator(method, path, answer.status_code, media_type).validate(answer.json())


async def _insert_key(database_url: str, scopes: tuple[str, ...], **fields) -> str:
    text = "pp_" + secrets.token_urlsafe(32)
    connection = await database.connect(database_url)
    try:
        await keys.insert(
            connection,
            key_id=uuid.uuid4(),
            name="test",
            key_sha256=hashlib.sha256(text.encode()).digest(),
            scopes=scopes,
            **fields,
        )
    finally:
        await connection.close()
    return text


@pytest.fixture
def key_with(database_url: str) -> KeyMaker:
    """Make keys: `await key_with("read", "demand:write")` gives a key's text."""

    async def make(*scopes: str, **fields) -> str:
        return await _insert_key(database_url, scopes, **fields)

    return make


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path, pool_connections=5)


@cache
def _application() -> Outer:
    """Make the application once: it takes longer than most tests. What it serves is opened anew each time that it starts to."""
    return create_app(Settings(data_folder=Path()), "postgresql://")


@pytest.fixture
async def anonymous(settings: Settings, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Call the application without a key."""
    app = _application()
    app.app.state.update(settings=settings, database_url=database_url)
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://pullplan",
            event_hooks={"response": [hold_to_document]},
        ) as http,
    ):
        yield http


@pytest.fixture
async def client(anonymous: httpx.AsyncClient, key_with: KeyMaker) -> httpx.AsyncClient:
    """Call the application with a key of the scope admin."""
    anonymous.headers["Authorization"] = f"Bearer {await key_with('admin')}"
    return anonymous
