"""What does every request get, found or not? An id, a line in the log, a place in the metrics, and HEAD for GET."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast
from uuid import uuid4

import structlog
from litestar import Litestar
from prometheus_client import CollectorRegistry, Counter, Histogram

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
        self._is_head = scope["method"] == "HEAD"
        self._head_answered = False
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode(
            "latin-1"
        )
        self.request_id = given if _REQUEST_ID.match(given) else uuid4().hex

    async def receive(self) -> Mapped:
        """Tell a stream whose head was all that was asked for that its reader has gone."""
        if self._head_answered:
            return {"type": "http.disconnect"}
        return await self._receive()

    async def send(self, message: Mapped) -> None:
        """Add the request's id; keep back the body of an answer to HEAD."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", self.request_id.encode()), *self.state.get("rate_limit", ())]
            headers = [*message.get("headers", []), *own]
            await self._send({**message, "headers": headers})
            if self._is_head:
                self._head_answered = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self._head_answered:
            await self._send(message)


class Outer:
    """Wraps the application: the framework's own middleware never sees 404 and 405."""

    def __init__(self, app: Litestar, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

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
        if method == "HEAD":
            inner["method"] = "GET"
        began = time.perf_counter()
        try:
            await serve(inner, exchange.receive, exchange.send)
        finally:
            seconds = time.perf_counter() - began
            route = inner.get("path_template") or "unmatched"
            self._metrics.note(method, route, exchange.status, seconds)
            if not scope["path"].startswith(_QUIET_PATHS):
                log.info(
                    "request",
                    request_id=exchange.request_id,
                    method=method,
                    path=scope["path"],
                    status=exchange.status,
                    milliseconds=round(seconds * 1000, 2),
                )
