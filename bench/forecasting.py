"""How good are forecasts, against what single models of the library would have said?

No forecast knows its test window: bench.demands cuts the facts at the origin before anything looks at them, the engine is
given those facts alone, and what came is held apart in the scorer. The methods' few constants (how fast a season is
shrunk, how much a series' own score weighs, how wide a band is) were compared on the last year of these weekly sets, though,
by people who saw the scores: of that window, that much is known. The year before it is scored beside: nothing was compared on
it, and no mark is set for it (half the history, and the demand of 2020 and 2021).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from bench.demands import (
    HORIZON_BUCKETS,
    LAST_YEAR_WEEKS,
    MONTHS_AHEAD,
    ORIGIN_STRIDE_WEEKS,
    Origin,
    Row,
    avocado,
    carparts,
    iowa,
    rolling_origins,
)
from bench.figure import figure
from bench.scores import Covered, Said, Score, Units, score
from bench.singles import croston_with_normal_quantiles, empirical_quantiles, said_by_singles

from pullplan.engine.demand import bucket_history
from pullplan.engine.forecast import forecast_with_grounds
from pullplan.engine.forecast.coherence import total_units
from pullplan.engine.model import SeriesForecast, TotalForecast

Figures = list[dict[str, Any]]

PERIOD_WEEKS = 52
SAMPLE_STRIDE_WEEKS = 16
SAMPLE_SHARE = 4
"""Every so many-th series is put to the single models where the whole takes too long."""
IOWA_BIAS_LIMIT, AVOCADO_BIAS_LIMIT = 0.05, 0.07
PANEL_COVERAGE, PART_COVERAGE = (0.75, 0.85), (0.70, 0.90)
COVERED_SHARE = 0.8
VOLUME_LIMITS = (0.75, 1.25)


def forecasts_sampled() -> Figures:
    """Measure both weekly sets in both years from a few origins on part of their series, and car parts whole."""
    return [
        *_weekly("iowa", iowa(), IOWA_BIAS_LIMIT, stride=SAMPLE_STRIDE_WEEKS, share=SAMPLE_SHARE),
        *_weekly(
            "avocado", avocado(), AVOCADO_BIAS_LIMIT, stride=SAMPLE_STRIDE_WEEKS, share=2 * SAMPLE_SHARE
        ),
        *parts(),
    ]


def forecasts_whole() -> Figures:
    """Measure every series from every fourth week of both years."""
    return [
        *_weekly("iowa", iowa(), IOWA_BIAS_LIMIT, stride=ORIGIN_STRIDE_WEEKS, share=1),
        *_weekly("avocado", avocado(), AVOCADO_BIAS_LIMIT, stride=ORIGIN_STRIDE_WEEKS, share=1),
        *parts(),
    ]


def _weekly(name: str, rows: list[Row], bias_limit: float, *, stride: int, share: int) -> Figures:
    figures = []
    for years_back, year in ((1, "last year"), (2, "the year before, no mark")):
        first = years_back * LAST_YEAR_WEEKS
        # What came in the earlier year ends where the later begins.
        last = first - LAST_YEAR_WEEKS + HORIZON_BUCKETS
        origins = list(
            rolling_origins(rows, first_weeks_back=first, last_weeks_back=last, stride_weeks=stride)
        )
        measured = _year(f"{name}, {year}", origins, bias_limit, share=share)
        figures += measured if years_back == 1 else [{**one, "reached": None} for one in measured]
    return figures


def _year(name: str, origins: list[Origin], bias_limit: float, *, share: int) -> Figures:
    said, of_totals = _said_by_engine(origins)
    ours, beside_singles = score(said), score(said[::share])
    singles = _score_singles(origins, share)
    name = f"{name}, {len(origins)} origins"
    beside = f"{name}, every {share}th series" if share > 1 else name
    by_wape = min(singles, key=lambda model: singles[model].wape_of_p50)
    by_pinball = min(singles, key=lambda model: singles[model].pinball_units)
    best_wape, best_pinball = singles[by_wape].wape_of_p50, singles[by_pinball].pinball_units
    return [
        figure(
            f"{beside}: WAPE of p50 (best single model with hindsight: {by_wape})",
            beside_singles.wape_of_p50, "share", reference=best_wape, must="< reference", reached=beside_singles.wape_of_p50 < best_wape,
        ),
        figure(
            f"{beside}: mean pinball loss (best single model with hindsight: {by_pinball})",
            beside_singles.pinball_units, "units", reference=best_pinball, must="< reference", reached=beside_singles.pinball_units < best_pinball,
        ),
        figure(
            f"{name}: |bias| of mean_units", abs(ours.bias_share), "share", reference=bias_limit, must="<= reference",
            reached=abs(ours.bias_share) <= bias_limit,
        ),
        *_coverage(name, ours),
        _coverage_of_panel(f"{name}: totals by product, by region and of all", score(of_totals)),
    ]  # fmt: skip


def _coverage(name: str, ours: Score) -> Figures:
    by_part = {
        **ours.coverage_by_class,
        **{f"step {s}": covered for s, covered in enumerate(ours.coverage_by_step, start=1)},
    }
    worst = max(by_part, key=lambda part: _outside(by_part[part]))
    nothing, share = by_part[worst].nothing_share, _judged(by_part[worst])
    told = (
        f", where nothing came in {nothing:.2f}: that counted by its probability"
        if share != by_part[worst].share
        else ""
    )
    return [
        _coverage_of_panel(name, ours),
        figure(
            f"{name}: coverage of the class or step worst covered ({worst}{told})", share, "share",
            reference=COVERED_SHARE, must=f"{PART_COVERAGE[0]:.2f}–{PART_COVERAGE[1]:.2f}", reached=PART_COVERAGE[0] <= share <= PART_COVERAGE[1],
        ),
    ]  # fmt: skip


def _coverage_of_panel(name: str, ours: Score) -> dict[str, Any]:
    """Judge the whole, and keep every part of it for the table of coverage."""
    low, high = PANEL_COVERAGE
    of_panel = figure(
        f"{name}: coverage of p10–p90", ours.coverage_share, "share", reference=COVERED_SHARE, must=f"{low}–{high}",
        reached=low <= ours.coverage_share <= high,
    )  # fmt: skip
    by_class = {part: asdict(covered) for part, covered in ours.coverage_by_class.items()}
    by_step = [covered.share for covered in ours.coverage_by_step]
    return {**of_panel, "coverage": {"of": name, "by_class": by_class, "by_step": by_step}}


def _judged(covered: Covered) -> float:
    """Judge what lay inside the band; where no band could cover so little, nothing counts by its probability."""
    return covered.spread_share if covered.nothing_share > PART_COVERAGE[1] else covered.share


def _outside(covered: Covered) -> float:
    """Rank parts by how far their coverage lies outside its limits."""
    low, high = PART_COVERAGE
    return max(low - _judged(covered), _judged(covered) - high)


def parts() -> Figures:
    """Measure car parts from two origins half a year apart."""
    origins = list(
        rolling_origins(
            carparts(), first_weeks_back=2 * MONTHS_AHEAD, stride_weeks=MONTHS_AHEAD, n_steps=MONTHS_AHEAD
        )
    )
    said, _ = _said_by_engine(origins)
    ours = score(said)
    normal: list[Said] = []
    empirical: list[Said] = []
    for origin in origins:
        for units, actual in zip(bucket_history(origin.known).units, origin.actual, strict=True):
            history = units[~np.isnan(units)]
            for said, quantiles in (
                (normal, croston_with_normal_quantiles(history, MONTHS_AHEAD)),
                (empirical, empirical_quantiles(history, MONTHS_AHEAD)),
            ):
                said.append(Said("", actual, quantiles[1], quantiles))
    low, high = VOLUME_LIMITS
    volume = 1 + ours.bias_share
    references = {"CrostonSBA with normal quantiles": normal, "the empirical quantile of history": empirical}
    return [
        *(
            figure(
                f"car parts, 2 origins, 6 months: mean pinball loss against {name}",
                ours.pinball_units,
                "units",
                reference=reference,
                must="< reference",
                reached=ours.pinball_units < reference,
            )
            for name, reference in ((n, score(other).pinball_units) for n, other in references.items())
        ),
        figure(
            "car parts: planned volume ÷ what came",
            volume,
            "share",
            reference=1.0,
            must=f"{low}–{high}",
            reached=low <= volume <= high,
        ),
    ]


def _said_by_engine(origins: Iterable[Origin]) -> tuple[list[Said], list[Said]]:
    """Forecast from every origin: the series, and what they add up to."""
    said, of_totals = [], []
    for origin in origins:
        forecast, _, totals, _ = forecast_with_grounds(origin.known)
        came: dict[tuple[str, str], list[Units]] = defaultdict(list)
        for series, actual in zip(forecast.series, origin.actual, strict=True):
            said.append(_said(series.demand_class, actual, series))
            for total in (("product", series.product_code), ("region", series.region_code), ("all", "")):
                came[total].append(actual)
        of_totals += [
            _said(t.totalled_by, total_units(np.array(came[t.totalled_by, t.code])), t) for t in totals
        ]
    return said, of_totals


def _said(kind: str, actual: Units, one: SeriesForecast | TotalForecast) -> Said:
    quantiles = np.array([one.p10_units, one.p50_units, one.p90_units])
    return Said(kind, actual, np.array(one.mean_units), quantiles)


def _score_singles(origins: Iterable[Origin], share: int) -> dict[str, Score]:
    rows = [
        pair
        for origin in origins
        for pair in zip(bucket_history(origin.known).units, origin.actual, strict=True)
    ]
    said: dict[str, list[Said]] = {}
    for units, actual in rows[::share]:
        for name, quantiles in said_by_singles(units, HORIZON_BUCKETS, PERIOD_WEEKS).items():
            said.setdefault(name, []).append(Said("", actual, quantiles[1], quantiles))
    return {name: score(answers) for name, answers in said.items()}
