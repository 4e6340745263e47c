"""How would the established series have been forecast from their past, and how are they forecast now?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from pullplan.engine.demand import Pair, Units
from pullplan.engine.forecast.accuracy import LEVELS, Trials
from pullplan.engine.forecast.backtest import Field, Standing, backtest_origins, pick, rank_candidates
from pullplan.engine.forecast.calibration import TriedBand, band_scales, stretched
from pullplan.engine.forecast.chunks import Chunk, cut_into_chunks, run_chunk
from pullplan.engine.forecast.models import HISTORIC_MEAN, candidate_names, seasonal_naive
from pullplan.engine.forecast.season import Season, season_factors
from pullplan.engine.forecast.spread import N_PATHS, Draw, band_of, blocks, demand_paths, error_paths
from pullplan.engine.model import DemandClass, ForecastProfile, PanelKnowledge
from pullplan.engine.sharding import Spread, here

Progress = Callable[[str, float], None]

REGULAR_CLASSES: tuple[DemandClass, ...] = ("smooth", "erratic")

LEAST_FINISHED_ORIGINS = 3

# `Zero` is a candidate once a series has been silent for this many times its average interval.
SILENT_INTERVALS = 3.0

# Share of the panel's bias in the past that is taken off its forecasts, and the most that is believed of it.
BIAS_WEIGHT = 0.5
BIAS_RATIO_LIMITS = (0.8, 1.25)


@dataclass(frozen=True)
class Panel:
    """The established series side by side, in two fields: regular demand and intermittent.

    Shapes: units (n_series, n_buckets), classes and is_whole (n_series,), origins (n_origins,)
    """

    pairs: tuple[Pair, ...]
    units: Units
    classes: tuple[DemandClass, ...]
    is_whole: NDArray[np.bool_]
    fields: tuple[Field, ...]
    origins: NDArray[np.intp]
    n_steps: int
    n_scored_steps: int
    season: Season
    shapes: dict[str, Units]
    """By product the season's factors from now on, (period,)."""

    @property
    def stretches_per_origin(self) -> float:
        """Which share of a horizon lies between two origins: neighbouring ones see much the same demand."""
        spacing = int(self.origins[1] - self.origins[0]) if self.origins.size > 1 else self.n_steps
        return min(1.0, spacing / self.n_steps)

    @property
    def failures(self) -> dict[int, dict[str, str]]:
        """By series the models that said nothing of it, each with the cause."""
        return {
            row: failed
            for field in self.fields
            for row, failed in zip(field.rows.tolist(), field.failures, strict=True)
        }

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """What all origins together say of each field's candidates."""
        return self.standings_by(np.ones(self.origins.size, dtype=bool))

    def standings_by(self, finished: NDArray[np.bool_]) -> tuple[Standing, ...]:
        """Rank each field's candidates by what some origins say. Shapes: finished (n_origins,), result (n_fields,)."""
        return tuple(
            rank_candidates(
                field, finished, self.n_scored_steps, stretches_per_origin=self.stretches_per_origin
            )
            for field in self.fields
        )


@dataclass(frozen=True)
class Spoken:
    """What is said at one origin, and by how much the same models had missed at the finished ones.

    Shapes: models (n_series,), means (n_series, n_steps), errors (n_series, n_finished, n_steps)
    """

    models: list[str]
    means: Units
    draw: Draw
    errors: Units
    bias_ratio: float
    """What means were multiplied with for the bias of all."""

    def band(self) -> Units:
        """p10, p50 and p90 before calibration. Shapes: (3, n_series, n_steps)."""
        band = np.empty((len(LEVELS), *self.means.shape))
        for rows in blocks(self.means.shape[0]):
            band[:, rows] = band_of(self.means[rows], self.draw(rows).transpose(1, 0, 2))
        return band


# Forecasts by what the finished origins tell, Shapes: (n_origins,), from one origin, −1 being now.
Say = Callable[[NDArray[np.bool_], int], Spoken]


def run_tournament(
    pairs: Sequence[Pair],
    units: Units,
    classes: Sequence[DemandClass],
    season: Season,
    *,
    n_steps: int,
    n_scored_steps: int,
    profile: ForecastProfile,
    progress: Progress,
    spread: Spread = here,
    known: PanelKnowledge | None = None,
) -> Panel:
    """Let every candidate of every series with enough history forecast from each origin, and from the end.

    `spread` lends whoever computes chunks of series; what they find does not depend on who they are. `known` is what a
    whole panel told, where these series are a few of it.

    Shapes: pairs and classes (n_series,), units (n_series, n_buckets)
    """
    rows = [i for i, demand_class in enumerate(classes) if demand_class != "new"]
    kept = units[rows] if len(rows) < len(pairs) else units
    kept_pairs, kept_classes = tuple(pairs[i] for i in rows), tuple(classes[i] for i in rows)
    origins = backtest_origins(units.shape[1], n_steps, season.period, profile)
    ends = [*origins, units.shape[1]]
    product_codes, groups = _product_numbers(kept_pairs)
    if known is None:
        factors = [
            season_factors(kept, groups, n_factors=end + n_steps, origin=end, season=season) for end in ends
        ]
    else:
        seasons = seasons_of(known, season.period)
        flat = np.ones(season.period)
        turned = np.array([
            turned_season(seasons.get(code, flat), units.shape[1], n_steps) for code in product_codes
        ]).reshape(-1, units.shape[1] + n_steps)  # fmt: skip
        factors = [turned[:, : end + n_steps] for end in ends]
    actuals = (
        np.stack([kept[:, o : o + n_steps] for o in origins], axis=1)
        if origins
        else np.empty((len(rows), 0, n_steps))
    )
    is_regular = np.array([c in REGULAR_CLASSES for c in kept_classes], dtype=bool)
    fields: list[Field] = []
    chunks: list[Chunk] = []
    of_field: list[Field] = []
    for kind in (True, False):
        members = np.flatnonzero(is_regular == kind)
        if members.size == 0:
            continue
        columns = (*candidate_names(profile, is_regular=kind), HISTORIC_MEAN)
        forecasts = np.full((members.size, len(columns), len(ends), n_steps), np.nan)
        failures: list[dict[str, str]] = [{}] * members.size
        usual = None if known is None else _usual_scores(known, columns, is_regular=kind)
        fields.append(Field(kind, members, columns, actuals[members], forecasts, failures, usual))
        names = [
            candidate_names(profile, is_regular=kind, silent_for_long=not kind and is_silent_for_long(row))
            for row in kept[members]
        ]
        cut = cut_into_chunks(
            kept[members], names, groups[members], factors, ends,
            columns=columns, n_steps=n_steps, period=season.period, refits_last=profile == "thorough",
        )  # fmt: skip
        chunks += cut
        of_field += [fields[-1]] * len(cut)
    n_done = 0
    with spread(chunks) as held:
        for field, chunk, answer in zip(of_field, chunks, held.look(run_chunk), strict=True):
            field.forecasts[chunk.rows], field.failures[chunk.rows] = answer.forecasts, answer.failures
            n_done += len(answer.failures)
            progress("backtest", n_done / len(rows))
    return Panel(
        kept_pairs,
        kept,
        kept_classes,
        _is_whole(kept, groups),
        tuple(fields),
        np.array(origins, dtype=np.intp),
        n_steps,
        n_scored_steps,
        season,
        {
            code: of_product[: units.shape[1]][-season.period :]
            for code, of_product in zip(product_codes, factors[-1], strict=True)
        },
    )


def seasons_of(known: PanelKnowledge, period: int) -> dict[str, Units]:
    """Look up each product's season factors from the forecast's first bucket on. Shapes: (period,)."""
    return {p.product_code: np.array(p.season_factors or (1.0,) * period) for p in known.products}


def turned_season(shape: Units, n_buckets: int, n_steps: int) -> Units:
    """Lay a season out over a history of n_buckets and what follows. Shapes: (period,) to (n_buckets + n_steps,)."""
    return shape[(np.arange(n_buckets + n_steps) - n_buckets) % shape.size]


def score_name(name: str, *, is_regular: bool) -> str:
    """Name what a candidate scores in the mean over all series of a kind."""
    return f"{'regular' if is_regular else 'intermittent'}/{name}"


def _usual_scores(known: PanelKnowledge, names: Sequence[str], *, is_regular: bool) -> Units:
    """Look up what a panel's candidates scored; of a kind that it did not have, none is better than another."""
    return np.array([known.usual_scores.get(score_name(n, is_regular=is_regular), 1.0) for n in names])


def _product_numbers(pairs: Sequence[Pair]) -> tuple[list[str], NDArray[np.intp]]:
    codes = sorted({product_code for product_code, _ in pairs})
    numbers = {code: k for k, code in enumerate(codes)}
    return codes, np.array([numbers[product_code] for product_code, _ in pairs], dtype=np.intp)


def _is_whole(units: Units, groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """A product that was never demanded but in whole numbers is counted in pieces."""
    broken = (np.nan_to_num(units) % 1.0 != 0.0).any(axis=1)
    of_group = np.zeros(int(groups.max(initial=-1)) + 1, dtype=bool)
    np.logical_or.at(of_group, groups, broken)
    whole: NDArray[np.bool_] = ~of_group[groups]
    return whole


def is_silent_for_long(units: Units) -> bool:
    known = units[~np.isnan(units)]
    demanded = np.flatnonzero(known > 0)
    silent = known.size - 1 - int(demanded[-1])
    return silent > SILENT_INTERVALS * known.size / demanded.size


def forecast_from(
    panel: Panel, finished: NDArray[np.bool_], origin: int, *, bias_ratio: float | None = None
) -> Spoken:
    """Choose models by the finished origins, and say with them what they said at one origin, −1 being now.

    `bias_ratio` is what to multiply with; None: as this panel's past tells.
    """
    n_series = len(panel.pairs)
    models = [""] * n_series
    means = np.empty((n_series, panel.n_steps))
    then = np.empty((n_series, int(finished.sum()), panel.n_steps))
    actuals = np.empty_like(then)
    standings = panel.standings if finished.all() else panel.standings_by(finished)
    for field, standing in zip(panel.fields, standings, strict=True):
        chosen = standing.order[:, 0]
        said = pick(field.forecasts, chosen)
        means[field.rows], then[field.rows] = said[:, origin], said[:, :-1][:, finished]
        actuals[field.rows] = field.actuals[:, finished]
        for row, c in zip(field.rows.tolist(), chosen.tolist(), strict=True):
            models[row] = field.names[c]
    if bias_ratio is None:
        bias_ratio = _bias_ratio(actuals[..., : panel.n_scored_steps], then[..., : panel.n_scored_steps])
    means *= bias_ratio
    end = panel.units.shape[1] if origin == -1 else int(panel.origins[origin])
    drawing = []
    for field in panel.fields:
        rows = field.rows
        if field.is_regular:
            draw = error_paths(
                actuals[rows] - then[rows],
                np.nan_to_num(means[rows]),
                stretches_per_path=panel.stretches_per_origin,
            )
        else:
            phase = panel.season.period if panel.season.period <= panel.n_steps else 1
            draw = demand_paths(panel.units[:, :end], rows, means[rows], phase=phase)
        drawing.append((rows, draw))
    return Spoken(models, means, partial(_drawn, drawing, panel.n_steps), actuals - then, bias_ratio)


def _drawn(drawing: Sequence[tuple[NDArray[np.intp], Draw]], n_steps: int, rows: slice) -> Units:
    """Draw a panel's series, each as its kind is drawn. Shapes: as Draw."""
    drawn = np.empty((rows.stop - rows.start, N_PATHS, n_steps))
    for places, draw in drawing:
        first, end = np.searchsorted(places, (rows.start, rows.stop)).tolist()
        drawn[places[first:end] - rows.start] = draw(slice(first, end))
    return drawn


def _bias_ratio(actuals: Units, forecasts: Units) -> float:
    """Tell by what the whole panel's forecasts have to be multiplied, going by what the past missed."""
    known = np.isfinite(actuals) & np.isfinite(forecasts)
    said = float(forecasts[known].sum())
    if actuals.shape[1] < LEAST_FINISHED_ORIGINS or said <= 0:
        return 1.0
    ratio = float(np.clip(actuals[known].sum() / said, *BIAS_RATIO_LIMITS))
    return 1 + BIAS_WEIGHT * (ratio - 1)


def replay_trials(panel: Panel, say: Say) -> tuple[Trials, Units]:
    """Play the past again: choice, spread and calibration at an origin come from what had been seen by then.

    `say` is asked for the origins in order of time.

    Shapes: trials of the panel's series, and the band's factors for now (2, n_series)
    """
    origins, n_scored = panel.origins, panel.n_scored_steps
    kinds = np.unique(panel.classes, return_inverse=True)[1]
    floored = np.array([c not in REGULAR_CLASSES for c in panel.classes], dtype=bool)
    finished = [origins + panel.n_steps <= origin for origin in origins]
    asked = tried_origins(origins, panel.n_steps) if panel.pairs else []
    is_proven = bool(asked) and _is_proven(finished[asked[0]])
    trials = Trials.none(len(panel.pairs), origins[asked], n_scored)
    tried: dict[int, TriedBand] = {}
    for at, k in enumerate(asked):
        spoken = say(finished[k] & is_proven, k)
        actual = panel.units[:, origins[k] : origins[k] + n_scored]
        band = spoken.band()[..., :n_scored]
        known = [tried[j] for j in tried if finished[k][j]]
        shown = stretched(band, band_scales(known, kinds, floored=floored), whole=panel.is_whole)
        tried[k] = TriedBand(band, actual)
        trials.is_tried[:, at] = np.isfinite(spoken.means).all(axis=1) & np.isfinite(actual).any(axis=1)
        trials.actuals[:, at], trials.forecasts[:, at] = actual, spoken.means[:, :n_scored]
        trials.naives[:, at] = seasonal_naives(panel.units, int(origins[k]), n_scored, panel.season.period)
        trials.quantiles[:, :, at] = shown
    return trials, band_scales(list(tried.values()), kinds, floored=floored)


def tried_origins(origins: NDArray[np.intp], n_steps: int) -> list[int]:
    """Number the origins that are played again: those by which enough others had finished; all where none is such a one.

    Shapes: origins (n_origins,), rising
    """
    proven = [k for k, origin in enumerate(origins) if _is_proven(origins + n_steps <= origin)]
    return proven or list(range(origins.size))


def _is_proven(finished: NDArray[np.bool_]) -> bool:
    return bool(finished.sum() >= LEAST_FINISHED_ORIGINS)


def seasonal_naives(units: Units, origin: int, n_steps: int, period: int) -> Units:
    """Say what seasonal naive says of every series. Shapes: units (n_series, n_buckets), result (n_series, n_steps)."""
    last = units[:, max(0, origin - period) : origin]
    if last.shape[1] < period:
        return np.array([seasonal_naive(row, origin, n_steps, period) for row in units]).reshape(-1, n_steps)
    said: Units = last[:, np.arange(n_steps) % period]
    for i in np.flatnonzero(np.isnan(last).any(axis=1)):
        said[i] = seasonal_naive(units[i], origin, n_steps, period)
    return said
