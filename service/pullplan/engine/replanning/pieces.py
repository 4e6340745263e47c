"""How are needs cut, so that a line of an earlier plan holds all of a piece or nothing of it?"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment import NOT_HELD, Holds
from pullplan.engine.options import Options, Solution
from pullplan.engine.replanning.programme import DUST_SHARE, ROUNDING_SHARE
from pullplan.engine.replanning.standing import Standing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """What every held line holds of its need, and what none does; arrays are (n_pieces,), ordered by need."""

    options: Options
    """Whose needs are the pieces."""
    need: IntArray
    held: IntArray
    """Place in Standing; NOT_HELD where no line holds it."""

    @classmethod
    def of(cls, options: Options, standing: Standing) -> Self:
        """Cut needs by the lines that hold them. Their slices are cut alike, so that all pieces together are sliced as needs are."""
        units, need = standing.units.copy(), standing.rows.need
        left = options.need_units - np.bincount(need, units, len(options.needs))
        is_left = left > DUST_SHARE * options.need_units
        # Dust goes to the need's last line; what is rounding is left, so that a line that stays is what it was.
        last = np.flatnonzero(np.diff(need, append=-1))
        dust = np.where(is_left, 0.0, left)[need[last]]
        units[last] += np.where(np.abs(dust) > ROUNDING_SHARE * options.need_units[need[last]], dust, 0.0)
        rest = np.flatnonzero(is_left)
        of_need = np.concatenate([need, rest])
        order = np.argsort(of_need, kind="stable")
        held = np.append(np.arange(len(need)), np.full(len(rest), NOT_HELD))[order]
        units, of_need = np.append(units, left[rest])[order], of_need[order]
        part = options.part(of_need, np.zeros(options.capacities.available.shape))
        share = units / options.need_units[of_need]
        pieces = replace(part, need_units=units, need_slice_units=share * part.need_slice_units)
        return cls(pieces, of_need, held)

    def holds(self, standing: Standing) -> Holds:
        """Hold every piece where its line is."""
        return Holds(
            capability=np.append(standing.rows.capability, NOT_HELD)[self.held],
            start_bucket=np.append(standing.rows.start_bucket, NOT_HELD)[self.held],
        )

    def joined(self, options: Options, solution: Solution) -> Solution:
        """Put a solution's pieces together again."""
        numbers = options.number(self.need[solution.need], solution.capability, solution.start_bucket)
        number, place = np.unique(numbers, return_inverse=True)
        made, start_bucket = np.divmod(number, options.horizon.horizon_buckets)
        need, capability = np.divmod(made, max(1, len(options.capabilities.rows)))
        return replace(
            solution,
            need=need,
            capability=capability,
            start_bucket=start_bucket,
            units=np.bincount(place, solution.units, len(number)),
            shortfall_units=np.bincount(self.need, solution.shortfall_units, len(options.needs)),
        )
