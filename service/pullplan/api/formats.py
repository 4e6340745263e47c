"""Which rows are in this JSON array, NDJSON, CSV or sheet, and on which line stands what isn't one?

Pure reading of a file that has already arrived, block by block. Each format yields `(lines, rows)`; a line that can't be read is
given to `refuse`, and reading goes on, so that a caller learns of all bad lines at once. Bad UTF-8 ends it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, batched, chain, compress, islice
from typing import Any, BinaryIO

import msgspec

from pullplan.api.errors import BodyMalformedError, BodyTooLargeError, ContentInvalidError, TextNotUtf8Error
from pullplan.api.guesses import say_what_is_known
from pullplan.api.requests import BATCH_ITEMS_MAX, describe_invalid
from pullplan.api.row_types import RowType
from pullplan.engine.errors import LineProblem

type Block = tuple[Sequence[int], Sequence[Any]]
type Refuse = Callable[[int, str, str, str | None], None]
"""Takes the line, the problem's code, its detail and the field."""
type Cells = Mapping[str, Callable[[str], object]]
"""How a CSV's cell is read where its text isn't the value itself."""

_BLOCK_BYTES = 1 << 18
_BLOCK_ROWS = 1000
_SHEET_ROW = msgspec.json.Decoder(tuple[int, list[str]])


def read_json(file: BinaryIO, rows: RowType, refuse: Refuse) -> Iterator[Block]:
    """Read a JSON array; lines are positions from 0.

    Raises: BodyMalformedError, TextNotUtf8Error, BodyTooLargeError, ContentInvalidError when it is no array.
    """
    body = file.read()
    decoded = rows.decode_array(body)
    if decoded is not None:
        _refuse_too_many(len(decoded))
        yield range(len(decoded)), decoded
        return
    _refuse_bad_utf8(body, 1)
    items = _split_array(body)
    _refuse_too_many(len(items))
    yield from _decode_singly(enumerate(items), rows, refuse)


def _split_array(body: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise ContentInvalidError(
            f"send a JSON array: {error}", [describe_invalid(error, list[msgspec.Raw])]
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyMalformedError(f"the body is not JSON in UTF-8: {error}") from None


def _refuse_too_many(n_items: int) -> None:
    if n_items > BATCH_ITEMS_MAX:
        raise BodyTooLargeError(
            f"a JSON array carries at most {BATCH_ITEMS_MAX} items; send NDJSON or CSV for {n_items}"
        )


def _refuse_bad_utf8(text: bytes, first_line: int) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise TextNotUtf8Error(first_line + text.count(b"\n", 0, error.start)) from None


def _decode_singly(texts: Iterable[tuple[int, Any]], rows: RowType, refuse: Refuse) -> Iterator[Block]:
    lines, decoded = [], []
    for line, text in texts:
        try:
            decoded.append(rows.decoder.decode(text))
        except msgspec.ValidationError as error:
            _refuse_invalid(line, error, rows, refuse)
        except (msgspec.DecodeError, RecursionError) as error:
            refuse(line, "malformed-line", f"this is not one JSON object: {error}", None)
        else:
            lines.append(line)
    yield lines, decoded


def _refuse_invalid(line: int, error: msgspec.ValidationError, rows: RowType, refuse: Refuse) -> None:
    invalid = describe_invalid(error, rows.row)
    refuse(line, invalid.code, invalid.detail, invalid.field)


def read_ndjson(file: BinaryIO, rows: RowType, refuse: Refuse) -> Iterator[Block]:
    """Read one JSON object a line; blank lines are passed over.

    Raises: TextNotUtf8Error.
    """
    line = 1
    for block in _whole_lines(file):
        n_lines = block.count(b"\n")
        # msgspec passes over blank lines and takes several objects from one line: as many ends of lines
        # as ends of objects, and as many rows, leave room for neither.
        decoded = rows.decode_lines(block) if block.count(b"}\n") == n_lines else None
        if decoded is not None and len(decoded) == n_lines:
            yield range(line, line + n_lines), decoded
        else:
            _refuse_bad_utf8(block, line)
            texts = enumerate(block.split(b"\n"), line)
            yield from _decode_singly(((n, text) for n, text in texts if text.strip()), rows, refuse)
        line += n_lines


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Cut a file into blocks of whole lines; the last line is given its end where it lacks one."""
    rest = b""
    while chunk := file.read(_BLOCK_BYTES):
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += tail
    if rest:
        yield rest + b"\n"


def read_csv(
    file: BinaryIO, rows: RowType, refuse: Refuse, cells: Cells, *, decimal_comma: bool = False
) -> Iterator[Block]:
    """Read lines under a header that names the fields, in any order; an empty cell is the field's default.

    Cells are separated by commas, or by semicolons where the header has these and no comma.

    Raises: TextNotUtf8Error; ContentInvalidError for a header with unknown, missing or repeated fields.
    """
    if decimal_comma:
        cells = {
            **dict.fromkeys(rows.decimals, decimal_cell),
            **{name: _after_commas(read) for name, read in cells.items()},
        }
    texts = _text_lines(file)
    first = next(texts, "")
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(chain([first], texts), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise ContentInvalidError(f"line 1 is no header: {error}") from None
    _check_header(header, rows)
    yield from _read_records(header, _csv_blocks(reader, len(header), refuse), rows, refuse, cells)


def read_sheet(file: BinaryIO, rows: RowType, refuse: Refuse, cells: Cells) -> Iterator[Block]:
    """Read what `worksheets.unpacked` makes of a workbook, under a header as a CSV has it; lines are the sheet's rows.

    Raises: ContentInvalidError for a header with unknown, missing or repeated fields.
    """
    filled = map(_SHEET_ROW.decode, file)
    header_row, header = next(filled)
    _check_header(header, rows, header_row)
    yield from _read_records(header, _sheet_blocks(filled, len(header), refuse), rows, refuse, cells)


def _sheet_blocks(
    filled: Iterator[tuple[int, list[str]]], n_cells: int, refuse: Refuse
) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """Fill rows up to the header's length: empty cells at their ends are not told."""
    for block in batched(filled, _BLOCK_ROWS, strict=False):
        records = [[*record, *[""] * (n_cells - len(record))] for _, record in block]
        yield _with_all_cells([line for line, _ in block], records, n_cells, refuse)


def _read_records(
    header: list[str],
    blocks: Iterator[tuple[Sequence[int], list[list[str]]]],
    rows: RowType,
    refuse: Refuse,
    cells: Cells,
) -> Iterator[Block]:
    """Convert records of as many cells as the header has."""
    special = [(name, cells[name]) for name in header if name in cells]
    for lines, records in blocks:
        named = [
            {name: cell for name, cell in zip(header, record, strict=True) if cell} for record in records
        ]
        broken = _read_special(lines, named, special, refuse)
        if broken:
            whole = [at not in broken for at in range(len(named))]
            yield from _convert(list(compress(lines, whole)), list(compress(named, whole)), rows, refuse)
        else:
            yield from _convert(lines, named, rows, refuse)


def _text_lines(file: BinaryIO) -> Iterator[str]:
    """Give the physical lines of a text; csv puts those together that a quoted cell spans."""
    line = 1
    for block in _whole_lines(file):
        _refuse_bad_utf8(block, line)
        # A spreadsheet's mark at the start is no part of the first name.
        yield from io.StringIO(block.decode("utf-8-sig" if line == 1 else "utf-8"), newline="\n")
        line += block.count(b"\n")


def _check_header(header: list[str], rows: RowType, line: int = 1) -> None:
    problems = [
        ("unknown-field", f"there is no field {name!r}: {say_what_is_known(name, rows.names)}", name)
        for name in header
        if name not in rows.names
    ]
    problems += [
        ("missing-field", f"the field {name!r} is required", name)
        for name in rows.required
        if name not in header
    ]
    problems += [
        ("repeated-field", f"{name!r} stands here twice", name)
        for name in rows.names
        if header.count(name) > 1
    ]
    if problems:
        detail = "; ".join(detail for _, detail, _ in problems[:5])
        raise ContentInvalidError(
            f"line {line} must be a header that names the fields: {detail}",
            [
                LineProblem(code=code, detail=detail, line=line, field=name[:64])
                for code, detail, name in problems[:100]
            ],
        )


def _csv_blocks(reader: Any, n_cells: int, refuse: Refuse) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """Read records in blocks, each with the line that it begins on."""
    ended = False
    while not ended:
        before = reader.line_num
        records: list[list[str]] = []
        error = None
        try:
            for record in islice(reader, _BLOCK_ROWS):
                records.append(record)  # noqa: PERF402 - an error leaves what was read before it
        except csv.Error as broken:
            error = broken
        ended = error is None and len(records) < _BLOCK_ROWS
        lines: Sequence[int] = range(before + 1, before + 1 + len(records))
        if error is not None or reader.line_num - before != len(records):
            spans = [1 + sum(cell.count("\n") for cell in record) for record in records]
            lines = [before + 1 + begun for begun in accumulate(spans, initial=0)]
            if error is not None:
                refuse(lines[-1], "malformed-line", f"this is not a line of CSV: {error}", None)
            lines = lines[:-1]
        if {*map(len, records)} <= {n_cells}:
            yield lines, records
        else:
            yield _with_all_cells(lines, records, n_cells, refuse)


def _with_all_cells(
    lines: Sequence[int], records: list[list[str]], n_cells: int, refuse: Refuse
) -> tuple[list[int], list[list[str]]]:
    """Leave out blank lines, and refuse those that are cut or run over."""
    good = []
    for line, record in zip(lines, records, strict=True):
        if len(record) == n_cells:
            good.append((line, record))
        elif record:
            refuse(line, "malformed-line", f"{len(record)} cells where the header has {n_cells}", None)
    return [line for line, _ in good], [record for _, record in good]


def _read_special(
    lines: Sequence[int],
    named: list[dict[str, Any]],
    special: list[tuple[str, Callable[[str], object]]],
    refuse: Refuse,
) -> set[int]:
    """Read the cells whose text isn't the value itself; give the places of those that can't be read."""
    broken: set[int] = set()
    for name, read in special:
        for at, cells in enumerate(named):
            if name in cells and at not in broken:
                try:
                    cells[name] = read(cells[name])
                except ValueError as error:
                    refuse(lines[at], "invalid", str(error), name)
                    broken.add(at)
    return broken


def _convert(
    lines: Sequence[int], named: list[dict[str, Any]], rows: RowType, refuse: Refuse
) -> Iterator[Block]:
    converted = rows.convert(named)
    if converted is not None:
        yield lines, converted
        return
    good_lines, good = [], []
    for line, values in zip(lines, named, strict=True):
        try:
            good.append(msgspec.convert(values, rows.row, strict=False))
        except msgspec.ValidationError as error:
            _refuse_invalid(line, error, rows, refuse)
        else:
            good_lines.append(line)
    yield good_lines, good


def instant_cell(cell: str) -> str:
    """Read an instant's cell: msgspec would take a bare number for seconds since 1970, and a day is no instant.

    Raises: ValueError.
    """
    if cell[4:5] != "-" or len(cell) <= len("2026-03-01"):
        raise ValueError("write an instant as RFC 3339 with an offset, like 2026-03-01T06:00:00+01:00")
    return cell


def decimal_cell(cell: str) -> str:
    """Read a number that is written with a decimal comma, such as `1234,5`.

    Raises: ValueError where a point could be either.
    """
    if "." in cell:
        raise ValueError("with decimal=comma write a number like 1234,5, without points")
    return cell.replace(",", ".")


def _after_commas(read: Callable[[str], object]) -> Callable[[str], object]:
    return lambda cell: read(cell.replace(",", "."))


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
