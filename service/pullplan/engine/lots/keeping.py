"""Which lines of an earlier plan can stay, and of how many units are their orders if they do?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots.kept import Kept
from pullplan.engine.lots.problem import Problem, Sized
from pullplan.engine.lots.rules import WHOLE_WITHIN, LotRules, lot_rules
from pullplan.engine.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FIT_SHARE = 1e-9
"""Of a capacity: what orders take beyond it below this is rounding."""


def stays_in_whole_lots(
    options: Options, capability: IntArray, start: IntArray, units: FloatArray
) -> BoolArray:
    """Tell which lines of an earlier plan can stay if all of their order do, whatever else is made.

    An order that is left below its minimum, or of a size that no lots add up to, can't stay; nor can, where surplus and
    setups no longer fit into a capacity, the orders of the fewest units.

    Shapes: three times (n_lines,) → the same
    """
    rules = lot_rules(options)
    if rules is None:
        return np.ones(len(units), dtype=bool)
    n_buckets = options.horizon.horizon_buckets
    order, of_line = np.unique(capability * n_buckets + start, return_inverse=True)
    at, begins = order // n_buckets, order % n_buckets
    made = np.bincount(of_line, weights=units, minlength=len(order))
    sizes, make_minimum = rules.of(at), options.parameters.make_minimum
    has_lots = np.isin(options.capabilities.product[at], rules.products)
    size = np.where(has_lots, sizes.up(made), made)
    left_over = np.maximum(sizes.multiple, sizes.minimum if make_minimum else 0.0)
    stays = ~has_lots | (size - made <= left_over + WHOLE_WITHIN * size)
    if not make_minimum:
        stays &= ~has_lots | (made >= sizes.minimum * (1 - WHOLE_WITHIN))
    _release_until_all_fit(options, rules, at, begins, size=size, has_lots=has_lots, stays=stays)
    found: BoolArray = stays[of_line]
    return found


def _release_until_all_fit(
    options: Options,
    rules: LotRules,
    capability: IntArray,
    start: IntArray,
    *,
    size: FloatArray,
    has_lots: BoolArray,
    stays: BoolArray,
) -> None:
    """Take orders out of `stays`, those of the fewest units first; lines without lots fit by themselves."""
    capacities = options.capacities
    is_stored, available = capacities.is_stored[:, None], capacities.available
    there = np.where(is_stored, np.cumsum(available, axis=1), available)
    slack = FIT_SHARE * np.abs(there)

    def overload() -> FloatArray:
        used = options.use_by_bucket(capability[stays], start[stays], size[stays])
        made = np.zeros((rules.setup.shape[0], available.shape[1]))
        np.add.at(made, (capability[stays & has_lots], start[stays & has_lots]), 1.0)
        used = used + rules.setup.T @ made
        over: FloatArray = np.where(is_stored, np.cumsum(used, axis=1), used) - there - slack
        return over

    fewest_first = np.argsort(size, kind="stable")
    for row, bucket in np.argwhere(overload() > 0).tolist():
        over = overload()[row, bucket]
        unit, setup = (
            of[:, [row]].toarray().ravel()[capability] for of in (options.capabilities.use, rules.setup)
        )
        taken = np.where(stays & has_lots, unit * size + setup, 0.0)
        taken[start > bucket if is_stored[row] else start != bucket] = 0.0
        taken = taken[fewest_first]
        # Who is released first leaves less to be released by those who follow.
        goes = (taken > 0) & (np.cumsum(taken) - taken < over)
        stays[fewest_first[goes]] = False


def keep_only(problem: Problem, product: int, kept: Kept, needs: IntArray) -> Sized:
    """Make what stays of a product, and leave the rest short: what any other way must be better than.

    Shapes: `kept` its lines, `needs` (n,) its needs
    """
    orders = problem.orders
    order = orders.of_product[product]
    line_order = orders.number(kept.capability, kept.start_bucket)
    made = np.bincount(np.searchsorted(order, line_order), weights=kept.units, minlength=len(order))
    units = problem.options.need_units[needs]
    short = float((units - problem.left_short[needs]).sum() - kept.units.sum())
    return Sized(
        order=order,
        size=problem.rules.of(orders.capability[order]).up(made),
        line_need=kept.need,
        line_order=line_order,
        line_units=kept.units,
        value=2 * float(problem.weights.short[needs] @ units),
        short_units=max(0.0, short),
    )
