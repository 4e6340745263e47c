"""Whom does an access token of the company's identity provider speak for? JSON Web Tokens (RFC 7519, RFC 9068)."""

import asyncio
import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet

from pullplan.api.errors import KeyRefusedError, KeySetAwayError

log = structlog.get_logger()

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Of public keys alone: with a secret that both sides share, whoever checks a token could write one."""
NODE_CLAIM = "pullplan_node"
LEEWAY_SECONDS = 30
"""By so much clocks may differ."""
KEYS_KEPT = timedelta(minutes=10)
KEYS_ASKED_AGAIN = timedelta(seconds=30)
"""So often at most the provider is asked for a key that it has not named."""
KEYS_MISSED = timedelta(seconds=2)
"""So long nobody asks again after the provider has not answered, while there are no keys."""
ANSWER_SECONDS = 5.0
KEY_SET_BYTES_MAX = 1_000_000


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a valid token speaks for."""

    key_id: UUID
    """The same for every token of a subject."""
    issuer: str
    subject: str
    name: str
    scopes: frozenset[str]
    """As the token says them, ours or not."""
    node_code: str | None
    expires_at: datetime


class TokenReader:
    """Reads tokens of one issuer for one audience, with the public keys that the issuer names."""

    def __init__(self, issuer: str, audience: str, keys_at: str, clock: Callable[[], datetime]) -> None:
        """`keys_at`: the address, or the file, of the issuer's JWK set (RFC 7517)."""
        self._issuer, self._audience, self._keys_at = issuer, audience, keys_at
        self._clock = clock
        self._keys: KeySet | None = None
        self._asked_at: datetime | None = None
        self._asking = asyncio.Lock()

    async def read(self, text: str) -> Bearer:
        """Check signature, issuer, audience and time.

        Raises: KeyRefusedError, saying what is wrong; KeySetAwayError while the issuer's keys can't be had.
        """
        now = self._clock()
        try:
            claims = await self._claims(text, now)
            registry = jwt.JWTClaimsRegistry(
                now=int(now.timestamp()),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": self._audience},
                sub={"essential": True, "allow_blank": False},
                exp={"essential": True},
            )
            registry.validate(claims)
            return self._bearer(claims)
        except JoseError as error:
            raise KeyRefusedError(f"this token is refused: {error.description or error.error}") from None
        except (ValueError, TypeError, OverflowError):
            raise KeyRefusedError("this token is refused: it is no signed JSON Web Token") from None

    async def _claims(self, text: str, now: datetime) -> dict[str, Any]:
        keys = await self._key_set(now, KEYS_KEPT)
        try:
            return _decoded(text, keys)
        except InvalidKeyIdError:
            # The issuer may have a new key.
            return _decoded(text, await self._key_set(now, KEYS_ASKED_AGAIN))

    def _bearer(self, claims: dict[str, Any]) -> Bearer:
        subject = claims["sub"]
        said = claims.get("scope", claims.get("scp", ""))
        scopes = frozenset(said.split() if isinstance(said, str) else map(str, said))
        names = (claims.get(claim) for claim in ("name", "preferred_username", "client_id", "azp"))
        node_code = claims.get(NODE_CLAIM)
        if ("node" in scopes) != isinstance(node_code, str):
            raise KeyRefusedError(
                f"this token is refused: with the scope node, and only with it, the claim {NODE_CLAIM} names the node"
            )
        return Bearer(
            key_id=uuid5(NAMESPACE_URL, f"{self._issuer} {subject}"),
            issuer=self._issuer,
            subject=subject,
            name=next((name for name in names if isinstance(name, str) and name), subject)[:200],
            scopes=scopes,
            node_code=node_code,
            expires_at=datetime.fromtimestamp(int(claims["exp"]) + LEEWAY_SECONDS, UTC),
        )

    async def _key_set(self, now: datetime, kept: timedelta) -> KeySet:
        """Give the keys, asked for no longer ago than that; where the issuer does not answer, those it has named before."""
        async with self._asking:
            kept = kept if self._keys is not None else KEYS_MISSED
            if self._asked_at is None or now - self._asked_at >= kept:
                self._asked_at = now
                try:
                    self._keys = _public(json.loads(await self._fetch()))
                except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, JoseError) as error:
                    log.warning("key_set_away", issuer=self._issuer, error=repr(error))
        if self._keys is None:
            raise KeySetAwayError(
                f"the keys of {self._issuer} can't be had, so that no token of it can be checked"
            )
        return self._keys

    async def _fetch(self) -> bytes:
        if "://" not in self._keys_at:
            return await asyncio.to_thread(Path(self._keys_at).read_bytes)
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=ANSWER_SECONDS) as http,
            http.stream("GET", self._keys_at, headers={"Accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            text = b""
            async for part in answer.aiter_bytes():
                text += part
                if len(text) > KEY_SET_BYTES_MAX:
                    raise ValueError("the key set is too long")
            return text


def _public(key_set: dict[str, Any]) -> KeySet:
    """Take the keys that check signatures and are no secrets."""
    keys = [key for key in key_set["keys"] if key.get("kty") != "oct" and key.get("use", "sig") == "sig"]
    return KeySet.import_key_set({"keys": keys})


def _decoded(text: str, keys: KeySet) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of names that providers still write
        return jwt.decode(text, keys, algorithms=ALGORITHMS).claims
