"""How does an XLSX workbook become lines? A process of its own unpacks it, and only a few do so at once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryFile
from typing import BinaryIO, Protocol, cast

from pullplan.api.errors import BodyMalformedError, BodyTooLargeError

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX_BYTES_MAX = 50 * 1024 * 1024
MEMORY_BYTES_MAX = 1 << 30
"""Some 50 MB of a sheet as spreadsheets pack it become ten times as much."""
SECONDS_MAX = 120
WRITTEN_BYTES_MAX = 2 << 30
REFUSED = 3
"""The reader's exit status where it says itself what is wrong."""
_AT_ONCE = asyncio.Semaphore(2)


class _OnDisk(Protocol):
    def fileno(self) -> int: ...


@asynccontextmanager
async def unpacked(workbook: _OnDisk) -> AsyncIterator[BinaryIO]:
    """Unpack a workbook that was received, from where its file stands: a JSON array a row, its number and its cells' texts.

    Raises: BodyMalformedError, BodyTooLargeError.
    """
    with TemporaryFile() as rows:
        async with _AT_ONCE:
            status, said = await _read(workbook, cast("BinaryIO", rows))
        if status == REFUSED:
            raise BodyMalformedError(said)
        if status != 0:
            raise BodyTooLargeError(
                f"the workbook takes more than {MEMORY_BYTES_MAX >> 20} MB or {SECONDS_MAX} s to unpack; send CSV or NDJSON"
            )
        rows.seek(0)
        yield cast("BinaryIO", rows)


async def _read(workbook: _OnDisk, rows: BinaryIO) -> tuple[int, str]:
    """Run the reader: its exit status, and the last line that it said."""
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pullplan.api.worksheet_reader"),
        stdin=workbook.fileno(),
        stdout=rows.fileno(),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await reader.communicate()
    finally:
        with suppress(ProcessLookupError):  # where whoever waits for it is gone, it is needed no more
            reader.kill()
    return reader.returncode or 0, said.decode(errors="replace").strip().rpartition("\n")[2]
