"""How good were forecasts that had been made without knowing what came?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullplan.engine.demand import Units
from pullplan.engine.model import Accuracy

LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Trial:
    """One series at one origin (the number of its first bucket): what was demanded, and what had been said of it.

    `quantiles` Shapes: (3, n_steps) for p10, p50, p90, or None where the past was too short to draw them.
    """

    origin: int
    actual: Units
    forecast: Units
    naive: Units
    quantiles: Units | None


@dataclass(frozen=True)
class Scales:
    """Mean absolute seasonal and mean squared one-bucket change of a series' history, None without any."""

    absolute: float | None
    square: float | None


def scales_of(units: Units, period: int) -> Scales:
    """Measure what naive forecasts miss inside a history; seasonal from one season and a bucket on, else plain.

    Shapes: units (n_buckets,), NaN ignored
    Source: Hyndman & Koehler 2006 (MASE); the M5 guide (RMSSE).
    """
    known = units[~np.isnan(units)]
    lag = period if known.size > period else 1
    if known.size < 2:
        return Scales(None, None)
    absolute = float(np.abs(known[lag:] - known[:-lag]).mean())
    square = float(np.square(np.diff(known)).mean())
    return Scales(absolute or None, square or None)


def accuracy_of(trials: Sequence[Trial], scales: Scales) -> Accuracy:
    """Measure the forecasts of one series over its trials."""
    if not trials:
        return Accuracy()
    errors = np.concatenate([t.actual - t.forecast for t in trials])
    known = np.isfinite(errors)
    if not known.any():
        return Accuracy()
    actual = np.concatenate([t.actual for t in trials])[known]
    naive = np.concatenate([t.naive for t in trials])[known]
    errors = errors[known]
    demanded = float(actual.sum())
    pinball, coverage = _measure_quantiles(trials)
    return Accuracy(
        n_origins=len(trials),
        wape_share=_over(np.abs(errors).sum(), demanded),
        naive_wape_share=_over(np.abs(actual - naive).sum(), demanded),
        mase=_over(np.abs(errors).mean(), scales.absolute),
        rmsse=_over(np.sqrt(np.square(errors).mean()), scales.square and scales.square**0.5),
        bias_share=_over(-errors.sum(), demanded),
        pinball_units=pinball,
        coverage_share=coverage,
    )


def panel_accuracy(trials: Sequence[Sequence[Trial]], by_series: Sequence[Accuracy]) -> Accuracy:
    """Measure the whole panel: shares of its sums, and the means over series of what is scaled by series."""
    pooled = accuracy_of([trial for row in trials for trial in row], Scales(None, None))
    return Accuracy(
        n_origins=max((a.n_origins for a in by_series), default=0),
        wape_share=pooled.wape_share,
        naive_wape_share=pooled.naive_wape_share,
        mase=_mean([a.mase for a in by_series]),
        rmsse=_mean([a.rmsse for a in by_series]),
        bias_share=pooled.bias_share,
        pinball_units=pooled.pinball_units,
        coverage_share=pooled.coverage_share,
    )


def _measure_quantiles(trials: Sequence[Trial]) -> tuple[float | None, float | None]:
    drawn = [(t.actual, t.quantiles) for t in trials if t.quantiles is not None]
    if not drawn:
        return None, None
    actual = np.concatenate([a for a, _ in drawn])
    quantiles = np.concatenate([q for _, q in drawn], axis=1)
    known = np.isfinite(actual)
    if not known.any():
        return None, None
    actual, quantiles = actual[known], quantiles[:, known]
    missed = actual - quantiles
    levels = np.array(LEVELS)[:, None]
    pinball = np.maximum(levels * missed, (levels - 1) * missed)
    inside = (quantiles[0] <= actual) & (actual <= quantiles[2])
    return float(pinball.mean()), float(inside.mean())


def _over(value: float, scale: float | None) -> float | None:
    return float(value) / scale if scale else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
