import asyncpg
import pytest

from pullplan.storage import database, schema

pytestmark = pytest.mark.anyio


async def test_a_migrated_database_lacks_nothing(connection: database.Connection):
    assert await schema.missing_versions(connection) == []


async def test_an_empty_database_lacks_every_version(server_url):
    connection = await asyncpg.connect(server_url("postgres"))
    try:
        assert await schema.missing_versions(connection) == schema.expected_versions() != []
    finally:
        await connection.close()


async def test_migrating_again_changes_nothing(database_url: str, connection: database.Connection):
    schema.migrate(database_url)
    assert await schema.missing_versions(connection) == []
