"""How little must stay short, and how little be late, stage by stage? No cost is in these stages, so like needs are one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Market
from pullplan.engine.assignment.classes import ClassProgramme, gather
from pullplan.engine.assignment.sifting import SIFTED_FROM_COLUMNS, sift
from pullplan.engine.assignment.sifting_starts import SIFTED_FROM_PAIRS, sift_starts
from pullplan.engine.assignment.slices import ProvedSlices, SharedShortfall, Shortages
from pullplan.engine.assignment.stages import Proof, close, prove, solve, typical_scale
from pullplan.engine.assignment.watching import Watch

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIRST_BEFORE_LAST = 1e6
"""How much more the first rank weighs than the last in the sum that the stages start from."""
LATENESS_WEIGHT = 1e-4
"""What a bucket late weighs in that sum, the typical unit short of the last rank being 1."""


@dataclass(frozen=True)
class Shortage:
    """What the stages before cost proved: shortfall of each tier and rank, and lateness.

    Columns are those of the programme of classes, then the slices that were cut.
    """

    programme: ClassProgramme
    stages: Sequence[Sequence[ProvedSlices]]
    proofs: Sequence[Proof]
    """The last is of lateness; prices are of rows, per unit of capacity."""
    n_columns: int
    slice_columns: IntArray
    """(n_slices, n_classes)"""


def least_shortage(market: Market, n_stages: int, watch: Watch | None = None) -> Shortage:
    """Solve the shortfall stages and lateness exactly.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    watch = watch or Watch()
    programme = gather(market)
    scale = float(programme.edges[:, -1].mean()) or 1.0
    search, columns = programme.open(scale, watch)
    column, weight, edges = programme.short_column, programme.weight, programme.edges / scale
    late = programme.late_buckets()
    start = np.zeros(search.n_columns)
    # The last weighs 1, also where it is the only one.
    of_stage = np.geomspace(1.0, FIRST_BEFORE_LAST, n_stages)[::-1]
    start[column] = weight / typical_scale(weight) * of_stage[programme.stage]
    if columns is not None and search.n_columns >= SIFTED_FROM_COLUMNS:
        sift(search, columns, start / typical_scale(start))
    elif n_stages > 1 or late.any():
        start += LATENESS_WEIGHT * late
        scale_of_start = typical_scale(start)
        if programme.n_pairs >= SIFTED_FROM_PAIRS:
            sift_starts(search, programme, start / scale_of_start, LATENESS_WEIGHT / scale_of_start, watch)
        else:
            solve(search, start / scale_of_start)
    slice_columns = np.repeat(column[None], market.n_slices, axis=0)
    stages = []
    for classes in programme.by_stage(n_stages):
        shortages = Shortages(column[classes], classes, weight[classes], edges[classes])
        shared = SharedShortfall(search, shortages)
        shared.prove()
        slice_columns[:, classes] = shared.columns
        stages.append(shared.stages)
    close(search, prove(search, late))
    return Shortage(programme, stages, search.proofs, search.n_columns, slice_columns)
