"""How does a batch come in: received, checked and spooled before it is given a connection, then stored in one transaction?"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, cast

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from pullplan.api import formats
from pullplan.api.access import Caller
from pullplan.api.encodings import read_unpacked
from pullplan.api.errors import BodyTooLargeError, ContentInvalidError, MediaTypeUnsupportedError
from pullplan.api.requests import BODY_BYTES_MAX
from pullplan.api.row_types import RowType
from pullplan.api.worksheets import XLSX, XLSX_BYTES_MAX, unpacked
from pullplan.engine.errors import LineProblem
from pullplan.storage import audit, batches, database
from pullplan.storage.spool import Places, Record, Spool

_MEMORY_BYTES = 1 << 20
_LINE_BYTES_MAX = 1 << 20
_BYTES_MAX = {
    "application/json": (BODY_BYTES_MAX, "a JSON array"),
    XLSX: (XLSX_BYTES_MAX, "a workbook"),
}
"""Of what is read whole."""
_PLACES: dict[str, Places] = {
    "application/json": "items",
    "application/x-ndjson": "lines",
    "text/csv": "lines",
    XLSX: "lines",
}

Partial = Annotated[
    bool,
    QueryParameter(description="Store the good lines and report the others; else one bad line refuses all."),
]
DryRun = Annotated[bool, QueryParameter(description="Answer as if it were done, and store nothing.")]
Mode = Annotated[
    Literal["merge", "replace"],
    QueryParameter(
        description="`replace` also retires what the batch doesn't name; try it with `dry_run` first."
    ),
]


class Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of what callers send: fields by name, none that isn't known."""


def require_together(row: msgspec.Struct, *names: str) -> None:
    """Check that of some fields either all have a value or none.

    Raises: ValueError naming the first that lacks one.
    """
    lacking = [name for name in names if getattr(row, name) is None]
    if lacking and len(lacking) < len(names):
        raise ValueError(f"{lacking[0]}: give {' and '.join(names)} together, or none of them")


class Effective(msgspec.Struct, kw_only=True):
    """What counts on some days only."""

    effective_from: date | None = None
    """The first day on which it counts; null: ever since."""
    effective_until: date | None = None
    """The first day on which it no longer counts; null: for ever."""

    def __post_init__(self) -> None:
        """Refuse dates that leave no day.

        Raises: ValueError naming the field.
        """
        first, end = self.effective_from, self.effective_until
        if first is not None and end is not None and end <= first:
            raise ValueError("effective_until: must be after effective_from; the day itself no longer counts")


def named[R: Row](body: Row, row_type: type[R], **key: str) -> R:
    """Complete a single resource's body with the key that stands in its path."""
    return row_type(**msgspec.structs.asdict(body), **key)


class Report(msgspec.Struct, kw_only=True):
    """What became of a batch's lines."""

    stored: int
    """New or changed."""
    known: int
    """Identical there already."""
    refused: int
    retired: int
    """Rows that the batch didn't name, with `mode=replace`."""
    dry_run: bool
    errors: list[LineProblem]
    """The first hundred refused lines."""


@dataclass(frozen=True)
class Intake:
    """How the lines of one resource are read and stored."""

    subject: str
    """The resource, for the audit."""
    rows: RowType
    target: batches.Target
    record: Callable[[Any], Record]
    """Gives a row's values in the order of the target's columns."""
    cells: formats.Cells = field(default_factory=dict)
    store: Callable[..., Awaitable[batches.Outcome]] | None = None
    """Stores a spool where merging into the target isn't all: (connection, spool, *, partial[, replace])."""

    def spooled(self, *rows: Any, places: Places = "object", within: str = "") -> Spool:
        """Spool the object or the items of a JSON body, so that they take the same way as a batch.

        `within`: the JSON pointer of the array that they stand in.
        """
        spool = Spool(places, self.target.columns, self.target.gathered, within)
        spool.add(range(len(rows)), [self.record(row) for row in rows])
        return spool

    async def put(
        self, connection: database.Connection, spool: Spool, *, partial: bool = False, replace: bool = False
    ) -> batches.Outcome:
        """Store a checked batch inside the caller's transaction.

        Raises: LinesRefusedError.
        """
        if self.store is not None:
            options = {"partial": partial} | ({"replace": True} if replace else {})
            return await self.store(connection, spool, **options)
        return await batches.merge(connection, spool, self.target, partial=partial, replace=replace)


def in_columns(target: batches.Target) -> Callable[[Any], Record]:
    """Give a row's values as they are, where its fields are the columns."""
    return cast("Callable[[Any], Record]", attrgetter(*target.columns))


def instants(*names: str) -> formats.Cells:
    """Name the columns of a CSV that hold instants."""
    return dict.fromkeys(names, formats.instant_cell)


async def load(
    request: Request[Any, Any, Any],
    intake: Intake,
    pool: database.Pool,
    caller: Caller,
    *,
    partial: bool = False,
    dry_run: bool = False,
    mode: Literal["merge", "replace"] = "merge",
) -> Report:
    """Receive, check and store the body of a request.

    Raises: LinesRefusedError with the first problems; MediaTypeUnsupportedError, BodyTooLargeError, BodyMalformedError,
    TextNotUtf8Error, ContentInvalidError.
    """
    replace = mode == "replace"
    if replace and partial:
        raise ContentInvalidError(
            "mode=replace and partial=true exclude each other: a refused line would retire its row"
        )
    media_type = _media_type(request)
    with (
        SpooledTemporaryFile(max_size=_MEMORY_BYTES) as received,
        intake.spooled(places=_PLACES[media_type]) as spool,
    ):
        await _receive(request, media_type, received)
        if media_type == XLSX:
            async with unpacked(received) as sheet:
                await _check(
                    formats.read_sheet(sheet, intake.rows, spool.refuse, intake.cells), intake, spool
                )
        else:
            await _check(_blocks(request, cast("BinaryIO", received), intake, spool), intake, spool)
        async with database.transaction(pool) as connection:
            savepoint = connection.transaction()
            await savepoint.start()
            outcome = await intake.put(connection, spool, partial=partial, replace=replace)
            await (savepoint.rollback() if dry_run else savepoint.commit())
            report = _report(outcome, dry_run=dry_run)
            await _note(connection, caller, intake, report)
    return report


def _report(outcome: batches.Outcome, *, dry_run: bool) -> Report:
    return Report(
        stored=outcome.stored,
        known=outcome.known,
        refused=outcome.refused,
        retired=outcome.retired,
        dry_run=dry_run,
        errors=outcome.problems,
    )


async def _note(connection: database.Connection, caller: Caller, intake: Intake, report: Report) -> None:
    if not report.dry_run:
        counts = {
            "stored": report.stored,
            "known": report.known,
            "refused": report.refused,
            "retired": report.retired,
        }
        await audit.insert(connection, caller.key_id, action="load", subject=intake.subject, details=counts)


def _media_type(request: Request[Any, Any, Any]) -> str:
    name, options = request.content_type
    if name not in _PLACES:
        raise MediaTypeUnsupportedError(f"send {', '.join(_PLACES)}, not {name or 'no Content-Type'}")
    charset = options.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise MediaTypeUnsupportedError(f"send text in UTF-8, not {charset}")
    decimal = options.get("decimal", "point")
    if decimal not in (("point", "comma") if name == "text/csv" else ("point",)):
        raise MediaTypeUnsupportedError(
            f"decimal is point or comma, and comma for text/csv only, not {decimal}"
        )
    return name


async def _receive(
    request: Request[Any, Any, Any], media_type: str, received: SpooledTemporaryFile[bytes]
) -> None:
    """Write the body to a file; lines may be many but none endless, a JSON array is read whole and therefore small."""
    n_bytes = n_open_line = 0
    most_bytes, what = _BYTES_MAX.get(media_type, (None, ""))
    async for chunk in read_unpacked(request):
        n_bytes += len(chunk)
        newline = chunk.rfind(b"\n")
        n_open_line = n_open_line + len(chunk) if newline < 0 else len(chunk) - newline - 1
        if most_bytes is not None and n_bytes > most_bytes:
            raise BodyTooLargeError(
                f"{what} may have {most_bytes} bytes; send NDJSON or CSV, which are streamed, for more"
            )
        if most_bytes is None and n_open_line > _LINE_BYTES_MAX:
            raise BodyTooLargeError(f"one line may have {_LINE_BYTES_MAX} bytes")
        received.write(chunk)
    received.seek(0)


async def _check(blocks: Iterator[formats.Block], intake: Intake, spool: Spool) -> None:
    for lines, rows in blocks:
        spool.add(lines, list(map(intake.record, rows)))
        await asyncio.sleep(0)  # others get their turn between blocks


def _blocks(
    request: Request[Any, Any, Any], file: BinaryIO, intake: Intake, spool: Spool
) -> Iterator[formats.Block]:
    media_type, options = request.content_type
    if media_type == "text/csv":
        comma = options.get("decimal") == "comma"
        return formats.read_csv(file, intake.rows, spool.refuse, intake.cells, decimal_comma=comma)
    if media_type == "application/x-ndjson":
        return formats.read_ndjson(file, intake.rows, spool.refuse)
    return formats.read_json(file, intake.rows, spool.refuse)
