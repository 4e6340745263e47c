"""How are a few series forecast again, going by what a whole panel told before?

Models stay as they were chosen: what has come since moves them by their own rules, with parameters estimated from where
they had been. Season, bias, calibration and scores over the panel are those of the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.engine.demand import (
    LEAST_BUCKETS,
    History,
    Pair,
    Units,
    bucket_history,
    classify_demand,
    contradicts,
)
from pullplan.engine.forecast.accuracy import measured, scales_of, tally_of
from pullplan.engine.forecast.adjustments import adjusted_mean
from pullplan.engine.forecast.grounds import candidates_of, history_grounds, past_forecasts
from pullplan.engine.forecast.marks import MarkedHistory, mark_history
from pullplan.engine.forecast.models import LEVELS, MEDIANS, REFIT_GROWTH, candidate_names, run_candidates
from pullplan.engine.forecast.newcomers import Pool, Projection
from pullplan.engine.forecast.panel import (
    Draft,
    adjustments_by_pair,
    assemble_series,
    forecast_established,
    recent_history,
)
from pullplan.engine.forecast.season import SEASONS
from pullplan.engine.forecast.spread import deviation_paths
from pullplan.engine.forecast.tournament import (
    REGULAR_CLASSES,
    forecast_from,
    is_silent_for_long,
    replay_trials,
    run_tournament,
    seasons_of,
    turned_season,
)
from pullplan.engine.model import (
    Accuracy,
    DemandClass,
    Forecast,
    ForecastBase,
    ForecastFacts,
    Grounds,
    SeriesForecast,
)

_LEAST_UNITS = 1e-9


def refresh_forecast(facts: ForecastFacts, base: ForecastBase) -> tuple[Forecast, tuple[Grounds, ...]] | None:
    """Forecast the pairs of the facts again as one of all series would, as far as the base tells about the others.

    None where the facts contradict what the panel had told of when its sources spoke: then every series changes.

    Shapes: grounds (n_series,), of the facts' pairs alone
    """
    if contradicts(facts, base.knowledge.heard):
        return None
    history = recent_history(bucket_history(facts, base.knowledge.heard))
    refresh = _Refresh(facts, base, history, mark_history(history, facts))
    return refresh.forecast(), refresh.grounds()


@dataclass(frozen=True)
class _Kept:
    """A series as the base has it."""

    series: SeriesForecast
    grounds: Grounds


class _Refresh:
    def __init__(
        self, facts: ForecastFacts, base: ForecastBase, history: History, marked: MarkedHistory
    ) -> None:
        self._facts, self._base, self._history, self._marked = facts, base, history, marked
        self._season = SEASONS[history.bucket]
        self._seasons = seasons_of(base.knowledge, self._season.period)
        self._kept = {
            (s.product_code, s.region_code): _Kept(s, g)
            for s, g in zip(base.forecast.series, base.grounds, strict=True)
        }
        self._classes = [classify_demand(row) for row in marked.used]
        self._accuracies: dict[Pair, Accuracy] = {}
        self._told: dict[Pair, Grounds] = {}
        self._projections = self._project()

    def forecast(self) -> Forecast:
        dates = bucket_dates(self._facts.horizon, self._facts.n_steps)
        adjustments = adjustments_by_pair(self._facts.adjustments)
        drafts = []
        for pair, row, demand_class in self._rows():
            raw = self._projections[pair]
            mean = adjusted_mean(raw.mean, dates, adjustments[pair])
            n_known, accuracy = int(np.count_nonzero(~np.isnan(row))), self._accuracies.get(pair, Accuracy())
            drafts.append(Draft(pair, demand_class, n_known, raw, mean, accuracy))
        return msgspec.structs.replace(self._base.forecast, series=tuple(assemble_series(drafts)))

    def grounds(self) -> tuple[Grounds, ...]:
        history = self._history
        return tuple(
            msgspec.structs.replace(
                history_grounds(
                    history.units[i], row, self._marked.marks[i], history.first_date, history.bucket
                ),
                candidates=self._told[pair].candidates,
                backtest=self._told[pair].backtest,
                experience=self._told[pair].experience,
                refresh_reason="news",
            )
            for i, (pair, row, _) in enumerate(self._rows())
        )

    def _rows(self) -> list[tuple[Pair, Units, DemandClass]]:
        return list(zip(self._history.pairs, self._marked.used, self._classes, strict=True))

    def _project(self) -> dict[Pair, Projection]:
        made: dict[Pair, Projection] = {}
        anew, newcomers = [], []
        for i, (pair, row, demand_class) in enumerate(self._rows()):
            kept = self._kept.get(pair)
            moved = None
            if demand_class == "new":
                newcomers.append(i)
            elif kept is None or (moved := self._moved_on(kept, row, demand_class)) is None:
                anew.append(i)
            else:
                made[pair] = moved
                self._accuracies[pair], self._told[pair] = kept.series.accuracy, kept.grounds
        made |= self._compete(anew)
        pool = Pool(self._established() | made, self._facts.n_steps, self._base.knowledge.region_sizes)
        for i in newcomers:
            pair, row, _ = self._rows()[i]
            made[pair] = pool.forecast_newcomer(pair, row[~np.isnan(row)])
            self._told[pair] = Grounds()
        return made

    def _moved_on(self, kept: _Kept, row: Units, demand_class: DemandClass) -> Projection | None:
        """Let the chosen model go on with what has come; None where it may no longer be chosen, or fails.

        What it says now counts as much more or less as the base made of what it had said then.
        """
        is_regular = demand_class in REGULAR_CLASSES
        names = candidate_names(
            self._facts.profile, is_regular=is_regular, silent_for_long=is_silent_for_long(row)
        )
        model = kept.series.model
        was_regular = kept.series.demand_class in REGULAR_CLASSES
        if model not in names or kept.series.demand_class == "new" or was_regular != is_regular:
            return None
        members = (*(name for name in MEDIANS.get(model, ()) if name in names), model)
        then, now = self._said(kept, self._row_then(kept), members), self._said(kept, row, members)
        if then is None or now is None:
            return None
        before = _raw(kept.series)
        mean = now * np.divide(before.mean, then, out=np.ones_like(then), where=then > _LEAST_UNITS)
        paths = before.paths
        if not is_regular and before.mean.mean() > _LEAST_UNITS:
            paths = (paths + before.mean) * (mean.mean() / before.mean.mean()) - mean
        if not paths.shape[0]:
            paths = deviation_paths(row, mean.size)
        return replace(self._with_widths(before, kept.series, demand_class), mean=mean, paths=paths)

    def _said(self, kept: _Kept, row: Units, names: Sequence[str]) -> Units | None:
        shape = self._seasons.get(kept.series.product_code, np.ones(self._season.period))
        n_steps, n_buckets = self._facts.n_steps, row.size
        factors = turned_season(shape, n_buckets, n_steps)
        ends = [*self._fitted_from(row, names), n_buckets]
        said = run_candidates(
            row,
            names,
            origins=ends,
            factors=[(factors[:end], factors[end : end + n_steps]) for end in ends],
            n_steps=n_steps,
            period=self._season.period,
            refits_last=self._facts.profile == "thorough",
        )
        path = said.forecasts.get(names[-1])
        return path[-1] if path is not None and np.isfinite(path).all() else None

    def _fitted_from(self, row: Units, names: Sequence[str]) -> list[int]:
        """Find the origins at which parameters were estimated that are still in use, and what led to them."""
        if self._facts.profile == "thorough" or set(names) <= {*LEVELS, *MEDIANS}:
            return []
        first, days = self._history.first_date, DAYS_PER_BUCKET[self._history.bucket]
        start = int(np.argmax(~np.isnan(row)))
        fitted: list[int] = []
        for day in self._base.knowledge.origin_dates:
            origin = (day - first).days // days
            is_due = not fitted or origin - start > REFIT_GROWTH * (fitted[-1] - start)
            if is_due and origin - start >= LEAST_BUCKETS and np.nansum(row[:origin]) > 0:
                fitted.append(origin)
        return fitted

    def _row_then(self, kept: _Kept) -> Units:
        """Lay the history that the base was made from out as this one is."""
        row = np.full(self._history.units.shape[1], np.nan)
        told = kept.grounds.history_used_units
        if told:
            row[-len(told) :] = [np.nan if units is None else units for units in told][-row.size :]
        return row

    def _compete(self, rows: Sequence[int]) -> dict[Pair, Projection]:
        """Let candidates compete for series that are no longer what the base knows, by what they score in the panel."""
        if not rows:
            return {}
        horizon = self._facts.horizon
        panel = run_tournament(
            [self._history.pairs[i] for i in rows],
            self._marked.used[rows],
            [self._classes[i] for i in rows],
            self._season,
            n_steps=self._facts.n_steps,
            n_scored_steps=min(self._facts.n_steps, horizon.horizon_buckets),
            profile=self._facts.profile,
            progress=lambda _stage, _share: None,
            known=self._base.knowledge,
        )
        say = partial(forecast_from, panel, bias_ratio=self._base.knowledge.bias_ratio)
        trials, _ = replay_trials(panel, say)
        widths = np.array([self._base.knowledge.widths.get(c, (1.0, 1.0)) for c in panel.classes]).T
        made, _ = forecast_established(panel, widths, say)
        measures = measured(tally_of(trials), scales_of(panel.units, self._season.period))
        self._accuracies |= zip(panel.pairs, measures, strict=True)
        backtests = past_forecasts(trials, self._history)
        for pair, candidates, backtest in zip(panel.pairs, candidates_of(panel), backtests, strict=True):
            self._told[pair] = Grounds(candidates=candidates, backtest=backtest)
        whole = self._whole_products()
        return {
            pair: replace(projection, is_whole=projection.is_whole and whole.get(pair[0], True))
            for pair, projection in made.items()
        }

    def _established(self) -> dict[Pair, Projection]:
        return {
            pair: self._with_widths(_raw(kept.series), kept.series, kept.series.demand_class)
            for pair, kept in self._kept.items()
            if kept.series.demand_class != "new"
        }

    def _with_widths(self, raw: Projection, series: SeriesForecast, demand_class: DemandClass) -> Projection:
        widths = np.array(self._base.knowledge.widths.get(demand_class, (1.0, 1.0)))
        return replace(raw, widths=widths, is_whole=self._whole_products().get(series.product_code, False))

    def _whole_products(self) -> dict[str, bool]:
        return {p.product_code: p.is_whole for p in self._base.knowledge.products}


def _raw(series: SeriesForecast) -> Projection:
    """Take back what people had changed of a series. Paths of steps that were adjusted to nothing are lost."""
    adjusted, changed = np.array(series.mean_units), np.array(series.adjustment_units)
    mean = adjusted - changed
    factors = np.divide(
        mean, adjusted, out=np.ones_like(mean), where=(adjusted > _LEAST_UNITS) & (changed != 0)
    )
    paths = np.array(series.error_paths_units).reshape(-1, mean.size) * factors
    return Projection(series.model, series.fallback_reason, mean, paths)
