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
    """What adds up to one total: all its series, and those of them in the panel. Shapes: rows (n_established,)."""

    totalled_by: TotalledBy
    code: str
    series: list[SeriesForecast]
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class _Replay:
    """How the totals fared along the origins. Shapes: errors (n_totals, n_origins, n_steps), scales (2, n_totals)."""

    trials: Trials
    errors: Units
    scales: Units


def total_forecasts(
    series: Sequence[SeriesForecast], panel: Panel, agreed: Agreed
) -> tuple[TotalForecast, ...]:
    """Add the finished series up by product, by region and in all; `agreed` is of all trials and now.

    Shapes: result (n_totals,)
    """
    totals = _totals(series, {pair: i for i, pair in enumerate(panel.pairs)})
    history = np.array([total_units(panel.units[t.rows]) for t in totals]).reshape(
        len(totals), panel.units.shape[1]
    )
    replay = _replay(totals, history, panel, agreed)
    # As said by models, before people adjusted it and without newcomers: what the errors were measured against.
    said = _added_up(totals, agreed.means_by_origin[-1])
    draw = error_paths(replay.errors, said, stretches_per_path=panel.stretches_per_origin)
    paths = draw(slice(0, len(totals)))
    accuracies = measured(tally_of(replay.trials), scales_of(history, panel.season.period))
    made = []
    for i, total in enumerate(totals):
        mean = np.sum([s.mean_units for s in total.series], axis=0)
        proven = np.isfinite(paths[i]).all() and said[i].any()
        offsets = (
            scaled_alike(offsets_of(said[i], paths[i]), said[i], mean)
            if proven
            else offsets_of(mean, _summed_paths(total.series))
        )
        is_whole = total.rows.size > 0 and bool(panel.is_whole[total.rows].all())
        p10, p50, p90 = stretched(band_around(mean, offsets), replay.scales[:, i], whole=is_whole)
        choice = agreed.choices.get(total.code) if total.totalled_by == "product" else None
        choice = choice or Choice()
        made.append(
            TotalForecast(
                totalled_by=total.totalled_by,
                code=total.code,
                n_series=len(total.series),
                method=choice.method,
                method_scores=choice.scores,
                method_failures=choice.failures,
                mean_units=tuple(mean.tolist()),
                p10_units=tuple(p10.tolist()),
                p50_units=tuple(p50.tolist()),
                p90_units=tuple(p90.tolist()),
                accuracy=accuracies[i],
            )
        )
    return tuple(made)


def _totals(series: Sequence[SeriesForecast], places: Mapping[Pair, int]) -> list[_Total]:
    gathered: dict[tuple[TotalledBy, str], list[SeriesForecast]] = defaultdict(list)
    for s in series:
        gathered["all", ""].append(s)
        gathered["product", s.product_code].append(s)
        gathered["region", s.region_code].append(s)
    return [
        _Total(
            by, code, members,
            np.array([places[p] for s in members if (p := (s.product_code, s.region_code)) in places], dtype=np.intp),
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
