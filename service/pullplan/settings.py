"""What differs between deployments? Read from the environment, once, by entry points only."""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
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
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    """PULLPLAN_PORT; 0: a free one."""
    url: str | None = None
    """PULLPLAN_URL: the service that client commands talk to; unset: http://127.0.0.1:<port>."""
    key: str | None = None
    """PULLPLAN_KEY: the key that client commands send."""
    time_zone: str = "UTC"
    """PULLPLAN_TIME_ZONE: buckets are cut in it."""
    currency: str = "EUR"
    """PULLPLAN_CURRENCY: a label; amounts are never converted."""
    pool_connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """PULLPLAN_POOL_CONNECTIONS: of the API process."""
    statement_cache: bool = True
    """PULLPLAN_STATEMENT_CACHE: false behind pgbouncer before 1.21 in transaction mode."""
    requests_per_minute: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 60_000
    """PULLPLAN_REQUESTS_PER_MINUTE: of one key, where it has no limit of its own; 0: as many as it likes."""
    jwt_issuer: str | None = None
    """PULLPLAN_JWT_ISSUER: whose access tokens are accepted beside keys: their `iss`."""
    jwt_audience: str | None = None
    """PULLPLAN_JWT_AUDIENCE: for whom they are issued: their `aud`."""
    jwt_keys: str | None = None
    """PULLPLAN_JWT_KEYS: where the issuer's public keys are, as a JWK set: an https address, or a file."""
    cors_origins: str = ""
    """PULLPLAN_CORS_ORIGINS: whose pages may call from a browser: origins like https://shop.example.com, between commas; or *."""
    lease_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=3600)] = 15.0
    """PULLPLAN_LEASE_SECONDS: a run whose worker is silent for so long is taken over."""
    worker_runs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """PULLPLAN_WORKER_RUNS: runs that one worker computes at a time."""
    idempotency_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 7
    """PULLPLAN_IDEMPOTENCY_DAYS: so long a retry with the same Idempotency-Key gets the first answer again."""
    import_run_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**53)] = 2**30
    """PULLPLAN_IMPORT_RUN_BYTES: a file of so many bytes, unpacked, is stored by a run: 202 instead of 200."""
    private_webhooks: bool = False
    """PULLPLAN_PRIVATE_WEBHOOKS: true lets webhooks have private addresses, and http: for networks without an outside."""
    compute: str = "local"
    """PULLPLAN_COMPUTE: where plans are computed: local, local:N (processes), or dask://host:port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """PULLPLAN_LOG_LEVEL: debug, info, warning or error."""


_COMPUTE = re.compile(
    r"(?:local|(?:local:|dask://(?P<host>[^\s/:@]+|\[[0-9A-Fa-f:.]+\]):)(?P<number>[0-9]{1,5}))"
)
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_KEYS_ADDRESS = re.compile(r"https://\S+|http://(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/]\S*)?|(?:(?!://).)+")
_VARIABLE_OF = {"database_url": "DATABASE_URL", "data_folder": "PULLPLAN_DATA"}


def _variable_of(field: str) -> str:
    return _VARIABLE_OF.get(field, f"PULLPLAN_{field.upper()}")


def _default_data_folder(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "pullplan"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables.

    Raises: SettingInvalidError naming the variable.
    """
    env = os.environ if environment is None else environment
    named = {field: env.get(_variable_of(field)) for field in Settings.__struct_fields__}
    raw = {"data_folder": str(_default_data_folder(env))} | {
        field: text for field, text in named.items() if text
    }
    try:
        settings = msgspec.convert(raw, Settings, strict=False, dec_hook=lambda _, text: Path(text))
    except msgspec.ValidationError as error:
        reason, _, field = str(error).partition(" - at `$.")
        raise SettingInvalidError(f"{_variable_of(field.rstrip('`'))}: {reason}") from None
    try:
        ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingInvalidError(
            f"PULLPLAN_TIME_ZONE: {settings.time_zone!r} is no time zone; write one like Europe/Berlin"
        ) from None
    _check_tokens(settings)
    _check_compute(settings.compute)
    _check_origins(settings.cors_origins)
    return settings


def _check_tokens(settings: Settings) -> None:
    """Raises: SettingInvalidError."""
    fields = ("jwt_issuer", "jwt_audience", "jwt_keys")
    given = [field for field in fields if getattr(settings, field) is not None]
    if not given:
        return
    for field in fields:
        if field not in given:
            raise SettingInvalidError(
                f"{_variable_of(field)}: {_variable_of(given[0])} is set, so this must be as well"
            )
    if _KEYS_ADDRESS.fullmatch(settings.jwt_keys or "") is None:
        raise SettingInvalidError(
            f"PULLPLAN_JWT_KEYS: {settings.jwt_keys!r} is neither a file nor an https address (http only on this machine)"
        )


def _check_origins(origins: str) -> None:
    """Raises: SettingInvalidError."""
    for origin in filter(None, map(str.strip, origins.split(","))):
        if origin != "*" and _ORIGIN.fullmatch(origin) is None:
            raise SettingInvalidError(
                f"PULLPLAN_CORS_ORIGINS: {origin!r} is no origin; write scheme, host and port alone, like https://shop.example.com"
            )


def _check_compute(compute: str) -> None:
    """Raises: SettingInvalidError."""
    matched = _COMPUTE.fullmatch(compute)
    if matched is None or not 0 < int(matched["number"] or 1) <= 65535:
        raise SettingInvalidError(
            f"PULLPLAN_COMPUTE: {compute!r} is no place to compute; write local, local:N (so many processes) or "
            "dask://host:port"
        )
    if matched["host"] and find_spec("distributed") is None:
        raise SettingInvalidError(
            f"PULLPLAN_COMPUTE: {compute} needs the package distributed: install the dependency group `dask`"
        )
