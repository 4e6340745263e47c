"""How is a request that a caller sends twice done once? By its Idempotency-Key, stored with the answer."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.params import HeaderParameter

from pullplan.api.access import Caller
from pullplan.api.errors import IdempotencyKeyBusyError, IdempotencyKeyReusedError
from pullplan.api.fields import PRINTABLE_PATTERN
from pullplan.storage import idempotency
from pullplan.storage.database import Connection

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=PRINTABLE_PATTERN,
        description="Chosen by the caller, once for each thing to do: the same request sent again gets the first answer again, for days (7, unless the deployment says otherwise).",
    ),
]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is answered with, before it is put into HTTP's words."""

    status_code: int
    headers: dict[str, str]
    body: bytes


class Fingerprint:
    """Tells requests apart: by method, path and body, whose bytes are fed as they come in."""

    def __init__(self, request: Request[Any, Any, Any], *more: str) -> None:
        head = " ".join((str(request.method), request.scope["path"], *more))
        self._hash = hashlib.sha256(f"{head}\n".encode())

    def feed(self, body: bytes) -> None:
        """Take the next bytes of the body."""
        self._hash.update(body)

    def digest(self) -> bytes:
        """Tell what all of it comes to."""
        return self._hash.digest()


async def answer_once(
    connection: Connection,
    caller: Caller,
    idempotency_key: str | None,
    request: Request[Any, Any, Any],
    work: Callable[[], Awaitable[Answer]],
    fingerprint: Fingerprint | None = None,
) -> Answer:
    """Do the work, unless the same request was answered before: then give that answer again.

    The key, the answer and the work's effect are of one transaction. `fingerprint`: of a request whose body was streamed.

    Raises: IdempotencyKeyBusyError while the first is still being answered; IdempotencyKeyReusedError when the
        key was used with another request.
    """
    if idempotency_key is None:
        return await work()
    if not await idempotency.try_lock(connection, caller.key_id, idempotency_key):
        raise IdempotencyKeyBusyError("the first request with this Idempotency-Key is still being answered")
    if fingerprint is None:
        fingerprint = Fingerprint(request)
        fingerprint.feed(await request.body())
    stored = await idempotency.find(connection, caller.key_id, idempotency_key)
    if stored is not None:
        if stored.request_sha256 != fingerprint.digest():
            raise IdempotencyKeyReusedError("this Idempotency-Key was used before, with another request")
        headers = {**stored.headers, "Idempotent-Replayed": "true"}
        return Answer(status_code=stored.status_code, headers=headers, body=stored.body)
    answer = await work()
    await idempotency.insert(
        connection,
        caller.key_id,
        idempotency_key,
        idempotency.StoredAnswer(
            request_sha256=fingerprint.digest(),
            status_code=answer.status_code,
            headers=answer.headers,
            body=answer.body,
        ),
    )
    return answer
