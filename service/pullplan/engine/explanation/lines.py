"""Which nearer or cheaper node does a line pass over, and for what cause?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import PricedStage, price_stages
from pullplan.engine.explanation.routes import best_routes
from pullplan.engine.explanation.shortage import explain_shortfalls, full_resources, soonest_arrival
from pullplan.engine.lots import LotPlan
from pullplan.engine.model import Assignment, PassedOver, PassedOverCause, Shortfall
from pullplan.engine.options import OptionRows, Options, Solution, StageMeasure, runs, stage_measures

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

COST_TOLERANCE = 1e-7
"""Of the line's own cost: a smaller difference is rounding."""
CHUNK_LINES, CHUNK_PAIRS = 4_096, 1 << 16
"""Looked at together: what bounds the memory of an explanation."""
CAUSES: tuple[PassedOverCause, ...] = (
    "pinned",
    "not_qualified",
    "offline",
    "no_lane",
    "not_effective",
    "too_late",
    "costs_more",
    "share_limit",
    "keeps_released_work",
    "lot_rule",
    "at_capacity",
)
CAUSES_WITH_A_PRICE = ("at_capacity", "share_limit", "keeps_released_work")


@dataclass(frozen=True)
class _Pairs:
    """Lines and nodes that may have been passed over, ordered by line and capability; arrays are (n_pairs,)."""

    line: IntArray
    capability: IntArray
    distance_km: FloatArray
    is_nearer: BoolArray
    """Else it may be cheaper."""

    def __getitem__(self, some: slice | BoolArray) -> "_Pairs":
        return _Pairs(self.line[some], self.capability[some], self.distance_km[some], self.is_nearer[some])


def explain(
    options: Options, solution: Solution, lots: LotPlan | None = None
) -> tuple[tuple[Assignment, ...], tuple[Shortfall, ...]]:
    """Write every line and every shortfall down with its reasons, ordered by need, node and start bucket.

    `lots`: the orders that made the solution from a relaxation.
    """
    lines = options.rows_at(solution.need, solution.capability, solution.start_bucket)
    nodes = [capability.node_code for capability in options.capabilities.rows]
    columns = zip(
        lines.need.tolist(),
        lines.capability.tolist(),
        lines.start_bucket.tolist(),
        lines.arrival_bucket.tolist(),
        solution.units.tolist(),
        (solution.units / options.capabilities.yield_share[lines.capability]).tolist(),
        lines.distance_km.tolist(),
        lines.cost.tolist(),
        lines.distance_rank.tolist(),
        _passed_over(options, solution, lines, has_lots=lots is not None),
        strict=True,
    )
    assignments = tuple(
        Assignment(
            assignment_id=line + 1,
            need_id=options.needs[need].need_id,
            node_code=nodes[capability],
            start_bucket=start,
            arrival_bucket=arrival,
            units=units,
            started_units=started,
            distance_km=distance_km,
            cost_per_unit=cost,
            distance_rank=rank,
            passed_over=passed,
        )
        for line, (
            need,
            capability,
            start,
            arrival,
            units,
            started,
            distance_km,
            cost,
            rank,
            passed,
        ) in enumerate(columns)
    )
    return assignments, explain_shortfalls(options, solution, lots)


def _passed_over(
    options: Options, solution: Solution, lines: OptionRows, *, has_lots: bool
) -> Iterator[tuple[PassedOver, ...]]:
    """Tell, line by line, what it passes over: most go to their nearest node, and need no words."""
    measures = stage_measures(options, solution.stage_names)
    up_to_cost = next(k for k, measure in enumerate(measures, 1) if measure.name.startswith("cost:"))
    measures, prices = measures[:up_to_cost], solution.stage_prices[:up_to_cost]
    stages = list(zip(measures, price_stages(options, measures, prices), strict=True))
    pairs = _candidates(options, lines)
    line_of, told = [np.empty(0, dtype=np.int64)], list[PassedOver]()
    for cut in range(0, len(pairs.line), CHUNK_PAIRS):
        line, passed = _tell(
            options, solution, lines, stages, pairs[cut : cut + CHUNK_PAIRS], has_lots=has_lots
        )
        line_of.append(line)
        told += passed
    ends = np.searchsorted(np.concatenate(line_of), np.arange(len(lines.need)), side="right")
    return (tuple(told[first:end]) for first, end in pairwise([0, *ends.tolist()]))


def _candidates(options: Options, lines: OptionRows) -> _Pairs:
    """List a product's other nodes that are nearer or, under landed cost, cheaper than a line's own at their best."""
    by_cost = options.parameters.objective == "landed_cost"
    limit = lines.cost * (1 - COST_TOLERANCE)
    nothing = np.empty(0, dtype=np.int64)
    found = [_Pairs(nothing, nothing, np.empty(0), np.empty(0, dtype=bool))]
    for product, of_product in runs(options.need_product[lines.need]):
        for cut in range(0, len(of_product), CHUNK_LINES):
            line = of_product[cut : cut + CHUNK_LINES]
            ways = options.ways(product, options.need_region[lines.need[line]])
            way = ways.capability[:, None]
            own_km, own = lines.distance_km[line], lines.capability[line]
            # A product's capabilities stand in the order of their nodes.
            is_nearer = (ways.distance_km < own_km) | ((ways.distance_km == own_km) & (way < own))
            may_pass = is_nearer
            if by_cost:
                may_pass = (is_nearer | (ways.usable & (ways.route_cost < limit[line]))) & (way != own)
            column, at = np.nonzero(may_pass.T)
            found.append(
                _Pairs(line[column], ways.capability[at], ways.distance_km[at, column], is_nearer[at, column])
            )
    columns = zip(*((p.line, p.capability, p.distance_km, p.is_nearer) for p in found), strict=True)
    line, capability, distance_km, is_nearer = (np.concatenate(column) for column in columns)
    order = np.lexsort((capability, line))
    return _Pairs(line[order], capability[order], distance_km[order], is_nearer[order])


def _tell(
    options: Options,
    solution: Solution,
    lines: OptionRows,
    stages: Sequence[tuple[StageMeasure, PricedStage]],
    pairs: _Pairs,
    *,
    has_lots: bool,
) -> tuple[IntArray, list[PassedOver]]:
    """Give every pair that was passed over its cause and its prices: each one's line, and the words, in order."""
    n_capabilities = len(options.capabilities.rows)
    wanted = lines.need[pairs.line] * n_capabilities + pairs.capability
    need, capability = np.divmod(np.unique(wanted), n_capabilities)
    routes = best_routes(options, solution, stages, need=need, capability=capability)
    known = routes.need * n_capabilities + routes.capability
    at = np.searchsorted(known, wanted)
    has_route = np.append(known, -1)[at] == wanted
    at[~has_route] = len(known)

    def of_route[T: np.generic](column: npt.NDArray[T]) -> npt.NDArray[T]:
        return np.append(column, column.dtype.type(0))[at]

    own_cost, cost = lines.cost[pairs.line], of_route(routes.cost)
    kept = pairs.is_nearer | (has_route & (cost < own_cost * (1 - COST_TOLERANCE)))
    is_later = of_route(routes.late_buckets) > lines.late_buckets[pairs.line]
    is_dearer = cost > own_cost * (1 + COST_TOLERANCE)
    need_of_pair = lines.need[pairs.line]
    soonest = soonest_arrival(options, pairs.capability, need_of_pair)
    saving, share_saving = of_route(routes.saving), of_route(routes.share_saving)
    has_full_share = _has_full_share(options, solution)[pairs.capability]
    cause = _causes(
        options,
        lines,
        pairs,
        is_out_of_dates=~has_route & (soonest <= options.need_latest_bucket[need_of_pair]),
        is_too_late=~has_route | is_later,
        is_dearer=is_dearer,
        is_over_share=(share_saving > saving / 2) | ((saving == 0) & has_full_share),
        is_released=_is_released(
            options,
            solution,
            capability=pairs.capability,
            start_bucket=of_route(routes.start_bucket),
            units=solution.units[pairs.line],
        ),
        is_free=has_lots & (saving == 0),
    )
    names, nodes = [measure.name for measure, _ in stages], options.capabilities.rows
    columns = zip(
        pairs.capability[kept].tolist(),
        pairs.distance_km[kept].tolist(),
        cause[kept].tolist(),
        has_route[kept].tolist(),
        saving[kept].tolist(),
        of_route(routes.forcing_stage)[kept].tolist(),
        of_route(routes.forcing_cost_per_unit)[kept].tolist(),
        solution.units[pairs.line[kept]].tolist(),
        strict=True,
    )
    told = [
        PassedOver(
            node_code=nodes[capability].node_code,
            cause=CAUSES[why],
            distance_km=distance_km,
            capacity_price=price if CAUSES[why] in CAUSES_WITH_A_PRICE else None,
            forcing_measure=names[stage] if forceable else None,
            forcing_cost_per_unit=per_unit if forceable else None,
            forcing_cost=units * per_unit if forceable else None,
        )
        for capability, distance_km, why, forceable, price, stage, per_unit, units in columns
    ]
    return pairs.line[kept], told


def _has_full_share(options: Options, solution: Solution) -> BoolArray:
    """Tell of every capability whether its node may start no more of the product."""
    if not options.capacities.is_share.any():
        return np.zeros(len(options.capabilities.rows), dtype=bool)
    is_full = full_resources(options, solution)[:, 0] & options.capacities.is_share
    has_full: BoolArray = options.capabilities.use @ is_full.astype(np.float64) > 0
    return has_full


def _is_released(
    options: Options,
    solution: Solution,
    *,
    capability: IntArray,
    start_bucket: IntArray,
    units: FloatArray,
) -> BoolArray:
    """Tell which units would fit, then and there, but for released work: of all that is full, it takes as much as they would.

    Shapes: three times (n,) → (n,)
    """
    capacities = options.capacities
    if not capacities.released_use.any():
        return np.zeros(len(capability), dtype=bool)
    uses = options.capabilities.use[capability].tocoo()
    one, row = uses.coords
    at = row, start_bucket[one]
    released_use = np.where(
        capacities.is_stored[:, None],
        capacities.released_use.sum(axis=1, keepdims=True),
        capacities.released_use,
    )
    is_full = full_resources(options, solution)[at]
    is_kept = is_full & (released_use[at] >= uses.data * units[one])
    n_full = np.bincount(one[is_full], minlength=len(capability))
    n_kept = np.bincount(one[is_kept], minlength=len(capability))
    kept: BoolArray = (n_full > 0) & (n_full == n_kept)
    return kept


def _causes(
    options: Options,
    lines: OptionRows,
    pairs: _Pairs,
    *,
    is_out_of_dates: BoolArray,
    is_too_late: BoolArray,
    is_dearer: BoolArray,
    is_over_share: BoolArray,
    is_released: BoolArray,
    is_free: BoolArray,
) -> IntArray:
    """Tell what rules each node out first: positions in CAUSES.

    What is neither unable, nor later, nor dearer has its capacity, or its share, worth more elsewhere, or released work
    has it; where room is worth nothing, lots left it.
    """
    node = options.capabilities.node[pairs.capability]
    region = options.need_region[lines.need[pairs.line]]
    is_offline = np.array([n.status == "offline" for n in options.nodes], dtype=bool)
    rules = (
        options.need_pinned_node[lines.need[pairs.line]] >= 0,
        ~options.capabilities.is_qualified[pairs.capability],
        is_offline[node],
        ~options.lanes.usable[node, region],
        is_out_of_dates,
        is_too_late,
        is_dearer,
        is_over_share,
        is_released,
        is_free,
    )
    return np.select(rules, range(len(rules)), default=len(rules))
