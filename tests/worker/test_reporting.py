"""Does a child say enough of its progress, and not more than can be read?"""

from collections.abc import Iterator
from multiprocessing import Pipe

import pytest

from pullplan.engine.model import SearchProgress
from pullplan.worker.child import Reporter, Said


@pytest.fixture
def heard() -> Iterator[list[Said]]:
    """Report a search of 1,000 rounds in one second, between two other steps, and collect what comes through."""
    reading, writing = Pipe(duplex=False)
    now = [0.0]
    reporter = Reporter(writing, lambda: now[0])
    reporter.tell("netting", 0.0)
    for number in range(1000):
        now[0] += 0.001
        search = SearchProgress(stage="cost:nearest", done_share=0.5, round=number, bound=float(number))
        reporter.tell(search.step, search.done_share, search)
    reporter.tell("explaining", 0.0)
    writing.close()
    said = []
    while reading.poll():
        try:
            said.append(reading.recv())
        except EOFError:
            break
    yield said
    reading.close()


def test_every_step_is_told_and_a_search_a_few_times_a_second(heard: list[Said]) -> None:
    assert (heard[0], heard[-1]) == (
        Said(step="netting", done_share=0.0),
        Said(step="explaining", done_share=0.0),
    )
    rounds = [said.round for said in heard[1:-1]]
    assert 3 <= len(rounds) <= 6
    assert rounds[0] == 0
    assert {(said.step, said.stage) for said in heard[1:-1]} == {("assigning: cost", "cost:nearest")}
    assert all(said.bound == said.round for said in heard[1:-1])
