"""What does netting a million product × regions cost, beside adding two arrays of that shape?"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from bench.figure import figure

from pullplan.engine.buffers import (
    Ordering,
    Outlook,
    Sizing,
    order_units,
    project_orders,
    size_buffers,
)
from pullplan.engine.netting import Flow, consume_forecast, cover

Units = npt.NDArray[np.float64]

N_PAIRS, N_BUCKETS = 1_000_000, 8
WINDOW = 1
NETTING_LIMIT, PROJECTION_LIMIT = 20.0, 40.0
N_TURNS = 5


def netting_a_million() -> list[dict[str, Any]]:
    """Take turns with the reference, so that what else the machine does hits both."""
    chance = np.random.default_rng(1)
    orders, leads, forecast, supply = (_sometimes(chance, mean_units) for mean_units in (10, 3, 12, 8))
    targets, on_hand = chance.gamma(1, 5, (N_BUCKETS, N_PAIRS)), chance.gamma(1, 20, N_PAIRS)

    def net() -> None:
        wanted = np.add(orders, leads)
        wanted += consume_forecast(forecast, wanted, WINDOW, WINDOW)
        cover(Flow(wanted, targets, supply, on_hand))

    usage = chance.gamma(1, 2, N_PAIRS)
    lead_days = chance.integers(0, 21, N_PAIRS)
    net_flow = chance.gamma(1, 40, N_PAIRS)
    due_bucket = (np.arange(N_BUCKETS)[:, None] * 7 + 6 + lead_days) // 7
    demand = np.maximum(orders, usage * 7)
    ordering = Ordering(multiple_units=10.0)

    def project() -> None:
        zones = size_buffers(Sizing(usage, lead_days.astype(np.float64), 0.5, 0.5, order_cycle_days=7))
        today = order_units(zones, net_flow, ordering)
        project_orders(zones, ordering, Outlook(net_flow, today, demand, due_bucket))

    out = np.empty((N_BUCKETS, N_PAIRS))
    rows = []
    for name, work, limit in (
        ("netting: orders, leads, forecast, supply, targets, window ±1", net, NETTING_LIMIT),
        ("DDMRP: zones, today's order and those of 8 buckets", project, PROJECTION_LIMIT),
    ):
        seconds, reference = _in_turns(work, lambda: np.add(orders, leads, out=out))
        rows.append(
            figure(
                f"{name}, {N_PAIRS:,} product × regions × {N_BUCKETS} buckets, against np.add of that shape",
                seconds / reference, "times", reference=reference, must=f"<= {limit:g}",
                reached=seconds / reference <= limit,
            )
        )  # fmt: skip
    return rows


def _sometimes(chance: np.random.Generator, mean_units: float) -> Units:
    units: Units = chance.gamma(1, mean_units, (N_BUCKETS, N_PAIRS))
    units[chance.random(units.shape) < 0.5] = 0.0
    return units


def _in_turns(work: Callable[[], object], reference: Callable[[], object]) -> tuple[float, float]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(N_TURNS):
        for one, spent in zip((work, reference), seconds, strict=True):
            began = time.process_time()
            one()
            spent.append(time.process_time() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
