"""What can still be served, where it is best for each need, when there is no time to look for the best for all?

Needs are served in their order, each from the best of its choices that has room: quick, always feasible, and it leaves
no need short that has room anywhere.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FULL_SHARE = 1e-12
"""Of what a row had to give: less is rounding."""
MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class Choices:
    """What each need may take, the best first."""

    first: IntArray
    """(n_needs + 1,): where each need's choices begin."""
    place: IntArray
    """(n_choices,): the row of `use` that a choice takes from."""
    use: csr_array
    """(n_places, n_rows): what one unit made at a place takes."""


def fill(want: FloatArray, choices: Choices, room: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Serve needs in their order, each from its first choice with room, then its next.

    In each round every need asks its current choice for all that it still wants; what is asked of a row is given in the
    needs' order. A need goes on to its next choice once a row of the current one is full.

    Shapes: (n_needs,) units, choices, (n_rows,) → (n_lines,) needs, (n_lines,) choices, (n_lines,) units
    """
    left, room = want.copy(), np.maximum(0.0, room)
    least = FULL_SHARE * room
    at = choices.first[:-1].copy()
    needs, taken = ([np.empty(0, dtype=np.int64)] for _ in range(2))
    units = [np.empty(0)]
    for _ in range(MOST_ROUNDS):
        asking = np.flatnonzero((left > 0) & (at < choices.first[1:]))
        if len(asking) == 0:
            break
        given, is_blocked = _serve(left[asking], choices.use[choices.place[at[asking]]], room, least)
        served = given > 0
        needs.append(asking[served])
        taken.append(at[asking[served]])
        units.append(given[served])
        left[asking] -= given
        at[asking[is_blocked]] += 1
    return np.concatenate(needs), np.concatenate(taken), np.concatenate(units)


def _serve(
    want: FloatArray, use: csr_array, room: FloatArray, least: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Give what `room` has, first come, first served, and take it out; tell as well who stands before a full row."""
    n_entries = np.diff(use.indptr)
    asker = np.repeat(np.arange(len(want)), n_entries)
    row, per_unit = use.indices, use.data
    # Asked for as a share of the row's room, never more than all of it: rows of any size add up side by side.
    asked = np.ones(len(row))
    np.divide(per_unit * want[asker], room[row], out=asked, where=room[row] > 0)
    asked = np.minimum(1.0, asked)
    by_row = np.argsort(row, kind="stable")
    before_in_order = np.cumsum(asked[by_row]) - asked[by_row]
    first_of_row = np.flatnonzero(np.diff(row[by_row], prepend=-1))
    n_of_row = np.diff(first_of_row, append=len(by_row))
    before = np.empty(len(asked))
    before[by_row] = before_in_order - np.repeat(before_in_order[first_of_row], n_of_row)
    given = want.copy()
    np.minimum.at(given, asker, np.maximum(0.0, 1.0 - before) * room[row] / per_unit)
    np.subtract.at(room, row, per_unit * given[asker])
    is_full = room <= least
    np.maximum(room, 0.0, out=room)
    is_blocked = np.zeros(len(want), dtype=bool)
    is_blocked[asker[is_full[row]]] = True
    return given, is_blocked
