"""How good was what had been said, once it was known what came?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Units = npt.NDArray[np.float64]

LEVELS = np.array([0.1, 0.5, 0.9])
LEAST_VALUES = 200
"""A share of fewer values than this says too little to be held to a mark."""


@dataclass(frozen=True)
class Said:
    """Forecasts of one series from one origin, and what came.

    Shapes: actual and mean (n_steps,), quantiles (3, n_steps)
    """

    demand_class: str
    actual: Units
    mean: Units
    quantiles: Units


@dataclass(frozen=True)
class Covered:
    """Which share of what came lay inside p10–p90, and in which share nothing came at all: no band covers less than that.

    `spread_share` counts a bucket in which nothing came by the part of the probability of nothing that lies between the levels of
    p10 and p90, and so is 0.8 of whatever is forecast rightly, also where nearly nothing comes.
    Source: the probability integral transform of counts, Czado, Gneiting & Held 2009.
    """

    share: float
    nothing_share: float
    spread_share: float
    n_values: int


@dataclass(frozen=True)
class Score:
    wape_of_p50: float
    pinball_units: float
    bias_share: float
    coverage_share: float
    coverage_by_class: dict[str, Covered]
    coverage_by_step: list[Covered]


def score(said: list[Said]) -> Score:
    """Score forecasts over all series, origins and steps where anything was heard."""
    actual = np.stack([one.actual for one in said])
    mean = np.stack([one.mean for one in said])
    quantiles = np.stack([one.quantiles for one in said], axis=1)
    known = np.isfinite(actual)
    demanded = actual[known].sum()
    missed = (actual - quantiles)[:, known]
    pinball = np.maximum(LEVELS[:, None] * missed, (LEVELS[:, None] - 1) * missed)
    inside = (quantiles[0] <= actual) & (actual <= quantiles[2])
    classes = np.array([one.demand_class for one in said])
    by_class = {
        name: _covered(actual[counted], quantiles[:, counted])
        for name in sorted({*classes})
        for counted in [known & (classes == name)[:, None]]
    }
    by_step = [_covered(actual[known[:, s], s], quantiles[:, known[:, s], s]) for s in range(actual.shape[1])]
    return Score(
        wape_of_p50=float(np.abs(missed[1]).sum() / demanded),
        pinball_units=float(pinball.mean()),
        bias_share=float(mean[known].sum() / demanded - 1),
        coverage_share=float(inside[known].mean()),
        coverage_by_class={name: one for name, one in by_class.items() if one.n_values >= LEAST_VALUES},
        coverage_by_step=[one for one in by_step if one.n_values >= LEAST_VALUES],
    )


def _covered(actual: Units, quantiles: Units) -> Covered:
    """Shapes: actual (n_values,), quantiles (3, n_values)."""
    if actual.size == 0:
        return Covered(float("nan"), float("nan"), float("nan"), 0)
    inside = (quantiles[0] <= actual) & (actual <= quantiles[2])
    is_nothing = actual == 0
    spread = inside.astype(float)
    n_levels_at_nothing = (quantiles == 0).sum(axis=0)
    bounds = np.append(LEVELS, 1.0)
    for n_levels in range(1, LEVELS.size + 1):
        alike = n_levels_at_nothing == n_levels
        if alike.any():
            # What the levels leave open of the probability of nothing is what it was among all that were forecast alike.
            chance = np.clip(is_nothing[alike].mean(), bounds[n_levels - 1], bounds[n_levels])
            spread[alike & is_nothing] = (min(chance, LEVELS[-1]) - LEVELS[0]) / chance
    return Covered(float(inside.mean()), float(is_nothing.mean()), float(spread.mean()), actual.size)


def symmetric_error(actual: Units, said: Units) -> float:
    """Measure sMAPE in percent over a series' horizon, as the M3 competition does."""
    return float(np.mean(200 * np.abs(actual - said) / (np.abs(actual) + np.abs(said))))
