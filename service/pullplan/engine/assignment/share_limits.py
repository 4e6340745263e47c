"""Which share limits does pricing have to know? Few of them bind: only those that a plan without them would break."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.options import Options, Solution

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OVER_SHARE = 1e-9
"""Of a limit: what is over by less is rounding."""
MOST_ROUNDS = 20
MOST_SHARES = 600
"""Prices of more rows than this take longer to find than HiGHS takes for the whole programme."""


def assign_within_shares(options: Options, assign: Callable[[Options], Solution | None]) -> Solution | None:
    """Assign without share limits, add those that are broken, and begin again until none is; None where `assign` fails.

    A plan that is best without some limits and keeps to them is best with them: their prices are 0.
    """
    is_share = options.capacities.is_share
    rows = np.flatnonzero(~is_share)
    for _ in range(MOST_ROUNDS):
        solution = assign(_with_rows(options, rows))
        if solution is None or len(rows) == len(is_share):
            return solution
        used = options.use_by_bucket(solution.capability, solution.start_bucket, solution.units).sum(axis=1)
        limit = options.capacities.available.sum(axis=1)
        broken = np.setdiff1d(np.flatnonzero(is_share & (used > limit * (1 + OVER_SHARE))), rows)
        if len(broken) == 0:
            return _with_prices_of_all(options, rows, solution)
        rows = np.union1d(rows, broken)
        if is_share[rows].sum() > MOST_SHARES:
            return None
    return None


def _with_rows(options: Options, rows: IntArray) -> Options:
    """Keep some rows of capacities alone."""
    capacities = options.capacities
    if len(rows) == len(capacities.keys):
        return options
    return replace(
        options,
        capacities=replace(
            capacities,
            keys=tuple(capacities.keys[row] for row in rows.tolist()),
            is_stored=capacities.is_stored[rows],
            is_share=capacities.is_share[rows],
            calendar=capacities.calendar[rows],
            released_use=capacities.released_use[rows],
            available=capacities.available[rows],
        ),
        capabilities=replace(options.capabilities, use=options.capabilities.use[:, rows]),
    )


def _with_prices_of_all(options: Options, rows: IntArray, solution: Solution) -> Solution:
    """Say of the rows that were left out that one more unit of them is worth nothing."""

    def of_all(prices: FloatArray) -> FloatArray:
        spread = np.zeros(options.capacities.available.shape)
        spread[rows] = prices
        return spread

    return replace(
        solution,
        stage_prices=tuple(replace(p, capacity=of_all(p.capacity)) for p in solution.stage_prices),
        capacity_savings=of_all(solution.capacity_savings),
    )
