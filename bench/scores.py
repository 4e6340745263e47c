"""How good was what had been said, once it was known what came?"""

from collections import defaultdict
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
class Score:
    wape_of_p50: float
    pinball_units: float
    bias_share: float
    coverage_share: float
    coverage_by_class: dict[str, float]
    coverage_by_step: list[float]


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
    by_class: dict[str, list[bool]] = defaultdict(list)
    for one, known_row, inside_row in zip(said, known, inside, strict=True):
        by_class[one.demand_class] += inside_row[known_row].tolist()
    return Score(
        wape_of_p50=float(np.abs(missed[1]).sum() / demanded),
        pinball_units=float(pinball.mean()),
        bias_share=float(mean[known].sum() / demanded - 1),
        coverage_share=float(inside[known].mean()),
        coverage_by_class={
            name: float(np.mean(values)) for name, values in by_class.items() if len(values) >= LEAST_VALUES
        },
        coverage_by_step=[float(inside[known[:, s], s].mean()) for s in range(actual.shape[1])],
    )


def symmetric_error(actual: Units, said: Units) -> float:
    """Measure sMAPE in percent over a series' horizon, as the M3 competition does."""
    return float(np.mean(200 * np.abs(actual - said) / (np.abs(actual) + np.abs(said))))
