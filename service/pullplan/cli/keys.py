"""How are API keys created, listed and retired from the command line?"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from pullplan.api.access import Scope
from pullplan.cli.database_access import connected, reached_database
from pullplan.settings import read_settings
from pullplan.storage import keys as stored_keys
from pullplan.storage.database import Connection

SCOPES: tuple[str, ...] = get_args(Scope)


async def create_key(
    connection: Connection,
    name: str,
    scopes: tuple[str, ...],
    *,
    days: int | None = None,
    node_code: str | None = None,
    requests_per_minute: int | None = None,
) -> str:
    """Store a new key and answer its text, which is stored nowhere."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    _, text = await stored_keys.issue(
        *(connection, name, scopes),
        node_code=node_code,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
    )
    return text


@click.group()
def keys() -> None:
    """Create, list and retire API keys; works beside a running `pullplan serve`.

    Callers send a key as `Authorization: Bearer <key>`. Its scopes say what it may do; `admin` has all of them.
    """


@keys.command()
@click.option("--name", required=True, help="Whose key it is, as you will read it in the audit.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="May be given several times.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires.  [default: never]")
@click.option("--node", "node_code", help="The only node that a key with scope node may report for.")
@click.option(
    "--requests-per-minute",
    type=click.IntRange(0, 10_000_000),
    help="Requests that it may send in a minute; 0: as many as it likes.  [default: PULLPLAN_REQUESTS_PER_MINUTE]",
)
def create(
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    node_code: str | None,
    requests_per_minute: int | None,
) -> None:
    """Create a key and print it, once: only its hash is stored.

    Example: pullplan keys create --name shop --scope read --scope demand:write --days 365
    """

    async def store(url: str) -> str:
        async with connected(url) as connection:
            return await create_key(
                *(connection, name, scopes),
                days=days,
                node_code=node_code,
                requests_per_minute=requests_per_minute,
            )

    with reached_database(read_settings()) as url:
        click.echo(asyncio.run(store(url)))


@keys.command("list")
def list_keys() -> None:
    """List every key with its scopes and its last use."""

    async def read(url: str) -> list[stored_keys.StoredKey]:
        async with connected(url) as connection:
            return await stored_keys.list_all(connection)

    with reached_database(read_settings()) as url:
        found = asyncio.run(read(url))
    table = Table("key_id", "name", "scopes", "node", "created", "expires", "last used", "retired", box=None)
    for key in found:
        instants = (key.created_at, key.expires_at, key.last_used_at, key.retired_at)
        table.add_row(
            str(key.key_id),
            key.name,
            " ".join(key.scopes),
            key.node_code or "",
            *("" if instant is None else f"{instant:%Y-%m-%d %H:%M}" for instant in instants),
        )
    Console(width=None if Console().is_terminal else 200).print(table)


@keys.command()
@click.argument("key_id", type=click.UUID)
def retire(key_id: UUID) -> None:
    """Retire the key with this id: within seconds it is refused everywhere."""

    async def write(url: str) -> stored_keys.StoredKey:
        async with connected(url) as connection:
            return await stored_keys.retire(connection, key_id, datetime.now(UTC))

    with reached_database(read_settings()) as url:
        key = asyncio.run(write(url))
    click.echo(f"{key.name} is retired.")
