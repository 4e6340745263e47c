"""What may a handler ask for? The names of these parameters are fixed: transaction, caller, pool, news, settings, clock."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from pullplan.api.access import Caller
from pullplan.settings import Settings
from pullplan.storage import database
from pullplan.storage.run_news import RunNews

# Assigned plainly: litestar doesn't see through PEP 695 aliases.
Transaction = NamedDependency[SkipValidation[database.Connection]]
"""The request's one connection in its one transaction: committed before the answer, rolled back on any error."""
CallerOf = NamedDependency[SkipValidation[Caller]]
PoolOf = NamedDependency[SkipValidation[database.Pool]]
RunNewsOf = NamedDependency[SkipValidation[RunNews]]
SettingsOf = NamedDependency[SkipValidation[Settings]]
Clock = NamedDependency[SkipValidation[Callable[[], datetime]]]


async def provide_transaction(state: State) -> AsyncIterator[Any]:
    """Open the one transaction. The only generator among the dependencies: its end decides the answer."""
    async with database.transaction(state.pool) as connection:
        yield connection


def provide_caller(request: Request[Any, Any, Any]) -> Any:
    """Give the caller that the guard found."""
    return cast("Caller", request.state.caller)


def provide_pool(state: State) -> Any:
    """Give the pool, for streams and for what waits outside of a transaction."""
    return state.pool


def provide_news(state: State) -> Any:
    """Give the news of runs, for whoever waits for one."""
    return state.news


def provide_settings(state: State) -> Any:
    """Give the deployment's settings."""
    return state.settings


def provide_clock(state: State) -> Any:
    """Give the clock: a function that tells the present instant in UTC."""
    return state.clock


DEPENDENCIES = {
    "transaction": Provide(provide_transaction),
    "caller": Provide(provide_caller, sync_to_thread=False),
    "pool": Provide(provide_pool, sync_to_thread=False),
    "news": Provide(provide_news, sync_to_thread=False),
    "settings": Provide(provide_settings, sync_to_thread=False),
    "clock": Provide(provide_clock, sync_to_thread=False),
}
