"""How good were forecasts that had been made without knowing what came?"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Units
from pullplan.engine.model import Accuracy

LEVELS = (0.1, 0.5, 0.9)

# So many series are measured at once: what is held meanwhile is bounded.
_BLOCK_SERIES = 512


@dataclass(frozen=True)
class Trials:
    """Series at origins (the numbers of their first buckets, rising): what was demanded, and what had been said of it.

    Where `is_tried` holds, something was said and some of the demand is known. Quantiles are NaN where the past was too
    short to draw them.

    Shapes: origins (n_origins,), is_tried (n_series, n_origins), actuals, forecasts and naives (n_series, n_origins,
    n_steps), quantiles (3, n_series, n_origins, n_steps) for p10, p50, p90
    """

    origins: NDArray[np.intp]
    is_tried: NDArray[np.bool_]
    actuals: Units
    forecasts: Units
    naives: Units
    quantiles: Units

    @classmethod
    def none(cls, n_series: int, origins: NDArray[np.intp], n_steps: int) -> "Trials":
        """Make room for them."""
        shape = (n_series, origins.size, n_steps)
        rooms = (np.full(of, np.nan) for of in (shape, shape, shape, (len(LEVELS), *shape)))
        return cls(origins, np.zeros(shape[:2], dtype=bool), *rooms)

    def of(self, rows: slice) -> "Trials":
        """Take those of some series."""
        return Trials(
            self.origins,
            self.is_tried[rows],
            *(self.actuals[rows], self.forecasts[rows], self.naives[rows], self.quantiles[:, rows]),
        )


@dataclass(frozen=True)
class Scales:
    """Mean absolute seasonal and mean squared one-bucket change of histories, NaN without any. Shapes: (n_series,)."""

    absolute: Units
    square: Units


@dataclass(frozen=True)
class Tally:
    """What trials add up to, by series. Shapes: (n_series,)."""

    n_origins: Units
    n_known: Units
    """Steps of which the demand is known."""
    demanded: Units
    missed: Units
    """Actual − forecast."""
    missed_absolute: Units
    missed_square: Units
    missed_naive: Units
    n_drawn: Units
    """Known steps with quantiles."""
    pinball: Units
    """Of all quantiles."""
    n_inside: Units

    def together(self) -> "Tally":
        """Add all series up. Shapes: (1,)."""
        return Tally(*(getattr(self, f.name).sum(keepdims=True) for f in fields(self)))


def scales_of(units: Units, period: int) -> Scales:
    """Measure what naive forecasts miss inside histories; seasonal from one season and a bucket on, else plain.

    Shapes: units (n_series, n_buckets), NaN ignored
    Source: Hyndman & Koehler 2006 (MASE); the M5 guide (RMSSE).
    """
    missing = np.isnan(units)
    scales = Scales(np.full(units.shape[0], np.nan), np.full(units.shape[0], np.nan))
    # Those that begin in the same bucket and are known from there on are measured side by side.
    starts = np.logical_and.accumulate(missing, axis=1).sum(axis=1)
    is_whole = missing.sum(axis=1) == starts
    for start in np.unique(starts[is_whole]).tolist():
        alike = np.flatnonzero(is_whole & (starts == start))
        for first in range(0, alike.size, _BLOCK_SERIES):
            rows = alike[first : first + _BLOCK_SERIES]
            scales.absolute[rows], scales.square[rows] = _changes(units[rows, start:], period)
    for i in np.flatnonzero(~is_whole).tolist():
        ((scales.absolute[i],), (scales.square[i],)) = _changes(units[i][~missing[i]][None], period)
    return scales


def _changes(known: Units, period: int) -> tuple[Units, Units]:
    """Shapes: known (n, n_buckets), results (n,)."""
    lag = period if known.shape[1] > period else 1
    if known.shape[1] <= lag:
        unknown = np.full(known.shape[0], np.nan)
        return unknown, unknown
    absolute = np.abs(known[:, lag:] - known[:, :-lag]).mean(axis=1)
    return absolute, np.square(np.diff(known, axis=1)).mean(axis=1)


def tally_of(trials: Trials) -> Tally:
    """Add up what the trials of each series tell."""
    n_series = trials.is_tried.shape[0]
    sums = np.empty((len(fields(Tally)), n_series))
    for first in range(0, n_series, _BLOCK_SERIES):
        rows = slice(first, min(n_series, first + _BLOCK_SERIES))
        sums[:, rows] = _sums(trials.of(rows))
    return Tally(*sums)


def _sums(trials: Trials) -> list[Units]:
    """Add up in the order of Tally."""
    n_series = trials.is_tried.shape[0]
    errors = trials.actuals - trials.forecasts
    known = trials.is_tried[:, :, None] & np.isfinite(errors)
    is_drawn = trials.is_tried & np.isfinite(trials.quantiles).all(axis=(0, 3))
    drawn = is_drawn[:, :, None] & np.isfinite(trials.actuals)
    beyond = np.where(drawn, trials.actuals - trials.quantiles, 0.0)
    levels = np.array(LEVELS)[:, None, None, None]
    pinball = np.maximum(levels * beyond, (levels - 1) * beyond).transpose(1, 0, 2, 3)
    inside = drawn & (trials.quantiles[0] <= trials.actuals) & (trials.actuals <= trials.quantiles[2])
    missed = np.where(known, errors, 0.0)
    summed: tuple[NDArray[Any], ...] = (
        trials.is_tried, known, np.where(known, trials.actuals, 0.0), missed, np.abs(missed), np.square(missed),
        np.where(known, np.abs(trials.actuals - trials.naives), 0.0), drawn, pinball, inside,
    )  # fmt: skip
    return [values.reshape(n_series, -1).sum(axis=1) for values in summed]


def measured(tally: Tally, scales: Scales | None = None) -> list[Accuracy]:
    """Measure the forecasts of series by what their trials add up to; without scales, scaled measures stay None.

    Shapes: result (n_series,)
    """
    unknown = np.full(tally.n_known.size, np.nan)
    scales = scales or Scales(unknown, unknown)
    n_known = np.where(tally.n_known > 0, tally.n_known, np.nan)
    columns = {
        "wape_share": _over(tally.missed_absolute, tally.demanded),
        "naive_wape_share": _over(tally.missed_naive, tally.demanded),
        "mase": _over(tally.missed_absolute / n_known, scales.absolute),
        "rmsse": _over(np.sqrt(tally.missed_square / n_known), np.sqrt(scales.square)),
        "bias_share": _over(-tally.missed, tally.demanded),
        "pinball_units": _over(tally.pinball, len(LEVELS) * tally.n_drawn),
        "coverage_share": _over(tally.n_inside, tally.n_drawn),
    }
    rows = zip(tally.n_origins.astype(int).tolist(), *columns.values(), strict=True)
    return [Accuracy(n_origins=n, **dict(zip(columns, row, strict=True))) for n, *row in rows]


@dataclass(frozen=True)
class Trial:
    """One series at one origin (the number of its first bucket): what was demanded, and what had been said of it.

    Shapes: actual, forecast and naive (n_steps,), quantiles (3, n_steps) for p10, p50, p90
    """

    origin: int
    actual: Units
    forecast: Units
    naive: Units
    quantiles: Units


def accuracy_of(trials: Sequence[Trial]) -> Accuracy:
    """Measure some trials together."""
    if not trials:
        return Accuracy()
    together = Trials(
        origins=np.array([t.origin for t in trials], dtype=np.intp),
        is_tried=np.ones((1, len(trials)), dtype=bool),
        actuals=np.array([[t.actual for t in trials]]),
        forecasts=np.array([[t.forecast for t in trials]]),
        naives=np.array([[t.naive for t in trials]]),
        quantiles=np.stack([t.quantiles for t in trials], axis=1)[:, None],
    )
    (measured_so,) = measured(tally_of(together))
    return measured_so


def panel_accuracy(tally: Tally, by_series: list[Accuracy]) -> Accuracy:
    """Measure the whole panel: shares of its sums, and the means over series of what is scaled by series."""
    (pooled,) = measured(tally.together())
    return Accuracy(
        n_origins=max((a.n_origins for a in by_series), default=0),
        wape_share=pooled.wape_share,
        naive_wape_share=pooled.naive_wape_share,
        mase=_mean_of_told([a.mase for a in by_series]),
        rmsse=_mean_of_told([a.rmsse for a in by_series]),
        bias_share=pooled.bias_share,
        pinball_units=pooled.pinball_units,
        coverage_share=pooled.coverage_share,
    )


def _over(values: Units, scale: Units) -> list[float | None]:
    """Divide; None where there is nothing to divide, or next to nothing to divide by."""
    with np.errstate(over="ignore"):
        shares = np.divide(values, scale, out=np.full(values.size, np.nan), where=scale > 0)
    return [
        share if is_told else None
        for share, is_told in zip(shares.tolist(), np.isfinite(shares), strict=True)
    ]


def _mean_of_told(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
