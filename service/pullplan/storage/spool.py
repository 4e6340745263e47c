"""Where do the checked lines of a batch wait for their connection, and which line was which?

A batch is checked while it arrives and only then given a connection, so that slow senders hold none. It waits in the form
that COPY reads: a JSON array of plain values without its brackets is a CSV line to PostgreSQL, once the escape character is
the backslash and the null is `null`. That holds for text without control characters, which no request may contain.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Literal, Self, cast

import msgspec

from pullplan.engine.errors import LineProblem
from pullplan.storage.database import Connection

type Record = tuple[object, ...]
"""The values of one line, in the order of the columns that it is copied into."""

type Places = Literal["lines", "items", "object"]
"""How a caller finds a line again: the lines of a file, the items of a JSON array, or the one object of a body."""

MAX_PROBLEMS = 100
"""How many problems of one batch are told; a file that is wrong throughout is not read back in full."""

_MEMORY_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_DISTINCT_MAX = 100_000
_ENCODER = msgspec.json.Encoder()


class SpoolIndex(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All of a spool but its lines: which was which, which were refused, and what was gathered of them."""

    places: Places
    within: str
    n_lines: int
    n_refused: int
    problems: list[tuple[int, LineProblem]]
    run_ordinals: list[int]
    run_lines: list[int]
    gathered: dict[str, list[str | None] | None]


class Spool:
    """The checked lines of one batch and the problems found so far; on disk when it is more than a little."""

    def __init__(
        self, places: Places, columns: Sequence[str], gathered: Sequence[str] = (), within: str = ""
    ) -> None:
        self.columns = tuple(columns)
        self.n_lines = 0
        self.n_refused = 0
        self.problems: list[tuple[int, LineProblem]] = []
        self._places = places
        self._within = within
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(  # noqa: SIM115 - closed on exit
            max_size=_MEMORY_BYTES
        )
        self._run_ordinals: list[int] = []
        self._run_lines: list[int] = []
        self._gathered: dict[str, set[object] | None] = {name: set() for name in gathered}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, lines: Sequence[int], records: Sequence[Record]) -> None:
        """Append checked records; `lines` says where each stood."""
        if not records:
            return
        if lines[-1] - lines[0] == len(lines) - 1:
            self._open_run(self.n_lines, lines[0])
        else:
            for offset, line in enumerate(lines):
                self._open_run(self.n_lines + offset, line)
        self._file.write(_ENCODER.encode_lines(records)[1:-2].replace(b"]\n[", b"\n") + b"\n")
        self.n_lines += len(records)
        for name in self._gathered:
            self._gather(name, records)

    def _open_run(self, ordinal: int, line: int) -> None:
        if not self._run_lines or line - self._run_lines[-1] != ordinal - self._run_ordinals[-1]:
            self._run_ordinals.append(ordinal)
            self._run_lines.append(line)

    def _gather(self, name: str, records: Sequence[Record]) -> None:
        known = self._gathered[name]
        if known is not None:
            known.update(map(itemgetter(self.columns.index(name)), records))
            if len(known) > _DISTINCT_MAX:
                self._gathered[name] = None

    def gathered(self, name: str) -> list[object] | None:
        """List the distinct values of a column that was asked for; None when they are too many to keep."""
        values = self._gathered[name]
        return None if values is None else list(values)

    def refuse(self, line: int, code: str, detail: str, field: str | None = None) -> None:
        """Note the problem of a line that is left out; the first hundred lines' are kept, in whatever order they come."""
        self.n_refused += 1
        if len(self.problems) < MAX_PROBLEMS or line < self.problems[-1][0]:
            insort(self.problems, (line, self.problem(line, code, detail, field)), key=itemgetter(0))
            del self.problems[MAX_PROBLEMS:]

    def line_of(self, ordinal: int) -> int:
        """Find the line of a record by its place in the spool, from 0."""
        run = bisect_right(self._run_ordinals, ordinal) - 1
        return self._run_lines[run] + ordinal - self._run_ordinals[run]

    def named(self, line: int) -> str:
        """Name a line for people."""
        return f"line {line}" if self._places == "lines" else f"item {line}"

    def problem(self, line: int, code: str, detail: str, field: str | None) -> LineProblem:
        """Describe what is wrong at a line, in the caller's terms."""
        detail, field = _shown(detail), field and _shown(field)
        if self._places == "lines":
            return LineProblem(code=code, detail=detail, line=line, field=field)
        parts = ([str(line)] if self._places == "items" else []) + ([field] if field else [])
        return LineProblem(
            code=code,
            detail=detail,
            pointer=self._within + "".join(f"/{part}" for part in parts),
            field=field,
        )

    async def copy_into(self, connection: Connection, table: str, timeout_seconds: float) -> None:
        """Copy every record into a table, in their order."""
        self._file.seek(0)
        await self._copy(connection, table, cast("BinaryIO", self._file), timeout_seconds)

    async def _copy(
        self, connection: Connection, table: str, records: BinaryIO | memoryview, timeout_seconds: float
    ) -> None:
        await connection.copy_to_table(
            table,
            source=cast("BinaryIO", records),  # any buffer as well, other than its stubs say
            columns=self.columns,
            format="csv",
            null="null",
            quote='"',
            escape="\\",
            timeout=timeout_seconds,
        )

    def index(self) -> SpoolIndex:
        """Tell what it takes, beside `pieces`, to have this spool elsewhere."""
        return SpoolIndex(
            places=self._places,
            within=self._within,
            n_lines=self.n_lines,
            n_refused=self.n_refused,
            problems=self.problems,
            run_ordinals=self._run_ordinals,
            run_lines=self._run_lines,
            gathered={name: cast("list[str | None] | None", self.gathered(name)) for name in self._gathered},
        )

    def _restore(self, index: SpoolIndex) -> None:
        self.n_lines, self.n_refused, self.problems = index.n_lines, index.n_refused, index.problems
        self._run_ordinals, self._run_lines = index.run_ordinals, index.run_lines
        self._gathered = {
            name: None if values is None else set(values) for name, values in index.gathered.items()
        }

    def pieces(self) -> Iterator[bytes]:
        """Cut the records, as COPY reads them, into pieces of about a megabyte; each ends with a line."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece + self._file.readline()


def _shown(text: str) -> str:
    """Write the one character that no text of the database may have as an escape."""
    return text.replace("\0", "\\0")
