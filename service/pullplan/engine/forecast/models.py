"""What does each candidate model say at each origin of one series?"""

import math
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
    Theta,
)

from pullplan.engine.demand import LEAST_BUCKETS, Units, fill_missing
from pullplan.engine.model import ForecastProfile

# A forecast this many times above anything ever seen is a model gone astray.
ASTRAY_FACTOR = 10.0

_ASTRAY = "the forecast left every range ever seen"

# Parameters are estimated again once the history has grown by this factor; states are updated in between.
REFIT_GROWTH = 2.0

LEVEL_MEDIAN = "LevelMedian"
MEDIAN = "Median"
SEASONAL_NAIVE = "SeasonalNaive"
ZERO = "Zero"
HISTORIC_MEAN = "HistoricMean"

# Models that know a level alone are cheap enough to be estimated anew at every origin.
LEVELS = ("SES", "TSB", "CrostonSBA", "IMAPA")
TRENDS = ("Theta", "AutoCES", "DynamicOptimizedTheta", "AutoETS")

# From simple to rich: a tie goes to the simpler one.
REGULAR: dict[ForecastProfile, tuple[str, ...]] = {
    "quick": (SEASONAL_NAIVE, "SES", "TSB", "IMAPA", "Theta", LEVEL_MEDIAN, MEDIAN),
    "thorough": (
        SEASONAL_NAIVE,
        *("SES", "TSB", "IMAPA", "AutoCES", "DynamicOptimizedTheta", "AutoETS"),
        *(LEVEL_MEDIAN, MEDIAN),
    ),
}
INTERMITTENT = (ZERO, "SES", "TSB", "CrostonSBA", "IMAPA", LEVEL_MEDIAN)

_BUILD: dict[str, Callable[[], Any]] = {
    "SES": SimpleExponentialSmoothingOptimized,
    "Theta": lambda: Theta(season_length=1),
    "AutoCES": lambda: AutoCES(season_length=1, model="N"),
    "DynamicOptimizedTheta": lambda: DynamicOptimizedTheta(season_length=1),
    "AutoETS": lambda: AutoETS(season_length=1),
    "TSB": lambda: TSB(alpha_d=0.1, alpha_p=0.1),
    "CrostonSBA": CrostonSBA,
    "IMAPA": IMAPA,
}
# What these say at once, without being fitted, leaves nothing behind in them.
_STATELESS = {name: _BUILD[name]() for name in LEVELS}
MEDIANS = {LEVEL_MEDIAN: LEVELS, MEDIAN: ("SES", *TRENDS)}


def build_model(name: str) -> Any:
    """Build a candidate of the library's with the settings it competes with."""
    return _BUILD[name]()


@dataclass
class Candidates:
    """What the candidates said of one series at each origin; the last origin is the forecast itself.

    `forecasts` Shapes: name to (n_origins, n_steps), NaN where the history was too short.
    """

    forecasts: dict[str, Units]
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An origin with enough history to be forecast from: its number, what was known there, and the most of it."""

    origin: int
    history: Units
    highest: float

    def is_within_range(self, said: Units) -> bool:
        # Of eight numbers, a list is searched sooner than an array; a sum is finite only where all are.
        values: list[float] = said.tolist()
        return math.isfinite(sum(values)) and max(values) <= ASTRAY_FACTOR * self.highest


def candidate_names(
    profile: ForecastProfile, *, is_regular: bool, silent_for_long: bool = True
) -> tuple[str, ...]:
    """List the candidates of a kind of demand; `Zero` only for a series that has been silent for long."""
    if is_regular:
        return REGULAR[profile]
    return INTERMITTENT if silent_for_long else INTERMITTENT[1:]


def seasonal_naive(units: Units, origin: int, n_steps: int, period: int) -> Units:
    """Repeat the last season before the origin, or the last value below one season.

    Shapes: units (n_buckets,), result (n_steps,)
    """
    last = units[max(0, origin - period) : origin]
    if last.size == period and not np.isnan(last).any():
        return last[np.arange(n_steps) % period]
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
    refits_last: bool,
) -> Candidates:
    """Let every candidate forecast one series from every origin with what was known there.

    `factors` holds per origin the season's factors of the buckets before it and of the steps after it: models see
    the series without its season, and their forecast gets it back. A candidate that fails once is out. `refits_last`
    estimates parameters again for the forecast itself.

    Shapes: units (n_buckets,), factors (origin,) and (n_steps,)
    """
    histories = _without_season(units, origins, factors)
    asked = [
        _Asked(k, history, float(history.max()))
        for k, history in enumerate(histories)
        if history.size >= LEAST_BUCKETS
    ]
    ahead = np.stack([after for _, after in factors])
    said = Candidates(forecasts={})
    for name in names:
        if name in MEDIANS:
            continue
        try:
            if name == SEASONAL_NAIVE:
                said.forecasts[name] = np.stack([seasonal_naive(units, o, n_steps, period) for o in origins])
            elif name == ZERO:
                said.forecasts[name] = np.zeros((len(origins), n_steps))
            else:
                levels = np.full(ahead.shape, np.nan)
                if name in LEVELS:
                    _say_levels(name, asked, levels)
                else:
                    _run_along(name, asked, levels, refits_last=refits_last)
                said.forecasts[name] = np.maximum(0.0, levels) * ahead
        except Exception as error:  # noqa: BLE001 - whatever a model raises, its series alone falls back
            said.failures[name] = f"{type(error).__name__}: {error}"
    for name in MEDIANS.keys() & set(names):
        members = [said.forecasts[one] for one in MEDIANS[name] if one in said.forecasts]
        if len(members) > 1:
            said.forecasts[name] = _median(members)
    if not said.forecasts:
        said.forecasts[HISTORIC_MEAN] = np.stack(
            [np.full(n_steps, h.mean() if h.size else np.nan) for h in histories]
        )
    return said


def _without_season(
    units: Units, origins: Sequence[int], factors: Sequence[tuple[Units, Units]]
) -> list[Units]:
    """Take the season off what was known at each origin, from the first known bucket on; empty where nothing was."""
    known = ~np.isnan(units)
    start = int(np.argmax(known)) if known.any() else units.size
    is_whole = bool(known[start:].all())
    histories = []
    for origin, (before, _) in zip(origins, factors, strict=True):
        told, shares = units[start:origin], before[start:]
        if is_whole and shares.all():
            histories.append(told / shares)
            continue
        level = np.divide(told, shares, out=np.full(shares.size, np.nan), where=shares != 0.0)
        histories.append(np.empty(0) if np.isnan(level).all() else fill_missing(level))
    return histories


def _median(members: Sequence[Units]) -> Units:
    """Take the median as numpy does, which takes longer to look for what is no number. Shapes: of a member."""
    ordered = np.sort(members, axis=0)
    middle: Units = (ordered[(len(members) - 1) // 2] + ordered[len(members) // 2]) / 2
    return middle


def _say_levels(name: str, asked: Sequence[_Asked], paths: Units) -> None:
    """Write what a model that knows a level alone says of each history: a flat path. Shapes: paths (n_origins, n_steps)."""
    forecast = _STATELESS[name].forecast
    levels = [forecast(y=one.history, h=1)["mean"].item() if one.highest > 0.0 else 0.0 for one in asked]
    for one, level in zip(asked, levels, strict=True):
        # Nor is it within any range where it is no number.
        if not abs(level) <= ASTRAY_FACTOR * one.highest:
            raise ArithmeticError(_ASTRAY)
    paths[[one.origin for one in asked]] = np.array(levels)[:, None]


def _run_along(name: str, asked: Sequence[_Asked], paths: Units, *, refits_last: bool) -> None:
    """Write what a model of the library's that is fitted says of each history into the paths. Shapes: paths (n_origins, n_steps)."""
    n_steps = paths.shape[1]
    fitted: Any = None
    n_fitted = 0
    for one in asked:
        history = one.history
        if one.highest <= 0.0:
            said: Units = np.zeros(n_steps)
        else:
            refits = fitted is None or history.size > REFIT_GROWTH * n_fitted
            refits = refits or (refits_last and one is asked[-1])
            if not refits:
                said = fitted.forward(y=history, h=n_steps)["mean"]
            # Parameters estimated earlier can be unstable for what came since: estimate them again.
            if refits or not one.is_within_range(said):
                fitted, n_fitted = build_model(name).fit(history), history.size
                said = fitted.predict(h=n_steps)["mean"]
        if not one.is_within_range(said):
            raise ArithmeticError(_ASTRAY)
        paths[one.origin] = said
