"""What does a forecast rest on: which history, which candidates, and what would it have said in the past?"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import History, Units
from pullplan.engine.forecast.accuracy import Trials
from pullplan.engine.forecast.backtest import UNTRIED_SCORE, Field, Standing, rank_candidates
from pullplan.engine.forecast.tournament import Panel, score_name
from pullplan.engine.model import Bucket, Candidate, Grounds, Mark, PastForecast

# Past forecasts that are kept for people to look at: most of a year of weeks at the default horizon.
MOST_PAST_FORECASTS = 6


def history_grounds(
    demanded: Units, used: Units, marks: Mapping[int, Mark], first_date: date, bucket: Bucket
) -> Grounds:
    """Keep a series' history from its first demand on, what is missing as None.

    Shapes: demanded and used (n_buckets,), marks bucket to mark
    """
    known = np.flatnonzero(~np.isnan(demanded))
    if known.size == 0:
        return Grounds()
    start = int(known[0])
    history = _known(demanded[start:])
    return Grounds(
        history_first_date=first_date + timedelta(days=start * DAYS_PER_BUCKET[bucket]),
        history_units=history,
        history_used_units=_known(used[start:]) if marks else history,
        history_marks=tuple(map(marks.get, range(start, demanded.size))),
    )


def _known(units: Units) -> tuple[float | None, ...]:
    if np.isnan(units).any():
        return tuple(None if math.isnan(value) else value for value in units.tolist())
    return tuple(units.tolist())


def candidates_of(panel: Panel) -> list[tuple[Candidate, ...]]:
    """Rank every series' candidates over all origins; those that failed stand last, with the cause."""
    every = np.ones(panel.origins.size, dtype=bool)
    ranked: list[tuple[Candidate, ...]] = [()] * len(panel.pairs)
    for field in panel.fields:
        standing = rank_candidates(
            field, every, panel.n_scored_steps, stretches_per_origin=panel.stretches_per_origin
        )
        order = standing.order
        for at, row in enumerate(field.rows):
            able = [int(c) for c in order[at] if np.isfinite(standing.score[at, c])]
            failed = sorted(field.failures[at].items())
            ranked[row] = (
                *(_candidate(field, standing, at, c) for c in able),
                *(Candidate(model=name, failure=cause) for name, cause in failed),
            )
    return ranked


def usual_scores(panel: Panel) -> dict[str, float]:
    """Tell what each kind's candidates scored in the mean over its series."""
    every = np.ones(panel.origins.size, dtype=bool)
    return {
        score_name(name, is_regular=field.is_regular): float(score)
        for field in panel.fields
        for name, score in zip(
            field.names,
            rank_candidates(
                field, every, panel.n_scored_steps, stretches_per_origin=panel.stretches_per_origin
            ).usual,
            strict=True,
        )
    }


def _candidate(field: Field, standing: Standing, at: int, c: int) -> Candidate:
    score, bias = float(standing.score[at, c]), float(standing.bias_share[at, c])
    return Candidate(
        model=field.names[c],
        score=score if score < UNTRIED_SCORE / 2 else None,
        bias_share=None if np.isnan(bias) else bias,
        is_biased=bool(standing.is_biased[at, c]),
    )


def past_forecasts(trials: Trials, history: History) -> list[tuple[PastForecast, ...]]:
    """Keep the latest trials of every series that do not overlap, in order of time. Shapes: result (n_series,)."""
    dates = [history.date_of(origin) for origin in trials.origins.tolist()]
    is_drawn = np.isfinite(trials.quantiles).all(axis=(0, 3)).tolist()
    kept = []
    for row, is_tried in enumerate(trials.is_tried):
        apart = _apart(np.flatnonzero(is_tried), trials)
        means, bands = trials.forecasts[row, apart].tolist(), trials.quantiles[:, row, apart].tolist()
        kept.append(
            tuple(
                _past_forecast(dates[k], mean, band if is_drawn[row][k] else ((), (), ()))
                for k, mean, *band in zip(apart, means, *bands, strict=True)
            )
        )
    return kept


def _apart(tried: NDArray[np.intp], trials: Trials) -> list[int]:
    """Choose the latest origins that lie a horizon apart, in order of time."""
    n_steps = trials.forecasts.shape[2]
    apart: list[int] = []
    for k in reversed(tried.tolist()):
        is_free = not apart or trials.origins[k] + n_steps <= trials.origins[apart[-1]]
        if is_free and len(apart) < MOST_PAST_FORECASTS:
            apart.append(k)
    return apart[::-1]


def _past_forecast(first_date: date, mean: Sequence[float], band: Sequence[Sequence[float]]) -> PastForecast:
    p10, p50, p90 = map(tuple, band)
    return PastForecast(
        first_bucket_date=first_date, mean_units=tuple(mean), p10_units=p10, p50_units=p50, p90_units=p90
    )
