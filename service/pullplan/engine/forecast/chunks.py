"""How is the work of a tournament cut, so that any process can do a part of it?

A series' candidates know nothing of other series once its season is given. So whoever computes a chunk finds the very same.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units
from pullplan.engine.forecast.models import Candidates, run_candidates

CHUNK_SERIES = 64
"""At most so many: a second or two of work. Progress is told, and a lost worker's part repeated, so much at a time."""


@dataclass(frozen=True)
class Chunk:
    """Some series, with all that their candidates are to know.

    Shapes: units (n_series, n_buckets), names (n_series,), groups (n_series,), factors[o] (n_groups, end + n_steps) of
    each origin's `ends`
    """

    units: Units
    names: tuple[tuple[str, ...], ...]
    groups: NDArray[np.intp]
    factors: tuple[Units, ...]
    ends: tuple[int, ...]
    n_steps: int
    period: int
    refits_last: bool


def cut_into_chunks(
    units: Units,
    names: Sequence[tuple[str, ...]],
    groups: NDArray[np.intp],
    factors: Sequence[Units],
    ends: Sequence[int],
    *,
    n_steps: int,
    period: int,
    refits_last: bool,
) -> list[Chunk]:
    """Cut a panel into chunks of like size, in order; each gets the season's factors of its own groups alone.

    Shapes: as in Chunk, of the whole panel
    """
    chunks = []
    n_series = units.shape[0]
    n_chunks = -(-n_series // CHUNK_SERIES)
    borders = [n_series * k // n_chunks for k in range(n_chunks + 1)] if n_chunks else []
    for part in starmap(slice, pairwise(borders)):
        present, local = np.unique(groups[part], return_inverse=True)
        chunks.append(
            Chunk(
                units[part],
                tuple(names[part]),
                local,
                tuple(of_end[present] for of_end in factors),
                tuple(ends),
                n_steps,
                period,
                refits_last,
            )
        )
    return chunks


def run_chunk(chunk: Chunk) -> list[Candidates]:
    """Let every candidate of every series forecast from every origin. Shapes: (n_series,)."""
    said = []
    with warnings.catch_warnings():
        # Short or constant histories divide by nothing in the library: the candidate loses, no harm.
        warnings.simplefilter("ignore", RuntimeWarning)
        for units, names, group in zip(chunk.units, chunk.names, chunk.groups, strict=True):
            of_group = [
                (f[group, :end], f[group, end:]) for f, end in zip(chunk.factors, chunk.ends, strict=True)
            ]
            said.append(
                run_candidates(
                    units,
                    names,
                    origins=chunk.ends,
                    factors=of_group,
                    n_steps=chunk.n_steps,
                    period=chunk.period,
                    refits_last=chunk.refits_last,
                )
            )
    return said
