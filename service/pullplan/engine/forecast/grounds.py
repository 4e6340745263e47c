"""What does a forecast rest on: which history, which candidates, and what would it have said in the past?"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import Units
from pullplan.engine.forecast.accuracy import Trial
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


def past_forecasts(trials: Sequence[Trial], first_date: date, bucket: Bucket) -> tuple[PastForecast, ...]:
    """Keep the latest trials of one series that do not overlap, in order of time."""
    kept: list[PastForecast] = []
    next_origin = np.inf
    for trial in sorted(trials, key=lambda t: -t.origin):
        if len(kept) == MOST_PAST_FORECASTS or trial.origin + trial.forecast.size > next_origin:
            continue
        next_origin = trial.origin
        bands = [] if trial.quantiles is None else trial.quantiles.tolist()
        p10, p50, p90 = (tuple(band) for band in bands) if bands else ((), (), ())
        kept.append(
            PastForecast(
                first_bucket_date=first_date + timedelta(days=trial.origin * DAYS_PER_BUCKET[bucket]),
                mean_units=tuple(trial.forecast.tolist()),
                p10_units=p10,
                p50_units=p50,
                p90_units=p90,
            )
        )
    return tuple(reversed(kept))
