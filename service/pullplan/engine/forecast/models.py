"""What does each candidate model say at each origin of one series?"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from statsforecast.models import (
    IMAPA,
    TSB,
    AutoCES,
    AutoETS,
    CrostonSBA,
    DynamicOptimizedTheta,
    SimpleExponentialSmoothingOptimized,
)

from pullplan.engine.demand import LEAST_BUCKETS, Units, fill_missing
from pullplan.engine.model import DemandClass

# A forecast this many times above anything ever seen is a model gone astray.
ASTRAY_FACTOR = 10.0

# Parameters are estimated again once the history has grown by this factor; states are updated in between.
REFIT_GROWTH = 2.0

MEDIAN = "Median"
SEASONAL_NAIVE = "SeasonalNaive"
ZERO = "Zero"
HISTORIC_MEAN = "HistoricMean"

# From simple to rich: a tie goes to the simpler one.
REGULAR = (SEASONAL_NAIVE, "SES", "AutoCES", "DynamicOptimizedTheta", "AutoETS", MEDIAN)
INTERMITTENT = (ZERO, "SES", "TSB", "CrostonSBA", "IMAPA")

# The median's members: level and trend seen four ways.
MEDIAN_OF = ("SES", "AutoCES", "DynamicOptimizedTheta", "AutoETS")

_BUILD: dict[str, Callable[[], Any]] = {
    "SES": SimpleExponentialSmoothingOptimized,
    "AutoCES": lambda: AutoCES(season_length=1, model="N"),
    "DynamicOptimizedTheta": lambda: DynamicOptimizedTheta(season_length=1),
    "AutoETS": lambda: AutoETS(season_length=1),
    "TSB": lambda: TSB(alpha_d=0.1, alpha_p=0.1),
    "CrostonSBA": CrostonSBA,
    "IMAPA": IMAPA,
}
_KEEPS_PARAMETERS = frozenset({"AutoCES", "DynamicOptimizedTheta", "AutoETS"})


@dataclass
class Candidates:
    """What the candidates said of one series at each origin; the last origin is the forecast itself.

    `forecasts` Shapes: name to (n_origins, n_steps), NaN where the history was too short.
    """

    forecasts: dict[str, Units]
    failures: dict[str, str] = field(default_factory=dict)


def candidate_names(demand_class: DemandClass, *, silent_for_long: bool) -> tuple[str, ...]:
    """List the candidates of a demand class; `Zero` only for a series that has been silent for long."""
    if demand_class in ("smooth", "erratic"):
        return REGULAR
    return INTERMITTENT if silent_for_long else INTERMITTENT[1:]


def seasonal_naive(units: Units, origin: int, n_steps: int, period: int) -> Units:
    """Repeat the last season before the origin, or the last value below one season.

    Shapes: units (n_buckets,), result (n_steps,)
    """
    known = units[:origin][~np.isnan(units[:origin])]
    if known.size == 0:
        return np.zeros(n_steps)
    if known.size < period:
        return np.full(n_steps, known[-1])
    start = int(np.flatnonzero(~np.isnan(units[:origin]))[0])
    season = fill_missing(units[start:origin])[-period:]
    return season[np.arange(n_steps) % period]


def run_candidates(
    units: Units,
    names: Sequence[str],
    *,
    origins: Sequence[int],
    factors: Sequence[tuple[Units, Units]],
    n_steps: int,
    period: int,
) -> Candidates:
    """Let every candidate forecast one series from every origin with what was known there.

    `factors` holds per origin the season's factors of the buckets before it and of the steps after it: models see
    the series without its season, and their forecast gets it back. A candidate that fails once is out.

    Shapes: units (n_buckets,), factors (origin,) and (n_steps,)
    """
    histories = [_without_season(units[:o], before) for o, (before, _) in zip(origins, factors, strict=True)]
    said = Candidates(forecasts={})
    for name in names:
        if name == MEDIAN:
            continue
        try:
            if name == SEASONAL_NAIVE:
                said.forecasts[name] = np.stack([seasonal_naive(units, o, n_steps, period) for o in origins])
            elif name == ZERO:
                said.forecasts[name] = np.zeros((len(origins), n_steps))
            else:
                said.forecasts[name] = _run_along(name, histories, [after for _, after in factors])
        except Exception as error:  # noqa: BLE001 - whatever a model raises, its series alone falls back
            said.failures[name] = f"{type(error).__name__}: {error}"
    members = [said.forecasts[name] for name in MEDIAN_OF if name in said.forecasts]
    if MEDIAN in names and len(members) > 1:
        said.forecasts[MEDIAN] = np.median(members, axis=0)
    if not said.forecasts:
        said.forecasts[HISTORIC_MEAN] = np.stack(
            [np.full(n_steps, h.mean() if h.size else np.nan) for h in histories]
        )
    return said


def _without_season(units: Units, factors: Units) -> Units:
    start = int(np.argmax(~np.isnan(units))) if not np.isnan(units).all() else units.size
    with np.errstate(divide="ignore", invalid="ignore"):
        level = units[start:] / factors[start:]
    level[factors[start:] == 0.0] = np.nan
    if np.isnan(level).all():
        return np.empty(0)
    return fill_missing(level)


def _run_along(name: str, histories: Sequence[Units], factors: Sequence[Units]) -> Units:
    n_steps = factors[-1].size
    paths = np.full((len(histories), n_steps), np.nan)
    fitted: Any = None
    n_fitted = 0
    for k, history in enumerate(histories):
        if history.size < LEAST_BUCKETS:
            continue
        if history.max() <= 0.0:
            paths[k] = 0.0
            continue
        last = k == len(histories) - 1
        refit = fitted is None or last or history.size > REFIT_GROWTH * n_fitted
        level = None if refit else fitted.forward(y=history, h=n_steps)["mean"]
        if level is None or _is_astray(level, history):
            # Parameters estimated earlier can be unstable for what came since: estimate them again.
            fitted, n_fitted = _fit(name, history), history.size
            level = fitted.predict(h=n_steps)["mean"]
            if _is_astray(level, history):
                raise ArithmeticError("the forecast left every range ever seen")
        if name not in _KEEPS_PARAMETERS:
            fitted = None
        paths[k] = np.maximum(0.0, level) * factors[k]
    return paths


def _is_astray(level: Units, history: Units) -> bool:
    return not np.all(np.isfinite(level)) or bool(level.max() > ASTRAY_FACTOR * history.max())


def _fit(name: str, history: Units) -> Any:
    model = _BUILD[name]()
    with warnings.catch_warnings():
        # AutoETS divides by the degrees of freedom that a short history leaves: the candidate loses, no harm.
        warnings.filterwarnings("ignore", "divide by zero|invalid value|overflow", RuntimeWarning)
        return model.fit(history)
