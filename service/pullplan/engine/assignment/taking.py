"""Who takes what, started when, once the near ties are solved? Every need adds up, and every batch."""

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.near_ties import WAYS, NearTies, Solved

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DUST_SHARE = 1e-9
"""Of a need, or of a line: the solver's rounding."""


def lines_of(ties: NearTies, solved: Solved) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """List who takes what, started when: needs, ways, starts, units."""
    need, way, units = _ways_taken(ties, solved)
    market, choice = ties.market, ties.choice
    block = np.searchsorted(market.first_need, need, side="right") - 1
    n_dues = np.array([b.n_dues for b in market.blocks], dtype=np.int64)
    due = np.concatenate([block.due for block in market.blocks])
    batch = market.batches.first[block] + way * n_dues[block] + due[need]
    start = choice.start[batch]
    joined = ties.is_open_batch[batch]
    if not joined.any():
        return need, way, start, units
    split = _split_starts(ties, solved, np.flatnonzero(joined), batch, units)
    line = np.concatenate([np.flatnonzero(~joined), split[0]])
    start = np.concatenate([start[~joined], split[1]])
    units = np.concatenate([units[~joined], split[2]])
    order = np.lexsort((start, line))
    line = line[order]
    return need[line], way[line], start[order], units[order]


def _split_starts(
    ties: NearTies, solved: Solved, lines: IntArray, batch: IntArray, units: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Hand the starts of open batches out in the order of time to their lines in the order of needs.

    Both are laid end to end, batch by batch; what lies between two ends is a piece of one line with one start.
    """
    lines = lines[np.argsort(batch[lines], kind="stable")]
    line_end = np.cumsum(units[lines])
    last = np.flatnonzero(np.diff(batch[lines], append=-1))
    batch_end = line_end[last]
    batch_begin = np.concatenate([[0.0], batch_end[:-1]])
    place, start, started = _starts_of(ties, solved, batch[lines][last])
    total = np.bincount(place, started, len(last))
    share = (np.cumsum(started) - (np.cumsum(total) - total)[place]) / total[place]
    start_end = batch_begin[place] + share * (batch_end - batch_begin)[place]
    last_start = np.flatnonzero(np.diff(place, append=-1))
    start_end[last_start] = batch_end
    end = np.union1d(line_end, start_end)
    piece = np.diff(end, prepend=0.0)
    line = lines[np.searchsorted(line_end, end)]
    begun = start[np.searchsorted(start_end, end)]
    keep = piece > DUST_SHARE * units[line]
    line, begun, piece = line[keep], begun[keep], piece[keep]
    # Dust is left out: every line's pieces add up to it again.
    return line, begun, piece * units[line] / np.bincount(line, piece, len(units))[line]


def _starts_of(ties: NearTies, solved: Solved, batches: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """List the starts of some batches, in the order of time: batch by place, start, units (never none for a batch)."""
    batch, start = np.divmod(ties.choice.starts, ties.market.n_starts)
    place = np.minimum(np.searchsorted(batches, batch), len(batches) - 1)
    keep = (batches[place] == batch) & (solved.start_units > 0)
    place, start, started = place[keep], start[keep], solved.start_units[keep]
    # A batch smaller than the solver's tolerance may have none.
    idle = np.setdiff1d(np.arange(len(batches)), place)
    place = np.concatenate([place, idle])
    start = np.concatenate([start, ties.choice.start[batches[idle]]])
    started = np.concatenate([started, np.ones(len(idle))])
    order = np.lexsort((start, place))
    return place[order], start[order], started[order]


def _ways_taken(ties: NearTies, solved: Solved) -> tuple[IntArray, IntArray, FloatArray]:
    """List who takes what: dust goes to the need's largest line, so that every need adds up."""
    choice, pairs = ties.choice, ties.choice.pairs
    need_units = np.concatenate([block.units for block in ties.market.blocks])
    need, way, units = pairs // WAYS, pairs % WAYS, solved.pair_units
    keep = units > DUST_SHARE * need_units[need]
    need, way, units = need[keep], way[keep], units[keep]
    by_size = np.lexsort((-way, units, need))
    largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
    units[largest] += (need_units - np.bincount(need, units, len(need_units)))[need[largest]]
    # An open need that is smaller than the solver's tolerance may have no line: it takes its cheapest way.
    has_no_line = np.ones(len(need_units), dtype=bool)
    has_no_line[need] = False
    closed = np.flatnonzero(has_no_line)
    need = np.concatenate([need, closed])
    order = np.argsort(need, kind="stable")
    way, units = np.concatenate([way, choice.way[closed]]), np.concatenate([units, need_units[closed]])
    return need[order], way[order], units[order]
