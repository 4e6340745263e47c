"""How does a batch come in: received, checked and spooled before it is given a connection, then stored in one transaction?

A very large one, or one whose sender prefers so, is kept for a run that stores it.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, cast

import msgspec
from litestar import Request, Response
from litestar.params import HeaderParameter, QueryParameter

from pullplan.api import formats, runs
from pullplan.api.access import Caller
from pullplan.api.encodings import read_unpacked
from pullplan.api.errors import BodyTooLargeError, ContentInvalidError, MediaTypeUnsupportedError
from pullplan.api.idempotency import Answer, Fingerprint, answer_once
from pullplan.api.requests import BODY_BYTES_MAX
from pullplan.api.row_types import RowType
from pullplan.api.worksheets import XLSX, XLSX_BYTES_MAX, unpacked
from pullplan.engine.errors import LineProblem
from pullplan.storage import audit, batches, database, imports
from pullplan.storage.destinations import DESTINATIONS, Destination
from pullplan.storage.runs import Run
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


Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        max_length=200,
        description="`respond-async`: have a run store it, answer 202 with that run at once. Not for a dry run.",
    ),
]
_RESPOND_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", re.IGNORECASE)


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


# Assigned plainly: litestar doesn't see through PEP 695 aliases.
Loaded = Response[Report] | Response[Run]
"""200 with what became of the lines, or 202 with the run that will store them."""


@dataclass(frozen=True)
class Intake:
    """How the lines of one resource are read and stored."""

    subject: str
    """The resource, for the audit."""
    rows: RowType
    record: Callable[[Any], Record]
    """Gives a row's values in the order of the target's columns."""
    cells: formats.Cells = field(default_factory=dict)

    @property
    def destination(self) -> Destination:
        """Where its lines go."""
        return DESTINATIONS[self.subject]

    def spooled(self, *rows: Any, places: Places = "object", within: str = "") -> Spool:
        """Spool the object or the items of a JSON body, so that they take the same way as a batch.

        `within`: the JSON pointer of the array that they stand in.
        """
        target = self.destination.target
        spool = Spool(places, target.columns, target.gathered, within)
        spool.add(range(len(rows)), [self.record(row) for row in rows])
        return spool


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
    idempotency_key: str | None,
    prefer: str | None,
    *,
    partial: bool = False,
    dry_run: bool = False,
    mode: imports.Mode = "merge",
) -> Loaded:
    """Receive and check the body of a request, then store it, or queue a run that will.

    Raises: LinesRefusedError with the first problems; MediaTypeUnsupportedError, BodyTooLargeError, BodyMalformedError,
    TextNotUtf8Error, ContentInvalidError; IdempotencyKeyBusyError, IdempotencyKeyReusedError.
    """
    if mode == "replace" and partial:
        raise ContentInvalidError(
            "mode=replace and partial=true exclude each other: a refused line would retire its row"
        )
    media_type = _media_type(request)
    fingerprint = (
        Fingerprint(request, request.url.query, str(request.content_type)) if idempotency_key else None
    )
    with (
        SpooledTemporaryFile(max_size=_MEMORY_BYTES) as received,
        intake.spooled(places=_PLACES[media_type]) as spool,
    ):
        n_bytes = await _receive(request, media_type, received, fingerprint)
        if media_type == XLSX:
            async with unpacked(received) as sheet:
                await _check(
                    formats.read_sheet(sheet, intake.rows, spool.refuse, intake.cells), intake, spool
                )
        else:
            await _check(_blocks(request, cast("BinaryIO", received), intake, spool), intake, spool)
        is_very_large = n_bytes >= request.app.state.settings.import_run_bytes
        by_run = not dry_run and (is_very_large or bool(_RESPOND_ASYNC.search(prefer or "")))
        asked = imports.ImportRequest(
            subject=intake.subject, partial=partial, mode=mode, lines=spool.n_lines + spool.n_refused
        )
        async with database.transaction(pool) as connection:

            async def work() -> Answer:
                if by_run:
                    return await _queue(connection, caller, asked, spool)
                return await _store(connection, caller, asked, spool, dry_run=dry_run)

            answer = await answer_once(
                *(connection, caller, idempotency_key, request, work),
                fingerprint=fingerprint,
            )
    if answer.status_code == HTTPStatus.ACCEPTED:
        return runs.respond(answer)
    return Response(msgspec.json.decode(answer.body, type=Report), headers=answer.headers)


async def _store(
    connection: database.Connection,
    caller: Caller,
    asked: imports.ImportRequest,
    spool: Spool,
    *,
    dry_run: bool,
) -> Answer:
    savepoint = connection.transaction()
    await savepoint.start()
    outcome = await asked.put(connection, spool)
    await (savepoint.rollback() if dry_run else savepoint.commit())
    if not dry_run:
        await audit.insert(
            *(connection, caller.key_id), action="load", subject=asked.subject, details=outcome.counts()
        )
    report = Report(**outcome.counts(), dry_run=dry_run, errors=outcome.problems)
    return Answer(status_code=200, headers={}, body=msgspec.json.encode(report))


async def _queue(
    connection: database.Connection, caller: Caller, asked: imports.ImportRequest, spool: Spool
) -> Answer:
    """Keep a checked batch for a run that will store it, in the transaction that queues the run."""
    answer = await runs.start(connection, caller, "import", msgspec.to_builtins(asked))
    await imports.keep(connection, msgspec.json.decode(answer.body, type=Run).run_id, spool)
    return answer


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
    request: Request[Any, Any, Any],
    media_type: str,
    received: SpooledTemporaryFile[bytes],
    fingerprint: Fingerprint | None,
) -> int:
    """Write the body to a file and tell its bytes; lines may be many but none endless, a JSON array is read whole and therefore small."""
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
        if fingerprint is not None:
            fingerprint.feed(chunk)
    received.seek(0)
    return n_bytes


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
