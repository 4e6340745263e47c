"""The application in this process, on a real database of the test's own."""

import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from pullplan.api.app import create_app
from pullplan.settings import Settings
from pullplan.storage import database, keys

type KeyMaker = Callable[..., Awaitable[str]]


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


@pytest.fixture
async def anonymous(settings: Settings, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Call the application without a key."""
    app = create_app(settings, database_url)
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://pullplan"
        ) as http,
    ):
        yield http


@pytest.fixture
async def client(anonymous: httpx.AsyncClient, key_with: KeyMaker) -> httpx.AsyncClient:
    """Call the application with a key of the scope admin."""
    anonymous.headers["Authorization"] = f"Bearer {await key_with('admin')}"
    return anonymous
