"""Is this body what the resource declares? Read strictly: no coercion, no unknown field, no other media type."""

import re
from ast import literal_eval
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler

from pullplan.api.encodings import read_unpacked
from pullplan.api.errors import (
    BodyMalformedError,
    BodyTooLargeError,
    ContentInvalidError,
    MediaTypeUnsupportedError,
)
from pullplan.api.fields import PATTERN_WORDS
from pullplan.api.guesses import fields_at, say_what_is_known
from pullplan.engine.errors import LineProblem

BODY_BYTES_MAX = 4 * 1024 * 1024
BATCH_ITEMS_MAX = 10_000

_PLACE = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")
_FIELD = re.compile(r"(?:unknown|required) field `(.*)`$")
_PATTERN = re.compile(r"matching regex (['\"].*['\"])$")
_RULE = re.compile(r"^([a-z_]+): ")
"""How a Struct's own rules name the field that breaks them: `until_date: must be after from_date`."""


@lru_cache(maxsize=256)
def _decoder(handler: BaseRouteHandler) -> msgspec.json.Decoder[Any]:
    """Make the decoder of a handler's body; by handler, as the annotations' own hash takes as long as a small body's decoding thrice."""
    field = handler.parsed_data_field
    return msgspec.json.Decoder(field.raw if field else Any)


def describe_invalid(error: msgspec.ValidationError, body: Any) -> LineProblem:
    """Say where in a JSON body of some type msgspec found the first invalid value, as JSON pointer, and what it expects."""
    match = _PLACE.match(str(error))
    detail, path = (match["detail"], match["path"] or "") if match else (str(error), "")
    steps = [name or index for name, index in _STEP.findall(path)]
    code = "invalid"
    if named := _FIELD.search(detail):
        code = "unknown-field" if "unknown" in detail else "missing-field"
        if code == "unknown-field" and (known := fields_at(body, steps)):
            detail = f"unknown field `{named[1]}`: {say_what_is_known(named[1], known)}"
        steps.append(named[1])
    elif rule := _RULE.match(detail):
        steps.append(rule[1])
    elif pattern := _PATTERN.search(detail):
        detail = PATTERN_WORDS.get(literal_eval(pattern[1]), detail)
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    fields = [step for step in steps if not step.isdigit() and step != "..."]
    return LineProblem(code=code, detail=detail, pointer=pointer, field=fields[-1] if fields else None)


def _decode_strictly(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode JSON into the decoder's type.

    Raises: BodyMalformedError; ContentInvalidError with the pointer.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        invalid = describe_invalid(error, decoder.type)
        where = f" at {invalid.pointer}" if invalid.pointer else ""
        raise ContentInvalidError(f"{invalid.detail}{where}", [invalid]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyMalformedError(f"the body is not JSON in UTF-8: {error}") from None


class StrictRequest(Request[Any, Any, Any]):
    """Decodes a body straight into the handler's declared type."""

    async def json(self) -> Any:
        """Decode the body once.

        Raises: MediaTypeUnsupportedError, BodyMalformedError, BodyTooLargeError, ContentInvalidError.
        """
        media_type = self.content_type[0]
        if media_type != "application/json":
            raise MediaTypeUnsupportedError(f"send application/json, not {media_type or 'no Content-Type'}")
        return _decode_strictly(await self._read(), _decoder(self.route_handler))

    async def _read(self) -> bytes:
        if "content-encoding" not in self.headers:
            return await self.body()
        body = b""
        async for piece in read_unpacked(self):
            body += piece
            if len(body) > BODY_BYTES_MAX:
                raise BodyTooLargeError(f"one request may carry {BODY_BYTES_MAX} bytes, unpacked")
        return body
