"""How are many rows of a type decoded at once, and as strictly as one by one?

Patterns cost more than everything else about a row. A block is therefore decoded into a twin of the type without them, and each
field's texts are matched together; where anything is wrong, the type itself decodes row by row and finds what, and where.
"""

import re
from collections.abc import Sequence
from functools import reduce
from operator import attrgetter, or_
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from pullplan.api.fields import CODE_PATTERN, PRINTABLE_PATTERN

_TOGETHER = {
    CODE_PATTERN: re.compile(r"[A-Za-z0-9._:~-]*"),
    PRINTABLE_PATTERN: re.compile(PRINTABLE_PATTERN),
}
"""Patterns that hold for texts put together when they hold for each one, beside their bounds of length."""


class RowType:
    """A Struct, or a union of tagged ones, with what it takes to decode blocks of it."""

    def __init__(self, row: Any) -> None:
        kinds = get_args(row) or (row,)
        self.row = row
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)
        self.names, self.required = _names(kinds)
        self.decimals = {
            field.name for kind in kinds for field in msgspec.structs.fields(kind) if _is_decimal(field.type)
        }
        """The fields whose value is one number, with a fraction or without."""
        patterns = {name: pattern for kind in kinds for name, pattern in _patterned(kind).items()}
        self._together = [(attrgetter(name), _TOGETHER[pattern]) for name, pattern in patterns.items()]
        twin = reduce(or_, map(_twin, kinds))
        self._rows = list[twin]  # type: ignore[valid-type]
        self._block_decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(self._rows)
        self._line_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(twin)

    def decode_array(self, body: bytes) -> list[Any] | None:
        """Decode a JSON array; None when any item is wrong."""
        try:
            return self._plain(self._block_decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def decode_lines(self, block: bytes) -> list[Any] | None:
        """Decode lines of JSON; None when any is wrong."""
        try:
            return self._plain(self._line_decoder.decode_lines(block))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def convert(self, named: Sequence[dict[str, object]]) -> list[Any] | None:
        """Convert texts by name, as a CSV has them; None when any row is wrong."""
        try:
            return self._plain(msgspec.convert(named, self._rows, strict=False))
        except msgspec.ValidationError:
            return None

    def _plain(self, rows: list[Any]) -> list[Any] | None:
        for text_of, pattern in self._together:
            if not pattern.fullmatch("".join(filter(None, map(text_of, rows)))):
                return None
        return rows


def _names(kinds: Sequence[type[msgspec.Struct]]) -> tuple[list[str], list[str]]:
    """List the fields, and those that a row of every kind has."""
    names: dict[str, None] = {}
    required = []
    for kind in kinds:
        tag = [kind.__struct_config__.tag_field] if kind.__struct_config__.tag_field else []
        fields = msgspec.structs.fields(kind)
        names |= dict.fromkeys([*tag, *(field.name for field in fields)])
        required.append({*tag, *(field.name for field in fields if field.required)})
    shared = set.intersection(*required)
    return list(names), [name for name in names if name in shared]


def _patterned(kind: type[msgspec.Struct]) -> dict[str, str]:
    found = {field.name: _pattern(field.type) for field in msgspec.structs.fields(kind)}
    return {name: pattern for name, pattern in found.items() if pattern in _TOGETHER}


def _pattern(annotation: Any) -> str:
    """Find the pattern of a text, or of a text that may be null."""
    if get_origin(annotation) is Annotated:
        return next((m.pattern for m in get_args(annotation)[1:] if isinstance(m, Meta) and m.pattern), "")
    return next(filter(None, map(_pattern, get_args(annotation))), "")


def _is_decimal(annotation: Any) -> bool:
    if get_origin(annotation) is dict:
        return False
    return annotation is float or any(map(_is_decimal, get_args(annotation)))


def _without_pattern(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        text, meta = get_args(annotation)
        return Annotated[text, Meta(min_length=meta.min_length, max_length=meta.max_length)]
    return reduce(or_, (arg if arg is type(None) else _without_pattern(arg) for arg in get_args(annotation)))


def _twin(kind: type[msgspec.Struct]) -> Any:
    patterned = _patterned(kind)
    fields = [
        (field.name, _without_pattern(field.type), *(() if field.required else (field.default,)))
        for field in msgspec.structs.fields(kind)
        if field.name in patterned
    ]
    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(kind,),
        kw_only=True,
        forbid_unknown_fields=True,
        tag=config.tag,
        tag_field=config.tag_field,
    )
