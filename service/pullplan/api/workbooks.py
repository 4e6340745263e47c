"""How does a table become an XLSX workbook? Row by row to disk: a workbook is sent when it is whole, and never held in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

ROWS_MAX = 1_048_575
"""Of one sheet, under its header; what is more goes to further sheets."""
_TEXT_MAX = 32_767
"""Characters that a cell holds."""
_FIRST_YEAR = 1900
"""Earlier days have no number in a spreadsheet; they are texts."""
_PIECE_BYTES = 1 << 16
_FIRST_NAME = "rows"

type Cells = Sequence[Any]


class _Workbook:
    """One table as a workbook that is written to a file as it comes."""

    def __init__(self, file: BinaryIO, header: Sequence[str]) -> None:
        from xlsxwriter import Workbook  # noqa: PLC0415 - few processes ever write one

        self._book = Workbook(
            file,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
                "nan_inf_to_errors": False,
            },
        )
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._bold = self._book.add_format({"bold": True})
        self._header = header
        self._n_sheets = 0
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._n_sheets += 1
        self._n_rows = 0
        self._sheet = self._book.add_worksheet(
            f"{_FIRST_NAME}{'' if self._n_sheets == 1 else self._n_sheets}"
        )
        self._sheet.freeze_panes(1, 0)
        self._sheet.write_row(0, 0, self._header, self._bold)

    def add(self, rows: Sequence[Cells]) -> None:
        for row in rows:
            if self._n_rows == ROWS_MAX:
                self._begin_sheet()
            self._n_rows += 1
            for column, cell in enumerate(row):
                self._write(column, cell)

    def _write(self, column: int, cell: Any) -> None:
        if cell is None or cell == "":
            return
        if isinstance(cell, bool):
            self._sheet.write_boolean(self._n_rows, column, cell)
        elif isinstance(cell, int | float):
            self._sheet.write_number(self._n_rows, column, cell)
        elif isinstance(cell, date) and not isinstance(cell, datetime) and cell.year >= _FIRST_YEAR:
            self._sheet.write_datetime(self._n_rows, column, cell, self._day)
        else:  # as text whatever it begins with: no caller's words become a formula
            text = str(cell)
            whole = len(text) <= _TEXT_MAX
            self._sheet.write_string(self._n_rows, column, text if whole else text[: _TEXT_MAX - 1] + "…")

    def close(self) -> None:
        self._book.close()


async def written(header: Sequence[str], chunks: AsyncIterator[Sequence[Cells]]) -> AsyncIterator[bytes]:
    """Write rows under a header, in a thread: others get their turn. Gives the workbook's bytes once all rows are in it."""
    with TemporaryFile() as file:
        workbook = await asyncio.to_thread(_Workbook, cast("BinaryIO", file), header)
        async for chunk in chunks:
            await asyncio.to_thread(workbook.add, chunk)
        await asyncio.to_thread(workbook.close)
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece
