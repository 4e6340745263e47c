"""What can be said of a pair with too little history of its own?"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pullplan.engine.demand import LEAST_BUCKETS, Pair, Units
from pullplan.engine.forecast.spread import deviation_paths

# Own buckets that weigh as much as everything that other regions tell.
POOL_BUCKETS = 4.0

# A region is not taken to be further than this from the usual size.
SIZE_LIMIT = 5.0

# Levels of a region of which nothing is known scatter at least so much (standard deviation of logarithms).
_LEAST_SCATTER = 0.4

_N_PATHS = 40

# Three equally likely values at −x, 0 and x have variance 1.
_OUTER_LEVEL = 1.5**0.5


def given(paths: Units) -> Callable[[], Units]:
    """Draw what is drawn already."""
    return lambda: paths


@dataclass(frozen=True, slots=True)
class Projection:
    """A series' forecast before people adjust it.

    `draw` draws its error paths, `widths` are the factors by which p10 and p90 move away from p50; `is_whole` where the
    unit is a piece.

    Shapes: mean (n_steps,), drawn (n_paths, n_steps), widths (2,)
    """

    model: str
    fallback_reason: str | None
    mean: Units
    draw: Callable[[], Units]
    widths: Units = field(default_factory=lambda: np.ones(2))
    is_whole: bool = False


class Pool:
    """The established series, as far as they tell about a pair that is not one of them."""

    def __init__(
        self,
        established: Mapping[Pair, Projection],
        n_steps: int,
        region_sizes: Mapping[str, float] | None = None,
    ) -> None:
        """Gather them; `region_sizes` is what a whole panel told, where these are some products of it."""
        self._n_steps = n_steps
        self._by_product: dict[str, dict[str, Projection]] = defaultdict(dict)
        self._levels_of: dict[str, dict[str, float]] = defaultdict(dict)
        self._demanded_of: dict[str, Units] = {}
        for (product_code, region_code), series in sorted(established.items()):
            self._by_product[product_code][region_code] = series
            self._levels_of[product_code][region_code] = float(series.mean.mean())
        self._usual = {
            product_code: float(np.mean([*levels.values()]))
            for product_code, levels in self._levels_of.items()
        }
        regions = {region_code for _, region_code in established}
        self.region_sizes = region_sizes or {code: self._measured_size(code) for code in sorted(regions)}

    def forecast_newcomer(self, pair: Pair, known: Units) -> Projection:
        """Take the product's shape in other regions, sized to the region and to the pair's own few buckets.

        Shapes: known (n_known_buckets,)
        """
        others = self._by_product.get(pair[0], {})
        own_mean = float(known.mean()) if known.size else 0.0
        if own_mean <= 0 and known.size >= LEAST_BUCKETS:
            # Silence that has lasted is an answer, whatever other regions take.
            reason = f"nothing was demanded of this pair in {known.size} buckets of history"
            return Projection("Zero", reason, np.zeros(self._n_steps), given(np.zeros((1, self._n_steps))))
        if not others or self._usual[pair[0]] <= 0:
            flat = np.full(self._n_steps, own_mean)
            if own_mean <= 0:
                reason = "nothing was ever demanded of this pair, and no other region tells about the product"
                return Projection("Zero", reason, flat, given(np.zeros((1, self._n_steps))))
            reason = f"{_too_little(known)}, and no other region tells about the product"
            enough = known.size >= LEAST_BUCKETS
            paths = deviation_paths(known, self._n_steps) if enough else _wide_paths(flat)
            return Projection("OwnMean", reason, flat, given(paths))
        size = self._size_of(pair[1])
        shape = size * np.mean([s.mean for s in others.values()], axis=0)
        weight = known.size / (known.size + POOL_BUCKETS)
        # Levels are told apart by factors: a few sales outweigh a pool of thousands, and the other way round.
        factor = own_mean / shape.mean()
        mean = shape * (factor**weight if factor > 0 else 1 - weight)
        demanded = self._demanded(pair[0])
        levels = self._levels(pair[0], certainty=weight)
        demanded = np.concatenate([demanded * level for level in levels])
        scale = mean.mean() / demanded.mean() if demanded.mean() > 0 else 0.0
        reason = f"{_too_little(known)}: the mean shape of {len(others)} other regions"
        # No narrower than what other regions' bands had to be to cover what they say.
        widths = np.maximum(1.0, np.mean([s.widths for s in others.values()], axis=0))
        is_whole = all(s.is_whole for s in others.values())
        return Projection(
            "PooledMean", reason, mean, given(demanded * scale - mean), widths=widths, is_whole=is_whole
        )

    def _demanded(self, product_code: str) -> Units:
        """Take paths of a product's regions evenly, each over its region's size. Shapes: (_N_PATHS, n_steps)."""
        if product_code not in self._demanded_of:
            demanded = np.concatenate([
                (s.mean + s.draw()) / self._size_of(region_code)
                for region_code, s in self._by_product[product_code].items()
            ])  # fmt: skip
            picks = np.linspace(0, demanded.shape[0] - 1, _N_PATHS).astype(int)
            self._demanded_of[product_code] = np.maximum(0.0, demanded[picks])
        return self._demanded_of[product_code]

    def _levels(self, product_code: str, *, certainty: float) -> Units:
        """Tell how far a region's level may lie from what its size says of it, as other regions' levels do.

        Shapes: (3,), a low, a middle and a high one, equally likely
        """
        others = self._levels_of[product_code]
        sizes = np.array([level / self._size_of(r) for r, level in others.items() if level > 0])
        scatter = float(np.std(np.log(sizes), ddof=1)) if sizes.size > 1 else 0.0
        sigma = (1 - certainty) * max(scatter, _LEAST_SCATTER)
        levels: Units = np.exp(sigma * np.array([-_OUTER_LEVEL, 0.0, _OUTER_LEVEL]))
        return levels

    def _size_of(self, region_code: str) -> float:
        return self.region_sizes.get(region_code, 1.0)

    def _measured_size(self, region_code: str) -> float:
        """Compare what a region takes of its established products to what regions usually take of them."""
        taken = usual = 0.0
        for product_code, levels in self._levels_of.items():
            if region_code in levels:
                taken += levels[region_code]
                usual += self._usual[product_code]
        return float(np.clip(taken / usual, 1 / SIZE_LIMIT, SIZE_LIMIT)) if usual > 0 else 1.0


def _too_little(known: Units) -> str:
    return f"{known.size} buckets of history, {np.count_nonzero(known)} of them with demand, are too few"


def _wide_paths(mean: Units) -> Units:
    """Spread demand exponentially around its mean: as wide as knowing nothing but the mean makes it."""
    shares = (np.arange(_N_PATHS) + 0.5) / _N_PATHS
    multiples = -np.log1p(-shares)
    return (multiples / multiples.mean() - 1.0)[:, None] * mean
