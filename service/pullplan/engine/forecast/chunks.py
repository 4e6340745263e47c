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
from pullplan.engine.forecast.models import run_candidates

CHUNK_SERIES = 64
"""At most so many: a second or two of work. Progress is told, and a lost worker's part repeated, so much at a time."""


@dataclass(frozen=True)
class Chunk:
    """Some series of one kind of demand, with all that their candidates are to know.

    `columns` names all candidates of the kind, `names` those that a series asks, and `rows` is where the series lie among
    those of their kind.

    Shapes: units (n_series, n_buckets), names (n_series,), groups (n_series,), factors[o] (n_groups, end + n_steps) of
    each origin's `ends`
    """

    rows: slice
    columns: tuple[str, ...]
    units: Units
    names: tuple[tuple[str, ...], ...]
    groups: NDArray[np.intp]
    factors: tuple[Units, ...]
    ends: tuple[int, ...]
    n_steps: int
    period: int
    refits_last: bool


@dataclass(frozen=True)
class Answer:
    """What a chunk's candidates said: an array, which is sent from process to process in one piece.

    Shapes: forecasts (n_series, n_columns, n_ends, n_steps), NaN where nothing was said, failures (n_series,)
    """

    forecasts: Units
    failures: list[dict[str, str]]


def cut_into_chunks(
    units: Units,
    names: Sequence[tuple[str, ...]],
    groups: NDArray[np.intp],
    factors: Sequence[Units],
    ends: Sequence[int],
    *,
    columns: tuple[str, ...],
    n_steps: int,
    period: int,
    refits_last: bool,
) -> list[Chunk]:
    """Cut the series of a kind into chunks of like size, in order; each gets the season's factors of its own groups alone.

    Shapes: as in Chunk, of all the kind's series
    """
    chunks = []
    n_series = units.shape[0]
    n_chunks = -(-n_series // CHUNK_SERIES)
    borders = [n_series * k // n_chunks for k in range(n_chunks + 1)] if n_chunks else []
    for rows in starmap(slice, pairwise(borders)):
        present, local = np.unique(groups[rows], return_inverse=True)
        chunks.append(
            Chunk(
                rows,
                columns,
                units[rows],
                tuple(names[rows]),
                local,
                tuple(of_end[present] for of_end in factors),
                tuple(ends),
                n_steps,
                period,
                refits_last,
            )
        )
    return chunks


def run_chunk(chunk: Chunk) -> Answer:
    """Let every candidate of every series forecast from every origin."""
    shape = (len(chunk.names), len(chunk.columns), len(chunk.ends), chunk.n_steps)
    answer = Answer(np.full(shape, np.nan), [])
    columns = {name: k for k, name in enumerate(chunk.columns)}
    with warnings.catch_warnings():
        # Short or constant histories divide by nothing in the library: the candidate loses, no harm.
        warnings.simplefilter("ignore", RuntimeWarning)
        series = zip(chunk.units, chunk.names, chunk.groups.tolist(), answer.forecasts, strict=True)
        for units, names, group, forecasts in series:
            said = run_candidates(
                units,
                names,
                origins=chunk.ends,
                factors=[
                    (f[group, :end], f[group, end:]) for f, end in zip(chunk.factors, chunk.ends, strict=True)
                ],
                n_steps=chunk.n_steps,
                period=chunk.period,
                refits_last=chunk.refits_last,
            )
            for name, paths in said.forecasts.items():
                forecasts[columns[name]] = paths
            answer.failures.append(said.failures)
    return answer
