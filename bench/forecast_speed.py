"""How many series does a tournament forecast, and what does it take beside the models' own calls?

    python -m bench.forecast_speed SERIES

measures the memory of so many in a process of its own: what others have held before would hide it.
"""

import ctypes
import gc
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from bench.apart import measured_apart
from bench.figure import figure, held_megabytes, peak_megabytes

from pullplan.compute import spread_of
from pullplan.engine.forecast import forecast_with_grounds
from pullplan.engine.forecast.chunks import Chunk
from pullplan.engine.forecast.models import LEVELS, TRENDS, build_model
from pullplan.engine.model import DailyUnits, ForecastFacts, ForecastProfile, ForecastsInForce, Horizon
from pullplan.engine.sharding import Held, HeldHere, here
from pullplan.workflows.run_forecast import ForecastReading, compute_forecast

Units = npt.NDArray[np.float64]
Figures = list[dict[str, Any]]

AS_OF = date(2024, 1, 1)
N_WEEKS, N_STEPS, PERIOD_WEEKS = 104, 8, 52
REGIONS_PER_PRODUCT = 25
OVERHEAD_LIMIT, LINEAR_LIMIT = 0.10, 0.15
TWO_CORES, QUICK_PER_SECOND = 2, 500.0
QUICK_PER_CPU_SECOND = QUICK_PER_SECOND / TWO_CORES
ASTRAY_FACTOR = 10.0
"""A model that says so many times the most ever seen is estimated again, whoever calls it."""


def speed_sampled() -> Figures:
    return [*_overhead(400, "thorough"), *_overhead(400, "quick"), *_linearity(500, 2_000)]


def speed_whole() -> Figures:
    return [*_overhead(10_000, "thorough"), *_linearity(5_000, 20_000)]


def _overhead(n_series: int, profile: ForecastProfile) -> Figures:
    """Compare with the library's calls alone; the mark is for all models, of which the quick profile leaves the dearest out."""
    facts = facts_of(mixed_panel(n_series), profile)
    forecast_with_grounds(facts_of(mixed_panel(REGIONS_PER_PRODUCT), profile))
    beside = _Beside()
    engine = _seconds_of(lambda: forecast_with_grounds(facts, spread=beside.spread)) - beside.seconds
    overhead = engine / beside.library_seconds - 1
    is_marked = profile == "thorough"
    told = f"forecast of {n_series:,} series × {N_WEEKS} weeks, {profile}"
    return [
        figure(
            f"{told}: CPU time above the same library calls made directly", overhead, "share", reference=beside.library_seconds,
            must=f"<= {OVERHEAD_LIMIT}" if is_marked else "-", reached=overhead <= OVERHEAD_LIMIT if is_marked else None,
        ),
        figure(
            f"{told}: series a CPU-second, against the library's calls alone", n_series / engine, "series/s",
            reference=n_series / beside.library_seconds, must="-", reached=None,
        ),
    ]  # fmt: skip


class _Beside:
    """Calls the library directly for every chunk, right after the engine: a machine that slows down slows both.

    A forecast's chunks are its series and its products' totals: both are fitted.
    """

    def __init__(self) -> None:
        self.library_seconds = 0.0
        """CPU time of the library's calls alone."""
        self.seconds = 0.0
        """CPU time of all that no forecast does."""

    @contextmanager
    def spread(self, chunks: Sequence[Chunk], /) -> Iterator[Held]:
        yield _HeldBeside(chunks, self)

    def call(self, chunk: Chunk) -> None:
        """Make a chunk's calls."""
        began = time.process_time()
        histories = [
            _without_season(row, group, chunk) for row, group in zip(chunk.units, chunk.groups, strict=True)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            self.library_seconds += _seconds_of(lambda: _call_directly(histories, chunk))
        self.seconds += time.process_time() - began


class _HeldBeside(HeldHere):
    def __init__(self, chunks: Sequence[Chunk], beside: _Beside) -> None:
        super().__init__(chunks)
        self._chunks, self._beside = chunks, beside

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        for chunk, answer in zip(self._chunks, super().look(at, *asked), strict=True):
            yield answer
            self._beside.call(chunk)


def _linearity(n_few: int, n_many: int) -> Figures:
    few_facts, many_facts = (facts_of(mixed_panel(n), "quick") for n in (n_few, n_many))
    few = _seconds_of(lambda: forecast_with_grounds(few_facts)) / n_few
    many = _seconds_of(lambda: forecast_with_grounds(many_facts)) / n_many
    few_held, many_held = (measured_apart("bench.forecast_speed", n) for n in (n_few, n_many))
    began = time.perf_counter()
    # This process does all that is not spread besides its share of the chunks: the other one waits for it.
    busier = _seconds_of(lambda: forecast_with_grounds(many_facts, spread=spread_of(f"local:{TWO_CORES}")))
    elapsed = time.perf_counter() - began
    growth, per_cpu_second = many / few - 1, 1 / many
    return [
        figure(
            f"forecast of {n_many:,} series × {N_WEEKS} weeks, quick: series a CPU-second of one core", per_cpu_second, "series/s",
            reference=QUICK_PER_CPU_SECOND, must=">= reference", reached=per_cpu_second >= QUICK_PER_CPU_SECOND,
        ),
        figure(
            f"forecast of {n_many:,} series × {N_WEEKS} weeks, quick, {TWO_CORES} processes: series a CPU-second of the busier", n_many / busier,
            "series/s", reference=QUICK_PER_SECOND, must=">= reference", reached=n_many / busier >= QUICK_PER_SECOND,
        ),
        figure(
            f"forecast of {n_many:,} series × {N_WEEKS} weeks, quick, {TWO_CORES} processes: series a second as the clock goes",
            n_many / elapsed, "series/s", reference=QUICK_PER_SECOND, must="-", reached=None,
        ),
        figure(
            f"forecast, quick: CPU time a series of {n_many:,} above that of {n_few:,}", growth, "share",
            reference=few * 1e3, must=f"<= {LINEAR_LIMIT}", reached=growth <= LINEAR_LIMIT,
        ),
        figure(
            f"forecast of {n_many:,} series, quick: most memory beside its facts and what is made of them, against {n_few:,} series",
            many_held["beside_megabytes"], "MB", reference=few_held["beside_megabytes"], must=f"<= {1 + LINEAR_LIMIT:.2f} × reference",
            reached=many_held["beside_megabytes"] <= (1 + LINEAR_LIMIT) * few_held["beside_megabytes"],
        ),
        figure(
            f"forecast of {n_many:,} series, quick: memory of what is made, a series",
            many_held["made_megabytes"] * 1024 / n_many, "KB", reference=few_held["made_megabytes"] * 1024 / n_few, must="-", reached=None,
        ),
    ]  # fmt: skip


def measure_memory(n_series: int) -> dict[str, float]:
    """Tell what a forecast holds while it is made, beside its facts and what is made of them, and what is made."""
    reading = ForecastReading(facts_of(mixed_panel(n_series), "quick"), ForecastsInForce())
    forecast_with_grounds(facts_of(mixed_panel(REGIONS_PER_PRODUCT), "quick"))  # libraries and compiled code
    before = _held_now()
    made = compute_forecast(reading, lambda *_: None, here)
    most, after = peak_megabytes(), _held_now()
    del made
    return {"beside_megabytes": most - after, "made_megabytes": after - before}


def _held_now() -> float:
    """Tell what is held once all that is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return held_megabytes()


def _seconds_of(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _without_season(units: Units, group: int, chunk: Chunk) -> list[Units]:
    """Take the season off what was known at every origin, so that both have the same numbers to fit."""
    start = int(np.argmax(~np.isnan(units)))
    return [
        units[start:end] / of_end[group, start:end]
        for of_end, end in zip(chunk.factors, chunk.ends, strict=True)
    ]


def _call_directly(histories: list[list[Units]], chunk: Chunk) -> None:
    """Make every library call of a chunk, and nothing else."""
    for (first, *later, last), names in zip(histories, chunk.names, strict=True):
        for name in (one for one in names if one in LEVELS):
            for history in (first, *later, last):
                build_model(name).forecast(y=history, h=N_STEPS)
        for name in (one for one in names if one in TRENDS):
            fitted = build_model(name).fit(first)
            fitted.predict(h=N_STEPS)
            for history in later if chunk.refits_last else (*later, last):
                said = fitted.forward(y=history, h=N_STEPS)["mean"]
                if not (said <= ASTRAY_FACTOR * history.max()).all():
                    fitted = build_model(name).fit(history)
                    fitted.predict(h=N_STEPS)
            if chunk.refits_last:
                build_model(name).fit(last).predict(h=N_STEPS)


def mixed_panel(n_series: int) -> Units:
    """A quarter each of smooth, erratic, intermittent and lumpy demand in pieces, half of it with a season."""
    chance = np.random.default_rng(7)
    weeks = np.arange(N_WEEKS)
    rows = []
    for number in range(n_series):
        level = float(chance.lognormal(3.0, 1.0))
        season = 1 + 0.3 * np.sin(2 * np.pi * (weeks / PERIOD_WEEKS + number % 5 / 5))
        happens = chance.random(N_WEEKS) < 0.3
        kinds = (
            5 * level * season * chance.gamma(8.0, 1 / 8.0, N_WEEKS),
            level * season * chance.gamma(1.2, 1 / 1.2, N_WEEKS),
            happens * (1 + chance.gamma(4.0, 2.0, N_WEEKS)),
            happens * (1 + chance.lognormal(1.0, 1.0, N_WEEKS)),
        )
        rows.append(np.rint(kinds[number % len(kinds)]))
    return np.stack(rows)


def facts_of(units: Units, profile: ForecastProfile) -> ForecastFacts:
    rows, weeks = np.nonzero(units)
    products = [f"P{row // REGIONS_PER_PRODUCT:05d}" for row in range(units.shape[0])]
    regions = [f"R{row % REGIONS_PER_PRODUCT:02d}" for row in range(units.shape[0])]
    days = [AS_OF - timedelta(weeks=N_WEEKS - week) for week in range(N_WEEKS)]
    return ForecastFacts(
        horizon=Horizon(as_of_date=AS_OF, bucket="week", horizon_buckets=N_STEPS),
        n_steps=N_STEPS,
        consumption=DailyUnits(
            product_codes=tuple(products[row] for row in rows),
            region_codes=tuple(regions[row] for row in rows),
            days=tuple(days[week] for week in weeks),
            units=tuple(units[rows, weeks].tolist()),
        ),
        profile=profile,
    )


if __name__ == "__main__":
    print(json.dumps(measure_memory(int(sys.argv[1]))))
