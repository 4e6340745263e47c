r"""What may a value look like? Every string and number that a caller sends is bounded by one of these types.

A pattern ends in `\Z`, because `$` lets a trailing newline through; the OpenAPI document says `$`.
"""

from datetime import UTC, datetime
from typing import Annotated

from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

CODE_PATTERN = r"\A[A-Za-z0-9._:~-]{1,64}\Z"
CODE_OR_EVERY_PATTERN = r"\A([A-Za-z0-9._:~-]{1,64}|\*)\Z"
PRINTABLE_PATTERN = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
PATTERN_WORDS = {
    CODE_PATTERN: "only A–Z a–z 0–9 . _ : ~ - are allowed here, 1 to 64 of them",
    CODE_OR_EVERY_PATTERN: "only A–Z a–z 0–9 . _ : ~ - are allowed here, 1 to 64 of them, or * alone",
    PRINTABLE_PATTERN: "control characters are not allowed here",
}
"""What a caller reads in place of a pattern."""
UNITS_MAX = 1e12
INT32_MAX = 2**31 - 1

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=CODE_PATTERN)]
CodeOrEvery = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=CODE_OR_EVERY_PATTERN,
        description="A code, or `*` for every one.",
    ),
]
Source = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=CODE_PATTERN, description="The system that the fact comes from."
    ),
]
ExternalId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=PRINTABLE_PATTERN,
        description="The fact's identity in its source.",
    ),
]
Text = Annotated[str, Meta(max_length=200, pattern=PRINTABLE_PATTERN)]
LongText = Annotated[str, Meta(max_length=2000, pattern=PRINTABLE_PATTERN)]

Units = Annotated[float, Meta(ge=-UNITS_MAX, le=UNITS_MAX)]
NonNegative = Annotated[float, Meta(ge=0, le=UNITS_MAX)]
Positive = Annotated[float, Meta(gt=0, le=UNITS_MAX)]
Share = Annotated[float, Meta(ge=0, le=1)]
PositiveShare = Annotated[float, Meta(gt=0, le=1)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Days = Annotated[int, Meta(ge=0, le=3650)]
Priority = Annotated[int, Meta(ge=-INT32_MAX, le=INT32_MAX)]
SourceRevision = Annotated[int, Meta(ge=0, le=2**53)]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]

CodeInPath = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=CODE_PATTERN)]
ExternalIdInPath = Annotated[str, PathParameter(min_length=1, max_length=200, pattern=PRINTABLE_PATTERN)]
LineInPath = Annotated[int, PathParameter(ge=1, le=INT32_MAX, description="The line's number in its plan.")]
CodeFilter = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=64, pattern=CODE_PATTERN, description="Only what has this code."),
]
CodeOrEveryFilter = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=64,
        pattern=CODE_OR_EVERY_PATTERN,
        description="Only what has this code, or `*`.",
    ),
]

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def refuse_far_instant(field: str, instant: datetime) -> None:
    """Refuse an instant that no calendar of ours reaches: at the ends of time, offsets leave what can be represented.

    Raises: ValueError naming the field.
    """
    if not EARLIEST <= instant < LATEST:
        raise ValueError(f"{field}: must lie between {EARLIEST:%Y} and {LATEST:%Y}")
