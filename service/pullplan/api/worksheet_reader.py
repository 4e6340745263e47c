"""Which rows has the sheet of this XLSX workbook? A process of its own: what is packed may unpack to anything.

Reads the workbook from standard input and writes a JSON array a row, the row's number and its cells as text, to standard
output. A workbook that can't be read is said on standard error, and the process ends with REFUSED.
"""

import io
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, time

import msgspec
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from pullplan.api.worksheets import MEMORY_BYTES_MAX, REFUSED, SECONDS_MAX, WRITTEN_BYTES_MAX

_EXACT_WHOLE_MAX = 2.0**53
_ZIP_BEGINS = b"PK"


class _RefusedError(Exception):
    """The workbook is not one that can be taken."""


def as_text(cell: object) -> str:
    """Write a cell as a CSV would hold it: 5 for 5.0, a day for a midnight, nothing for an empty one."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) <= _EXACT_WHOLE_MAX else repr(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


def rows_of(sheet: CalamineSheet) -> Iterator[tuple[int, list[str]]]:
    """Give every row that is not empty, without the empty cells at its end."""
    for number, cells in enumerate(sheet.iter_rows(), 1):
        texts = [as_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if texts:
            yield number, texts


def only_sheet(body: bytes) -> CalamineSheet:
    """Find the one sheet that is filled.

    Raises: _RefusedError
    """
    if not body.startswith(_ZIP_BEGINS):
        raise _RefusedError("the body is no XLSX workbook")
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(body))
        sheets = [workbook.get_sheet_by_name(name) for name in workbook.sheet_names]
    except PasswordError:
        raise _RefusedError("the workbook asks for a password: save it without one") from None
    except CalamineError as error:
        raise _RefusedError(f"the body is no XLSX workbook that can be read: {error}") from None
    filled = [sheet for sheet in sheets if next(rows_of(sheet), None)]
    if len(filled) > 1:
        named = ", ".join(repr(sheet.name) for sheet in filled)
        raise _RefusedError(f"send a workbook with one filled sheet; this one has {named}")
    if not filled:
        raise _RefusedError("no sheet of the workbook has a filled cell")
    return filled[0]


def main() -> int:
    """Read standard input, within bounds of memory, time and what is written."""
    for bound, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, SECONDS_MAX),
        (resource.RLIMIT_FSIZE, WRITTEN_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(bound, (most, most))
    try:
        sheet = only_sheet(sys.stdin.buffer.read())
    except _RefusedError as refused:
        sys.stderr.write(str(refused))
        return REFUSED
    encoder = msgspec.json.Encoder()
    for row in rows_of(sheet):
        sys.stdout.buffer.write(encoder.encode(row) + b"\n")
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
