"""Who calls, and may they? Bearer keys, stored as SHA-256, with scopes; a guard on every route that needs one."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from pullplan.api import rate_limits
from pullplan.api.errors import KeyMissingError, KeyRefusedError, RateExceededError, ScopeMissingError
from pullplan.engine.errors import ResourceUnknownError
from pullplan.storage import database, keys

Scope = Literal["read", "demand:write", "network:write", "plans:run", "plans:release", "node", "admin"]

CACHE_SECONDS = 5.0
"""So long a retired key may still be accepted by a process that has just seen it, and hears nothing from the database."""
CACHED_KEYS = 1000
USE_NOTED_EVERY = timedelta(minutes=1)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The key behind a request."""

    key_id: UUID
    name: str
    scopes: frozenset[str]
    node_code: str | None
    expires_at: datetime | None
    requests_per_minute: int | None
    """0: as many as it likes; None: as many as the deployment's setting says."""

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has a scope; `admin` has every one."""
        return scope in self.scopes or "admin" in self.scopes


class Keyring:
    """Finds the caller of a bearer key; remembers it for a few seconds, so that a hot key costs no query."""

    def __init__(self, pool: database.Pool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock
        self._seen: dict[bytes, tuple[Caller, datetime]] = {}

    async def identify(self, authorization: str | None) -> Caller:
        """Find who sends this Authorization header.

        Raises: KeyMissingError, KeyRefusedError, DatabaseAwayError.
        """
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise KeyMissingError("send a key: Authorization: Bearer <key>")
        digest = hashlib.sha256(text.strip().encode()).digest()
        now = self._clock()
        caller, until = self._seen.get(digest, (None, now))
        if caller is None or until <= now:
            self._seen.pop(digest, None)
            caller = await self._look_up(digest, now)
        if caller.expires_at is not None and caller.expires_at <= now:
            raise KeyRefusedError("this key has expired")
        return caller

    def forget(self, _: str = "") -> None:
        """Look every key up anew: one of them has been retired, or given an end."""
        self._seen.clear()

    async def _look_up(self, digest: bytes, now: datetime) -> Caller:
        async with database.lent(self._pool) as connection:
            key = await keys.find_by_digest(connection, digest)
            if key is None or key.retired_at is not None:
                raise KeyRefusedError("this key is unknown or retired")
            if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
                await keys.note_use(connection, key.key_id, now)
        caller = Caller(
            key_id=key.key_id,
            name=key.name,
            scopes=frozenset(key.scopes),
            node_code=key.node_code,
            expires_at=key.expires_at,
            requests_per_minute=key.requests_per_minute,
        )
        if len(self._seen) >= CACHED_KEYS:
            self._seen.clear()
        self._seen[digest] = (caller, now + timedelta(seconds=CACHE_SECONDS))
        return caller


class Require:
    """A guard: the route is for keys with this scope, or for every key. The OpenAPI document reads the scope from here."""

    def __init__(self, scope: Scope | None, *, own_node: bool) -> None:
        self.scope = scope
        self.own_node = own_node
        """Whether a node's key may do this for its own node as well: the one in the path."""

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Find the caller, count the request and check the scope, before the body is read.

        Raises: KeyMissingError, KeyRefusedError, RateExceededError, ScopeMissingError; ResourceUnknownError for a node's
            key that asks for another node.
        """
        app, state = connection.app.state, connection.state
        caller = await app.keyring.identify(connection.headers.get("authorization"))
        try:
            state.rate_limit = await app.limiter.count(caller.key_id, caller.requests_per_minute)
        except RateExceededError as error:
            state.rate_limit = rate_limits.fields(error.limit, 0, error.seconds)
            raise
        self._check(caller, connection.path_params.get("node_code"))
        state.caller = caller

    def _check(self, caller: Caller, node_code: str | None) -> None:
        if self.scope is None or caller.may(self.scope):
            return
        if not self.own_node:
            raise ScopeMissingError(f"this needs a key with the scope {self.scope}")
        if "node" not in caller.scopes:
            raise ScopeMissingError(f"this needs a key with the scope {self.scope}, or the node's own")
        if node_code != caller.node_code:
            raise ResourceUnknownError("node", node_code)


def require(scope: Scope | None, *, own_node: bool = False) -> Require:
    """Make the guard for a scope; None: for every key."""
    return Require(scope, own_node=own_node)
