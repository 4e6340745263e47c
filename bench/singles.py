"""What would each single model of the library have said, with no pooling, no choice and no calibration of ours?"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from statsforecast.models import (
    IMAPA,
    MSTL,
    AutoCES,
    AutoETS,
    CrostonSBA,
    DynamicOptimizedTheta,
    SeasonalNaive,
)
from statsforecast.utils import ConformalIntervals

from pullplan.engine.demand import fill_missing

Units = npt.NDArray[np.float64]

BAND_PERCENT = 80
CONFORMAL_WINDOWS = 4
"""As many as the figures that pullplan is compared with rest on."""
LARGEST_ETS_PERIOD = 24
"""Beyond it the library's exponential smoothing knows no season."""
NORMAL_P90 = 1.2815515655446004

SINGLES: dict[str, Callable[[int, Any], Any]] = {
    "SeasonalNaive": lambda period, bands: SeasonalNaive(period, prediction_intervals=bands),
    "AutoETS": lambda period, bands: AutoETS(
        period if period <= LARGEST_ETS_PERIOD else 1, prediction_intervals=bands
    ),
    "AutoCES": lambda period, bands: AutoCES(period, prediction_intervals=bands),
    "DynamicOptimizedTheta": lambda period, bands: DynamicOptimizedTheta(period, prediction_intervals=bands),
    "MSTL": lambda period, bands: MSTL(period, prediction_intervals=bands),
    "CrostonSBA": lambda _, bands: CrostonSBA(prediction_intervals=bands),
    "IMAPA": lambda _, bands: IMAPA(prediction_intervals=bands),
}


def said_by_singles(units: Units, n_steps: int, period: int) -> dict[str, Units]:
    """Let every single model forecast one series, its 80 % interval by conformal prediction.

    A model that fails, or has too little history, says the last value.
    Shapes: units (n_buckets,), NaN ahead of and inside the history; result (3, n_steps): p10, p50, p90
    """
    known = ~np.isnan(units)
    if not known.any():
        return dict.fromkeys(SINGLES, np.zeros((3, n_steps)))
    history = fill_missing(units[int(np.argmax(known)) :])
    said = {}
    for name, build in SINGLES.items():
        try:
            said[name] = _banded(build, history, n_steps, period)
        except Exception:  # noqa: BLE001 - whatever the library raises on a short series
            said[name] = np.full((3, n_steps), history[-1])
    return said


def croston_with_normal_quantiles(units: Units, n_steps: int) -> Units:
    """Put a symmetric band of the history's deviation around CrostonSBA. Shapes: result (3, n_steps)."""
    mean = CrostonSBA().forecast(y=units, h=n_steps)["mean"]
    deviation = NORMAL_P90 * float(units.std())
    said: Units = np.maximum(0.0, np.stack([mean - deviation, mean, mean + deviation]))
    return said


def empirical_quantiles(units: Units, n_steps: int) -> Units:
    """Take the quantiles of all that was ever demanded. Shapes: result (3, n_steps)."""
    quantiles = np.quantile(units, [0.1, 0.5, 0.9])
    return np.repeat(quantiles[:, None], n_steps, axis=1)


def _banded(build: Callable[[int, Any], Any], history: Units, n_steps: int, period: int) -> Units:
    windows = min(CONFORMAL_WINDOWS, (history.size - 1) // n_steps - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if windows < 2:
            mean = build(period, None).forecast(y=history, h=n_steps)["mean"]
            said = np.stack([mean] * 3)
        else:
            bands = ConformalIntervals(n_windows=windows, h=n_steps)
            answer = build(period, bands).forecast(y=history, h=n_steps, level=[BAND_PERCENT])
            said = np.stack([answer[f"lo-{BAND_PERCENT}"], answer["mean"], answer[f"hi-{BAND_PERCENT}"]])
    if not np.isfinite(said).all():
        raise ArithmeticError("the model left the finite numbers")
    positive: Units = np.maximum(0.0, said)
    return positive
