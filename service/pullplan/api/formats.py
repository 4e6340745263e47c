"""Which rows are in this JSON array, NDJSON or CSV, and on which line stands what isn't one?

Pure reading of a file that has already arrived, block by block. Each format yields `(lines, rows)`; a line that can't be read is
given to `refuse`, and reading goes on, so that a caller learns of all bad lines at once. Bad UTF-8 ends it.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from pullplan.api.errors import BodyMalformedError, BodyTooLargeError, ContentInvalidError, TextNotUtf8Error
from pullplan.api.requests import BATCH_ITEMS_MAX, describe_invalid
from pullplan.engine.errors import LineProblem

type Block = tuple[Sequence[int], Sequence[Any]]
type Refuse = Callable[[int, str, str, str | None], None]
"""Takes the line, the problem's code, its detail and the field."""
type Cells = Mapping[str, Callable[[str], object]]
"""How a CSV's cell is read where its text isn't the value itself."""

_BLOCK_BYTES = 1 << 18
_BLOCK_ROWS = 1000


def read_json(file: BinaryIO, row_type: Any, refuse: Refuse) -> Iterator[Block]:
    """Read a JSON array; lines are positions from 0.

    Raises: BodyMalformedError, TextNotUtf8Error, BodyTooLargeError, ContentInvalidError when it is no array.
    """
    body = file.read()
    try:
        rows = msgspec.json.decode(body, type=list[row_type])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse_bad_utf8(body, 1)
        items = _split_array(body)
        _refuse_too_many(len(items))
        yield from _decode_singly(enumerate(items), msgspec.json.Decoder(row_type), refuse)
    else:
        _refuse_too_many(len(rows))
        yield range(len(rows)), rows


def _split_array(body: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise ContentInvalidError(f"send a JSON array: {error}", [describe_invalid(error)]) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyMalformedError(f"the body is not JSON in UTF-8: {error}") from None


def _refuse_too_many(n_items: int) -> None:
    if n_items > BATCH_ITEMS_MAX:
        raise BodyTooLargeError(
            f"a JSON array carries at most {BATCH_ITEMS_MAX} items; send NDJSON or CSV for {n_items}"
        )


def read_ndjson(file: BinaryIO, row_type: Any, refuse: Refuse) -> Iterator[Block]:
    """Read one JSON object a line; blank lines are passed over.

    Raises: TextNotUtf8Error.
    """
    decoder = msgspec.json.Decoder(row_type)
    line, rest = 1, b""
    while chunk := file.read(_BLOCK_BYTES):
        head, newline, tail = chunk.rpartition(b"\n")
        block, rest = (rest + head + newline, tail) if newline else (b"", rest + tail)
        yield from _decode_lines(block, line, decoder, refuse)
        line += block.count(b"\n")
    yield from _decode_lines(rest and rest + b"\n", line, decoder, refuse)


def _decode_lines(
    block: bytes, first_line: int, decoder: msgspec.json.Decoder[Any], refuse: Refuse
) -> Iterator[Block]:
    """Decode whole lines at once where each is plainly one object, else line by line.

    msgspec passes over blank lines and takes several objects from one line: as many ends of lines as ends of objects,
    and as many rows, leave room for neither.
    """
    n_lines = block.count(b"\n")
    try:
        rows = decoder.decode_lines(block) if block.count(b"}\n") == n_lines else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = []
    if len(rows) == n_lines:
        yield range(first_line, first_line + n_lines), rows
        return
    _refuse_bad_utf8(block, first_line)
    lines = enumerate(block.split(b"\n"), first_line)
    yield from _decode_singly(((n, text) for n, text in lines if text.strip()), decoder, refuse)


def _refuse_bad_utf8(text: bytes, first_line: int) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise TextNotUtf8Error(first_line + text.count(b"\n", 0, error.start)) from None


def _decode_singly(
    texts: Iterator[tuple[int, Any]], decoder: msgspec.json.Decoder[Any], refuse: Refuse
) -> Iterator[Block]:
    lines, rows = [], []
    for line, text in texts:
        try:
            rows.append(decoder.decode(text))
        except msgspec.ValidationError as error:
            _refuse_invalid(line, error, refuse)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refuse(line, "malformed-line", f"this is not one JSON object: {error}", None)
        else:
            lines.append(line)
    yield lines, rows


def _refuse_invalid(line: int, error: msgspec.ValidationError, refuse: Refuse) -> None:
    invalid = describe_invalid(error)
    refuse(line, invalid.code, invalid.detail, invalid.field)


def read_csv(file: BinaryIO, row_type: Any, refuse: Refuse, cells: Cells) -> Iterator[Block]:
    """Read lines under a header that names the fields, in any order; an empty cell is the field's default.

    Raises: TextNotUtf8Error; ContentInvalidError for a header with unknown, missing or repeated fields.
    """
    reader = csv.reader(_text_lines(file), strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise ContentInvalidError(f"line 1 is no header: {error}") from None
    _check_header(header, row_type)
    read_cells = [(name, cells.get(name)) for name in header]
    while block := list(islice(_csv_records(reader, len(header), refuse), _BLOCK_ROWS)):
        lines, raw = [], []
        for line, record in block:
            try:
                raw.append(_name_cells(read_cells, record))
            except _CellError as error:
                refuse(line, "invalid", error.detail, error.field)
            else:
                lines.append(line)
        yield from _convert(lines, raw, row_type, refuse)


def _text_lines(file: BinaryIO) -> Iterator[str]:
    encoding = "utf-8-sig"  # a spreadsheet's mark at the start is no part of the first name
    for line, raw in enumerate(file, 1):
        try:
            yield raw.decode(encoding)
        except UnicodeDecodeError:
            raise TextNotUtf8Error(line) from None
        encoding = "utf-8"


def _check_header(header: list[str], row_type: Any) -> None:
    known, required = fields_of(row_type)
    problems = [
        LineProblem(code="unknown-field", detail=f"there is no field {name!r}", line=1, field=name)
        for name in header
        if name not in known
    ]
    problems += [
        LineProblem(code="missing-field", detail=f"the field {name!r} is required", line=1, field=name)
        for name in required
        if name not in header
    ]
    problems += [
        LineProblem(code="repeated-field", detail=f"{name!r} stands here twice", line=1, field=name)
        for name in sorted({name for name in header if header.count(name) > 1} & set(known))
    ]
    if problems:
        detail = "; ".join(p.detail for p in problems[:5])
        raise ContentInvalidError(
            f"line 1, the header of the CSV, must name the fields: {detail}", problems[:100]
        )


def fields_of(row_type: Any) -> tuple[list[str], list[str]]:
    """List the fields of a row, and those that every row has; of a union, what its kinds have together."""
    info = msgspec.inspect.type_info(row_type)
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    known: dict[str, None] = {}
    required: list[set[str]] = []
    for kind in kinds:
        assert isinstance(kind, msgspec.inspect.StructType)  # noqa: S101 - a row is a Struct
        tag = {kind.tag_field: None} if kind.tag_field else {}
        known |= tag | {field.encode_name: None for field in kind.fields}
        required.append({*tag, *(field.encode_name for field in kind.fields if field.required)})
    shared = set.intersection(*required)
    return list(known), [name for name in known if name in shared]


def _csv_records(reader: Any, n_cells: int, refuse: Refuse) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(line, "malformed-line", f"this is not a line of CSV: {error}", None)
            continue
        if len(record) == n_cells:
            yield line, record
        elif record:
            refuse(line, "malformed-line", f"{len(record)} cells where the header has {n_cells}", None)


class _CellError(Exception):
    def __init__(self, field: str, detail: str) -> None:
        self.field = field
        self.detail = detail


def _name_cells(
    read_cells: Sequence[tuple[str, Callable[[str], object] | None]], record: Sequence[str]
) -> dict[str, object]:
    """Name the cells that aren't empty, and read those that aren't plain."""
    named: dict[str, object] = {}
    for (name, read), cell in zip(read_cells, record, strict=True):
        if cell:
            if read is not None:
                try:
                    named[name] = read(cell)
                except ValueError as error:
                    raise _CellError(name, str(error)) from None
            else:
                named[name] = cell
    return named


def _convert(
    lines: list[int], raw: list[dict[str, object]], row_type: Any, refuse: Refuse
) -> Iterator[Block]:
    try:
        yield lines, msgspec.convert(raw, list[row_type], strict=False)
    except msgspec.ValidationError:
        good_lines, rows = [], []
        for line, values in zip(lines, raw, strict=True):
            try:
                rows.append(msgspec.convert(values, row_type, strict=False))
            except msgspec.ValidationError as error:
                _refuse_invalid(line, error, refuse)
            else:
                good_lines.append(line)
        yield good_lines, rows


_INSTANT = re.compile(r"\A\d{4}-\d\d-\d\d[Tt ]")


def instant_cell(cell: str) -> str:
    """Read an instant's cell: msgspec would take a bare number for seconds since 1970.

    Raises: ValueError.
    """
    if not _INSTANT.match(cell):
        raise ValueError("write an instant as RFC 3339 with an offset, like 2026-03-01T06:00:00+01:00")
    return cell


def list_cell(cell: str) -> list[str]:
    """Read a cell such as `1;2;3`."""
    return cell.split(";")


def amounts_cell(cell: str) -> dict[str, str]:
    """Read a cell such as `hours=0.5;kiln=0.2`.

    Raises: ValueError.
    """
    amounts: dict[str, str] = {}
    for part in cell.split(";"):
        name, equals, amount = part.partition("=")
        if not equals or name in amounts:
            raise ValueError("write each resource once with its amount, like hours=0.5;kiln=0.2")
        amounts[name] = amount
    return amounts
