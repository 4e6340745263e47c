"""What is this service, who am I to it, and is it well?"""

from importlib.metadata import version
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.response import Redirect
from prometheus_client import generate_latest

from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, SettingsOf
from pullplan.api.errors import SchemaOutdatedError
from pullplan.api.requests import BATCH_ITEMS_MAX, BODY_BYTES_MAX
from pullplan.engine.model import Instant, PlanParameters
from pullplan.storage import database, schema


class Limits(msgspec.Struct, kw_only=True):
    """How much one request may carry, and how many there may be."""

    json_body_bytes: int = BODY_BYTES_MAX
    json_batch_items: int = BATCH_ITEMS_MAX
    page_items: int = 1000
    import_run_bytes: int
    """A file of so many bytes, unpacked, is stored by a run: 202 instead of 200."""
    requests_per_minute: int
    """Of one key: every answer says in `RateLimit` what is left. 0: as many as it likes."""


class Me(msgspec.Struct, kw_only=True):
    """The key of this request."""

    key_id: UUID
    name: str
    scopes: list[str]
    node_code: str | None
    expires_at: Instant | None
    limits: Limits


class DeploymentSettings(msgspec.Struct, kw_only=True):
    """What callers need to know about this deployment."""

    version: str
    time_zone: str
    """Days and buckets are cut in it."""
    currency: str
    """The label of every cost and price; amounts are never converted."""
    compute: str
    """PULLPLAN_COMPUTE: where the workers' searches run: `local`, `local:N` (processes), or `dask://host:port`."""
    plan_defaults: PlanParameters
    """What a plan takes where its request is silent."""
    limits: Limits


class Health(msgspec.Struct, kw_only=True):
    """All is well."""

    status: str = "ok"


@get("/", include_in_schema=False, sync_to_thread=False)
def redirect_to_docs() -> Redirect:
    """Show the documentation."""
    return Redirect("/docs")


@get("/v1/me", guards=[require(None)], operation_id="getMe", tags=["service"], sync_to_thread=False)
def get_me(caller: CallerOf, settings: SettingsOf) -> Me:
    """Say which key this is: its scopes, its node, when it expires, and how much one request may carry."""
    return Me(
        key_id=caller.key_id,
        name=caller.name,
        scopes=sorted(caller.scopes),
        node_code=caller.node_code,
        expires_at=caller.expires_at,
        limits=Limits(
            import_run_bytes=settings.import_run_bytes,
            requests_per_minute=settings.requests_per_minute
            if caller.requests_per_minute is None
            else caller.requests_per_minute,
        ),
    )


@get(
    "/v1/settings",
    guards=[require("read")],
    operation_id="getSettings",
    tags=["service"],
    sync_to_thread=False,
)
def get_settings(settings: SettingsOf) -> DeploymentSettings:
    """Show the deployment's time zone, currency, version and place of computing, and what a plan takes where its request is silent."""
    return DeploymentSettings(
        version=version("pullplan"),
        time_zone=settings.time_zone,
        currency=settings.currency,
        compute=settings.compute,
        plan_defaults=PlanParameters(),
        limits=Limits(
            import_run_bytes=settings.import_run_bytes, requests_per_minute=settings.requests_per_minute
        ),
    )


@get("/health/live", operation_id="getLiveness", tags=["service"], sync_to_thread=False)
def get_liveness() -> Health:
    """Answer 200 as long as the process answers at all; it does not ask the database."""
    return Health()


@get("/health/ready", operation_id="getReadiness", tags=["service"], opt={"problems": (503,)})
async def get_readiness(pool: PoolOf) -> Health:
    """Answer 200 when requests can be served: the database is there and has every migration, else 503 and what is missing."""
    async with database.lent(pool, acquire_seconds=2.0) as connection:
        missing = await schema.missing_versions(connection)
    if missing:
        raise SchemaOutdatedError(
            f"the database lacks the migrations {', '.join(missing)}; run `pullplan migrate`"
        )
    return Health()


@get("/metrics", include_in_schema=False, sync_to_thread=False)
def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show the counters in Prometheus' text format."""
    return Response(
        generate_latest(request.app.state.metrics.registry),
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )


ROUTES = [redirect_to_docs, get_me, get_settings, get_liveness, get_readiness, get_metrics]
