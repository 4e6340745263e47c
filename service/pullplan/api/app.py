"""How do the resources become one application?"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State

from pullplan import lifeline, telemetry
from pullplan.api import (
    buffer_proposals,
    buffers,
    capabilities,
    capacity,
    confirmations,
    demand,
    differences,
    docs,
    forecast_grounds,
    forecast_totals,
    forecasts,
    imports,
    keys,
    lanes,
    ledger,
    needs,
    node_stock,
    nodes,
    plan_lines,
    plans,
    policies,
    policy_previews,
    problems,
    products,
    reasons,
    regions,
    remedies,
    runs,
    service,
    stock,
    supply,
    usage_exclusions,
    verifications,
    webhooks,
)
from pullplan.api.access import Keyring
from pullplan.api.dependencies import DEPENDENCIES
from pullplan.api.outer import Metrics, Outer
from pullplan.api.parameters import refuse_unknown_parameters
from pullplan.api.rate_limits import RateLimiter
from pullplan.api.requests import BODY_BYTES_MAX, StrictRequest
from pullplan.settings import Settings, read_settings
from pullplan.storage import database, run_news
from pullplan.storage import keys as stored_keys
from pullplan.storage.run_news import RunNews

if TYPE_CHECKING:
    from pullplan.api.tokens import TokenReader

ROUTES = [
    *service.ROUTES,
    *docs.ROUTES,
    *runs.ROUTES,
    *imports.ROUTES,
    *forecasts.ROUTES,
    *forecast_grounds.ROUTES,
    *forecast_totals.ROUTES,
    *plans.ROUTES,
    *plan_lines.ROUTES,
    *reasons.ROUTES,
    *remedies.ROUTES,
    *policy_previews.ROUTES,
    *confirmations.ROUTES,
    *verifications.ROUTES,
    *buffer_proposals.ROUTES,
    *buffers.ROUTES,
    *differences.ROUTES,
    *products.ROUTES,
    *regions.ROUTES,
    *nodes.ROUTES,
    *capacity.ROUTES,
    *capabilities.ROUTES,
    *lanes.ROUTES,
    *ledger.ROUTES,
    *needs.ROUTES,
    *policies.ROUTES,
    *usage_exclusions.ROUTES,
    *stock.ROUTES,
    *node_stock.ROUTES,
    *supply.ROUTES,
    *demand.ROUTES,
    *keys.ROUTES,
    *webhooks.ROUTES,
]

_REQUEST_FIELDS = (
    *("Authorization", "Content-Type", "Content-Encoding", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("Last-Event-ID", "Prefer", "X-Request-ID"),
)
_ANSWER_FIELDS = (
    *(
        "ETag",
        "Idempotent-Replayed",
        "Location",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-ID",
    ),
)
"""What pages of other origins may send and read, beside what browsers always let them."""


def present() -> datetime:
    """Tell the present instant: the clock that everything below the API is given."""
    return datetime.now(UTC)


@asynccontextmanager
async def _serving(app: Litestar) -> AsyncIterator[None]:
    """Open, for as long as the application serves, what its settings and its database's URL name."""
    settings: Settings = app.state.settings
    database_url: str = app.state.database_url
    async with database.opened_pool(
        database_url,
        max_connections=settings.pool_connections,
        statement_cache=settings.statement_cache,
    ) as pool:
        limiter, news = RateLimiter(settings.requests_per_minute), RunNews()
        keyring = Keyring(pool, present, limiter, _tokens(settings))
        app.state.update(
            clock=present, metrics=Metrics(), pool=pool, keyring=keyring, limiter=limiter, news=news
        )
        ears: dict[str, Callable[[str], None]] = {
            run_news.CHANGES: news.tell,
            stored_keys.CHANGES: keyring.forget,
        }
        listening = asyncio.create_task(database.keep_listening(database_url, ears))
        yield
        listening.cancel()


def _tokens(settings: Settings) -> "TokenReader | None":
    if settings.jwt_issuer is None or settings.jwt_audience is None or settings.jwt_keys is None:
        return None
    from pullplan.api.tokens import TokenReader  # noqa: PLC0415 - 0.3 s that few deployments need wait for

    return TokenReader(settings.jwt_issuer, settings.jwt_audience, settings.jwt_keys, present)


def create_app(settings: Settings, database_url: str) -> Outer:
    """Make the application over a database that need not be up yet."""
    return Outer(
        Litestar(
            route_handlers=ROUTES,
            before_request=refuse_unknown_parameters,
            dependencies=DEPENDENCIES,
            exception_handlers=problems.EXCEPTION_HANDLERS,
            lifespan=[_serving],
            state=State({"settings": settings, "database_url": database_url}),
            cors_config=_cors(settings.cors_origins),
            logging_config=None,
            openapi_config=None,
            request_class=StrictRequest,
            request_max_body_size=BODY_BYTES_MAX,
        )
    )


def _cors(origins: str) -> CORSConfig | None:
    named = [origin.strip() for origin in origins.split(",") if origin.strip()]
    if not named:
        return None
    return CORSConfig(
        allow_origins=named,
        allow_methods=["GET", "HEAD", "PUT", "POST", "DELETE"],
        allow_headers=[*_REQUEST_FIELDS],
        expose_headers=[*_ANSWER_FIELDS],
    )


def create() -> Outer:
    """Make the application of a server process that `pullplan serve` started; it ends with its parent.

    Raises: SettingInvalidError; KeyError without DATABASE_URL.
    """
    settings = read_settings()
    telemetry.configure_logs(settings.log_level)
    parent = multiprocessing.parent_process()
    if parent is not None:  # not under another server, whose life is its own
        lifeline.end_with_parent(parent.pid)
    return create_app(settings, os.environ["DATABASE_URL"])
