"""What does a forecast rest on: which history, which candidates, and what would it have said in the past?"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import History, Units
from pullplan.engine.forecast.accuracy import Trials
from pullplan.engine.forecast.backtest import UNTRIED_SCORE
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
    known = ~np.isnan(demanded)
    if not known.any():
        return Grounds()
    start = int(known.argmax())
    history = _known(demanded[start:])
    return Grounds(
        history_first_date=first_date + timedelta(days=start * DAYS_PER_BUCKET[bucket]),
        history_units=history,
        history_used_units=_known(used[start:]) if marks else history,
        history_marks=tuple(map(marks.get, range(start, demanded.size))) if marks else (None,) * len(history),
    )


def _known(units: Units) -> tuple[float | None, ...]:
    values = units.tolist()
    # A sum is a number only where all are.
    return (
        tuple(None if math.isnan(value) else value for value in values)
        if math.isnan(sum(values))
        else tuple(values)
    )


def candidates_of(panel: Panel) -> list[tuple[Candidate, ...]]:
    """Rank every series' candidates over all origins; those that failed stand last, with the cause."""
    ranked: list[tuple[Candidate, ...]] = [()] * len(panel.pairs)
    for field, standing in zip(panel.fields, panel.standings, strict=True):
        n_able = np.isfinite(standing.score).sum(axis=1)
        columns = (
            field.rows,
            n_able,
            standing.order,
            standing.score,
            standing.bias_share,
            standing.is_biased,
        )
        rows = zip(*(column.tolist() for column in columns), field.failures, strict=True)
        for row, n, order, scores, biases, is_biased, failures in rows:
            # Who can't be chosen comes last.
            ranked[row] = (
                *(_candidate(field.names[c], scores[c], biases[c], is_biased[c]) for c in order[:n]),
                *(Candidate(model=name, failure=cause) for name, cause in sorted(failures.items())),
            )
    return ranked


def usual_scores(panel: Panel) -> dict[str, float]:
    """Tell what each kind's candidates scored in the mean over its series."""
    return {
        score_name(name, is_regular=field.is_regular): float(score)
        for field, standing in zip(panel.fields, panel.standings, strict=True)
        for name, score in zip(field.names, standing.usual, strict=True)
    }


def _candidate(name: str, score: float, bias_share: float, is_biased: bool) -> Candidate:
    return Candidate(
        model=name,
        score=score if score < UNTRIED_SCORE / 2 else None,
        bias_share=None if math.isnan(bias_share) else bias_share,
        is_biased=is_biased,
    )


def past_forecasts(trials: Trials, history: History) -> list[tuple[PastForecast, ...]]:
    """Keep the latest trials of every series that do not overlap, in order of time. Shapes: result (n_series,)."""
    dates = [history.date_of(origin) for origin in trials.origins.tolist()]
    n_steps = trials.forecasts.shape[2]
    is_drawn = np.isfinite(trials.quantiles).all(axis=(0, 3)).tolist()
    apart_of: dict[bytes, list[int]] = {}
    kept = []
    for row, is_tried in enumerate(trials.is_tried):
        # Most series are tried at the same origins.
        known = is_tried.tobytes()
        if known not in apart_of:
            apart_of[known] = _apart(np.flatnonzero(is_tried), trials.origins, n_steps)
        apart = apart_of[known]
        means, bands = trials.forecasts[row, apart].tolist(), trials.quantiles[:, row, apart].tolist()
        kept.append(
            tuple(
                _past_forecast(dates[k], mean, band if is_drawn[row][k] else ((), (), ()))
                for k, mean, *band in zip(apart, means, *bands, strict=True)
            )
        )
    return kept


def _apart(tried: NDArray[np.intp], origins: NDArray[np.intp], n_steps: int) -> list[int]:
    """Choose the latest origins that lie a horizon apart, in order of time."""
    apart: list[int] = []
    for k in reversed(tried.tolist()):
        is_free = not apart or origins[k] + n_steps <= origins[apart[-1]]
        if is_free and len(apart) < MOST_PAST_FORECASTS:
            apart.append(k)
    return apart[::-1]


def _past_forecast(first_date: date, mean: Sequence[float], band: Sequence[Sequence[float]]) -> PastForecast:
    p10, p50, p90 = map(tuple, band)
    return PastForecast(
        first_bucket_date=first_date, mean_units=tuple(mean), p10_units=p10, p50_units=p50, p90_units=p90
    )
