"""Do the forecasts of a product's regions agree with what is forecast of the product as a whole, and who gives way?

A product's regions and their sum are forecast apart. What is planned with adds up in any case: all that is chosen here is
the regions' own means, and every total is their sum.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from hierarchicalforecast.methods import MinTrace
from numpy.typing import NDArray

from pullplan.engine.demand import Pair, Units
from pullplan.engine.forecast.adjustments import scaled_alike
from pullplan.engine.forecast.models import ASTRAY_FACTOR
from pullplan.engine.forecast.tournament import Panel, Spoken, forecast_from, tried_origins
from pullplan.engine.model import CoherenceMethod, DemandClass


@dataclass(frozen=True)
class Said:
    """What each method says of a family's regions, and why one that was tried says nothing. Shapes: (n_members, n_steps)."""

    means: dict[CoherenceMethod, Units]
    failures: dict[CoherenceMethod, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Heard:
    """How each method fared at one origin, in squared errors, and why one had nothing to say. Shapes: (1 + n_members,)."""

    squares: dict[CoherenceMethod, Units]
    failures: dict[CoherenceMethod, str]


class ReconciliationError(Exception):
    """A method has no answer for a family; the message says why."""


# The simplest first.
METHODS: tuple[CoherenceMethod, ...] = ("bottom_up", "top_down", "mint_shrink")

# A method other than adding up needs so many finished origins, and a mean gain of so much, which is so many standard errors.
LEAST_COMPARED_ORIGINS = 4
LEAST_GAIN_SHARE = 0.02
GAIN_STANDARD_ERRORS = 3.0
_LEAST_LOSS = 1e-6

# An error counts as no less than this share of its series' own mean: where a region is forecast next to perfectly (one that
# stopped selling), a method that misses by next to nothing is no worse.
LEAST_ERROR_SHARE = 0.01

# The covariance of larger families is no longer inverted in passing: the work grows with the cube.
MOST_MEMBERS = 200


@dataclass(frozen=True)
class Family:
    """A product's row among the products, and its regions' in the panel of series. Shapes: rows (n_members,)."""

    product_code: str
    row: int
    rows: NDArray[np.intp]


@dataclass
class Choice:
    """Which method a family's means come from.

    `scores` are squared errors ÷ that of adding up (geometric mean); `failures` say why one that was tried has none.
    """

    method: CoherenceMethod = "bottom_up"
    scores: dict[CoherenceMethod, float] = field(default_factory=dict)
    failures: dict[CoherenceMethod, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreed:
    """What was said of a panel's regions at each origin, −1 being now, and which method of each product's it came from last.

    `failures` tells by product which models said nothing of it as a whole, and why.

    Shapes: means_by_origin[origin] (n_series, n_steps)
    """

    means_by_origin: dict[int, Units] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)


def total_units(units: Units) -> Units:
    """Add series up; NaN before the first begins, and wherever one that has begun is silent.

    Shapes: (n_series, n_buckets) to (n_buckets,)
    """
    known = ~np.isnan(units)
    begun = np.maximum.accumulate(known, axis=1)
    told = begun.any(axis=0) & (known | ~begun).all(axis=0)
    return np.where(told, np.where(known, units, 0.0).sum(axis=0), np.nan)


def members_by_product(pairs: Sequence[Pair], classes: Sequence[DemandClass]) -> dict[str, NDArray[np.intp]]:
    """Number the established series of every product that has more than one. Shapes: pairs and classes (n_series,)."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, ((product_code, _), demand_class) in enumerate(zip(pairs, classes, strict=True)):
        if demand_class != "new":
            rows[product_code].append(i)
    return {code: np.array(of_code, dtype=np.intp) for code, of_code in rows.items() if len(of_code) > 1}


def can_compare(origins: Sequence[int], n_steps: int) -> bool:
    """Tell whether enough of the past can be played again for any method to be compared: else regions simply add up."""
    return len(tried_origins(np.array(origins, dtype=np.intp), n_steps)) >= LEAST_COMPARED_ORIGINS


class Coherence:
    """Speaks for a panel as `forecast_from` does, with regions that agree with their products.

    It learns from what it has said itself: origins are to be asked for in order of time, now (−1) last.
    """

    def __init__(self, panel: Panel, products: Panel | None) -> None:
        """`products` holds those of `members_by_product`, forecast as a whole from the same origins; None without any."""
        self._panel, self._products = panel, products
        members = members_by_product(panel.pairs, panel.classes)
        self._families = [
            Family(product_code, row, members[product_code])
            for row, (product_code, _) in enumerate(products.pairs if products else ())
        ]
        self._levels = [
            np.nan_to_num(self._history(family, products, slice(None))).mean(axis=1)
            for family in self._families
            if products
        ]
        self._heard: list[dict[int, _Heard]] = [{} for _ in self._families]
        failures = products.failures if products else {}
        self.agreed = Agreed(
            failures={family.product_code: failures[family.row] for family in self._families}
        )

    def say(self, finished: NDArray[np.bool_], origin: int) -> Spoken:
        """Forecast at one origin, each family by the method that has gained at the finished origins.

        Shapes: finished (n_origins,)
        """
        spoken = forecast_from(self._panel, finished, origin)
        means = spoken.means.copy()
        if self._products:
            products = forecast_from(self._products, finished, origin)
            for number, family in enumerate(self._families):
                said = reconcile(
                    *(products.means[family.row], spoken.means[family.rows]),
                    *(products.errors[family.row], spoken.errors[family.rows]),
                )
                past = [heard for j, heard in self._heard[number].items() if finished[j]]
                choice = self._choose(number, past, said)
                means[family.rows] = said.means[choice.method]
                if origin >= 0:
                    self._heard[number][origin] = self._judge(family, self._products, origin, said)
                self.agreed.choices[family.product_code] = choice
        self.agreed.means_by_origin[origin] = means
        return replace(spoken, means=means, draw=partial(_agreed_paths, spoken, means))

    def _choose(self, number: int, past: Sequence[_Heard], now: Said) -> Choice:
        """Compare methods where they had spoken; adding up stays unless another has plainly been better.

        Who has nothing to say now, or had nothing at too many origins, is out.
        """
        methods = [
            method
            for method in METHODS
            if method in now.means
            and sum(method in heard.squares for heard in past) >= LEAST_COMPARED_ORIGINS
        ]
        causes = [*(heard.failures for heard in past), now.failures]
        failures = {
            method: cause for told in causes for method, cause in told.items() if method not in methods
        }
        compared = [heard.squares for heard in past if heard.squares.keys() >= set(methods)]
        if len(methods) < 2 or len(compared) < LEAST_COMPARED_ORIGINS:
            return Choice(failures=failures)
        chosen = choose(
            np.array([[squares[method] for method in methods] for squares in compared]),
            methods,
            least_errors=LEAST_ERROR_SHARE * self._levels[number],
            stretches_per_origin=self._panel.stretches_per_origin,
        )
        return replace(chosen, failures=failures)

    def _history(self, family: Family, products: Panel, buckets: slice) -> Units:
        """Stack a product and its regions. Shapes: result (1 + n_members, n_buckets)."""
        return np.vstack([products.units[family.row, buckets], self._panel.units[family.rows, buckets]])

    def _judge(self, family: Family, products: Panel, origin: int, said: Said) -> _Heard:
        """Measure what was said at an origin; a choice looks at it once all its steps have come."""
        begin = int(self._panel.origins[origin])
        actual = self._history(family, products, slice(begin, begin + self._panel.n_scored_steps))
        squares = {method: _squared_errors(actual, means) for method, means in said.means.items()}
        return _Heard(squares, said.failures)


def _agreed_paths(spoken: Spoken, means: Units, rows: slice) -> Units:
    """Scale what is drawn as the means were. Shapes: means (n_series, n_steps), result as Draw."""
    drawn = spoken.draw(rows).transpose(1, 0, 2)
    return scaled_alike(drawn, spoken.means[rows], means[rows]).transpose(1, 0, 2)


def _squared_errors(actual: Units, means: Units) -> Units:
    """Measure a family's errors at one origin. Shapes: actual (1 + n, n_scored), means (n, n_steps), result (1 + n,)."""
    errors = actual - np.vstack([np.nan_to_num(means).sum(axis=0), means])[:, : actual.shape[1]]
    known = np.isfinite(errors)
    mean: Units = np.where(known, np.square(errors), 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return mean


def choose(
    squares: Units,
    methods: Sequence[CoherenceMethod] = METHODS,
    *,
    least_errors: Units,
    stretches_per_origin: float,
) -> Choice:
    """Choose by squared errors, half by the product's and half by its regions', each region scaled to its own.

    Another method than adding up has to gain more than chance would, going by how much it lost where it did worse (to gain a
    lot at times, and nothing at others, is no doubt). Origins count alike, as ratios.

    Shapes: squares (n_origins, n_methods, 1 + n_members), the first method adding up; least_errors (1 + n_members,)
    """
    usual = squares[:, 0].mean(axis=0)
    usual = np.maximum(usual, np.square(least_errors))
    relative = np.divide(squares, usual, out=np.ones_like(squares), where=usual > 0)
    losses = np.maximum((relative[..., 0] + relative[..., 1:].mean(axis=-1)) / 2, _LEAST_LOSS)
    gains = np.log(losses[:, :1] / losses)
    mean = gains.mean(axis=0)
    n_apart = max(1.0, losses.shape[0] * stretches_per_origin)
    # Of errors as often up as down this is the standard deviation.
    scatter = np.sqrt(2 * np.square(np.minimum(gains, 0.0)).mean(axis=0))
    proven = mean > np.maximum(LEAST_GAIN_SHARE, GAIN_STANDARD_ERRORS * scatter / np.sqrt(n_apart))
    best = int(np.argmax(np.where(proven, mean, 0.0)))
    return Choice(methods[best], dict(zip(methods, np.exp(-mean).tolist(), strict=True)))


def reconcile(product: Units, regions: Units, product_errors: Units, errors: Units) -> Said:
    """Make a product's regions agree with it in every way that can be tried.

    A region that is too young to be forecast or tried keeps what is said of it; the others agree with the rest.

    Shapes: product (n_steps,), regions (n_members, n_steps), product_errors (n_origins, n_steps),
    errors (n_members, n_origins, n_steps), NaN where unknown; result[method] (n_members, n_steps)
    """
    said = Said({"bottom_up": regions})
    able = np.isfinite(regions).all(axis=1) & np.isfinite(errors).any(axis=(1, 2))
    rest = product - np.nan_to_num(regions[~able]).sum(axis=0)
    if not MOST_MEMBERS >= able.sum() > 1 or not (rest >= 0).all() or not np.isfinite(product_errors).any():
        return said
    base = np.vstack([rest, regions[able]])
    missed = np.vstack([product_errors.ravel(), errors[able].reshape(base.shape[0] - 1, -1)])
    agreeing: dict[CoherenceMethod, Callable[[], Units]] = {
        "top_down": lambda: shared_out(base),
        "mint_shrink": lambda: least_trace(base, missed),
    }
    for method, agree in agreeing.items():
        try:
            agreed = agree()
        except ReconciliationError as error:
            said.failures[method] = str(error)
        else:
            said.means[method] = regions.copy()
            said.means[method][able] = agreed
    return said


def shared_out(base: Units) -> Units:
    """Share the product's forecast out as its regions' forecasts are to each other.

    Shapes: base (1 + n_members, n_steps), the product first; result (n_members, n_steps)
    Source: forecast proportions, Athanasopoulos, Ahmed & Hyndman 2009.
    """
    added_up = base[1:].sum(axis=0)
    return np.asarray(base[1:] * np.divide(base[0], added_up, out=np.ones_like(added_up), where=added_up > 0))


def least_trace(base: Units, errors: Units) -> Units:
    """Reconcile by the errors' shrunk covariance, nothing below zero.

    Shapes: base (1 + n_members, n_steps), the product first; errors (1 + n_members, n_errors), NaN where unknown;
    result (n_members, n_steps)
    Source: MinT, Wickramasuriya, Athanasopoulos & Hyndman 2019.

    Raises: ReconciliationError where the library finds no answer, or one beyond all reason.
    """
    n_members = base.shape[0] - 1
    sums = np.vstack([np.ones(n_members), np.eye(n_members)])
    try:
        answer = MinTrace("mint_shrink").fit_predict(sums, base, errors, np.zeros_like(errors))
    except Exception as error:
        # It raises the bare class where errors are nil; what is not about numbers is a fault to be seen.
        if type(error) is not Exception and not isinstance(error, ArithmeticError | np.linalg.LinAlgError):
            raise
        raise ReconciliationError(f"MinTrace found no answer: {error}") from error
    means = np.asarray(answer["mean"])[1:]
    highest = ASTRAY_FACTOR * max(base[0].max(), base[1:].sum(axis=0).max())
    if not (np.isfinite(means).all() and np.abs(means).max() <= highest):
        raise ReconciliationError("the errors' covariance is all but singular: the answer left every range")
    return np.maximum(0.0, means)
