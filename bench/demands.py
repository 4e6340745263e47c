"""Which real demand are forecasts measured on, and what is an engine told of it at an origin?"""

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet
from bench.tables import REPOSITORY

from pullplan.engine.demand import bucket_history
from pullplan.engine.model import DailyUnits, ForecastFacts, Horizon

Units = npt.NDArray[np.float64]
type Row = tuple[str, str, date, float]
"""Product, region, day, units."""

DATA = Path(os.environ.get("PULLPLAN_SHARED", REPOSITORY.parent / "shared")) / "data"
HORIZON_BUCKETS = 8
MONTHS_AHEAD = 6
LAST_YEAR_WEEKS, ORIGIN_STRIDE_WEEKS = 52, 4
ANY_MONDAY = date(2001, 1, 1)
"""Of the first month of a set of months, which is handed in as weeks: the service knows no months."""


@dataclass(frozen=True)
class Origin:
    """What was known at an origin, and, apart from it, what came. `actual` Shapes: (n_series, n_steps)."""

    known: ForecastFacts
    pairs: tuple[tuple[str, str], ...]
    actual: Units


def iowa() -> list[Row]:
    return _rows("iowa_spirits/signals_daily.csv.gz", "date")


def avocado() -> list[Row]:
    return _rows("hass_avocado/demand_weekly_2017_2022.csv.gz", "week_ending")


def carparts() -> list[Row]:
    """Read the months as weeks, each month's demand on the Monday of its week."""
    table = pyarrow.parquet.read_table(DATA / "carparts" / "carparts.parquet").to_pydict()
    part, month, units = (table[name] for name in table)
    months = {moment: n for n, moment in enumerate(sorted(set(month)))}
    return [
        ("PART", str(p), ANY_MONDAY + timedelta(weeks=months[m]), float(u))
        for p, m, u in zip(part, month, units, strict=True)
        if u is not None and np.isfinite(u)
    ]


def rolling_origins(
    rows: list[Row],
    *,
    first_weeks_back: int,
    stride_weeks: int,
    last_weeks_back: int = 0,
    n_steps: int = HORIZON_BUCKETS,
) -> Iterator[Origin]:
    """Cut the demand at Mondays, between so many weeks before its end; what came after is told apart."""
    last = max(day for *_, day, _ in rows)
    end = last - timedelta(days=last.weekday()) + timedelta(weeks=1)
    whole = bucket_history(_facts(rows, end, n_steps))
    position = {pair: i for i, pair in enumerate(whole.pairs)}
    for weeks_back in range(first_weeks_back, max(last_weeks_back, n_steps) - 1, -stride_weeks):
        known = _facts(rows, end - timedelta(weeks=weeks_back), n_steps)
        pairs = bucket_history(known).pairs
        begin = whole.units.shape[1] - weeks_back
        actual = whole.units[[position[pair] for pair in pairs], begin : begin + n_steps]
        yield Origin(known, pairs, actual)


def _facts(rows: list[Row], as_of: date, n_steps: int) -> ForecastFacts:
    """Hand in what came before `as_of`, and nothing else."""
    columns = list(zip(*sorted(row for row in rows if row[2] < as_of), strict=True))
    products, regions, days, units = columns
    return ForecastFacts(
        horizon=Horizon(as_of_date=as_of, bucket="week", horizon_buckets=n_steps),
        n_steps=n_steps,
        consumption=DailyUnits(product_codes=products, region_codes=regions, days=days, units=units),
    )


def _rows(path: str, day: str) -> list[Row]:
    with gzip.open(DATA / path, "rt") as file:
        return [
            (row["product"], row["region"], date.fromisoformat(row[day]), float(row["quantity"]))
            for row in csv.DictReader(file)
        ]
