"""Which model would have served each series best, judged from origins in its past?"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import LEAST_BUCKETS, Units
from pullplan.engine.model import ForecastProfile

# A year of weeks at half a horizon of eight, or at a whole one.
MOST_ORIGINS: dict[ForecastProfile, int] = {"quick": 7, "thorough": 13}
STRIDES_PER_HORIZON: dict[ForecastProfile, int] = {"quick": 1, "thorough": 2}

# The veto on bias: so large a share of demand, and so many standard errors; and the demand and the number of horizons below
# which it says nothing.
BIAS_LIMIT = 0.15
BIAS_STANDARD_ERRORS = 3.0
BIAS_LEAST_UNITS = 20.0
BIAS_LEAST_STRETCHES = 3.0

# A series' own score counts as much as its kind's mean once it rests on so many horizons that do not overlap.
OWN_STRETCHES = 40.0

# Far above what any tried candidate's score can be, which is relative to their mean.
UNTRIED_SCORE = 1e6

# So many series are compared at once.
_BLOCK_SERIES = 256


@dataclass(frozen=True)
class Field:
    """Series of one kind along the origins: what was demanded, and what each candidate had said.

    `rows` are their places in the panel. Forecasts are NaN where a candidate was not asked, failed, or had too little
    history; the last origin is the forecast itself.

    `usual` is what candidates score in the mean over a whole panel's series of the kind, where these are a few of them.

    Shapes: rows (n_series,), actuals (n_series, n_origins, n_steps),
    forecasts (n_series, n_candidates, n_origins + 1, n_steps), usual (n_candidates,)
    """

    is_regular: bool
    rows: NDArray[np.intp]
    names: tuple[str, ...]
    actuals: Units
    forecasts: Units
    failures: list[dict[str, str]]
    usual: Units | None = None


@dataclass(frozen=True)
class Standing:
    """What the scored origins say of each candidate of each series.

    `score` is the mean squared error ÷ its mean over candidates, blended with the kind's; inf for who cannot be chosen.

    Shapes: (n_series, n_candidates), usual (n_candidates,)
    """

    score: Units
    usual: Units
    bias_share: Units
    is_biased: NDArray[np.bool_]

    @property
    def order(self) -> NDArray[np.intp]:
        """Each series' candidates, the one to choose first; a biased one comes after all others that can answer."""
        return np.lexsort(
            (self.score, self.is_biased & np.isfinite(self.score), np.isinf(self.score)), axis=1
        )


def backtest_origins(n_buckets: int, n_steps: int, period: int, profile: ForecastProfile) -> list[int]:
    """List the buckets from which the past is forecast again, each with all its steps known, oldest first.

    Origins lie in the second half of the history; behind two full seasons where half a year's origins fit there.
    """
    last, most = n_buckets - n_steps, MOST_ORIGINS[profile]
    stride = max(1, n_steps // STRIDES_PER_HORIZON[profile])
    first = max(LEAST_BUCKETS, n_buckets // 2)
    if last - 2 * period >= stride * (most // 2):
        first = max(first, 2 * period)
    return list(range(last, min(first, max(LEAST_BUCKETS, last)) - 1, -stride))[:most][::-1]


def rank_candidates(
    field: Field, scored: NDArray[np.bool_], n_scored_steps: int, *, stretches_per_origin: float
) -> Standing:
    """Score each series' candidates by squared error over the scored origins, with a veto on bias.

    `stretches_per_origin` is the share of a horizon between two origins.

    Shapes: scored (n_origins,)
    """
    compared = _compared(field, scored, n_scored_steps)
    answers, n_compared = compared.answers, compared.n_compared
    squares = compared.squares / np.maximum(1, n_compared)[:, None]
    own = np.where(answers & (n_compared > 0)[:, None], _over_row_mean(squares, answers), np.nan)
    n_own = np.isfinite(own).sum(axis=0)
    # Who has never been tried comes after all others, and of these the last named, the widest median, first.
    untried = UNTRIED_SCORE - np.arange(n_own.size)
    usual = np.divide(np.nansum(own, axis=0), n_own, out=untried, where=n_own > 0)
    if field.usual is not None:
        usual = field.usual
    stretches = compared.is_tried.sum(axis=1)[:, None] * stretches_per_origin
    weight = stretches / (stretches + OWN_STRETCHES)
    score = weight * np.where(np.isnan(own), usual, own) + (1 - weight) * usual
    missed = compared.missed.sum(axis=2)
    bias = np.divide(
        missed,
        compared.demanded[:, None],
        out=np.full(missed.shape, np.nan),
        where=(compared.demanded[:, None] >= BIAS_LEAST_UNITS) & (stretches >= BIAS_LEAST_STRETCHES),
    )
    is_biased = (np.abs(np.nan_to_num(bias)) > BIAS_LIMIT) & _beyond_chance(
        compared.missed, compared.is_tried, stretches_per_origin
    )
    return Standing(np.where(answers, score, np.inf), usual, bias, is_biased)


@dataclass(frozen=True)
class _Compared:
    """What candidates missed where all of a series that answer had spoken.

    Shapes: answers and squares (n_series, n_candidates), missed (n_series, n_candidates, n_origins),
    is_tried (n_series, n_origins), n_compared and demanded (n_series,)
    """

    answers: NDArray[np.bool_]
    squares: Units
    missed: Units
    """Forecast − actual."""
    is_tried: NDArray[np.bool_]
    n_compared: NDArray[np.intp]
    demanded: Units


def _compared(field: Field, scored: NDArray[np.bool_], n_scored_steps: int) -> _Compared:
    """Look at some series at a time: every step of every candidate would be held several times over."""
    blocks = [
        _compared_block(field, slice(first, first + _BLOCK_SERIES), scored, n_scored_steps)
        for first in range(0, field.rows.size, _BLOCK_SERIES)
    ]
    return _Compared(*(np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(_Compared)))


def _compared_block(field: Field, rows: slice, scored: NDArray[np.bool_], n_scored_steps: int) -> _Compared:
    forecasts = field.forecasts[rows]
    answers = np.isfinite(forecasts[:, :, -1]).all(axis=2)
    actuals = field.actuals[rows][:, scored, :n_scored_steps]
    errors = actuals[:, None] - forecasts[:, :, :-1, :n_scored_steps][:, :, scored]
    comparable = (np.isfinite(errors) | ~answers[:, :, None, None]).all(axis=1) & answers.any(axis=1)[
        :, None, None
    ]
    errors = np.where(comparable[:, None] & answers[:, :, None, None], errors, 0.0)
    return _Compared(
        answers,
        squares=np.square(errors).sum(axis=(2, 3)),
        missed=-errors.sum(axis=3),
        is_tried=comparable.any(axis=2),
        n_compared=comparable.sum(axis=(1, 2)),
        demanded=np.where(comparable, actuals, 0.0).sum(axis=(1, 2)),
    )


def _beyond_chance(
    missed: Units, is_tried: NDArray[np.bool_], stretches_per_origin: float
) -> NDArray[np.bool_]:
    """Find sums of misses that their scatter from origin to origin does not explain.

    Shapes: missed (n_series, n_candidates, n_origins), 0 where not tried, is_tried (n_series, n_origins),
    result (n_series, n_candidates)
    """
    n_tried = is_tried.sum(axis=1)[:, None]
    mean = missed.sum(axis=2) / np.maximum(1, n_tried)
    apart = np.where(is_tried[:, None], missed - mean[:, :, None], 0.0)
    variance = np.square(apart).sum(axis=2) / np.maximum(1, n_tried - 1)
    n_apart = n_tried * stretches_per_origin
    beyond: NDArray[np.bool_] = np.square(mean) * n_apart > BIAS_STANDARD_ERRORS**2 * variance
    return beyond


def _over_row_mean(squares: Units, answers: NDArray[np.bool_]) -> Units:
    mean = np.where(answers, squares, 0.0).sum(axis=1) / np.maximum(1, answers.sum(axis=1))
    relative: Units = np.divide(squares, mean[:, None], out=np.ones_like(squares), where=mean[:, None] > 0)
    return relative


def pick(values: Units, chosen: NDArray[np.intp]) -> Units:
    """Take each series' chosen candidate. Shapes: values (n_series, n_candidates, …), result (n_series, …)."""
    taken: Units = values[np.arange(chosen.size), chosen]
    return taken
