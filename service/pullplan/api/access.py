"""Who calls, and may they? Bearer keys, stored as SHA-256, or tokens; scopes; a guard on every route that needs one."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from pullplan.api import rate_limits
from pullplan.api.errors import KeyMissingError, KeyRefusedError, RateExceededError, ScopeMissingError
from pullplan.engine.errors import ResourceUnknownError
from pullplan.storage import database, keys

if TYPE_CHECKING:
    from pullplan.api.tokens import TokenReader

Scope = Literal["read", "demand:write", "network:write", "plans:run", "plans:release", "node", "admin"]
SCOPES: frozenset[str] = frozenset(get_args(Scope))

CACHE_SECONDS = 5.0
"""So long a retired key may still be accepted by a process that has just seen it, and hears nothing from the database."""
CACHED_KEYS = 1000
DOTS_OF_TOKENS = 2
"""Between header, claims and signature; a key of ours holds none."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
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
    """Finds the caller of a bearer key or token; remembers it for a few seconds, so that a hot one costs no query.

    Of keys that were refused it remembers as much, and from one address looks at no more than so many.
    """

    def __init__(
        self,
        pool: database.Pool,
        clock: Callable[[], datetime],
        limiter: rate_limits.RateLimiter,
        tokens: "TokenReader | None" = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._limiter = limiter
        self._tokens = tokens
        self._seen: dict[bytes, tuple[Caller, datetime]] = {}
        self._refused: dict[bytes, tuple[KeyRefusedError, datetime]] = {}

    async def identify(self, authorization: str | None, address: str) -> Caller:
        """Find who sends this Authorization header from an address.

        Raises: KeyMissingError, KeyRefusedError, RateExceededError, KeySetAwayError, DatabaseAwayError.
        """
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise KeyMissingError("send a key: Authorization: Bearer <key>")
        text = text.strip()
        digest = hashlib.sha256(text.encode()).digest()
        now = self._clock()
        caller, until = self._seen.get(digest, (None, now))
        if caller is None or until <= now:
            caller = await self._look_up(text, digest, now, address)
        if caller.expires_at is not None and caller.expires_at <= now:
            raise KeyRefusedError("this key has expired")
        return caller

    def forget(self, _: str = "") -> None:
        """Look every key up anew: one of them has been retired, or given an end."""
        self._seen = {digest: (caller, _LONG_AGO) for digest, (caller, _) in self._seen.items()}

    async def _look_up(self, text: str, digest: bytes, now: datetime, address: str) -> Caller:
        error, until = self._refused.get(digest, (None, now))
        if error is not None and until > now:
            raise error
        is_new = digest not in self._seen  # one that was good goes on, whoever guesses beside it
        if is_new:
            await self._limiter.check_guesses(address)
        until = now + timedelta(seconds=CACHE_SECONDS)
        try:
            caller = await self._found(text, digest, now)
        except KeyRefusedError as error:
            self._seen.pop(digest, None)
            _remember(self._refused, digest, (error, until))
            await self._limiter.count_guess(address)
            raise
        _remember(self._seen, digest, (caller, until))
        return caller

    async def _found(self, text: str, digest: bytes, now: datetime) -> Caller:
        bearer = None
        if self._tokens is not None and text.count(".") == DOTS_OF_TOKENS:
            bearer = await self._tokens.read(text)
        async with database.lent(self._pool) as connection:
            if bearer is None:
                key = await keys.find_by_digest(connection, digest)
            else:
                key = await keys.meet_subject(
                    *(connection,),
                    key_id=bearer.key_id,
                    name=bearer.name,
                    issuer=bearer.issuer,
                    subject=bearer.subject,
                )
            if key is None or key.retired_at is not None:
                raise KeyRefusedError("this key is unknown or retired")
            if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
                await keys.note_use(connection, key.key_id, now)
        return Caller(
            key_id=key.key_id,
            name=key.name,
            scopes=frozenset(key.scopes) if bearer is None else bearer.scopes & SCOPES,
            node_code=key.node_code if bearer is None else bearer.node_code,
            expires_at=key.expires_at if bearer is None else bearer.expires_at,
            requests_per_minute=key.requests_per_minute,
        )


def _remember[T](known: dict[bytes, T], digest: bytes, what: T) -> None:
    if len(known) >= CACHED_KEYS:
        known.clear()
    known[digest] = what


class Require:
    """A guard: the route is for keys with this scope, or for every key. The OpenAPI document reads the scope from here."""

    def __init__(self, scope: Scope | None, *, own_node: bool) -> None:
        self.scope = scope
        self.own_node = own_node
        """Whether a node's key may do this for its own node as well: the one in the path."""

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Find the caller, count the request and check the scope, before the body is read.

        Raises: KeyMissingError, KeyRefusedError, KeySetAwayError, RateExceededError, ScopeMissingError; ResourceUnknownError for a node's
            key that asks for another node.
        """
        app, state = connection.app.state, connection.state
        address = connection.client.host if connection.client is not None else ""
        try:
            caller = await app.keyring.identify(connection.headers.get("authorization"), address)
            state.rate_limit = await app.limiter.count(caller.key_id, caller.requests_per_minute)
        except RateExceededError as error:
            state.rate_limit = rate_limits.fields(error.policy, error.limit, 0, error.seconds)
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
