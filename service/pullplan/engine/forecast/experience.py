"""How did the forecasts that were in force fare, now that their actuals have come?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.demand import Pair
from pullplan.engine.forecast.accuracy import Trial, accuracy_of
from pullplan.engine.forecast.models import seasonal_naive
from pullplan.engine.forecast.season import SEASONS
from pullplan.engine.model import Bucket, Experience, ForecastsInForce, Grounds

# A quarter of weeks, four weeks of days: long enough to tell drift from chance, short enough to be about the present.
JUDGED_BUCKETS: dict[Bucket, int] = {"week": 13, "day": 28}

# Below so many buckets a tracking signal says nothing; beyond the limit the forecast has lost its series.
LEAST_TRACKED_BUCKETS = 6
TRACKING_LIMIT = 4.0


def judge_forecasts_in_force(
    pairs: Sequence[Pair], grounds: Sequence[Grounds], bucket: Bucket, in_force: ForecastsInForce
) -> tuple[tuple[Grounds, ...], Experience]:
    """Compare what had been forecast of the latest buckets with what came: by series, and all together.

    Buckets whose history is marked (silent, promoted, out of stock, a lone spike) are not judged.

    Shapes: pairs and grounds (n_series,), result (n_series,)
    """
    said = _said_by_pair(in_force)
    every = [
        _trials_of(of_series, said[pair], bucket) for pair, of_series in zip(pairs, grounds, strict=True)
    ]
    judged = tuple(
        msgspec.structs.replace(of_series, experience=_experience_of(trials))
        for of_series, trials in zip(grounds, every, strict=True)
    )
    together = _experience_of([trial for trials in every for trial in trials])
    n_drifted = sum(of_series.experience.has_drifted for of_series in judged)
    return judged, msgspec.structs.replace(
        together,
        n_buckets=len({trial.origin for trials in every for trial in trials}),
        tracking_signal=None,
        has_drifted=False,
        n_drifted_series=n_drifted,
    )


def _said_by_pair(in_force: ForecastsInForce) -> Mapping[Pair, dict[date, tuple[float, ...]]]:
    said: defaultdict[Pair, dict[date, tuple[float, ...]]] = defaultdict(dict)
    pairs = zip(in_force.product_codes, in_force.region_codes, strict=True)
    columns = (in_force.mean_units, in_force.p10_units, in_force.p50_units, in_force.p90_units)
    for pair, day, *values in zip(pairs, in_force.bucket_dates, *columns, strict=True):
        said[pair][day] = tuple(values)
    return said


def _trials_of(of_series: Grounds, said: Mapping[date, tuple[float, ...]], bucket: Bucket) -> list[Trial]:
    """Put each judged bucket of a series beside its forecast in force; its origin is its day's number."""
    if of_series.history_first_date is None or not said:
        return []
    first, step = of_series.history_first_date, timedelta(days=DAYS_PER_BUCKET[bucket])
    units = np.array([np.nan if u is None else u for u in of_series.history_units])
    trials = []
    for b in range(max(1, units.size - JUDGED_BUCKETS[bucket]), units.size):
        day = first + b * step
        if of_series.history_marks[b] is None and day in said:
            mean, *quantiles = said[day]
            naive = seasonal_naive(units, b, 1, SEASONS[bucket].period)
            band = np.array(quantiles)[:, None]
            trials.append(Trial(day.toordinal(), units[b : b + 1], np.array([mean]), naive, band))
    return trials


def _experience_of(trials: Sequence[Trial]) -> Experience:
    """Measure what was said beside what came.

    The tracking signal is the sum of errors ÷ their mean absolute value: it grows with every error on the same side.

    Source: Brown, Smoothing, Forecasting and Prediction of Discrete Time Series, 1963 (limits of 4 to 6).
    """
    measured = accuracy_of(trials)
    errors = np.array([float(t.actual[0] - t.forecast[0]) for t in trials])
    spread = float(np.abs(errors).mean()) if errors.size else 0.0
    tracking = None
    if errors.size >= LEAST_TRACKED_BUCKETS:
        tracking = float(errors.sum()) / spread if spread > 0 else 0.0
    value_added = None
    if measured.wape_share is not None and measured.naive_wape_share is not None:
        value_added = measured.naive_wape_share - measured.wape_share
    return Experience(
        n_buckets=len(trials),
        wape_share=measured.wape_share,
        value_added_share=value_added,
        bias_share=measured.bias_share,
        coverage_share=measured.coverage_share,
        tracking_signal=tracking,
        has_drifted=tracking is not None and abs(tracking) > TRACKING_LIMIT,
    )
