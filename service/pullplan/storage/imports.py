"""How does a received file reach the worker that stores it, and what became of its lines?

The API and the worker may be on different machines: a checked spool travels in pieces through the database, written in the
transaction that queues the run, so that neither is ever there without the other.
"""

from collections.abc import Callable, Iterator
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from pullplan.storage import batches
from pullplan.storage.database import Connection
from pullplan.storage.destinations import DESTINATIONS
from pullplan.storage.queries import load_queries
from pullplan.storage.spool import Spool, SpoolIndex

SQL = load_queries("imports")

Mode = Literal["merge", "replace"]


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of kind `import` was asked for."""

    subject: str
    """The resource whose lines the file holds."""
    partial: bool
    mode: Mode
    lines: int
    """Read from the file, refused ones among them."""

    async def put(self, connection: Connection, spool: Spool) -> batches.Outcome:
        """Store the checked lines inside the caller's transaction.

        Raises: LinesRefusedError, ResourceInUseError; then nothing may be kept.
        """
        destination = DESTINATIONS[self.subject]
        return await destination.put(connection, spool, partial=self.partial, replace=self.mode == "replace")


class KeptSpool(Spool):
    """A spool whose lines lie in the database; it copies them piece by piece, and tells after each how many it has copied."""

    def __init__(self, run_id: UUID, subject: str, index: SpoolIndex, tell: Callable[[int], None]) -> None:
        target = DESTINATIONS[subject].target
        super().__init__(index.places, target.columns, within=index.within)
        self._restore(index)
        self._run_id = run_id
        self._tell = tell

    async def copy_into(self, connection: Connection, table: str, timeout_seconds: float) -> None:
        """Copy every record into a table, in their order, holding one piece at a time."""
        n_copied, ordinal = 0, 1
        while (piece := await connection.fetchval(SQL["find_piece"], self._run_id, ordinal)) is not None:
            # As a file it would be held until the next garbage collection: asyncpg makes a class for each.
            await self._copy(connection, table, memoryview(piece), timeout_seconds)
            n_copied += piece.count(b"\n")
            ordinal += 1
            self._tell(n_copied)


async def keep(connection: Connection, run_id: UUID, spool: Spool) -> None:
    """Store a checked spool for the run that was queued in this transaction."""
    await batches.take_time(connection)
    await connection.copy_records_to_table(
        "import_pieces",
        columns=("run_id", "ordinal", "content"),
        records=((run_id, ordinal, content) for ordinal, content in enumerate(_contents(spool))),
        timeout=batches.BATCH_SECONDS,
    )


def _contents(spool: Spool) -> Iterator[bytes]:
    yield msgspec.msgpack.encode(spool.index())
    yield from spool.pieces()


async def store(
    connection: Connection, run_id: UUID, request: ImportRequest, tell: Callable[[int], None]
) -> None:
    """Store the lines of a kept spool with the report on them, inside the caller's transaction.

    Raises: LinesRefusedError, ResourceInUseError; then nothing may be kept.
    """
    await connection.execute(SQL["notice_loss"])
    index = msgspec.msgpack.decode(await connection.fetchval(SQL["find_piece"], run_id, 0), type=SpoolIndex)
    with KeptSpool(run_id, request.subject, index, tell) as spool:
        outcome = await request.put(connection, spool)
    errors = msgspec.to_builtins(outcome.problems)
    await connection.execute(
        SQL["insert"], run_id, *outcome.counts().values(), errors, request.subject, outcome.counts()
    )


async def find(connection: Connection, import_id: UUID) -> asyncpg.Record | None:
    """Find what became of the lines of a file that was stored."""
    return await connection.fetchrow(SQL["find"], import_id)


async def forget_pieces(connection: Connection, *, at_most: int) -> int:
    """Forget pieces of files whose runs have ended; tell how many."""
    forgotten: int = await connection.fetchval(SQL["forget_pieces"], at_most)
    return forgotten
