"""How does a checked batch reach its table: wholly, in its good lines, or not at all?

Each table's own statements stand in its .sql file under the same names: `stage` makes a temporary table `staged_…`, `match` looks up
what is stored of it, `refuse` finds the lines that cannot be used, `merge…` stores the others, `retire_absent` retires what the batch
doesn't name.
"""

import re
from collections.abc import Mapping
from operator import itemgetter

import msgspec

from pullplan.engine.errors import LineProblem, LinesRefusedError, SourceRevisionStaleError
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries
from pullplan.storage.spool import MAX_PROBLEMS, Spool

SQL = load_queries("batches")

STALE = "source-revision-stale"
_RESOURCE_DETAIL = "the node has no resource {given!r}"
_OF_NODE = ("use_per_unit", "setup_use_per_order", "resource_code")
_DETAILS = {
    "unknown-code": "there is no {noun} {given!r}, or it is retired",
    "duplicate-line": "repeats {given!r} of {first}",
    STALE: "source_revision {given}, which is stored",
}


BATCH_SECONDS = 900.0
"""How long one statement of a batch may take; `take_time` tells the server the same."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A table that batches are merged into: its columns as they are given, and its statements."""

    staged: str
    columns: tuple[str, ...]
    stage: str
    match: str | None = None
    """Notes what is stored of the staged rows, for the statements that follow."""
    refuse: str
    merge: tuple[str, ...]
    """The last one's rows are what was stored."""
    retire_absent: str | None = None
    gathered: tuple[str, ...] = ()
    """Columns whose distinct values the spool collects."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch's lines. `known`: identical already there; `retired`: rows that it didn't name."""

    stored: int
    known: int
    refused: int = 0
    retired: int = 0
    problems: list[LineProblem] = []

    def counts(self) -> dict[str, int]:
        """Count the lines by what became of them, for the audit."""
        return {
            "stored": self.stored,
            "known": self.known,
            "refused": self.refused,
            "retired": self.retired,
        }


def target(
    sql: Mapping[str, str],
    staged: str,
    columns: tuple[str, ...],
    suffix: str = "",
    gathered: tuple[str, ...] = (),
) -> Target:
    """Describe a table by the statements of its .sql file; `suffix` where one file serves two tables."""
    merges = sorted(name for name in sql if re.fullmatch(rf"merge{suffix}(_\d)?", name))
    return Target(
        staged=staged,
        columns=columns,
        stage=sql[f"stage{suffix}"],
        match=sql.get(f"match{suffix}"),
        refuse=sql[f"refuse{suffix}"],
        merge=tuple(sql[name] for name in merges),
        retire_absent=sql.get(f"retire_absent{suffix}"),
        gathered=gathered,
    )


async def merge(
    connection: Connection, spool: Spool, into: Target, *, partial: bool = False, replace: bool = False
) -> Outcome:
    """Merge a batch into its table, inside the caller's transaction.

    Raises: LinesRefusedError when a line is refused and `partial` isn't asked for; then nothing may be kept.
    SourceRevisionStaleError, where all that is wrong is that.
    """
    await take_time(connection)
    await _stage(connection, spool, into)
    n_refused_here = await connection.fetchval(SQL["count_refused"])
    n_refused = spool.n_refused + n_refused_here
    problems = await _problems(connection, spool)
    if n_refused and not partial:
        is_stale = all(problem.code == STALE for problem in problems)
        raise (SourceRevisionStaleError if is_stale else LinesRefusedError)(problems, n_refused)
    for statement in into.merge:
        stored = _count(await connection.execute(statement, timeout=BATCH_SECONDS))
    retired = 0
    if replace and into.retire_absent:
        retired = _count(await connection.execute(into.retire_absent, timeout=BATCH_SECONDS))
    known = spool.n_lines - n_refused_here - stored
    return Outcome(stored=stored, known=known, refused=n_refused, retired=retired, problems=problems)


async def take_time(connection: Connection) -> None:
    """Let the statements of this transaction take as long as a night's load needs."""
    await connection.execute(SQL["take_time"])


async def _stage(connection: Connection, spool: Spool, into: Target) -> None:
    await connection.execute(SQL["create_refused"])
    await connection.execute(SQL["forget_refused"])
    await connection.execute(into.stage)
    await spool.copy_into(connection, into.staged, BATCH_SECONDS)
    if into.match is not None:
        await connection.execute(into.match, timeout=BATCH_SECONDS)
    await connection.execute(into.refuse, timeout=BATCH_SECONDS)


async def _problems(connection: Connection, spool: Spool) -> list[LineProblem]:
    """List the first problems by line, those of reading and those of the table's rules together."""
    found = list(spool.problems)
    for row in await connection.fetch(SQL["list_refused"], MAX_PROBLEMS):
        line, first = spool.line_of(row["ordinal"] - 1), row["first_ordinal"]
        of_node = row["code"] == "unknown-code" and row["field"] in _OF_NODE
        detail = (_RESOURCE_DETAIL if of_node else _DETAILS[row["code"]]).format(
            noun=row["field"].removesuffix("_code"),
            given=row["given"],
            first="" if first is None else spool.named(spool.line_of(first - 1)),
        )
        found.append((line, spool.problem(line, row["code"], detail, row["field"])))
    return [problem for _, problem in sorted(found, key=itemgetter(0))[:MAX_PROBLEMS]]


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
