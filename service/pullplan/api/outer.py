"""What does every request get, found or not? An id, a line in the log, a place in the metrics, HEAD for GET, and 304."""

import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, cast
from uuid import uuid4

import structlog
from litestar import Litestar
from litestar.routes import HTTPRoute
from prometheus_client import CollectorRegistry, Counter, Histogram

from pullplan.api import conditional
from pullplan.api.conditional import RawHeaders

# ASGI as its specification types it; the framework's own types are narrower than what servers send.
type Mapped = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Mapped]]
type Send = Callable[[Mapped], Awaitable[None]]

_REQUEST_ID = re.compile(r"\A[A-Za-z0-9._:~-]{1,64}\Z")
_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")
_QUIET_PATHS = ("/health/", "/metrics")

log = structlog.get_logger("pullplan.access")


class Metrics:
    """Counts and times requests; the labels are bounded: routes as templates, known methods."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "pullplan_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pullplan_http_request_seconds",
            "From the request's head to the last byte of its answer.",
            ("method", "route"),
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)


class _Exchange:
    """One request and its answer on the way out."""

    def __init__(self, scope: Mapped, receive: Receive, send: Send) -> None:
        self.status = 0
        self.state: Mapped = {}
        """What handlers note down for the answer."""
        self._receive = receive
        self._send = send
        self._reads = scope["method"] in ("GET", "HEAD")
        self._is_head = scope["method"] == "HEAD"
        self._head_answered = False
        self._held: Mapped | None = None
        """The head of an answer whose tag hangs on its body."""
        self.methods: Callable[[], Collection[str]] = tuple
        """Of the path, once it is found."""
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self._if_none_match = headers.get(b"if-none-match", b"")
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        self.request_id = given if _REQUEST_ID.match(given) else uuid4().hex

    async def receive(self) -> Mapped:
        """Tell a stream whose head was all that was asked for that its reader has gone."""
        if self._head_answered:
            return {"type": "http.disconnect"}
        return await self._receive()

    async def send(self, message: Mapped) -> None:
        """Add the request's id and what is left of its key's limit; hold the head of a whole document until its tag is known."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", [])]
            if self._reads and conditional.is_tagged(message["status"], headers):
                self._held = message
            else:
                await self._send_head(message["status"], headers)
            return
        if self._held is not None:
            head, self._held = self._held, None
            if not await self._send_tagged(head, message):
                return
        if not self._head_answered:
            await self._send(message)

    async def _send_tagged(self, head: Mapped, body: Mapped) -> bool:
        """Send the head of an answer under its tag; tell whether its body must follow."""
        headers = [*head.get("headers", [])]
        if body.get("more_body"):
            await self._send_head(head["status"], headers)
            return True
        tag = conditional.entity_tag(headers, body.get("body", b""))
        others = [(name, value) for name, value in headers if name != b"etag"]
        if not conditional.is_known(self._if_none_match, tag):
            await self._send_head(head["status"], [*others, (b"etag", tag)])
            return True
        await self._send_head(304, [*conditional.without_body(others), (b"etag", tag)])
        if not self._is_head:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        return False

    def _allowed(self, named: bytes) -> bytes:
        """Name all methods of a path: the framework does so handler by handler, and does not know of HEAD."""
        methods = {*self.methods(), *named.decode().split(", ")}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()))).encode()

    async def _send_head(self, status: int, headers: RawHeaders) -> None:
        """Send the head of an answer; to HEAD, all of it."""
        self.status = status
        own = [(b"x-request-id", self.request_id.encode()), *self.state.get("rate_limit", ())]
        headers = [(name, self._allowed(value) if name == b"allow" else value) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *own]})
        if self._is_head:
            self._head_answered = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class Outer:
    """Wraps the application: the framework's own middleware never sees 404 and 405."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._methods = {
            route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)
        }

    async def __call__(self, scope: Mapped, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        serve = cast("Callable[[Mapped, Receive, Send], Awaitable[None]]", self.app)
        if scope["type"] != "http":
            await serve(scope, receive, send)
            return
        inner = dict(scope)
        method = str(scope["method"])
        exchange = _Exchange(scope, receive, send)
        exchange.state = inner["state"] = {**inner.get("state", {}), "request_id": exchange.request_id}
        exchange.methods = lambda: self._methods.get(inner.get("path_template", ""), ())
        if method == "HEAD":
            inner["method"] = "GET"
        began = time.perf_counter()
        try:
            await serve(inner, exchange.receive, exchange.send)
        finally:
            seconds = time.perf_counter() - began
            route = inner.get("path_template") or "unmatched"
            self.app.state.metrics.note(method, route, exchange.status, seconds)
            if not scope["path"].startswith(_QUIET_PATHS):
                log.info(
                    "request",
                    request_id=exchange.request_id,
                    method=method,
                    path=scope["path"],
                    status=exchange.status,
                    milliseconds=round(seconds * 1000, 2),
                )
