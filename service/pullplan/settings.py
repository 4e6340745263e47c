"""What differs between deployments? Read from the environment, once, by entry points only."""

import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from pullplan.engine.errors import PullplanError


class SettingInvalidError(PullplanError):
    """An environment variable cannot be used as it is."""

    code = "setting-invalid"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is read from the environment variable that its comment names."""

    database_url: str | None = None
    """DATABASE_URL: any PostgreSQL from 15 on; unset: the embedded server."""
    data_folder: Path
    """PULLPLAN_DATA: where the embedded server keeps its data."""
    host: str = "127.0.0.1"
    """PULLPLAN_HOST."""
    port: int = 8000
    """PULLPLAN_PORT."""
    url: str | None = None
    """PULLPLAN_URL: the service that client commands talk to; unset: http://127.0.0.1:<port>."""
    key: str | None = None
    """PULLPLAN_KEY: the key that client commands send."""
    time_zone: str = "UTC"
    """PULLPLAN_TIME_ZONE: buckets are cut in it."""
    currency: str = "EUR"
    """PULLPLAN_CURRENCY: a label; amounts are never converted."""
    pool_connections: int = 10
    """PULLPLAN_POOL_CONNECTIONS: of the API process."""
    statement_cache: bool = True
    """PULLPLAN_STATEMENT_CACHE: false behind pgbouncer before 1.21 in transaction mode."""
    lease_seconds: float = 15.0
    """PULLPLAN_LEASE_SECONDS: a run whose worker is silent for so long is taken over."""
    worker_runs: int = 1
    """PULLPLAN_WORKER_RUNS: runs that one worker computes at a time."""
    log_level: str = "info"
    """PULLPLAN_LOG_LEVEL: debug, info, warning or error."""


def _default_data_folder(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "pullplan"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables.

    Raises: SettingInvalidError naming the variable.
    """
    env = os.environ if environment is None else environment
    raw: dict[str, object] = {"data_folder": env.get("PULLPLAN_DATA") or str(_default_data_folder(env))}
    if env.get("DATABASE_URL"):
        raw["database_url"] = env["DATABASE_URL"]
    for field in Settings.__struct_fields__:
        value = env.get(f"PULLPLAN_{field.upper()}")
        if value and field not in raw:
            raw[field] = value
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") or "?"
        raise SettingInvalidError(f"PULLPLAN_{field.upper()}: {error}") from None
    try:
        ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingInvalidError(
            f"PULLPLAN_TIME_ZONE: {settings.time_zone!r} is no time zone; write one like Europe/Berlin"
        ) from None
    return settings
