"""Which few pairs does a large programme of classes over several starts need? Those that nearly tie at a sample's prices.

Regions that are reached in different times make nearly every need a class of its own. At good prices most have one way
that is plainly the least late; the programme of the others is small, and is held against every pair until none is cheaper.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.classes import ClassProgramme
from pullplan.engine.assignment.sampling import EVEN_SAMPLES, SAMPLE_BLOCKS, search_samples, some
from pullplan.engine.assignment.sifting import NEAR_TIES_PER_ROW, bound
from pullplan.engine.assignment.smoothing import start_prices
from pullplan.engine.assignment.stages import FEASIBILITY_TOLERANCE, Search, row_prices, solve
from pullplan.engine.assignment.watching import Watch

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SIFTED_FROM_PAIRS = 20_000
MOST_ROUNDS = 60
"""Each takes the one pair of every class that lacks most."""
TIE_IN_BUCKETS = 1e-3
GOLDEN_SECTION = 0.6180339887498949
"""Regions tie exactly: which of their pairs come first is spread evenly, by the multiples of this."""
PRIMAL, DUAL = 4, 1
"""As HiGHS numbers the simplex methods."""
SHORT_IN_BUCKETS = (100.0, 10.0)
"""What a unit short of the first rank and of the last weighs in the sample, a bucket late being 1."""


def sift_starts(
    search: Search, programme: ClassProgramme, costs: FloatArray, late_weight: float, watch: Watch
) -> None:
    """Bring the search to an optimum over all columns by solving few of the pairs, or at once where prices don't settle.

    `costs` (n_columns,) are what staying short costs, and `late_weight` for every bucket late.

    Raises: SearchStoppedError, AssignmentFailedError where HiGHS ends without an optimum.
    """
    market = programme.market
    short = np.geomspace(*SHORT_IN_BUCKETS, int(programme.stage.max()) + 1)
    prices = search_samples(_least_late(market, short), 1.0, EVEN_SAMPLES, watch)
    if prices is None:
        solve(search, costs)
        return
    of_class, is_short = programme.class_of_pair, programme.pair_batch < 0
    first = np.searchsorted(of_class, np.arange(len(programme.stage)))
    lot = TIE_IN_BUCKETS * (np.arange(len(of_class)) * GOLDEN_SECTION % 1.0)
    priced = lot + _cheapest_starts(market, start_prices(market, prices), 1.0)[programme.pair_batch]
    priced[is_short] = short[programme.stage]
    dearer = priced - np.minimum.reduceat(priced, first)[of_class]
    n_kept = min(len(dearer), len(first) + NEAR_TIES_PER_ROW * len(market.capacity))
    kept = is_short | (dearer <= np.partition(dearer, n_kept - 1)[n_kept - 1])
    bound(search, np.flatnonzero(~kept), 0.0)
    for _ in range(MOST_ROUNDS):
        solve(search, costs)
        # What joins is cheaper than what there is, and fits: only the dual method would have to begin anew.
        search.highs.setOptionValue("simplex_strategy", PRIMAL)
        class_price = np.array(search.highs.getSolution().row_dual)[: len(first)]
        by_start = start_prices(market, np.maximum(0.0, row_prices(search)))
        above = _cheapest_starts(market, by_start, late_weight)[programme.pair_batch] - class_price[of_class]
        is_lacking = ~kept & (above < -FEASIBILITY_TOLERANCE)
        above = np.where(is_lacking, above + late_weight * lot, np.inf)
        lacking = np.flatnonzero(is_lacking & (above == np.minimum.reduceat(above, first)[of_class]))
        if len(lacking) == 0:
            break
        kept[lacking] = True
        bound(search, lacking, np.inf)
    bound(search, np.flatnonzero(~kept), np.inf)
    solve(search, costs)
    search.highs.setOptionValue("simplex_strategy", DUAL)


def _cheapest_starts(market: Market, by_start: FloatArray, late_weight: float) -> FloatArray:
    """Price every batch's best start, a bucket late weighing so much: (n_batches,)."""
    batches = market.batches
    late = np.where(np.isfinite(batches.start_cost), late_weight * batches.late_buckets, np.inf)
    priced: FloatArray = ((batches.use @ by_start)[batches.way] + late).min(axis=1)
    return priced


def _least_late(market: Market, short: FloatArray) -> Market:
    """Let some blocks, with their part of capacity, cost what they are late, and to stay short so much by stage."""
    blocks = some(market.blocks, SAMPLE_BLOCKS)
    units = (sum(float(block.units.sum()) for block in of) for of in (blocks, market.blocks))
    share = next(units) / next(units)
    return replace(
        market, blocks=[_priced_late(block, short) for block in blocks], capacity=market.capacity * share
    )


def _priced_late(block: Block, short: FloatArray) -> Block:
    timing = block.timing
    free = np.where(np.isfinite(block.cost), 0.0, np.inf)
    if timing is not None:
        timing = replace(
            timing, start_cost=np.where(np.isfinite(timing.start_cost), timing.late_buckets, np.inf)
        ).with_short_way()
    return replace(
        block,
        cost=np.vstack([free, short[block.stage]]),
        use=np.vstack([block.use, np.zeros(len(block.rows))]),
        timing=timing,
    )
