"""What will be demanded of each product over all regions, in each region of all products, and in all?

A total's mean is the sum of its series'. Its quantiles are its own: errors of series go together or cancel out, so neither sums
of quantiles nor of paths that were drawn apart say how far a total may lie off. They come from what the total itself missed
along the origins, and are calibrated like any other band.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Pair, Units
from pullplan.engine.forecast.accuracy import Trials, measured, scales_of, tally_of
from pullplan.engine.forecast.adjustments import scaled_alike
from pullplan.engine.forecast.calibration import TriedBand, band_scales, stretched
from pullplan.engine.forecast.coherence import Agreed, Choice, total_units
from pullplan.engine.forecast.spread import N_PATHS, band_around, band_of, error_paths, offsets_of
from pullplan.engine.forecast.tournament import Panel, seasonal_naives
from pullplan.engine.model import SeriesForecast, TotalForecast, TotalledBy


@dataclass(frozen=True)
class _Total:
    """What adds up to one total: the places of all its series, and of those of them that the panel has, in the panel.

    Shapes: members (n_members,), rows (n_established,)
    """

    totalled_by: TotalledBy
    code: str
    members: list[int]
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class _Replay:
    """How the totals fared along the origins. Shapes: errors (n_totals, n_origins, n_steps), scales (2, n_totals)."""

    trials: Trials
    errors: Units
    scales: Units


class Totals:
    """What all pairs add up to by product, by region and in all: how it fared in the past, and what it comes to now.

    It keeps nothing of the series: only what their totals were.
    """

    def __init__(self, pairs: Sequence[Pair], panel: Panel, agreed: Agreed) -> None:
        """`pairs` are all that are forecast, `agreed` is of all trials and now. Shapes: pairs (n_series,)."""
        self._totals = totals = _totals(pairs, {pair: i for i, pair in enumerate(panel.pairs)})
        self._choices, self._failures = agreed.choices, agreed.failures
        self._is_whole = [t.rows.size > 0 and bool(panel.is_whole[t.rows].all()) for t in totals]
        history = np.array([total_units(panel.units[t.rows]) for t in totals]).reshape(
            len(totals), panel.units.shape[1]
        )
        replay = _replay(totals, history, panel, agreed)
        self._scales = replay.scales
        # As said by models, before people adjusted it and without newcomers: what the errors were measured against.
        self._said = _added_up(totals, agreed.means_by_origin[-1])
        draw = error_paths(replay.errors, self._said, stretches_per_path=panel.stretches_per_origin)
        self._paths = draw(slice(0, len(totals)))
        self._accuracies = measured(tally_of(replay.trials), scales_of(history, panel.season.period))

    def forecasts(self, series: Sequence[SeriesForecast]) -> tuple[TotalForecast, ...]:
        """Add the finished series up. Shapes: series (n_series,), result (n_totals,)."""
        return tuple(
            self._forecast(i, total, [series[member] for member in total.members])
            for i, total in enumerate(self._totals)
        )

    def _forecast(self, i: int, total: _Total, series: Sequence[SeriesForecast]) -> TotalForecast:
        said, paths = self._said[i], self._paths[i]
        mean = np.sum([s.mean_units for s in series], axis=0)
        offsets = (
            scaled_alike(offsets_of(said, paths), said, mean)
            if np.isfinite(paths).all() and said.any()
            else offsets_of(mean, _summed_paths(series))
        )
        p10, p50, p90 = stretched(band_around(mean, offsets), self._scales[:, i], whole=self._is_whole[i])
        is_product = total.totalled_by == "product"
        choice = self._choices.get(total.code, Choice()) if is_product else Choice()
        return TotalForecast(
            totalled_by=total.totalled_by,
            code=total.code,
            n_series=len(series),
            method=choice.method,
            method_scores=choice.scores,
            method_failures=choice.failures,
            model_failures=self._failures.get(total.code, {}) if is_product else {},
            mean_units=tuple(mean.tolist()),
            p10_units=tuple(p10.tolist()),
            p50_units=tuple(p50.tolist()),
            p90_units=tuple(p90.tolist()),
            accuracy=self._accuracies[i],
        )


def _totals(pairs: Sequence[Pair], places: Mapping[Pair, int]) -> list[_Total]:
    gathered: dict[tuple[TotalledBy, str], list[int]] = defaultdict(list)
    for i, (product_code, region_code) in enumerate(pairs):
        gathered["all", ""].append(i)
        gathered["product", product_code].append(i)
        gathered["region", region_code].append(i)
    return [
        _Total(
            by, code, members,
            np.array([places[pairs[i]] for i in members if pairs[i] in places], dtype=np.intp),
        )
        for (by, code), members in sorted(gathered.items())
    ]  # fmt: skip


def _replay(totals: Sequence[_Total], history: Units, panel: Panel, agreed: Agreed) -> _Replay:
    """Draw the totals' bands at every trial's origin from what had been seen by then, as `replay_trials` does."""
    n_steps, n_scored = panel.n_steps, panel.n_scored_steps
    said = {k: _added_up(totals, means) for k, means in agreed.means_by_origin.items() if k >= 0}
    origins = {k: int(panel.origins[k]) for k in said}
    errors = {k: history[:, origins[k] : origins[k] + n_steps] - said[k] for k in said}
    kinds = np.zeros(len(totals), dtype=np.intp)
    floored = np.zeros(len(totals), dtype=bool)
    trials = Trials.none(len(totals), np.array(list(origins.values()), dtype=np.intp), n_scored)
    tried: dict[int, TriedBand] = {}
    for at, (k, means) in enumerate(said.items()):
        past = [j for j in said if origins[j] + n_steps <= origins[k]]
        seen = _side_by_side([errors[j] for j in past], errors[k])
        draw = error_paths(seen, means, stretches_per_path=panel.stretches_per_origin)
        band = band_of(means, draw(slice(0, len(totals))).transpose(1, 0, 2))[..., :n_scored]
        scales = band_scales([tried[j] for j in past], kinds, floored=floored)
        shown = stretched(band, scales, whole=False)
        actual = history[:, origins[k] : origins[k] + n_scored]
        tried[k] = TriedBand(band, actual)
        trials.is_tried[:, at] = np.isfinite(actual).any(axis=1)
        trials.actuals[:, at], trials.forecasts[:, at] = actual, means[:, :n_scored]
        trials.naives[:, at] = seasonal_naives(history, origins[k], n_scored, panel.season.period)
        trials.quantiles[:, :, at] = shown
    all_errors = _side_by_side(list(errors.values()), np.empty((len(totals), n_steps)))
    return _Replay(trials, all_errors, band_scales(list(tried.values()), kinds, floored=floored))


def _side_by_side(errors: list[Units], like: Units) -> Units:
    """Stack origins. Shapes: each (n_totals, n_steps), result (n_totals, n_origins, n_steps)."""
    return np.stack(errors, axis=1) if errors else np.empty((like.shape[0], 0, like.shape[1]))


def _added_up(totals: Sequence[_Total], means: Units) -> Units:
    """Sum what was said of the established series; one that had not begun counts as nothing. Shapes: (n_totals, n_steps)."""
    told = np.nan_to_num(means)
    return np.array([told[t.rows].sum(axis=0) for t in totals])


def _summed_paths(series: Sequence[SeriesForecast]) -> Units:
    """Add series' paths up one by one, so that they go together: wide, where no total has ever been tried.

    Shapes: result (N_PATHS, n_steps)
    """
    drawn = [np.asarray(s.error_paths_units) for s in series]
    return np.sum([p[np.linspace(0, len(p) - 1, N_PATHS).astype(np.intp)] for p in drawn], axis=0)
