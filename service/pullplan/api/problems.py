"""How does a failure become `application/problem+json` (RFC 9457), and which status has which error?"""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec
import structlog
from asyncpg.exceptions import _base as asyncpg_base
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from pullplan.api import errors
from pullplan.engine import errors as engine_errors
from pullplan.engine.errors import LineProblem, PullplanError
from pullplan.storage import buffer_proposals, keys, runs, schema, webhooks

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

STATUS_BY_ERROR: dict[type[PullplanError], int] = {
    errors.BodyMalformedError: 400,
    errors.TextNotUtf8Error: 400,
    errors.KeyMissingError: 401,
    errors.KeyRefusedError: 401,
    errors.ScopeMissingError: 403,
    engine_errors.ResourceUnknownError: 404,
    errors.IdempotencyKeyBusyError: 409,
    runs.RunEndedError: 409,
    keys.KeyRetiredError: 409,
    keys.KeyOfTokensError: 409,
    webhooks.DeliveryWaitsError: 409,
    buffer_proposals.ProposalDecidedError: 409,
    errors.OwnKeyError: 409,
    errors.ReplanNotConfirmedError: 409,
    errors.PlansNotComparableError: 409,
    engine_errors.ResourceInUseError: 409,
    engine_errors.SourceRevisionStaleError: 409,
    engine_errors.RevisionStaleError: 412,
    errors.BodyTooLargeError: 413,
    errors.MediaTypeUnsupportedError: 415,
    errors.ContentInvalidError: 422,
    errors.IdempotencyKeyReusedError: 422,
    engine_errors.LinesRefusedError: 422,
    engine_errors.ReferenceUnknownError: 422,
    engine_errors.HorizonInvalidError: 422,
    engine_errors.PinInfeasibleError: 422,
    engine_errors.LotRulesContradictoryError: 422,
    errors.PreconditionMissingError: 428,
    errors.RateExceededError: 429,
    engine_errors.AssignmentFailedError: 500,
    schema.MigrationFailedError: 500,
    engine_errors.DatabaseAwayError: 503,
    errors.KeySetAwayError: 503,
    errors.SchemaOutdatedError: 503,
}
"""One table: a test proves that no error of ours is missing."""

_RETRY_LATER = (errors.IdempotencyKeyBusyError,)
_BUSY = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
)
_SCHEMA_OUTDATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
# asyncpg has two: what its own encoders refuse, and what the server refuses (NUL in text, say).
_DATA_ERRORS = (asyncpg_base.DataError, asyncpg.DataError, asyncpg.CheckViolationError)

log = structlog.get_logger("pullplan.api")


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request failed (RFC 9457)."""

    type: str
    """Stable for this kind of problem."""
    title: str
    status: int
    detail: str
    instance: str
    """The path, and the request's id as fragment: quote it when asking for help."""
    code: str
    """Stable, kebab-case: what programs compare."""
    errors: list[LineProblem] = []
    """Each refused field or line; at most the first hundred."""


def worded(
    status: int, code: str, detail: str, instance: str, problems: list[LineProblem] | None = None
) -> Problem:
    """Word a failure."""
    return Problem(
        type=f"urn:pullplan:problem:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        errors=(problems or [])[:100],
    )


def problem(
    request: Request[Any, Any, Any],
    *,
    status: int,
    code: str,
    detail: str,
    problems: list[LineProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    """Build the response of a failure."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    instance = quote(request.scope["path"]) + (f"#{request_id}" if request_id else "")
    body = worded(status, code, detail, instance, problems)
    headers = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def status_of(error: PullplanError) -> int:
    """Look up the status of an error by its nearest class in the table."""
    return next((STATUS_BY_ERROR[c] for c in type(error).__mro__ if c in STATUS_BY_ERROR), 500)


def answer_own(request: Request[Any, Any, Any], error: PullplanError) -> Response[Problem]:
    """Answer an error of ours."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        refused = isinstance(error, errors.KeyRefusedError)
        headers["WWW-Authenticate"] = 'Bearer realm="pullplan"' + (
            ', error="invalid_token"' if refused else ""
        )
    if isinstance(error, errors.RateExceededError):
        headers["Retry-After"] = str(error.seconds)
    if isinstance(error, _RETRY_LATER):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", exc_info=error)
    return problem(
        request,
        status=status,
        code=error.code,
        detail=error.detail,
        problems=getattr(error, "problems", None),
        headers=headers,
    )


def answer_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Answer a refused parameter: its name stands in `field`. A body that is missing altogether is malformed."""
    refused = [e for e in error.extra if isinstance(e, dict)] if isinstance(error.extra, list) else []
    if any(e.get("key") == "data" for e in refused):
        return answer_own(request, errors.BodyMalformedError("a body is required"))
    problems = [
        LineProblem(code="invalid", detail=str(e.get("message", "")), field=str(e.get("key", "")))
        for e in refused
    ]
    detail = "; ".join(f"{p.field}: {p.detail}" for p in problems) or error.detail
    return problem(request, status=422, code="content-invalid", detail=detail, problems=problems)


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Answer what the framework refuses: no such path, no such method, a body beyond the limit."""
    status = HTTPStatus(error.status_code)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    allowed = {"allow": headers["allow"]} if "allow" in headers else {}
    details = {
        404: "there is nothing at this path",
        405: f"this path takes {allowed.get('allow', 'other methods')}, not {request.method}",
        413: "the body is larger than this resource accepts at once",
    }
    return problem(
        request,
        status=status,
        code="body-too-large" if status == 413 else status.phrase.lower().replace(" ", "-"),
        detail=details.get(status, error.detail or status.phrase),
        headers=allowed,
    )


def _nested(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _nested(inner)]
    return [error]


def answer_any(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer everything else: what the database says by its meaning, the unforeseen as 500 without its words."""
    for leaf in _nested(error):
        # The framework wraps what the transaction's end turned an error into.
        if isinstance(leaf, PullplanError):
            return answer_own(request, leaf)
    if isinstance(error, _DATA_ERRORS):
        return problem(
            request,
            status=422,
            code="content-invalid",
            detail=f"the database refuses a value: {str(error).splitlines()[0]}",
        )
    if isinstance(error, _BUSY):
        return problem(
            request,
            status=503,
            code="database-busy",
            detail="the database was too busy to do this in time; nothing was stored",
        )
    if isinstance(error, _SCHEMA_OUTDATED):
        return answer_own(
            request, errors.SchemaOutdatedError("the database lacks migrations; see GET /health/ready")
        )
    log.error("request_failed", exc_info=error)
    return problem(
        request,
        status=500,
        code="internal-error",
        detail="something failed that should not; the log has it under this instance",
    )


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    PullplanError: answer_own,
    ValidationException: answer_validation,
    HTTPException: answer_http,
    Exception: answer_any,
}
