"""How much of a product does a region use in a day?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers.sizing import Number, Units


def usage_per_day(buffer: npt.NDArray[np.intp], units: Units, n_buffers: int, window_days: Number) -> Units:
    """Average what a window of days saw, days without any included.

    Never rounded: a tenth of a unit a day is a tenth. Never below zero, though more may have come back than was used.

    Shapes: buffer and units (n_lines,), what came in the window in any order, result (n_buffers,)
    Source: Dynamics 365 documentation, ddmrp-buffer-profile-and-levels (average daily usage).
    """
    summed = np.bincount(buffer, weights=units, minlength=n_buffers)
    usage: Units = np.maximum(0.0, summed) / window_days
    return usage


def blended_usage(past: Number, forward: Number, past_share: Number) -> Number:
    """Mix usage of the past with usage to come. Source: Dynamics 365 documentation, blended average daily usage."""
    return past * past_share + forward * (1.0 - past_share)
