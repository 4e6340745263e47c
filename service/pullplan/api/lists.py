"""How is a long list read page by page? By keyset: stable while rows come and go, and as quick at the end."""

import base64
import binascii
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar.params import QueryParameter

from pullplan.api.errors import ContentInvalidError
from pullplan.engine.errors import LineProblem


@dataclass(frozen=True)
class InstantParameter(QueryParameter):
    """A query parameter that refuses an instant without an offset."""

    tz: bool = True


Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=2000,
        description="`next_cursor` of the page before; without it the list begins.",
    ),
]
UpdatedSince = Annotated[
    datetime | None,
    InstantParameter(
        description="Only what has changed since this instant, itself included (RFC 3339 with an offset; write `+` as `%2B`)."
    ),
]

Retired = Annotated[bool, QueryParameter(description="Retired ones as well.")]


class Page[T](msgspec.Struct, kw_only=True):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None
    """Give it as `cursor` to read on; null on the last page."""


def encode_cursor(key: Sequence[Any]) -> str:
    """Write the last row's key as an opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor[K](cursor: str | None, key_type: type[K]) -> K | None:
    """Read a cursor back; None begins the list.

    Raises: ContentInvalidError for a cursor that this list did not give out.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key: K = msgspec.json.decode(raw, type=key_type)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise _not_given_out() from None
    return key


def _not_given_out() -> ContentInvalidError:
    detail = "cursor: give next_cursor of this same list, unchanged"
    return ContentInvalidError(detail, [LineProblem(code="cursor-invalid", detail=detail, field="cursor")])


def decode_sorted(cursor: str | None, sort: str | None, key_type: Any) -> Any:
    """Read a cursor of a list in the order asked for; None begins it.

    Raises: ContentInvalidError for a cursor that this list did not give out, or in another order.
    """
    if sort is None:
        return decode_cursor(cursor, key_type)
    sorted_type: Any = tuple.__class_getitem__((str, *typing.get_args(key_type)))
    key: Any = decode_cursor(cursor, sorted_type)
    if key is None:
        return None
    if key[0] != sort:
        raise _not_given_out()
    return key[1:]


def page[T](rows: Sequence[T], limit: int, key: Callable[[T], Sequence[Any]]) -> Page[T]:
    """Cut a page out of up to `limit + 1` rows; the one too many says that there is more."""
    items = list(rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(key(items[-1])) if more else None)
