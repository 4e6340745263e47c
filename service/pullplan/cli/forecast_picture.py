"""How does the forecast of one series look: what was demanded, what is to come, and what was said before?"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from pullplan.cli.client import Json

_SIZE_INCHES = (11.0, 5.0)
_DOTS_PER_INCH = 110
_SHOWN_CANDIDATES = 6
_ROOM_FOR_LEGEND = 1.15
_HISTORY, _FORECAST, _PAST, _MARK = "#404040", "#1f5fa8", "#c2641a", "#8a1f5c"


class SeriesRead(NamedTuple):
    """One series of a forecast, as the API tells it."""

    series: Json
    history: list[Json]
    values: list[Json]
    backtest: list[Json]
    candidates: list[Json]


def draw_series(read: SeriesRead, path: Path) -> None:
    """Draw a series into a PNG; what cannot be drawn (no history, no backtest) is left out."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    _draw_history(axes, read.history)
    _draw_backtest(axes, read.backtest)
    _draw_values(axes, read.values)
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * _ROOM_FOR_LEGEND)
    axes.set_ylabel("units")
    axes.margins(x=0.01)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # the library's types are not whole
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(_title(read.series), loc="left", fontsize=11)
    axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=3)
    if read.candidates:
        axes.text(
            *(1.01, 1.0, _ranking(read.candidates)),
            transform=axes.transAxes,
            va="top",
            fontsize=8,
            family="monospace",
        )
    figure.savefig(path, format="png")


def _draw_history(axes: Axes, history: list[Json]) -> None:
    if not history:
        return
    dates = _dates(history)
    units = [float("nan") if row["units"] is None else row["units"] for row in history]
    axes.plot(dates, units, color=_HISTORY, linewidth=1.0, marker=".", markersize=3, label="demanded")
    marked = [row for row in history if row["mark"] not in {None, "missing"}]
    if marked:
        used = [row["used_units"] for row in marked]
        axes.plot(_dates(marked), used, color=_MARK, linestyle="", marker="x", label="seen by models instead")


def _draw_backtest(axes: Axes, backtest: list[Json]) -> None:
    origins = sorted({row["origin_date"] for row in backtest})
    for n, origin in enumerate(origins):
        rows = [row for row in backtest if row["origin_date"] == origin]
        dates = _dates(rows)
        label = "backtest: mean" if n == 0 else None
        axes.plot(dates, [row["mean_units"] for row in rows], color=_PAST, linewidth=1.2, label=label)
        if rows[0]["p10_units"] is not None:
            low, high = ([row[name] for row in rows] for name in ("p10_units", "p90_units"))
            label = "backtest: p10 to p90" if n == 0 else None
            _draw_band(axes, dates, low, high, color=_PAST, alpha=0.18, label=label)


def _draw_values(axes: Axes, values: list[Json]) -> None:
    dates = _dates(values)
    low, middle, high = ([row[name] for row in values] for name in ("p10_units", "p50_units", "p90_units"))
    _draw_band(axes, dates, low, high, color=_FORECAST, alpha=0.2, label="p10 to p90")
    axes.plot(
        dates, middle, color=_FORECAST, linewidth=1.0, linestyle=":", drawstyle="steps-mid", label="p50"
    )
    axes.plot(
        dates,
        [row["mean_units"] for row in values],
        color=_FORECAST,
        linewidth=1.6,
        marker=".",
        label="mean, planned with",
    )


def _draw_band(
    axes: Axes,
    dates: Any,
    low: list[float],
    high: list[float],
    *,
    color: str,
    alpha: float,
    label: str | None,
) -> None:
    """Draw each bucket's band as wide as the bucket: between whole pieces of two buckets lies nothing."""
    centres = dates.astype("datetime64[h]")
    half = (centres[1] - centres[0]) // 2 if dates.size > 1 else np.timedelta64(0, "h")
    edges = np.append(centres - half, centres[-1] + half)
    axes.fill_between(
        edges,
        [*low, low[-1]],
        [*high, high[-1]],
        step="post",
        color=color,
        alpha=alpha,
        linewidth=0,
        label=label,
    )


def _dates(rows: list[Json]) -> Any:
    return np.array([row["bucket_date"] for row in rows], dtype="datetime64[D]")


def _title(series: Json) -> str:
    accuracy = series["accuracy"]
    said = [
        f"{series['product_code']} / {series['region_code']}: {series['demand_class']}, {series['model']}"
    ]
    for name, words in (("wape_share", "WAPE"), ("bias_share", "bias"), ("coverage_share", "inside p10–p90")):
        if accuracy[name] is not None:
            said.append(f"{words} {accuracy[name]:.0%}")
    return ", ".join(said)


def _ranking(candidates: list[Json]) -> str:
    """List the candidates with their scores, the best first."""
    lines = ["score  model"]
    for row in candidates[:_SHOWN_CANDIDATES]:
        score = "failed" if row["failure"] else "  –   " if row["score"] is None else f"{row['score']:6.3f}"
        lines.append(f"{score} {row['model']}{' (biased)' if row['is_biased'] else ''}")
    return "\n".join(lines)
