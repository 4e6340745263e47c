import pytest

from pullplan.storage import database
from pullplan.storage.spool import MAX_PROBLEMS, Spool

pytestmark = pytest.mark.anyio


async def copied(connection: database.Connection, spool: Spool) -> list[tuple[object, ...]]:
    await connection.execute(
        "CREATE TEMP TABLE copied (id int GENERATED ALWAYS AS IDENTITY, code text, share float8, open boolean, weekdays int[])"
    )
    await spool.copy_into(connection, "copied", 30.0)
    rows = await connection.fetch("SELECT code, share, open, weekdays FROM copied ORDER BY id")
    return [tuple(row) for row in rows]


async def test_what_is_spooled_is_what_is_copied(connection: database.Connection):
    texts = [
        "plain",
        "",
        "null",
        'a "quote"',
        "back\\slash",
        "\\",
        "\\.",
        "a,b",
        "é 東京",
        "\\n",
        "]",
        "[",
        '"]',
        "x\x7f",
    ]
    records = [(text, 1.5e-7, True, "{1,2}") for text in texts] + [(None, None, None, None)]
    with Spool("lines", ("code", "share", "open", "weekdays")) as spool:
        spool.add(range(len(records)), records)
        stored = await copied(connection, spool)
    assert stored == [(text, 1.5e-7, True, [1, 2]) for text in texts] + [(None, None, None, None)]


async def test_more_than_fits_into_memory_arrives_whole_and_in_order(connection: database.Connection):
    codes = [f"code-{number:060}" for number in range(40_000)]
    with Spool("lines", ("code",)) as spool:
        for begin in range(0, len(codes), 1000):
            spool.add(range(begin, begin + 1000), [(code,) for code in codes[begin : begin + 1000]])
        stored = await copied(connection, spool)
    assert [row[0] for row in stored] == codes


def test_every_record_finds_its_line_again_across_gaps():
    lines = [2, 3, 4, 7, 8, 12, 13, 14, 20]
    with Spool("lines", ("code",)) as spool:
        spool.add(lines[:3], [("a",)] * 3)
        spool.add([], [])
        spool.add(lines[3:], [("b",)] * 6)
        assert [spool.line_of(ordinal) for ordinal in range(9)] == lines


def test_a_problem_is_placed_in_the_callers_terms():
    expected = {"lines": (7, None), "items": (None, "/7/units"), "object": (None, "/units")}
    for places, (line, pointer) in expected.items():
        with Spool(places, ("code",)) as spool:  # type: ignore[arg-type]
            problem = spool.problem(7, "invalid", "is wrong", "units")
        assert (problem.line, problem.pointer, problem.field) == (line, pointer, "units")


def test_only_the_first_problems_are_kept_and_all_are_counted():
    with Spool("lines", ("code",)) as spool:
        for line in reversed(range(1000)):
            spool.refuse(line, "invalid", "is wrong", None)
        assert (spool.n_refused, len(spool.problems)) == (1000, MAX_PROBLEMS)
        assert [line for line, _ in spool.problems] == list(range(MAX_PROBLEMS))


def test_distinct_values_are_gathered_where_they_are_asked_for():
    with Spool("lines", ("code", "share"), gathered=("code",)) as spool:
        spool.add([1, 2, 3], [("a", 1), ("b", 2), ("a", 3)])
        assert sorted(map(str, spool.gathered("code") or [])) == ["a", "b"]
