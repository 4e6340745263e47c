"""What is made of a product's relaxation when time is up?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.room import Room
from pullplan.engine.options import Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def round_down(problem: Problem, product: int, lines: Solution, own: IntArray, free: FloatArray) -> Sized:
    """Make what fits into whole lots of the relaxation's work on a product, and leave the rest short: at once.

    Shapes: `own` (n_lines_of_product,) positions in `lines`, `free` (n_resources, n_buckets)
    """
    orders = problem.orders
    order = orders.of_product[product]
    capability, start = orders.capability[order], orders.start[order]
    at = np.searchsorted(order, orders.number(lines.capability[own], lines.start_bucket[own]))
    made = np.bincount(at, weights=lines.units[own], minlength=len(order))
    sizes, room = problem.rules.of(capability), Room(problem.options, problem.rules, capability, start, free)
    size = sizes.down(np.minimum(made, room.most))
    over, _ = room.overload(size)
    while over >= 0:
        size[over] = 0.0
        over, _ = room.overload(size)
    units = lines.units[own] * (size / np.where(made > 0, made, 1.0))[at]
    short = float(lines.units[own].sum() - units.sum())
    is_line = units > 0
    return Sized(order, size, lines.need[own][is_line], order[at[is_line]], units[is_line], 0.0, short)
