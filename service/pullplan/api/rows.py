"""How is a table of a plan or forecast read? A page as JSON, or the whole of it as CSV, NDJSON or XLSX."""

import csv
import io
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter
from litestar.response import Stream

from pullplan.api import lists, workbooks
from pullplan.api.worksheets import XLSX
from pullplan.engine.model import Tier
from pullplan.storage import database, listings
from pullplan.storage.listings import Listing

CSV = "text/csv"
NDJSON = "application/x-ndjson"
WHOLE_FORMS = (CSV, NDJSON, XLSX)
CHUNK_LINES = 500

TierFilter = Annotated[Tier | None, QueryParameter(description="Only this tier of need.")]

type Row = Mapping[str, Any] | asyncpg.Record


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    return msgspec.json.encode(value).decode()


def _sheet_cell(value: Any) -> Any:
    """Keep days as days; an instant is text, as a spreadsheet's have no offset."""
    return value if isinstance(value, date) and not isinstance(value, datetime) else _cell(value)


def encode_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue().encode()


def encode_ndjson(rows: Sequence[Row]) -> bytes:
    return b"".join(msgspec.json.encode(dict(row)) + b"\n" for row in rows)


def accepted_form(request: Request[Any, Any, Any]) -> str | None:
    """Say which form of the whole table the caller accepts best; None: a page of JSON."""
    form = request.accept.best_match(["application/json", *WHOLE_FORMS])
    return form if form in WHOLE_FORMS else None


async def _chunked(rows: AsyncIterator[Row]) -> AsyncIterator[Sequence[Row]]:
    chunk: list[Row] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK_LINES:
            yield chunk
            chunk = []
    yield chunk


async def _listed(
    pool: database.Pool, listing: Listing, owner_id: UUID, filters: dict[str, str | None]
) -> AsyncIterator[Row]:
    """Read the whole list by a connection of its own: a request's ends before the first byte leaves."""
    async with database.lent(pool) as connection:
        async for row in listings.stream(connection, listing, owner_id, **filters):
            yield row


async def _as_csv(header: Sequence[str], chunks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    yield ",".join(header).encode() + b"\n"
    async for chunk in chunks:
        yield encode_csv(chunk)


async def _as_ndjson(chunks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield encode_ndjson(chunk)


async def _as_cells(chunks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[Sequence[Sequence[Any]]]:
    async for chunk in chunks:
        yield [[_sheet_cell(value) for value in row.values()] for row in chunk]


def streamed(rows: AsyncIterator[Row], row_type: type[msgspec.Struct], form: str) -> Stream:
    """Answer with a whole table, under a header where its form has one."""
    header, chunks = row_type.__struct_fields__, _chunked(rows)
    if form == CSV:
        return Stream(_as_csv(header, chunks), media_type=form)
    if form == NDJSON:
        return Stream(_as_ndjson(chunks), media_type=form)
    return Stream(workbooks.written(header, _as_cells(chunks)), media_type=form)


class Table[T: msgspec.Struct]:
    """One table under an owner (a plan, a forecast), as the API shows it."""

    def __init__(self, listing: Listing, row_type: type[T], check_owner: Callable[..., Any]) -> None:
        self._listing = listing
        self._row_type = row_type
        self._check_owner = check_owner

    async def answer(
        self,
        request: Request[Any, Any, Any],
        pool: database.Pool,
        owner_id: UUID,
        limit: int,
        cursor: str | None,
        sort: str | None = None,
        **filters: str | None,
    ) -> Response[lists.Page[T]] | Stream:
        """Answer in the form that the caller accepts: a page of JSON unless the whole is asked for.

        Raises: ResourceUnknownError when there is no such owner.
        """
        listing = self._listing if sort is None else self._sorted(sort)
        form = accepted_form(request)
        if form is not None:
            return await self._stream(pool, listing, owner_id, filters, form)
        after = lists.decode_sorted(cursor, sort, tuple.__class_getitem__(tuple(map(type, listing.start))))
        async with database.lent(pool) as connection:
            rows = await listings.list_page(
                connection, listing, owner_id, after=after, limit=limit + 1, **filters
            )
            if not rows:
                await self._check_owner(connection, owner_id)
        # Not converted: the columns are the fields, and what the database gives is what was stored.
        items = [self._row_type(**row) for row in rows]
        said = [] if sort is None else [sort]

        def key(row: T) -> list[Any]:
            return [*said, *("" if (v := getattr(row, column)) is None else v for column in listing.key)]

        return Response(lists.page(items, limit, key=key))

    def _sorted(self, sort: str) -> Listing:
        column = sort.removeprefix("-")
        kind = typing.get_type_hints(self._row_type)[column]
        return listings.sorted_by(self._listing, column, kind, descending=sort != column)

    async def _stream(
        self, pool: database.Pool, listing: Listing, owner_id: UUID, filters: dict[str, str | None], form: str
    ) -> Stream:
        async with database.lent(pool) as connection:
            await self._check_owner(connection, owner_id)
        return streamed(_listed(pool, listing, owner_id, filters), self._row_type, form)
