"""Which need gets which unit, once shipments, starts and shortages are known?"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.overlooked import place_overlooked
from pullplan.engine.assignment.programme import Programme

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DUST_SHARE = 1e-8
"""Lines and shortages below this share of their need are the solver's rounding, and are given to the largest."""


def share_out(programme: Programme, columns: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Cut the programme's columns into one line per used option, so that every need adds up exactly.

    Within a batch, shipments in the order of their needs take starts in the order of time; within a class, the
    tier and rank served first takes what arrives first.

    Shapes: (3, n_lines) need, capability and start bucket, ascending; (n_lines,) units; (n_needs,) shortfall units
    """
    shipments, starts, shortages = programme.split(columns * programme.unit_scale)
    options = programme.options
    shortfall_units = np.minimum(shortages, options.need_units)
    shortfall_units[shortfall_units <= DUST_SHARE * options.need_units] = 0.0
    made_for_class = _pieces_by_class(programme, shipments, starts)
    needs_of_class: dict[int, list[int]] = defaultdict(list)
    for i, number in enumerate(programme.class_of_need.tolist()):
        needs_of_class[number].append(i)
    taken: dict[tuple[int, int, int], float] = defaultdict(float)
    for number, pieces in made_for_class.items():
        pieces.sort()
        wanted = [(i, float(options.need_units[i] - shortfall_units[i])) for i in needs_of_class[number]]
        supply = ((piece, units) for *piece, units in pieces)
        for i, (_, capability, start), units in _north_west_corner(wanted, supply):
            taken[i, capability, start] += units
    return _settle(programme, taken, shortfall_units)


def _pieces_by_class(
    programme: Programme, shipments: FloatArray, starts: FloatArray
) -> dict[int, list[tuple[int, int, int, float]]]:
    """Join shipments to starts batch by batch: (arrival, capability, start, units) by class of needs."""
    options = programme.options
    starts_of_batch: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for s in np.flatnonzero(starts > 0).tolist():
        starts_of_batch[int(programme.start_batch[s])].append((s, float(starts[s])))
    shipments_of_batch: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for v in np.flatnonzero(shipments > 0).tolist():
        shipments_of_batch[int(programme.shipment_batch[v])].append((v, float(shipments[v])))
    pieces: dict[int, list[tuple[int, int, int, float]]] = defaultdict(list)
    for batch, wanted in sorted(shipments_of_batch.items()):
        for v, s, units in _north_west_corner(wanted, starts_of_batch[batch]):
            option = programme.start_option[s]
            pieces[int(programme.shipment_class[v])].append(
                (
                    int(options.option_arrival_bucket[option]),
                    int(options.option_capability[option]),
                    int(options.option_start_bucket[option]),
                    units,
                )
            )
    return pieces


def _north_west_corner[W, S](
    wanted: Iterable[tuple[W, float]], supply: Iterable[tuple[S, float]]
) -> Iterator[tuple[W, S, float]]:
    """Hand supply out in its order to what is wanted in its order."""
    supplies = iter(supply)
    source, left = next(supplies, (None, 0.0))
    for want, units in wanted:
        missing = units
        while source is not None and missing > 0:
            given = min(missing, left)
            yield want, source, given
            missing, left = missing - given, left - given
            if left <= 0:
                source, left = next(supplies, (None, 0.0))


def _settle(
    programme: Programme, taken: dict[tuple[int, int, int], float], shortfall_units: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Drop dust and give what is missing or too much to each need's largest line.

    A need without a line is short, unless the programme serves it: then it is too small to have left a trace.
    """
    options = programme.options
    keys = np.array(sorted(taken), dtype=np.int64).reshape(-1, 3)
    units = np.array([taken[i, c, s] for i, c, s in keys.tolist()])
    need = keys[:, 0]
    keep = units > DUST_SHARE * options.need_units[need]
    keys, units, need = keys[keep], units[keep], need[keep]
    assigned = np.zeros(len(options.needs))
    np.add.at(assigned, need, units)
    residual = options.need_units - shortfall_units - assigned
    by_size = np.lexsort((-np.arange(len(units)), units, need))
    last_of_need = np.flatnonzero(np.diff(need[by_size], append=-1))
    largest = by_size[last_of_need]
    units[largest] += residual[need[largest]]
    lines = keys.T
    overlooked = np.flatnonzero((assigned == 0) & (shortfall_units == 0) & (options.need_units > 0))
    shortfall_units = np.where(assigned > 0, shortfall_units, options.need_units)
    if len(overlooked):
        placed = place_overlooked(options, lines, units, overlooked)
        shortfall_units[placed[0]] = 0.0
        lines = np.concatenate([lines, placed], axis=1)
        units = np.concatenate([units, options.need_units[placed[0]]])
        order = np.lexsort(lines[::-1])
        lines, units = lines[:, order], units[order]
    return lines, units, shortfall_units
