"""What is the plan, and what is proved of it, where the search for the best had to end early?"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pullplan.engine.assignment.filling import Choices, fill
from pullplan.engine.assignment.programme import allowed_use, use_of_starts
from pullplan.engine.options import OptionRows, Options, StageMeasure, StagePrices, shortfall_weight

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STOPPED = "; stopped before its end: the best plan found by then"
"""Ends the method's name."""
NEEDS_AT_ONCE = 20_000
"""Whose options are listed at a time: what bounds the memory."""
NO_TIE_BREAK = "none: the search was stopped"


def prove_simply(
    options: Options,
    measures: Sequence[StageMeasure],
    prices: Mapping[int, Sequence[FloatArray]],
    shortfall_units: FloatArray,
) -> list[StagePrices]:
    """Prove stages by the best of the prices at hand for each: no need does better than by its best option.

    Prices are (n_resources, n_buckets), and may be 0. To stay short would be free; a multiplier makes it as dear as the
    dearest of the best options, where that proves more than it costs for what the plan leaves short.
    """
    at_hand = [(k, of_stage) for k, several in prices.items() for of_stage in several]
    by_start = [options.capability_prices(of_stage) for _, of_stage in at_hand]
    least = [np.full(len(options.needs), np.inf) for _ in at_hand]
    for needs in _in_parts(np.arange(len(options.needs))):
        rows = options.rows_of(needs)
        for (k, _), of_start, of_need in zip(at_hand, by_start, least, strict=True):
            priced = measures[k].by_option(rows, options)
            np.minimum.at(of_need, rows.need, priced + of_start[rows.capability, rows.start_bucket])
    best: dict[int, tuple[float, StagePrices]] = {}
    for (k, of_stage), of_need in zip(at_hand, least, strict=True):
        multipliers, covered = _multipliers(measures[:k], of_need, shortfall_units)
        bound = covered - float((of_stage * options.capacities.available).sum())
        if k not in best or bound > best[k][0]:
            best[k] = bound, StagePrices(measures[k].name, of_stage, multipliers)
    return [proof for _, proof in best.values()]


def _multipliers(
    earlier: Sequence[StageMeasure], least: FloatArray, shortfall_units: FloatArray
) -> tuple[FloatArray, float]:
    """Weigh what may stay short, and add up what then must be paid: (n_earlier,)."""
    multipliers, covered = np.zeros(len(earlier)), 0.0
    for j, measure in enumerate(earlier):
        counted = measure.counted
        inside = np.isfinite(least[counted.need]) if counted else np.empty(0, dtype=bool)
        if counted is None or not inside.any():
            continue
        best = least[counted.need][inside]
        multiplier = float((best / counted.weight[inside]).max())
        achieved = float(counted.weight @ counted.short_units(shortfall_units))
        paid = float(best @ counted.units[inside]) - multiplier * achieved
        if paid > 0:
            multipliers[j] = multiplier
            covered += paid
    return multipliers, covered


def serve_short(
    options: Options,
    made: IntArray,
    units: FloatArray,
    shortfall_units: FloatArray,
    *,
    prices: FloatArray | None = None,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Serve what is short and has room somewhere: by tier, rank and weight.

    Each takes its least late option first, of these the cheapest, the price of capacity included.

    Shapes: (3, n_lines) need, capability and start bucket, (n_lines,) units, (n_needs,) shortfall units,
    (n_resources, n_buckets) prices → the first three anew, lines ascending
    """
    by_start = options.capability_prices(
        np.zeros_like(options.capacities.available) if prices is None else prices
    )
    weight = shortfall_weight(options)
    short = np.flatnonzero(shortfall_units > 0)
    in_line = short[np.lexsort((-weight[short], options.need_rank[short], options.need_tier[short]))]
    left, lines, all_units = shortfall_units.copy(), [made], [units]
    room = allowed_use(options) - _used(options, made, units)
    for needs in _in_parts(in_line):
        rows = options.rows_of(np.sort(needs))
        choices, choice_row = _choices(options, rows, needs, by_start)
        server, choice, more = fill(left[needs], choices, room)
        np.subtract.at(left, needs[server], more)
        row = choice_row[choice]
        lines.append(np.stack([rows.need[row], rows.capability[row], rows.start_bucket[row]]))
        all_units.append(more)
        room -= _used(options, lines[-1], more)
    together, line = np.unique(np.concatenate(lines, axis=1), axis=1, return_inverse=True)
    return together, np.bincount(line, np.concatenate(all_units), together.shape[1]), left


def measured(
    options: Options,
    measures: Sequence[StageMeasure],
    made: IntArray,
    units: FloatArray,
    shortfall_units: FloatArray,
) -> tuple[float, ...]:
    """Measure a plan stage by stage, as far as it matters which of two is better."""
    rows = options.rows_at(*made)
    return tuple(
        float(measure.by_option(rows, options) @ units)
        if measure.counted is None
        else float(measure.counted.weight @ measure.counted.short_units(shortfall_units))
        for measure in measures
    )


def _in_parts(needs: IntArray) -> Iterator[IntArray]:
    for first in range(0, len(needs), NEEDS_AT_ONCE):
        yield needs[first : first + NEEDS_AT_ONCE]


def _choices(
    options: Options, rows: OptionRows, needs: IntArray, by_start: FloatArray
) -> tuple[Choices, IntArray]:
    """Sort the options of these needs, the best first; name each choice's row as well."""
    first, end = (np.searchsorted(rows.need, needs, side=side) for side in ("left", "right"))
    n_options = end - first
    start = np.concatenate([[0], np.cumsum(n_options)])
    row = np.arange(start[-1]) + np.repeat(first - start[:-1], n_options)
    cost = rows.cost[row] + by_start[rows.capability[row], rows.start_bucket[row]]
    late, early = rows.late_buckets[row], rows.early_buckets[row]
    row = row[np.lexsort((early, cost, late, np.repeat(np.arange(len(needs)), n_options)))]
    n_buckets = options.horizon.horizon_buckets
    places, place = np.unique(rows.capability[row] * n_buckets + rows.start_bucket[row], return_inverse=True)
    use = csr_array(use_of_starts(options, places // n_buckets, places % n_buckets))
    use.eliminate_zeros()
    return Choices(start, place, use), row


def _used(options: Options, made: IntArray, units: FloatArray) -> FloatArray:
    _, capability, start_bucket = made
    used = options.use_by_bucket(capability, start_bucket, units)
    up_to = np.cumsum(used, axis=1)
    rows: FloatArray = np.where(options.capacities.is_stored[:, None], up_to, used).ravel()
    return rows
