"""Which production orders make a plan, cut into which lots, and who gets their units?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import stage_values
from pullplan.engine.lots.rules import lot_rules
from pullplan.engine.lots.search import search
from pullplan.engine.lots.serving import serve
from pullplan.engine.lots.sizing import Problem, Weights
from pullplan.engine.lots.ways import gather, lay_out_orders, take
from pullplan.engine.model import ProductionOrder
from pullplan.engine.options import OptionRows, Options, Solution, shortfall_weight, stage_measures

FloatArray = npt.NDArray[np.float64]

DEAREST = 3.0
SHORT_WEIGHT, LATENESS_WEIGHT, EXCESS_WEIGHT = 100.0, 40.0, 20.0
"""Of the dearest option of all."""
DUST_SHARE = 1e-7
"""Of an order: less surplus is rounding."""
EARLINESS_WEIGHT = 1e-4
"""Of the mean option."""


METHOD = "orders of whole lots product by product in HiGHS within the room that others leave"


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
    options: Options, relaxation: Solution, progress: Callable[[float], None] | None = None
) -> LotPlan | None:
    """Gather assignments into production orders of whole lots; None where no capability has lot rules.

    Raises: LotRulesContradictoryError, AssignmentFailedError.
    """
    rules = lot_rules(options)
    if rules is None:
        return None
    tables = {
        product: options.rows_of(np.flatnonzero(options.need_product == product))
        for product in rules.products.tolist()
    }
    problem = Problem(
        options=options,
        rules=rules,
        orders=lay_out_orders(options, list(tables.values())),
        units=options.need_units - relaxation.shortfall_units,
        weights=_weights(options),
        make_minimum=options.parameters.make_minimum,
    )
    size = search(problem, relaxation, tables, progress or (lambda _done_share: None))
    return _serve_all(problem, relaxation, tables, size)


def _weights(options: Options) -> Weights:
    mean = options.mean_cost or 1.0
    dearest = DEAREST * mean
    _, level = np.unique(np.stack([options.need_tier, options.need_rank]), axis=1, return_inverse=True)
    weight = shortfall_weight(options)
    before_all = (1 + level.max(initial=0) - level.ravel()) * weight / (weight.max(initial=0.0) or 1.0)
    return Weights(
        short=SHORT_WEIGHT * dearest * (0.5 + before_all),
        lateness=LATENESS_WEIGHT * dearest,
        excess=EXCESS_WEIGHT * dearest,
        earliness=EARLINESS_WEIGHT * mean,
    )


def _serve_all(
    problem: Problem, relaxation: Solution, tables: Mapping[int, OptionRows], size: FloatArray
) -> LotPlan:
    options, orders = problem.options, problem.orders
    shortfall = relaxation.shortfall_units.copy()
    kept = ~np.isin(options.need_product[relaxation.need], problem.rules.products)
    names = ("need", "capability", "start_bucket", "units")
    columns = {name: [getattr(relaxation, name)[kept]] for name in names}
    surplus = size.copy()
    for product, rows in tables.items():
        need = np.flatnonzero(options.need_product == product)
        is_made = size[orders.number(rows.capability, rows.start_bucket)] > 0
        if not is_made.any():
            shortfall[need] = options.need_units[need]
            continue
        ways = gather(options, orders, need, take([rows], [is_made]))
        served = serve(problem, ways, size[ways.order])
        shortfall[need] = served.shortfall_units
        np.subtract.at(surplus, orders.number(served.capability, served.start_bucket), served.units)
        for name, parts in columns.items():
            parts.append(getattr(served, name))
    lines = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.lexsort((lines["start_bucket"], lines["capability"], lines["need"]))
    is_dust = surplus <= DUST_SHARE * size
    of_any_size = problem.rules.multiple[orders.capability] == 0
    size = np.where(is_dust & of_any_size, size - surplus, size)
    surplus[is_dust] = 0.0
    need, capability, start, units = (lines[name][order] for name in names)
    solution = replace(
        relaxation,
        need=need,
        capability=capability,
        start_bucket=start,
        units=units,
        shortfall_units=shortfall,
    )
    return LotPlan(
        relaxation=relaxation,
        solution=solution,
        values=tuple(_values(problem, solution, surplus)),
        extra_use=_extra_use(problem, size, surplus),
        production_orders=_production_orders(problem, size, surplus),
    )


def _values(problem: Problem, solution: Solution, surplus: FloatArray) -> Iterator[float]:
    """Measure every stage; surplus counts as work for the first bucket after the horizon."""
    options, orders = problem.options, problem.orders
    measures = stage_measures(options, solution.stage_names)
    of_lines = stage_values(options, measures, solution)
    for measure, value in zip(measures, of_lines, strict=True):
        early = measure.early_bucket[orders.product] * orders.surplus_early_buckets
        yield value + float((measure.route_cost * orders.surplus_route_cost + early) @ surplus)


def _extra_use(problem: Problem, size: FloatArray, surplus: FloatArray) -> FloatArray:
    capabilities, orders = problem.options.capabilities, problem.orders
    units = np.zeros((len(capabilities.rows), orders.n_buckets))
    made = np.zeros(units.shape)
    units[orders.capability, orders.start] = surplus
    made[orders.capability, orders.start] = size > 0
    used: FloatArray = capabilities.use.T @ units + problem.rules.setup.T @ made
    return used


def _production_orders(
    problem: Problem, size: FloatArray, surplus: FloatArray
) -> tuple[ProductionOrder, ...]:
    options, orders, rules = problem.options, problem.orders, problem.rules
    listed: list[ProductionOrder] = []
    for at in np.flatnonzero(size > 0).tolist():
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
