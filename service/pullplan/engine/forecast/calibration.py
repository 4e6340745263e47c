"""By how much must bands be widened or narrowed, going by what they covered of demand that came later?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units

COVERED_SHARE = 0.8

# Trials that count as much as what the paths alone say; few trials move a band little.
TRUSTED_TRIALS = 2.0
LEAST_VALUES = 100
SCALE_LIMITS = (1 / 3, 3.0)


@dataclass(frozen=True)
class TriedBand:
    """Bands as they had been drawn at one origin, and what came. Shapes: band (3, n_series, n_steps), actual (n_series, n_steps)."""

    band: Units
    actual: Units


def band_scales(tried: Sequence[TriedBand], kinds: NDArray[np.intp], *, floored: NDArray[np.bool_]) -> Units:
    """Tell for every series by which factors p10 and p90 move away from p50, by the kind of demand.

    Each side gets its tenth; where p10 lies on the floor of nothing (`floored`) no demand can lie below it, so the
    whole fifth lies above.

    Shapes: kinds and floored (n_series,), result (2, n_series)
    Source: split-conformal prediction of quantiles, scaled (Romano, Patterson & Candès 2019), per class.
    """
    scales = np.ones((2, kinds.size))
    weight = len(tried) / (len(tried) + TRUSTED_TRIALS)
    for kind in np.unique(kinds):
        rows = kinds == kind
        on_floor = bool(floored[rows].all())
        for side, sign in ((0, -1.0), (1, 1.0)):
            if side == 0 and on_floor:
                continue
            ratios = [_ratios(one, rows, side, sign) for one in tried]
            values = np.concatenate(ratios) if ratios else np.empty(0)
            if values.size < LEAST_VALUES:
                continue
            level = COVERED_SHARE if on_floor else (1 + COVERED_SHARE) / 2
            needed = float(np.quantile(values, level, method="lower"))
            scales[side, rows] = np.clip(needed, *SCALE_LIMITS) ** weight
    return scales


def _ratios(one: TriedBand, rows: NDArray[np.bool_], side: int, sign: float) -> Units:
    """How many band widths beyond p50 did demand lie on one side?"""
    middle, edge, actual = one.band[1, rows], one.band[2 * side, rows], one.actual[rows]
    known = np.isfinite(actual) & np.isfinite(edge)
    beyond, width = sign * (actual - middle)[known], np.abs(edge - middle)[known]
    outside = np.where(beyond > 0, np.inf, 0.0)
    ratios: Units = np.divide(beyond, width, out=outside, where=width > 0)
    return ratios


def stretched(band: Units, scales: Units, *, whole: NDArray[np.bool_] | bool) -> Units:
    """Move p10 and p90 away from p50 by their factors, and round where the unit is a piece.

    Shapes: band (3, …, n_steps), scales (2, …), whole (…), result (3, …, n_steps)
    """
    lower, middle, upper = band
    moved = np.stack([
        np.maximum(0.0, middle - scales[0][..., None] * (middle - lower)),
        middle,
        middle + scales[1][..., None] * (upper - middle),
    ])  # fmt: skip
    result: Units = np.where(np.asarray(whole)[..., None], np.rint(moved), moved)
    return result
