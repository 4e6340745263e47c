"""What must a stage's proof count so that no settled need were better left short?

The programme knows what keeping the earlier stages costs its own needs: its multipliers are just large enough for them. A
settled need may be dearer to serve than any of those. So proofs of earlier stages are added until none of them would
rather be short, as the solver's proofs are combined.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import price_options
from pullplan.engine.options import (
    CountedShort,
    OptionRows,
    Options,
    StageMeasure,
    StagePrices,
    stage_measures,
)
from pullplan.engine.replanning.programme import StageProof

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CLOSED_ABOVE = 1e-3
"""Of what a unit short weighs: a need whose line is nearer to that in a stage is opened instead, as multipliers that are
raised for it would be all rounding."""


def with_settled(
    options: Options, proofs: Sequence[StageProof], lines: OptionRows, is_settled: BoolArray
) -> list[StageProof]:
    """Raise the multipliers of shortfall stages until the settled needs, served by these lines, are not better off short.

    Shapes: is_settled (n_needs,)
    """
    measures = stage_measures(options, [proof.prices.measure for proof in proofs])
    raised: list[StageProof] = []
    prices: list[FloatArray] = []
    for k, proof in enumerate(proofs):
        now = proof
        price = _dearest_line(options, lines, measures[: k + 1], now.prices)
        for j in reversed(range(k)):
            counted = measures[j].counted
            if counted is None:
                continue
            share = _share(counted, is_settled, now.prices.multipliers[j], price, prices[j])
            if share > 0:
                now = _plus(now, share, raised[j], j)
                price = price + share * prices[j]
        raised.append(now)
        prices.append(price)
    return raised


def _dearest_line(
    options: Options, lines: OptionRows, measures: Sequence[StageMeasure], prices: StagePrices
) -> FloatArray:
    """Price a unit of each need's dearest line in the last of `measures`: (n_needs,)."""
    dearest = np.zeros(len(options.needs))
    np.maximum.at(dearest, lines.need, price_options(options, measures, prices, lines))
    return dearest


def _share(
    counted: CountedShort,
    is_settled: BoolArray,
    multiplier: float,
    price: FloatArray,
    price_before: FloatArray,
) -> float:
    """Tell how much of an earlier proof makes being short in its slices as dear as the lines are."""
    wanted = is_settled[counted.need] & (counted.units > 0)
    needs, weight = counted.need[wanted], counted.weight[wanted]
    over = price[needs] - multiplier * weight
    under = weight - price_before[needs]
    closed = under > CLOSED_ABOVE * weight
    return float((over[closed] / under[closed]).max(initial=0.0))


def _plus(proof: StageProof, share: float, earlier: StageProof, j: int) -> StageProof:
    multipliers = proof.prices.multipliers.copy()
    multipliers[j] += share
    multipliers[:j] += share * earlier.prices.multipliers
    capacity = proof.prices.capacity + share * earlier.prices.capacity
    return StageProof(
        prices=StagePrices(proof.prices.measure, capacity, multipliers),
        churn_price=proof.churn_price + share * earlier.churn_price,
        reduced_costs=proof.reduced_costs + share * earlier.reduced_costs,
    )
