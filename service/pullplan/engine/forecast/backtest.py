"""Which model would have served each series best, judged from origins in its past?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import LEAST_BUCKETS, Units
from pullplan.engine.forecast.models import MEDIAN, Candidates
from pullplan.engine.model import Candidate, DemandClass

MOST_ORIGINS = 40
LEAST_ORIGINS_WITH_A_SEASON = 12

# The veto on bias and the demand below which it says nothing.
BIAS_LIMIT = 0.15
BIAS_LEAST_UNITS = 20.0

# A few origins of one series say little beside its kind's mean score: measured on Iowa, 0.25 chooses best.
OWN_WEIGHT = 0.25

REGULAR_CLASSES = frozenset({"smooth", "erratic"})


@dataclass(frozen=True)
class Track:
    """One series along the origins: what was demanded, and what each candidate had said.

    Shapes: actuals (n_origins, n_steps), candidates.forecasts (n_origins + 1, n_steps)
    """

    demand_class: DemandClass
    actuals: Units
    candidates: Candidates

    @property
    def is_regular(self) -> bool:
        return self.demand_class in REGULAR_CLASSES

    def errors(self, name: str) -> Units:
        """Actual − forecast of one candidate at each origin. Shapes: (n_origins, n_steps)."""
        return self.actuals - self.candidates.forecasts[name][:-1]


def backtest_origins(n_buckets: int, n_steps: int, period: int) -> list[int]:
    """List the buckets from which the past is forecast again, each with all its steps known, oldest first.

    Origins lie in the second half of the history; behind two full seasons where that leaves enough of them.
    """
    last = n_buckets - n_steps
    first = max(LEAST_BUCKETS, min(n_buckets // 2, last - LEAST_ORIGINS_WITH_A_SEASON + 1))
    if last - 2 * period + 1 >= LEAST_ORIGINS_WITH_A_SEASON:
        first = max(first, 2 * period)
    stride = max(1, n_steps // LEAST_ORIGINS_WITH_A_SEASON)
    return list(range(last, first - 1, -stride))[:MOST_ORIGINS][::-1]


def choose_models(tracks: Sequence[Track], scored: NDArray[np.bool_], n_scored_steps: int) -> list[str]:
    """Choose each series' model by squared error over the scored origins, with a veto on bias.

    Shapes: scored (n_origins,), result (n_series,)
    """
    return [ranking[0].model for ranking in rank_candidates(tracks, scored, n_scored_steps)]


def rank_candidates(
    tracks: Sequence[Track], scored: NDArray[np.bool_], n_scored_steps: int
) -> list[list[Candidate]]:
    """Order each series' candidates, the one to choose first; a biased one comes after all others.

    Shapes: scored (n_origins,), result (n_series, n_candidates)
    """
    own = [_relative_scores(track, scored, n_scored_steps) for track in tracks]
    kinds = {
        kind: _mean_scores([o for o, t in zip(own, tracks, strict=True) if t.is_regular == kind])
        for kind in (True, False)
    }
    rankings = []
    for track, scores in zip(tracks, own, strict=True):
        kind, names = kinds[track.is_regular], list(track.candidates.forecasts)
        if not kind:
            unproven = _unproven(names)
            rankings.append([Candidate(model=name) for name in sorted(names, key=lambda n: n != unproven)])
            continue
        ranking = []
        for name in names:
            usual = kind.get(name)
            score = None
            if usual is not None:
                score = OWN_WEIGHT * scores.get(name, usual) + (1 - OWN_WEIGHT) * usual
            bias = _bias_share(track, name, scored, n_scored_steps)
            biased = bias is not None and abs(bias) > BIAS_LIMIT
            ranking.append(Candidate(model=name, score=score, bias_share=bias, is_biased=biased))
        rankings.append(sorted(ranking, key=lambda c: (c.is_biased, np.inf if c.score is None else c.score)))
    return rankings


def _unproven(names: Sequence[str]) -> str:
    return next((name for name in (MEDIAN, "TSB") if name in names), names[-1])


def _relative_scores(track: Track, scored: NDArray[np.bool_], n_scored_steps: int) -> dict[str, float]:
    """Mean squared error of each candidate ÷ the mean over candidates, on the origins that all can answer."""
    squares = {
        name: np.square(track.errors(name)[scored, :n_scored_steps]).ravel()
        for name in track.candidates.forecasts
    }
    known = np.all([np.isfinite(row) for row in squares.values()], axis=0)
    if not known.any():
        return {}
    means = {name: float(row[known].mean()) for name, row in squares.items()}
    reference = float(np.mean(list(means.values())))
    return {name: mean / reference if reference > 0 else 1.0 for name, mean in means.items()}


def _mean_scores(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for row in scores for name in row})
    return {name: float(np.mean([row[name] for row in scores if name in row])) for name in names}


def _bias_share(track: Track, name: str, scored: NDArray[np.bool_], n_scored_steps: int) -> float | None:
    errors = track.errors(name)[scored, :n_scored_steps]
    known = np.isfinite(errors)
    demanded = float(track.actuals[scored, :n_scored_steps][known].sum())
    return -float(errors[known].sum()) / demanded if demanded >= BIAS_LEAST_UNITS else None
