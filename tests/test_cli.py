import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pullplan import __version__
from pullplan.cli import COMMANDS, main
from pullplan.cli.database_access import connected
from pullplan.storage import keys

HEAVY = ("litestar", "granian", "asyncpg", "numpy", "statsforecast", "highspy", "httpx")


def run(*arguments: str):
    return CliRunner().invoke(main, arguments, prog_name="pullplan")


@pytest.fixture(autouse=True)
def deployment(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the commands to this test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PULLPLAN_DATA", str(tmp_path))


def stored_keys(database_url: str) -> list[keys.StoredKey]:
    async def read() -> list[keys.StoredKey]:
        async with connected(database_url) as connection:
            return await keys.list_all(connection)

    return asyncio.run(read())


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = f"import sys\nfrom pullplan.cli import main\nmain(['--help'], standalone_mode=False)\nprint([m for m in {HEAVY} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert all(name in said for name in COMMANDS)
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_its_entry_says_and_teaches(name: str):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
    undocumented = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert undocumented == []


def test_an_unknown_command_is_a_usage_error():
    assert run("paln").exit_code == 2


def test_the_version_is_the_packages():
    assert __version__ in run("--version").output


def test_a_setting_that_cannot_be_used_is_a_message_not_a_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PULLPLAN_PORT", "eighty")
    result = run("migrate")
    assert result.exit_code == 1
    assert result.output.startswith("Error: PULLPLAN_PORT: ")


def test_a_database_that_is_away_is_a_message_not_a_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@/none?host=/nowhere")
    result = run("keys", "list")
    assert result.exit_code == 1
    assert "the database does not answer" in result.output


def test_migrate_says_how_far_the_schema_is():
    assert "The schema is up to date: 2026" in run("migrate").output


def test_a_key_is_printed_once_and_only_its_hash_is_stored(database_url: str):
    result = run(
        "keys", "create", "--name", "shop", "--scope", "read", "--scope", "demand:write", "--days", "9"
    )
    text = result.output.strip()
    assert text.startswith("pp_")
    (key,) = stored_keys(database_url)
    assert (key.name, set(key.scopes)) == ("shop", {"read", "demand:write"})
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days in (8, 9)

    async def find() -> keys.StoredKey | None:
        async with connected(database_url) as connection:
            return await keys.find_by_digest(connection, hashlib.sha256(text.encode()).digest())

    assert asyncio.run(find()) == key
    assert text not in run("keys", "list").output


def test_a_scope_that_does_not_exist_is_refused(database_url: str):
    result = run("keys", "create", "--name", "shop", "--scope", "everything")
    assert result.exit_code == 2
    assert "demand:write" in result.output
    assert stored_keys(database_url) == []


def test_a_retired_key_is_listed_as_retired(database_url: str):
    run("keys", "create", "--name", "old", "--scope", "read")
    (key,) = stored_keys(database_url)
    assert run("keys", "retire", str(key.key_id)).output == "old is retired.\n"
    assert stored_keys(database_url)[0].retired_at is not None
    assert "old" in run("keys", "list").output


def test_retiring_an_unknown_key_is_a_message():
    result = run("keys", "retire", "00000000-0000-4000-8000-000000000000")
    assert result.exit_code == 1
    assert "unknown" in result.output or "no key" in result.output


def test_the_written_openapi_document_passes_its_own_check_and_a_changed_one_does_not(tmp_path: Path):
    document = tmp_path / "openapi.yaml"
    assert run("openapi", "--write", str(document)).exit_code == 0
    assert run("openapi", "--check", str(document)).exit_code == 0
    document.write_text(document.read_text().replace("openapi:", "openapi-of-old:", 1))
    result = run("openapi", "--check", str(document))
    assert result.exit_code == 1
    assert "-openapi-of-old:" in result.output
