"""How do policies' replays look side by side, week by week?"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pullplan.cli.client import Json

_SIZE_INCHES = (11.0, 9.0)
_DOTS_PER_INCH = 110
_SMOOTHED_WEEKS = 4
"""A single week's share of demand served says little."""
_DEMAND = "#b0b0b0"


def draw_replays(told: dict[str, Json], path: Path) -> None:
    """Draw service, stock and production of each policy into a PNG, demand behind them."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    service, stock, started = figure.subplots(3, 1, sharex=True)
    for n, (name, one) in enumerate(told.items()):
        buckets = one["buckets"]
        dates = np.array([bucket["first_date"] for bucket in buckets], dtype="datetime64[D]")
        served = {field: np.array([b["served"][field] for b in buckets]) for field in buckets[0]["served"]}
        label = f"{name}: {one['in_time_share'] or 0.0:.1%} in time, {one['mean_stock_units']:,.0f} in stock"
        if n == 0:
            started.fill_between(dates, served["demanded_units"], color=_DEMAND, step="mid", label="demanded")
        share = _running_sum(served["in_time_units"]) / np.maximum(
            _running_sum(served["demanded_units"]), 1e-9
        )
        service.plot(dates, share, linewidth=1.4, label=label)
        stock.plot(dates, served["stock_units"], linewidth=1.4)
        started.plot(dates, [b["ordered_units"] for b in buckets], linewidth=1.2)
    service.set_title(f"served in its week, over {_SMOOTHED_WEEKS} weeks", loc="left", fontsize=10)
    service.yaxis.set_major_formatter(PercentFormatter(1.0))
    stock.set_title("in stock at the end of the week, units", loc="left", fontsize=10)
    started.set_title("started in the week, units", loc="left", fontsize=10)
    _finish(service, stock, started)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False)
    figure.savefig(path, format="png")


def _running_sum(units: Any) -> Any:
    """Add up the latest weeks, fewer at the start. Shapes: (n_weeks,) to (n_weeks,)."""
    sums = np.cumsum(units)
    sums[_SMOOTHED_WEEKS:] -= sums[:-_SMOOTHED_WEEKS].copy()
    return sums


def _finish(*panels: Axes) -> None:
    for axes in panels:
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # the library's types are not whole
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
