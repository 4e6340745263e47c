"""Which prices does a sample of the needs point to? And where will prices be, once the temperature has fallen further?"""

from collections.abc import Sequence
from dataclasses import replace

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
SAMPLE_NEEDS_PER_BLOCK = 20
SAMPLE_COOLING = (1.0, 1 / 3, 1 / 10, 1 / 30)
"""Temperatures, of the spread of costs."""
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


def search_sample(market: Market, spread: float, watch: Watch) -> FloatArray | None:
    """Cool some needs of some blocks down, given their part of capacity; None where it seems too little: (n_rows,)."""
    blocks = some(market.blocks, SAMPLE_BLOCKS)
    most_needs = max(len(block.units) / block.n_dues for block in blocks)
    every = max(1, int(most_needs) // SAMPLE_NEEDS_PER_BLOCK)
    # Blocks often list the same regions: others of each.
    blocks = [block.sample(b % every, every) for b, block in enumerate(blocks)]
    units = [sum(float(block.units.sum()) for block in of) for of in (blocks, market.blocks)]
    of_sample = replace(market, blocks=blocks, capacity=market.capacity * (units[0] / units[1]))
    search = PriceSearch(HeldHere([blocks]), of_sample, watch, never_broken(market))
    prices, path = np.zeros(len(market.capacity)), Path(market)
    for cooling in SAMPLE_COOLING:
        temperature = cooling * spread
        search.settle(prices, SETTLED_WIDTHS * temperature)
        ahead, soft = path.ahead(prices, temperature), Temperature(temperature, temperature)
        top = find_prices(search, ahead, soft, SAMPLE_LOOKS)
        if not top.fits:
            return None
        prices = top.prices
        path.add(prices, temperature)
    return prices


def some(blocks: Sequence[Block], n_blocks: int) -> Sequence[Block]:
    """Take about so many blocks, evenly."""
    return blocks[:: max(1, len(blocks) // n_blocks)]
