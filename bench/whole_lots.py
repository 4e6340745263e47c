"""What does HiGHS find for a network with lots, given every order of it at once? An independent formulation."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from pullplan.engine.calendar import capacity_by_bucket
from pullplan.engine.model import Capability, Need, PlanningFacts

SHORT_COSTS, EXCESS_COSTS = 1000.0, 100.0
"""Times the dearest way: what a unit left short, and one of surplus above one multiple a product, counts."""


@dataclass(frozen=True)
class Best:
    """The best that was found, and how far it may be from the optimum."""

    cost: float
    """Surplus included."""
    short_units: float
    bound: float
    """No plan costs less, what is short and excess surplus counted as above."""
    is_proven: bool
    """To within the gap asked for."""
    n_columns: int


class _Programme:
    """Columns and rows by name, gathered one by one."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.whole: list[bool] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def column(self, cost: float = 0.0, upper: float = np.inf, *, whole: bool = False) -> int:
        self.cost.append(cost)
        self.upper.append(upper)
        self.whole.append(whole)
        return len(self.cost) - 1

    def solve(self, seconds: float, gap: float) -> tuple[np.ndarray, float, bool]:
        entries = [(r, c, x) for r, (row, _, _) in enumerate(self.rows) for c, x in row.items()]
        row, column, value = (np.array(part) for part in zip(*entries, strict=True))
        matrix = csr_array((value, (row, column)), shape=(len(self.rows), len(self.cost)))
        lower, upper = (np.array([of[at] for of in self.rows]) for at in (1, 2))
        result = milp(
            np.array(self.cost),
            integrality=np.array(self.whole, dtype=int),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(matrix, lower, upper),
            options={"time_limit": seconds, "mip_rel_gap": gap},
        )
        if result.x is None:
            raise RuntimeError(f"HiGHS found no plan: {result.message}")
        return result.x, float(result.mip_dual_bound), result.status == 0


def best_with_lots(facts: PlanningFacts, needs: Sequence[Need], *, seconds: float, gap: float) -> Best:
    """Serve needs on time from orders of whole lots; daily or weekly buckets, nothing late, no lead times or setups."""
    programme = _Programme()
    cost_of = _Costs(facts)
    n_buckets = facts.horizon.horizon_buckets
    dearest = max(
        cost_of.way(c, n.region_code, 0, n_buckets) for n in needs for c in cost_of.capable[n.product_code]
    )
    short = {n.need_id: programme.column(SHORT_COSTS * dearest, n.units) for n in needs}
    served: dict[int, dict[int, float]] = {n.need_id: {short[n.need_id]: 1.0} for n in needs}
    use: dict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
    paid: dict[int, float] = {}
    for product in facts.products:
        own = [n for n in needs if n.product_code == product.product_code]
        surplus_of_product: dict[int, float] = {}
        most = 0.0
        for capability in cost_of.capable[product.product_code]:
            minimum, multiple = cost_of.lots(capability)
            most = max(most, multiple)
            region = cost_of.soonest_region(own)
            for start in range(n_buckets):
                taken = {}
                limit = sum(n.units for n in own) + max(minimum, multiple)
                size = programme.column(upper=np.ceil(limit / (multiple or 1.0)), whole=multiple > 0)
                made = programme.column(upper=1.0, whole=True)
                for need in own:
                    if need.bucket >= start:
                        cost = cost_of.way(capability, need.region_code, start, need.bucket)
                        column = programme.column(cost, need.units)
                        paid[column] = cost
                        served[need.need_id][column] = taken[column] = 1.0
                        programme.rows.append(({column: 1.0, made: -need.units}, -np.inf, 0.0))
                cost = cost_of.way(capability, region, start, n_buckets)
                surplus = programme.column(cost)
                paid[surplus] = cost
                surplus_of_product[surplus] = 1.0
                unit = multiple or 1.0
                programme.rows += [
                    ({**taken, surplus: 1.0, size: -unit}, 0.0, 0.0),
                    ({**taken, made: -minimum}, 0.0, np.inf),
                    ({size: unit, made: -limit}, -np.inf, 0.0),
                ]
                for resource, amount in capability.use_per_unit.items():
                    use[capability.node_code, resource, start][size] = amount * unit
        excess = programme.column(EXCESS_COSTS * dearest)
        programme.rows.append(({**surplus_of_product, excess: -1.0}, -np.inf, most))
    programme.rows += [(served[n.need_id], n.units, n.units) for n in needs]
    programme.rows += [(row, -np.inf, cost_of.capacity[key]) for key, row in use.items()]
    columns, bound, is_proven = programme.solve(seconds, gap)
    return Best(
        cost=float(sum(price * columns[column] for column, price in paid.items())),
        short_units=float(sum(columns[column] for column in short.values())),
        bound=bound,
        is_proven=is_proven,
        n_columns=len(columns),
    )


class _Costs:
    """Looks landed costs, lots and capacities up, one by one."""

    def __init__(self, facts: PlanningFacts) -> None:
        self._facts = facts
        self._product = {p.product_code: p for p in facts.products}
        self._lane = {(lane.node_code, lane.region_code): lane for lane in facts.lanes}
        self._days = 7 if facts.horizon.bucket == "week" else 1
        self.capable: dict[str, list[Capability]] = defaultdict(list)
        for capability in facts.capabilities:
            self.capable[capability.product_code].append(capability)
        node = {n.node_code: n for n in facts.nodes}
        self.capacity = {
            (r.node_code, r.resource_code, b): float(there)
            for r in facts.resources
            for b, there in enumerate(capacity_by_bucket(r, [], node[r.node_code], facts.horizon, None))
        }

    def lots(self, capability: Capability) -> tuple[float, float]:
        product = self._product[capability.product_code]
        own = (capability.minimum_lot_units, capability.lot_multiple_units)
        of_product = (product.minimum_lot_units, product.lot_multiple_units)
        minimum, multiple = ((b if a is None else a) or 0.0 for a, b in zip(own, of_product, strict=True))
        return multiple * np.ceil(minimum / multiple - 1e-9) if multiple else minimum, multiple

    def way(self, capability: Capability, region_code: str, start: int, due: int) -> float:
        product = self._product[capability.product_code]
        distance_km = self._lane[capability.node_code, region_code].distance_km
        assert distance_km is not None
        freight = self._facts.parameters.freight_cost_per_kg_km * product.weight_kg * distance_km
        holding = product.holding_cost_per_unit_per_day * self._days * (due - start)
        return capability.unit_cost + freight + holding

    @staticmethod
    def soonest_region(needs: Sequence[Need]) -> str:
        units: dict[str, float] = defaultdict(float)
        for need in needs:
            units[need.region_code] += need.units
        return max(sorted(units), key=lambda code: units[code])
