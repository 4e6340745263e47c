"""What does a caller believe is stored (`If-Match`, `If-None-Match`), and which revision is it shown (`ETag`)?"""

import re
from typing import Any

import asyncpg
from litestar import Request, Response

from pullplan.api.errors import PreconditionMissingError
from pullplan.engine.errors import RevisionStaleError
from pullplan.storage.owned import Expected

_ETAG = re.compile(r'\A"(\d{1,18})"\Z')


def expected_revision(request: Request[Any, Any, Any]) -> Expected:
    """Read the precondition that a PUT or DELETE of a single resource must have.

    Raises: PreconditionMissingError; RevisionStaleError for an entity tag that was never given out.
    """
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if match is None and none_match is None:
        raise PreconditionMissingError(
            "send If-Match with the ETag that was read, or If-None-Match: * to create what isn't there"
        )
    if match is None:
        if (none_match or "").strip() != "*":
            raise PreconditionMissingError("a change takes If-Match, or If-None-Match: * and nothing else")
        return "absent"
    if match.strip() == "*":
        return "present"
    tag = _ETAG.match(match.strip())
    if tag is None:
        raise RevisionStaleError(f"no resource here has the entity tag {match}")
    return int(tag[1])


def with_etag[T](shown: T, row: asyncpg.Record, *, created: bool = False) -> Response[T]:
    """Answer a resource under its revision."""
    return Response(shown, status_code=201 if created else 200, headers={"ETag": f'"{row["revision"]}"'})
