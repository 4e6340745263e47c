"""How good are forecasts, against what single models of the library would have said?

No forecast knows its test window: bench.demands cuts the facts at the origin before anything looks at them, the engine is
given those facts alone, and what came is held apart in the scorer. The methods' few constants (how fast a season is
shrunk, how much a series' own score weighs, how wide a band is) were compared on these weekly sets, though, by people who
saw the scores: of the window, that much is known.
"""

from collections.abc import Iterable
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
from bench.scores import Said, Score, score
from bench.singles import croston_with_normal_quantiles, empirical_quantiles, said_by_singles

from pullplan.engine.demand import bucket_history
from pullplan.engine.forecast import forecast_demand

Figures = list[dict[str, Any]]

PERIOD_WEEKS = 52
SAMPLE_STRIDE_WEEKS = 16
SAMPLE_SHARE = 4
"""Every so many-th series is put to the single models where the whole takes too long."""
IOWA_BIAS_LIMIT, AVOCADO_BIAS_LIMIT = 0.05, 0.07
PANEL_COVERAGE, PART_COVERAGE = (0.75, 0.85), (0.70, 0.90)
VOLUME_LIMITS = (0.75, 1.25)


def forecasts_sampled() -> Figures:
    """Measure both weekly sets from a few origins on part of their series, and car parts whole."""
    return [
        *_weekly("iowa", iowa(), IOWA_BIAS_LIMIT, stride=SAMPLE_STRIDE_WEEKS, share=SAMPLE_SHARE),
        *_weekly(
            "avocado", avocado(), AVOCADO_BIAS_LIMIT, stride=SAMPLE_STRIDE_WEEKS, share=2 * SAMPLE_SHARE
        ),
        *parts(),
    ]


def forecasts_whole() -> Figures:
    """Measure every series from every fourth week of the last year."""
    return [
        *_weekly("iowa", iowa(), IOWA_BIAS_LIMIT, stride=ORIGIN_STRIDE_WEEKS, share=1),
        *_weekly("avocado", avocado(), AVOCADO_BIAS_LIMIT, stride=ORIGIN_STRIDE_WEEKS, share=1),
        *parts(),
    ]


def _weekly(name: str, rows: list[Row], bias_limit: float, *, stride: int, share: int) -> Figures:
    origins = list(rolling_origins(rows, first_weeks_back=LAST_YEAR_WEEKS, stride_weeks=stride))
    said = _said_by_engine(origins)
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
    ]  # fmt: skip


def _coverage(name: str, ours: Score) -> Figures:
    by_part = {
        **ours.coverage_by_class,
        **{f"step {s}": c for s, c in enumerate(ours.coverage_by_step, start=1)},
    }
    parts = [f"{part} {coverage:.2f}" for part, coverage in ours.coverage_by_class.items()]
    worst = max(by_part, key=lambda part: abs(by_part[part] - 0.8))
    low, high = PANEL_COVERAGE
    part_low, part_high = PART_COVERAGE
    return [
        figure(
            f"{name}: coverage of p10–p90", ours.coverage_share, "share", reference=0.8, must=f"{low}–{high}",
            reached=low <= ours.coverage_share <= high,
        ),
        figure(
            f"{name}: coverage of the class or step worst covered ({worst}; {', '.join(parts)})", by_part[worst], "share",
            reference=0.8, must=f"{part_low:.2f}–{part_high:.2f}", reached=part_low <= by_part[worst] <= part_high,
        ),
    ]  # fmt: skip


def parts() -> Figures:
    """Measure car parts from two origins half a year apart."""
    origins = list(
        rolling_origins(
            carparts(), first_weeks_back=2 * MONTHS_AHEAD, stride_weeks=MONTHS_AHEAD, n_steps=MONTHS_AHEAD
        )
    )
    ours = score(_said_by_engine(origins))
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
            for name, reference in ((n, score(said).pinball_units) for n, said in references.items())
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


def _said_by_engine(origins: Iterable[Origin]) -> list[Said]:
    said = []
    for origin in origins:
        forecast = forecast_demand(origin.known)
        for series, actual in zip(forecast.series, origin.actual, strict=True):
            quantiles = np.array([series.p10_units, series.p50_units, series.p90_units])
            said.append(Said(series.demand_class, actual, np.array(series.mean_units), quantiles))
    return said


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
