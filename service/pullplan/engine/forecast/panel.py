"""How do all series of a deployment come by their forecasts?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates
from pullplan.engine.demand import History, Pair, Units, bucket_history, classes_of
from pullplan.engine.forecast.accuracy import measured, panel_accuracy, scales_of, tally_of
from pullplan.engine.forecast.adjustments import adjusted_mean, scaled_alike
from pullplan.engine.forecast.backtest import backtest_origins
from pullplan.engine.forecast.calibration import stretched
from pullplan.engine.forecast.coherence import Coherence, can_compare, members_by_product, total_units
from pullplan.engine.forecast.grounds import candidates_of, history_grounds, past_forecasts, usual_scores
from pullplan.engine.forecast.marks import mark_history
from pullplan.engine.forecast.newcomers import Pool, Projection
from pullplan.engine.forecast.season import SEASONS
from pullplan.engine.forecast.spread import BLOCK_SERIES, DrawnInTurn, band_around, offsets_of
from pullplan.engine.forecast.totals import Totals
from pullplan.engine.forecast.tournament import Panel, Progress, Say, replay_trials, run_tournament
from pullplan.engine.model import (
    Accuracy,
    Adjustment,
    Bucket,
    DemandClass,
    Forecast,
    ForecastFacts,
    Grounds,
    PanelKnowledge,
    ProductKnowledge,
    SeriesForecast,
    TotalForecast,
)
from pullplan.engine.sharding import Spread, here

# The stage after which most of the memory is taken that a forecast leaves behind, while what it was found from is free.
DRAFTED = "drafted"

# What older history tells is no longer true.
MOST_BUCKETS: dict[Bucket, int] = {"day": 364, "week": 260}


def forecast_demand(facts: ForecastFacts, progress: Progress | None = None) -> Forecast:
    """Forecast as `forecast_with_grounds` does, for whoever only plans with it."""
    return forecast_with_grounds(facts, progress)[0]


def forecast_with_grounds(
    facts: ForecastFacts, progress: Progress | None = None, spread: Spread = here
) -> tuple[Forecast, tuple[Grounds, ...], tuple[TotalForecast, ...], PanelKnowledge]:
    """Forecast every pair that has history or is asked for, bucket 0 to n_steps−1, bucket 0 as a whole.

    The totals over regions, over products and in all are the sums of what is forecast of the pairs.

    `progress` hears the stage and the share of it that is done. A model that fails on a series is out for that
    series alone, and its forecast says so. What is known afterwards of the panel as a whole lets a few series be
    forecast again alone.

    Shapes: grounds (n_series,), totals (n_totals,)
    """
    progress = progress or (lambda _stage, _share: None)
    drafted = _draft(facts, progress, spread)
    progress(DRAFTED, 1.0)
    series = tuple(assemble_series(drafted.drafts))
    forecast = Forecast(
        first_bucket_date=drafted.first_bucket_date,
        bucket=facts.horizon.bucket,
        n_steps=facts.n_steps,
        series=series,
        measures=drafted.measures,
    )
    return forecast, drafted.grounds, drafted.totals.forecasts(series), drafted.knowledge


@dataclass(frozen=True)
class _Drafted:
    """All that is left of a panel once its series are drafted: what they were found from is let go of."""

    first_bucket_date: date
    drafts: "list[Draft]"
    grounds: tuple[Grounds, ...]
    totals: Totals
    knowledge: PanelKnowledge
    measures: Accuracy


def _draft(facts: ForecastFacts, progress: Progress, spread: Spread) -> _Drafted:
    history = recent_history(bucket_history(facts))
    marked = mark_history(history, facts)
    units = marked.used
    classes = classes_of(units)
    compete = partial(
        run_tournament,
        season=SEASONS[history.bucket],
        n_steps=facts.n_steps,
        n_scored_steps=min(facts.n_steps, facts.horizon.horizon_buckets),
        profile=facts.profile,
        spread=spread,
    )
    origins = backtest_origins(units.shape[1], facts.n_steps, SEASONS[history.bucket].period, facts.profile)
    families = members_by_product(history.pairs, classes) if can_compare(origins, facts.n_steps) else {}
    products = None
    if families:
        in_all = np.stack([total_units(units[rows]) for rows in families.values()])
        products = compete(
            [(product_code, "") for product_code in families],
            in_all,
            classes_of(in_all),
            progress=lambda _stage, share: progress("products", share),
        )
    panel = compete(history.pairs, units, classes, progress=progress)
    coherence = Coherence(panel, products)
    trials, widths = replay_trials(panel, coherence.say)
    made, bias_ratio = forecast_established(panel, widths, coherence.say)
    tally = tally_of(trials)
    measures = measured(tally, scales_of(panel.units, panel.season.period))
    accuracies = dict(zip(panel.pairs, measures, strict=True))
    pool = Pool(made, facts.n_steps)
    dates = bucket_dates(facts.horizon, facts.n_steps)
    adjustments = adjustments_by_pair(facts.adjustments)
    candidates = dict(zip(panel.pairs, candidates_of(panel), strict=True))
    backtests = dict(zip(panel.pairs, past_forecasts(trials, history), strict=True))
    knowledge = PanelKnowledge(
        heard=history.heard,
        learned_date=dates[0],
        origin_dates=tuple(history.date_of(int(origin)) for origin in panel.origins),
        bias_ratio=bias_ratio,
        widths={c: (float(w[0]), float(w[1])) for c, w in zip(panel.classes, widths.T, strict=True)},
        usual_scores=usual_scores(panel),
        region_sizes=dict(pool.region_sizes),
        products=_products(panel),
    )
    totals = Totals(history.pairs, panel, coherence.agreed)
    drafts, grounds = [], []
    for i, (pair, row, demand_class) in enumerate(zip(history.pairs, units, classes, strict=True)):
        known = row[~np.isnan(row)]
        raw = made.get(pair) or pool.forecast_newcomer(pair, known)
        adjusted = adjusted_mean(raw.mean, dates, adjustments[pair])
        accuracy = accuracies.get(pair, Accuracy())
        drafts.append(Draft(pair, demand_class, known.size, raw, adjusted, accuracy))
        grounds.append(
            msgspec.structs.replace(
                history_grounds(history.units[i], row, marked.marks[i], history.first_date, history.bucket),
                candidates=candidates.get(pair, ()),
                backtest=backtests.get(pair, ()),
            )
        )
    measures_of_all = panel_accuracy(tally, measures)
    return _Drafted(dates[0], drafts, tuple(grounds), totals, knowledge, measures_of_all)


def _products(panel: Panel) -> tuple[ProductKnowledge, ...]:
    """Keep what each product's series told together; a season that is flat is not kept."""
    is_whole = {code: bool(whole) for (code, _), whole in zip(panel.pairs, panel.is_whole, strict=True)}
    return tuple(
        ProductKnowledge(
            product_code=code,
            season_factors=() if (shape == 1.0).all() else tuple(shape.tolist()),
            is_whole=is_whole[code],
        )
        for code, shape in panel.shapes.items()
    )


def recent_history(history: History) -> History:
    """Leave out what is too old to tell anything."""
    units = history.units[:, -MOST_BUCKETS[history.bucket] :]
    older = history.units.shape[1] - units.shape[1]
    days = older * DAYS_PER_BUCKET[history.bucket]
    return replace(history, first_date=history.first_date + timedelta(days=days), units=units)


def forecast_established(panel: Panel, widths: Units, say: Say) -> tuple[dict[Pair, Projection], float]:
    """Forecast every series of the panel now, and tell what its means were multiplied with for the bias of all.

    `widths` are the factors of the series' bands. Shapes: widths (2, n_series)
    """
    spoken = say(np.ones(panel.origins.size, dtype=bool), -1)
    failures = panel.failures
    drawn = DrawnInTurn(spoken.draw, panel.units)
    made = {
        pair: Projection(
            spoken.models[i],
            _fallback_reason(failures[i]),
            spoken.means[i],
            partial(drawn.of, i),
            widths=widths[:, i],
            is_whole=bool(panel.is_whole[i]),
        )
        for i, pair in enumerate(panel.pairs)
    }
    return made, spoken.bias_ratio


@dataclass(frozen=True, slots=True)
class Draft:
    """A series before quantiles are put around its mean, which people have adjusted. Shapes: mean (n_steps,)."""

    pair: Pair
    demand_class: DemandClass
    history_buckets: int
    raw: Projection
    mean: Units
    accuracy: Accuracy


def assemble_series(drafts: list[Draft]) -> list[SeriesForecast]:
    """Put quantiles around means, some hundred series at a time, and let go of their drafts: none is left.

    Shapes: drafts and result (n_series,)
    """
    made: list[SeriesForecast] = []
    drafts.reverse()
    while drafts:
        block = drafts[-BLOCK_SERIES:][::-1]
        del drafts[-BLOCK_SERIES:]
        made += _assemble_block(block)
    return made


def _assemble_block(drafts: Sequence[Draft]) -> list[SeriesForecast]:
    """Assemble those with as many paths side by side."""
    paths = [draft.raw.draw() for draft in drafts]
    by_count: dict[int, list[int]] = defaultdict(list)
    for i, drawn in enumerate(paths):
        by_count[drawn.shape[0]].append(i)
    made = {
        i: series
        for alike in by_count.values()
        for i, series in _assemble_alike(drafts, alike, np.stack([paths[i] for i in alike], axis=1))
    }
    return [made[i] for i in range(len(drafts))]


def _assemble_alike(
    drafts: Sequence[Draft], alike: Sequence[int], raw_paths: Units
) -> Iterator[tuple[int, SeriesForecast]]:
    """Shapes: alike (n,), raw_paths (n_paths, n, n_steps)."""
    raws = [drafts[i].raw for i in alike]
    means, raw_means = np.stack([drafts[i].mean for i in alike]), np.stack([raw.mean for raw in raws])
    paths = scaled_alike(raw_paths, raw_means, means).transpose(1, 0, 2)
    offsets = scaled_alike(offsets_of(raw_means, raw_paths), raw_means, means)
    widths = np.stack([raw.widths for raw in raws], axis=1)
    band = stretched(band_around(means, offsets), widths, whole=np.array([raw.is_whole for raw in raws]))
    p10, p50, p90 = band
    is_sane = ((means >= 0) & (p10 >= 0) & (p10 <= p50) & (p50 <= p90)).all(axis=1)
    if not is_sane.all():
        raise AssertionError(
            f"the quantiles of {drafts[alike[int(is_sane.argmin())]].pair} are negative or cross"
        )
    rows = (values.tolist() for values in (means, *band, means - raw_means, paths))
    for i, mean, low, middle, high, adjustment, drawn in zip(alike, *rows, strict=True):
        draft = drafts[i]
        yield (
            i,
            SeriesForecast(
                product_code=draft.pair[0],
                region_code=draft.pair[1],
                demand_class=draft.demand_class,
                model=draft.raw.model,
                fallback_reason=draft.raw.fallback_reason,
                history_buckets=draft.history_buckets,
                mean_units=tuple(mean),
                p10_units=tuple(low),
                p50_units=tuple(middle),
                p90_units=tuple(high),
                adjustment_units=tuple(adjustment),
                error_paths_units=tuple(map(tuple, drawn)),
                accuracy=draft.accuracy,
            ),
        )


def _fallback_reason(failures: Mapping[str, str]) -> str | None:
    return "; ".join(f"{name} failed: {cause}" for name, cause in sorted(failures.items())) or None


def adjustments_by_pair(adjustments: Sequence[Adjustment]) -> dict[Pair, list[Adjustment]]:
    """Gather what people changed of each pair, in a stable order."""
    by_pair: dict[Pair, list[Adjustment]] = defaultdict(list)
    for adjustment in sorted(adjustments, key=lambda a: a.external_id):
        by_pair[adjustment.product_code, adjustment.region_code].append(adjustment)
    return by_pair
