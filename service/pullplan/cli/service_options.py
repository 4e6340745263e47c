"""Which service does a command talk to, and with which key?"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from pullplan.cli.client import Client
from pullplan.settings import read_settings

DAY = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
"""A day, meaning its start, or a time; where the service plans."""
_Command = Callable[..., Any]


def talks_to_a_service(command: _Command) -> _Command:
    """Give a command the options --url and --key."""
    command = click.option("--key", help="API key.  [default: PULLPLAN_KEY]")(command)
    return click.option("--url", help="Of the service.  [default: PULLPLAN_URL, http://127.0.0.1:8000]")(
        command
    )


def open_client(url: str | None, key: str | None) -> Client:
    """Open a client for what the options or the environment name.

    Raises: click.UsageError when there is no key.
    """
    settings = read_settings()
    key = key or settings.key
    if not key:
        raise click.UsageError(
            "a key is needed: --key or PULLPLAN_KEY. `pullplan serve` prints one at its first start; "
            "`pullplan keys create --name me --scope admin` makes another."
        )
    return Client(url or settings.url or f"http://127.0.0.1:{settings.port}", key)


def instant_of(client: Client, day: datetime) -> str:
    """Name the instant that a day or time means in the service's time zone."""
    time_zone = ZoneInfo(client.get("/v1/settings")["time_zone"])
    return day.replace(tzinfo=time_zone).isoformat()
