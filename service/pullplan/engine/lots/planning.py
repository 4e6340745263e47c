"""Which production orders make a plan, cut into which lots, and who gets their units?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import stage_values
from pullplan.engine.lots.kept import Kept
from pullplan.engine.lots.problem import Problem
from pullplan.engine.lots.rules import lot_rules
from pullplan.engine.lots.search import Search
from pullplan.engine.lots.ways import Weights, lay_out_orders
from pullplan.engine.model import ProductionOrder, SearchProgress
from pullplan.engine.options import Options, Solution, shortfall_weight, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DEAREST = 3.0
SHORT_WEIGHT, LATENESS_WEIGHT, EXCESS_WEIGHT = 100.0, 40.0, 20.0
"""Of the dearest option of all."""
DUST_SHARE = 1e-7
"""Of an order: less surplus is rounding."""
ROUNDING_SHARE = 1e-12
"""Of a need: what its lines miss it by in floating point is left, so that a line that stays is what it was."""
EARLINESS_WEIGHT = 1e-4
"""Of the mean option."""


METHOD = "orders of whole lots product by product within the room that others leave"


@dataclass(frozen=True)
class LotPlan:
    """A relaxation turned into orders of whole lots."""

    relaxation: Solution
    solution: Solution
    """With the lines of all products; the proof's prices are the relaxation's."""
    values: tuple[float, ...]
    """What every stage measures, surplus included."""
    extra_use: FloatArray
    """(n_resources, n_buckets): what surplus and setups take, besides the lines."""
    production_orders: tuple[ProductionOrder, ...]
    method: str = METHOD

    def is_short_by_lots(self, need: int) -> bool:
        """Tell whether the relaxation serves what stays short of a need."""
        return bool(self.relaxation.shortfall_units[need] <= DUST_SHARE * self.solution.shortfall_units[need])


def cut_into_lots(
    options: Options,
    relaxation: Solution,
    progress: Callable[[SearchProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    kept: Kept | None = None,
) -> LotPlan | None:
    """Gather assignments into production orders of whole lots; None where no capability has lot rules.

    Once `should_stop` says so, the best orders found by then have to do; they are feasible. `kept`: what of an earlier
    plan should stay. Where it stays whatever that costs, products without lots are made in what room is left as well.

    Raises: LotRulesContradictoryError.
    """
    rules = lot_rules(options)
    if rules is None:
        return None
    ruled = rules.products
    if kept is not None and kept.is_fixed:
        rules = replace(rules, products=np.unique(options.need_product))
    weights = _weights(options)
    problem = Problem(
        options=options,
        rules=rules,
        orders=lay_out_orders(options, rules.products.tolist(), weights),
        left_short=np.where(
            relaxation.shortfall_units > DUST_SHARE * options.need_units, relaxation.shortfall_units, 0.0
        ),
        weights=weights,
        make_minimum=options.parameters.make_minimum,
        kept=kept,
    )
    search = Search(problem, relaxation, progress or (lambda _search: None), should_stop or (lambda: False))
    search.run()
    return _gather(problem, relaxation, search, ruled)


def _weights(options: Options) -> Weights:
    mean = options.mean_cost or 1.0
    dearest = DEAREST * mean
    _, level = np.unique(np.stack([options.need_tier, options.need_rank]), axis=1, return_inverse=True)
    weight = shortfall_weight(options)
    before_all = (1 + level.max(initial=0) - level.ravel()) * weight / (weight.max(initial=0.0) or 1.0)
    lateness = LATENESS_WEIGHT * dearest
    return Weights(
        # No unit is left short so that another comes earlier.
        short=SHORT_WEIGHT * dearest * (0.5 + before_all) + 2 * options.horizon.horizon_buckets * lateness,
        lateness=lateness,
        excess=EXCESS_WEIGHT * dearest,
        earliness=EARLINESS_WEIGHT * mean,
    )


def _gather(problem: Problem, relaxation: Solution, search: Search, ruled: IntArray) -> LotPlan:
    """Put the products' lines, and those of products without lots, together; list the orders of `ruled` products."""
    options, orders = problem.options, problem.orders
    shortfall = relaxation.shortfall_units.copy()
    has_lots = np.isin(options.need_product, problem.rules.products)
    kept = ~has_lots[relaxation.need]
    sized = search.sized.values()
    order = np.concatenate([np.empty(0, dtype=np.int64), *(of.line_order for of in sized)])
    need = np.concatenate([relaxation.need[kept], *(of.line_need for of in sized)])
    capability = np.concatenate([relaxation.capability[kept], orders.capability[order]])
    start = np.concatenate([relaxation.start_bucket[kept], orders.start[order]])
    units = np.concatenate([relaxation.units[kept], *(of.line_units for of in sized)])
    size = np.zeros(len(orders.capability))
    for of in sized:
        size[of.order] = of.size
    lines = _Lines.of(options, need, capability, start, units)
    shortfall[has_lots] = lines.shortfall_units[has_lots]
    surplus = size.copy()
    own = has_lots[lines.need]
    number = orders.number(lines.capability[own], lines.start_bucket[own])
    np.subtract.at(surplus, number, lines.units[own])
    is_dust = surplus <= DUST_SHARE * size
    of_any_size = problem.rules.multiple[orders.capability] == 0
    size = np.where(is_dust & of_any_size, size - surplus, size)
    surplus[is_dust] = 0.0
    solution = replace(
        relaxation,
        need=lines.need,
        capability=lines.capability,
        start_bucket=lines.start_bucket,
        units=lines.units,
        shortfall_units=shortfall,
        is_complete=relaxation.is_complete and search.is_complete,
    )
    return LotPlan(
        relaxation=relaxation,
        solution=solution,
        values=tuple(_values(problem, solution, surplus)),
        extra_use=_extra_use(problem, size, surplus),
        production_orders=_production_orders(
            problem, np.where(np.isin(orders.product, ruled), size, 0.0), surplus
        ),
    )


@dataclass(frozen=True)
class _Lines:
    """One line per need × capability × start bucket, ordered so, every need adding up exactly."""

    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    shortfall_units: FloatArray
    """(n_needs,)"""

    @classmethod
    def of(
        cls, options: Options, need: IntArray, capability: IntArray, start: IntArray, units: FloatArray
    ) -> "_Lines":
        """Join lines, drop what is the arithmetic's rounding, and let the largest of a need take the rest."""
        n_buckets = options.horizon.horizon_buckets
        way = capability * n_buckets + start
        order = np.lexsort((way, need))
        need, way, units = need[order], way[order], units[order]
        first = np.flatnonzero((np.diff(need, prepend=-1) != 0) | (np.diff(way, prepend=-1) != 0))
        need, way = need[first], way[first]
        units = np.add.reduceat(units, first) if len(first) else units
        is_line = units > DUST_SHARE * options.need_units[need]
        need, way, units = need[is_line], way[is_line], units[is_line]
        n_needs = len(options.needs)
        shortfall = options.need_units - np.bincount(need, weights=units, minlength=n_needs)
        shortfall[shortfall <= DUST_SHARE * options.need_units] = 0.0
        rest = options.need_units - shortfall - np.bincount(need, weights=units, minlength=n_needs)
        rest[np.abs(rest) <= ROUNDING_SHARE * options.need_units] = 0.0
        by_size = np.lexsort((units, need))
        largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
        units[largest] += rest[need[largest]]
        return cls(need, way // n_buckets, way % n_buckets, units, shortfall)


def _values(problem: Problem, solution: Solution, surplus: FloatArray) -> Iterator[float]:
    """Measure every stage; surplus counts as work for the first bucket after the horizon."""
    options, orders = problem.options, problem.orders
    measures = stage_measures(options, solution.stage_names)
    of_lines = stage_values(options, measures, solution)
    for measure, value in zip(measures, of_lines, strict=True):
        early = measure.early_bucket[orders.product] * orders.surplus_early_buckets
        yield value + float((measure.route_cost * orders.surplus_route_cost + early) @ surplus)


def _extra_use(problem: Problem, size: FloatArray, surplus: FloatArray) -> FloatArray:
    options, orders = problem.options, problem.orders
    made = np.zeros((len(options.capabilities.rows), options.horizon.horizon_buckets))
    made[orders.capability, orders.start] = size > 0
    used: FloatArray = problem.rules.setup.T @ made
    return used + options.use_by_bucket(orders.capability, orders.start, surplus)


def _production_orders(
    problem: Problem, size: FloatArray, surplus: FloatArray
) -> tuple[ProductionOrder, ...]:
    """List what is made: what stores send is no production."""
    options, orders, rules = problem.options, problem.orders, problem.rules
    makes = np.array([not node.is_store for node in options.nodes], dtype=bool)
    listed: list[ProductionOrder] = []
    for at in np.flatnonzero((size > 0) & makes[options.capabilities.node[orders.capability]]).tolist():
        capability = int(orders.capability[at])
        row = options.capabilities.rows[capability]
        n_lots, lot, n_smaller, smaller = rules.cut(capability, float(size[at]))
        region = options.lanes.region_codes[orders.surplus_region[at]]
        listed.append(
            ProductionOrder(
                production_order_id=len(listed) + 1,
                product_code=row.product_code,
                node_code=row.node_code,
                start_bucket=int(orders.start[at]),
                units=float(size[at]),
                n_lots=n_lots,
                lot_units=lot,
                n_smaller_lots=n_smaller,
                smaller_lot_units=smaller,
                surplus_units=float(surplus[at]),
                surplus_region_code=region if surplus[at] > 0 else None,
            )
        )
    return tuple(listed)
