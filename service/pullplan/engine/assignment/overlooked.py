"""Where do needs go that are too small for the solver to see?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def place_overlooked(options: Options, lines: IntArray, units: FloatArray, needs: IntArray) -> IntArray:
    """Give each of these needs its best option by itself that has room for all of it beside the lines.

    To a solver whose tolerance they lie below, such a need is served and short at once. Least late, then cheapest,
    then latest made, then nearest; what finds no room is left out.

    Shapes: (3, n_lines) need, capability and start bucket; (n_lines,); (n,) ascending → (3, n_found)
    """
    capacities = options.capacities
    left = capacities.available - options.use_by_bucket(lines[1], lines[2], units)
    stored = capacities.is_stored
    left[stored] = np.cumsum(left[stored], axis=1)
    rows = options.rows_of(needs)
    best_first = np.lexsort((rows.distance_rank, rows.early_buckets, rows.cost, rows.late_buckets, rows.need))
    found: dict[int, tuple[int, int, int]] = {}
    for option in best_first.tolist():
        need, capability, start = (int(of[option]) for of in (rows.need, rows.capability, rows.start_bucket))
        if need in found:
            continue
        taken = np.zeros(left.shape)
        taken[:, start] = options.capabilities.use[[capability]].toarray()[0] * options.need_units[need]
        taken[stored] = np.cumsum(taken[stored], axis=1)
        if (taken[taken > 0] <= left[taken > 0]).all():
            left -= taken
            found[need] = (need, capability, start)
    return np.array(sorted(found.values()), dtype=np.int64).reshape(-1, 3).T
