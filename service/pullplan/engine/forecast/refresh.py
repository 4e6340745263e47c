"""How are series forecast again, going by what a whole panel told before?

Models stay as they were chosen: what has come since moves them by their own rules, with parameters estimated from where
they had been. Season, bias, calibration and scores over the panel are those of the base. A series that its model has lost
lets all candidates compete again.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
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
    classes_of,
    contradicts,
)
from pullplan.engine.forecast.accuracy import measured, scales_of, tally_of
from pullplan.engine.forecast.adjustments import adjusted_mean
from pullplan.engine.forecast.grounds import candidates_of, history_grounds, past_forecasts
from pullplan.engine.forecast.marks import MarkedHistory, mark_history
from pullplan.engine.forecast.models import LEVELS, MEDIANS, REFIT_GROWTH, candidate_names, run_candidates
from pullplan.engine.forecast.newcomers import Pool, Projection, given
from pullplan.engine.forecast.panel import (
    Draft,
    adjustments_by_pair,
    assemble_series,
    forecast_established,
    recent_history,
)
from pullplan.engine.forecast.season import SEASONS
from pullplan.engine.forecast.spread import demand_paths, deviation_paths
from pullplan.engine.forecast.tournament import (
    REGULAR_CLASSES,
    Progress,
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
    Experience,
    Forecast,
    ForecastBase,
    ForecastFacts,
    Grounds,
    RefreshReason,
    SeriesForecast,
)
from pullplan.engine.sharding import Spread, here

_LEAST_UNITS = 1e-9

# Series that move on between two words on how far that is.
TOLD_SERIES = 256


def refresh_forecast(facts: ForecastFacts, base: ForecastBase) -> tuple[Forecast, tuple[Grounds, ...]] | None:
    """Forecast the pairs of the facts again as one of all series would, as far as the base tells about the others.

    None where the facts contradict what the panel had told of when its sources spoke: then every series changes.

    Shapes: grounds (n_series,), of the facts' pairs alone
    """
    if contradicts(facts, base.knowledge.heard):
        return None
    history = recent_history(bucket_history(facts, base.knowledge.heard))
    drifted = {
        (s.product_code, s.region_code)
        for s, told in zip(base.forecast.series, base.grounds, strict=True)
        if told.experience.has_drifted
    }
    refresh = Refresh(facts, base, history, mark_history(history, facts), drifted)
    return refresh.forecast(), refresh.grounds("news")


def histories(history: History, marked: MarkedHistory) -> tuple[Grounds, ...]:
    """Keep each series' history, as people read it. Shapes: (n_series,)."""
    rows = zip(history.units, marked.used, marked.marks, strict=True)
    return tuple(
        history_grounds(units, used, marks, history.first_date, history.bucket) for units, used, marks in rows
    )


@dataclass(frozen=True)
class _Kept:
    """A series as the base has it."""

    series: SeriesForecast
    grounds: Grounds


class Refresh:
    """Some series, or all, as they move on from a base."""

    def __init__(
        self,
        facts: ForecastFacts,
        base: ForecastBase,
        history: History,
        marked: MarkedHistory,
        drifted: AbstractSet[Pair],
        *,
        n_ended: int = 0,
        progress: Progress = lambda _stage, _share: None,
        spread: Spread = here,
    ) -> None:
        """`drifted` are to compete again; `n_ended` is the number of buckets that have ended since the base."""
        self._facts, self._base, self._history, self._marked = facts, base, history, marked
        self._drifted, self._n_ended, self._progress, self._spread = drifted, n_ended, progress, spread
        self._season = SEASONS[history.bucket]
        self._seasons = seasons_of(base.knowledge, self._season.period)
        self._kept = {
            (s.product_code, s.region_code): _Kept(s, g)
            for s, g in zip(base.forecast.series, base.grounds, strict=True)
        }
        self._classes = classes_of(marked.used)
        self._accuracies: dict[Pair, Accuracy] = {}
        self._told: dict[Pair, Grounds] = {}
        self._whole_products = {p.product_code: p.is_whole for p in base.knowledge.products}
        self._projections = self._project()

    def forecast(self) -> Forecast:
        """Put them together as a forecast, adjusted by people, with quantiles."""
        dates = bucket_dates(self._facts.horizon, self._facts.n_steps)
        adjustments = adjustments_by_pair(self._facts.adjustments)
        drafts = []
        for pair, row, demand_class in self._rows():
            raw = self._projections[pair]
            mean = adjusted_mean(raw.mean, dates, adjustments[pair])
            n_known, accuracy = int(np.count_nonzero(~np.isnan(row))), self._accuracies.get(pair, Accuracy())
            drafts.append(Draft(pair, demand_class, n_known, raw, mean, accuracy))
        series = tuple(assemble_series(drafts))
        return msgspec.structs.replace(self._base.forecast, first_bucket_date=dates[0], series=series)

    def grounds(self, reason: RefreshReason) -> tuple[Grounds, ...]:
        """Tell what each rests on; `reason` is why those that have not drifted were made again. Shapes: (n_series,)."""
        return tuple(
            msgspec.structs.replace(
                history,
                candidates=self._told[pair].candidates,
                backtest=self._told[pair].backtest,
                experience=self._kept[pair].grounds.experience if pair in self._kept else Experience(),
                refresh_reason="drift" if pair in self._refitted else reason,
            )
            for pair, history in zip(self._history.pairs, histories(self._history, self._marked), strict=True)
        )

    def _rows(self) -> list[tuple[Pair, Units, DemandClass]]:
        return list(zip(self._history.pairs, self._marked.used, self._classes, strict=True))

    def _project(self) -> dict[Pair, Projection]:
        made: dict[Pair, Projection] = {}
        anew, newcomers = [], []
        rows = self._rows()
        self._refitted = {p for p, _, demand_class in rows if p in self._drifted and demand_class != "new"}
        for i, (pair, row, demand_class) in enumerate(rows):
            if i % TOLD_SERIES == 0:
                self._progress("moving on", i / len(rows))
            kept = self._kept.get(pair)
            moved = None
            if demand_class == "new":
                newcomers.append(i)
            else:
                if kept is not None and pair not in self._refitted:
                    moved = self._moved_on(kept, row, demand_class)
                if kept is None or moved is None:
                    anew.append(i)
                    continue
                made[pair] = moved
                self._accuracies[pair], self._told[pair] = kept.series.accuracy, kept.grounds
        made |= self._compete(anew)
        if self._n_ended:
            made |= self._redrawn(made)
        pool = Pool(self._established(made) | made, self._facts.n_steps, self._base.knowledge.region_sizes)
        for i in newcomers:
            pair, row, _ = rows[i]
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
        end = row.size - self._n_ended
        then, now = self._said(kept, row, members, (end, row.size))
        row_then = self._row_then(kept)
        if not np.array_equal(row_then[:end], row[:end], equal_nan=True):
            then, _ = self._said(kept, row_then, members, (end, end))
        if not np.isfinite([then, now]).all():
            return None
        before = _raw(kept.series)
        made_of = np.divide(before.mean, then, out=np.ones_like(then), where=then > _LEAST_UNITS)
        # Steps that lie beyond what the base says are made the most of as its last one was.
        mean = now * made_of[np.minimum(np.arange(now.size) + self._n_ended, now.size - 1)]
        paths = before.draw()
        if not is_regular and before.mean.mean() > _LEAST_UNITS:
            paths = (paths + before.mean) * (mean.mean() / before.mean.mean()) - mean
        if not paths.shape[0]:
            paths = deviation_paths(row, mean.size)
        return replace(self._with_widths(before, kept.series, demand_class), mean=mean, draw=given(paths))

    def _said(self, kept: _Kept, row: Units, names: Sequence[str], asked: tuple[int, int]) -> Units:
        """Ask the last of some models what it says at two ends of a history. Shapes: (2, n_steps), NaN where it fails."""
        shape = self._seasons.get(kept.series.product_code, np.ones(self._season.period))
        n_steps, n_buckets = self._facts.n_steps, row.size
        factors = turned_season(shape, n_buckets, n_steps)
        ends = sorted({*self._fitted_from(row[: asked[0]], names), *asked})
        said = run_candidates(
            row,
            names,
            origins=ends,
            factors=[(factors[:end], factors[end : end + n_steps]) for end in ends],
            n_steps=n_steps,
            period=self._season.period,
            refits_last=False,
        )
        paths = said.forecasts.get(names[-1])
        failed = {candidate.model for candidate in kept.grounds.candidates if candidate.failure is not None}
        # Where a member of a median fails for the first time, the tournament says so, and what is the best without it.
        if paths is None or not said.failures.keys() <= failed:
            return np.full((2, n_steps), np.nan)
        return paths[[ends.index(end) for end in asked]]

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
        end = row.size - self._n_ended
        told = kept.grounds.history_used_units[-end:]
        row[end - len(told) : end] = [np.nan if units is None else units for units in told]
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
            progress=self._progress,
            spread=self._spread,
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
        return {
            pair: replace(
                projection, is_whole=projection.is_whole and self._whole_products.get(pair[0], True)
            )
            for pair, projection in made.items()
        }

    def _redrawn(self, made: Mapping[Pair, Projection]) -> dict[Pair, Projection]:
        """Draw the paths of intermittent series from the stretches of all of them, as a forecast of all does."""
        rows = [
            i
            for i, (pair, _, demand_class) in enumerate(self._rows())
            if pair in made and demand_class not in REGULAR_CLASSES
        ]
        if not rows:
            return {}
        pairs = [self._history.pairs[i] for i in rows]
        means = np.array([made[pair].mean for pair in pairs])
        phase = self._season.period if self._season.period <= self._facts.n_steps else 1
        draw = demand_paths(self._marked.used, np.array(rows), means, phase=phase)
        return {
            pair: replace(made[pair], draw=given(paths))
            for pair, paths in zip(pairs, draw(slice(0, len(rows))), strict=True)
            if np.isfinite(paths).all()
        }

    def _established(self, made: Collection[Pair]) -> dict[Pair, Projection]:
        """Take the base's word on what was established, and is not made again."""
        return {
            pair: self._with_widths(_raw(kept.series), kept.series, kept.series.demand_class)
            for pair, kept in self._kept.items()
            if kept.series.demand_class != "new" and pair not in made
        }

    def _with_widths(self, raw: Projection, series: SeriesForecast, demand_class: DemandClass) -> Projection:
        widths = np.array(self._base.knowledge.widths.get(demand_class, (1.0, 1.0)))
        return replace(raw, widths=widths, is_whole=self._whole_products.get(series.product_code, False))


def _raw(series: SeriesForecast) -> Projection:
    """Take back what people had changed of a series. Paths of steps that were adjusted to nothing are lost."""
    adjusted, changed = np.array(series.mean_units), np.array(series.adjustment_units)
    mean = adjusted - changed
    factors = np.divide(
        mean, adjusted, out=np.ones_like(mean), where=(adjusted > _LEAST_UNITS) & (changed != 0)
    )
    paths = np.array(series.error_paths_units).reshape(-1, mean.size) * factors
    return Projection(series.model, series.fallback_reason, mean, given(paths))
