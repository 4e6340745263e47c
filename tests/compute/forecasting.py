"""Forecasts in a process of their own: print what each said, a line each, to be compared.

    python -m tests.compute.forecasting COMPUTE[@PID] …

`@PID` kills that process when the first chunk has been answered; `@0` the first that the run has forked.
"""

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import psutil
from tests.compute.searching import spread_over

from pullplan.engine.forecast import forecast_with_grounds
from pullplan.engine.model import DailyUnits, ForecastFacts, Horizon
from pullplan.engine.sharding import Held

AS_OF = date(2022, 1, 3)
N_WEEKS, N_PRODUCTS, N_REGIONS = 60, 5, 50
"""250 series: four chunks."""


class Killing:
    """Chunks, after the first answer of whose look a process is killed."""

    def __init__(self, held: Held, pid: int) -> None:
        self._held = held
        self._pid = pid

    def prepare(self, make: Callable[..., Any], *asked: Any) -> None:
        self._held.prepare(make, *asked)

    def look[R](self, at: Callable[..., R], *asked: Any) -> Iterator[R]:
        for number, answer in enumerate(self._held.look(at, *asked)):
            if number == 0:
                os.kill(self._pid or psutil.Process().children()[0].pid, signal.SIGKILL)
            yield answer


def demand() -> ForecastFacts:
    chance = np.random.default_rng(7)
    rows = [
        (f"P{p}", f"R{r:02}", AS_OF - timedelta(weeks=N_WEEKS - week), float(units))
        for p in range(N_PRODUCTS)
        for r in range(N_REGIONS)
        for week, units in enumerate(chance.poisson(0.3 + 3 * p + r / 10, N_WEEKS))
    ]
    columns = zip(*rows, strict=True)
    products, regions, days, units = columns
    signals = DailyUnits(product_codes=products, region_codes=regions, days=days, units=units)
    return ForecastFacts(
        horizon=Horizon(as_of_date=AS_OF, horizon_buckets=4), n_steps=5, consumption=signals, profile="quick"
    )


def main() -> None:
    facts = demand()
    for place in sys.argv[1:]:
        heard: list[float] = []

        def hear(_stage: str, share: float, heard: list[float] = heard) -> None:
            heard.append(share)

        made = forecast_with_grounds(facts, hear, spread_over(place, Killing))
        digest = hashlib.sha256(msgspec.msgpack.encode(made)).hexdigest()
        sys.stdout.write(f"{digest} {sum(s.mean_units[0] for s in made[0].series)} {heard}\n")


if __name__ == "__main__":
    main()
