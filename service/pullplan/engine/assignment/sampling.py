"""Which prices do samples of the needs point to? And where will prices be, once the temperature has fallen further?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.blocks import Block, Market
from pullplan.engine.assignment.looking import Temperature
from pullplan.engine.assignment.share_limits import never_broken
from pullplan.engine.assignment.smoothing import PriceSearch, find_prices
from pullplan.engine.assignment.watching import Watch
from pullplan.engine.sharding import HeldHere

FloatArray = npt.NDArray[np.float64]
SAMPLE_BLOCKS = 60


@dataclass(frozen=True)
class Sample:
    """Some needs, and the temperatures that they are cooled through, of the spread of costs."""

    n_blocks: int
    needs_per_block: int
    """Of each due bucket."""
    cooling: Sequence[float]


EVEN_SAMPLES = (Sample(SAMPLE_BLOCKS, 20, (1.0, 1 / 3, 1 / 10, 1 / 30)),)
GROWING_SAMPLES = (
    Sample(SAMPLE_BLOCKS, 5, (1.0, 1 / 4)),
    Sample(SAMPLE_BLOCKS, 20, (1 / 16,)),
    Sample(200, 30, (1 / 80,)),
)
"""The hotter, the more ways each need chooses among, and the fewer needs tell as much of the prices. Where starts compete
or limits bind, all needs are looked at hot in any case."""
SAMPLE_LOOKS = 30
"""At most, at each temperature: about ten are enough where capacity is."""
SETTLED_WIDTHS = 40.0
"""Of the temperature: a need whose second way is dearer by more takes its first, whatever else happens."""


class Path:
    """Where prices went as the temperature fell: nearly on a straight line, so that the next are told ahead."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._places: list[tuple[FloatArray, float]] = []

    def add(self, prices: FloatArray, temperature: float) -> None:
        """Say where they came to."""
        self._places = [*self._places[-1:], (prices, temperature)]

    def ahead(self, prices: FloatArray, temperature: float) -> FloatArray:
        """Guess where they will be; where they are, if they came from one place only."""
        if len(self._places) < 2:
            return prices
        (before, warmer), (at, warm) = self._places
        guess = at + (at - before) * ((temperature - warm) / (warm - warmer))
        return np.where(self._market.is_full, guess, np.maximum(0.0, guess))


def search_samples(
    market: Market, spread: float, samples: Sequence[Sample], watch: Watch
) -> FloatArray | None:
    """Cool some needs of some blocks down, given their part of capacity; None where it seems too little: (n_rows,)."""
    prices, path = np.zeros(len(market.capacity)), Path(market)
    # The needs of a small sample may lack what all together don't: the last one tells.
    for sample in samples:
        search = PriceSearch(*_take(market, sample), watch, never_broken(market))
        for cooling in sample.cooling:
            temperature = cooling * spread
            search.settle(prices, SETTLED_WIDTHS * temperature)
            ahead, soft = path.ahead(prices, temperature), Temperature(temperature, temperature)
            top = find_prices(search, ahead, soft, SAMPLE_LOOKS)
            if not top.fits:
                break
            prices = top.prices
            path.add(prices, temperature)
    return prices if top.fits else None


def _take(market: Market, sample: Sample) -> tuple[HeldHere, Market]:
    """Hold a sample, and give it its part of capacity."""
    blocks = some(market.blocks, sample.n_blocks)
    most_needs = max(len(block.units) / block.n_dues for block in blocks)
    every = max(1, int(most_needs) // sample.needs_per_block)
    # Blocks often list the same regions: others of each.
    blocks = [block.sample(b % every, every) for b, block in enumerate(blocks)]
    units = [sum(float(block.units.sum()) for block in of) for of in (blocks, market.blocks)]
    share = units[0] / units[1]
    return HeldHere([blocks]), replace(market, blocks=blocks, capacity=market.capacity * share)


def some(blocks: Sequence[Block], n_blocks: int) -> Sequence[Block]:
    """Take about so many blocks, evenly."""
    return blocks[:: max(1, len(blocks) // n_blocks)]
