"""How much of a product does a region use in a day?"""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from pullplan.engine.buffers.sizing import Number, Units


def usage_per_day(
    buffer: npt.NDArray[np.intp], units: Units, n_buffers: int, window_days: int, excluded_units: Number = 0.0
) -> Units:
    """Average what a window of days saw, days without any included; exceptional units are left out, their day is not.

    Never rounded: a tenth of a unit a day is a tenth.

    Shapes: buffer and units (n_lines,), what came in the window in any order, result (n_buffers,)
    Source: Dynamics 365 documentation, ddmrp-buffer-profile-and-levels (average daily usage).
    """
    summed = np.bincount(buffer, weights=units, minlength=n_buffers) - excluded_units
    usage: Units = np.maximum(0.0, summed) / window_days
    return usage


def past_window(today: date, window_days: int) -> tuple[date, date]:
    """Tell the days of past usage, half-open: the last ones before today, which is not over yet."""
    return today - timedelta(days=window_days), today


def blended_usage(past: Number, forward: Number, past_share: Number) -> Number:
    """Mix usage of the past with usage to come. Source: Dynamics 365 documentation, blended average daily usage."""
    return past * past_share + forward * (1.0 - past_share)
