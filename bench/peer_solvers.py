"""What does a published solver, or a planner's rule of thumb, make of an instance? Knows nothing of pullplan.

    python bench/peer_solvers.py SOLVER INSTANCE.npz

runs in an environment of the peers' own and prints what was found as one JSON object.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, csr_matrix

PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
"""CBC is a child."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Instance:
    """Every option of every need, ordered by need: what one unit of it costs, and takes of its node."""

    units: FloatArray
    """(n_needs,)"""
    capacity: FloatArray
    """(n_nodes,)"""
    need: IntArray
    """(n_options,)"""
    node: IntArray
    """(n_options,)"""
    cost: FloatArray
    """(n_options,)"""
    use: FloatArray
    """(n_options,)"""

    def rows(self) -> csr_array:
        """Write down what each need gets and what each node gives: (n_needs + n_nodes, n_options)."""
        option = np.arange(len(self.cost))
        rows = np.concatenate([self.need, len(self.units) + self.node])
        values = np.concatenate([np.ones(len(option)), self.use])
        shape = (len(self.units) + len(self.capacity), len(option))
        return coo_array((values, (rows, np.tile(option, 2))), shape=shape).tocsr()


def highs(method: Literal["highs-ds", "highs-ipm"]) -> Callable[[Instance], FloatArray]:
    def solve(instance: Instance) -> FloatArray:
        rows: Any = instance.rows()  # scipy's stubs know no sparse rows here
        n_needs = len(instance.units)
        found = linprog(
            instance.cost,
            A_eq=rows[:n_needs],
            b_eq=instance.units,
            A_ub=rows[n_needs:],
            b_ub=instance.capacity,
            method=method,
        )
        if found.x is None:
            raise RuntimeError(found.message)
        return np.asarray(found.x)

    return solve


def or_tools(name: str) -> Callable[[Instance], FloatArray]:
    def solve(instance: Instance) -> FloatArray:
        from ortools.linear_solver.python import model_builder_helper  # noqa: PLC0415 - each solver loads its own

        n = len(instance.cost)
        model = model_builder_helper.ModelBuilderHelper()
        model.fill_model_from_sparse_data(
            np.zeros(n),
            np.full(n, np.inf),
            instance.cost,
            np.append(instance.units, np.full(len(instance.capacity), -np.inf)),
            np.append(instance.units, instance.capacity),
            csr_matrix(instance.rows()),
        )
        solver = model_builder_helper.ModelSolverHelper(name)
        solver.solve(model)
        if not solver.has_solution():
            raise RuntimeError(str(solver.status_string()))
        return np.asarray(solver.variable_values())

    return solve


def cbc(instance: Instance) -> FloatArray:
    """Write the programme as people do with PuLP: a variable for every option, a sum for every row."""
    import pulp  # noqa: PLC0415 - each solver loads its own

    problem = pulp.LpProblem("assignment", pulp.LpMinimize)
    units = [problem.add_variable(f"x{i}", 0) for i in range(len(instance.cost))]
    problem += pulp.lpDot(instance.cost.tolist(), units)
    rows = instance.rows()
    for row, most in enumerate(np.append(instance.units, instance.capacity).tolist()):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        of_row = [units[option] for option in rows.indices[entries].tolist()]
        given = pulp.lpDot(rows.data[entries].tolist(), of_row)
        problem += given == most if row < len(instance.units) else given <= most
    done = problem.solve(pulp.COIN_CMD(msg=False))
    if not done.has_solution:
        raise RuntimeError(done.status_str)
    return np.array([unit.value() or 0.0 for unit in units])


def greedy(instance: Instance) -> FloatArray:
    """Serve need after need from its cheapest node with room; the best of three orders."""
    by_cost = np.lexsort((instance.cost, instance.need))
    first = np.searchsorted(instance.need, np.arange(len(instance.units) + 1))
    cheapest = instance.cost[by_cost[first[:-1]]]
    second = instance.cost[by_cost[np.minimum(first[:-1] + 1, first[1:] - 1)]]
    orders = (np.argsort(cheapest), np.argsort(instance.units), np.argsort(cheapest - second))
    plans = [_serve_in_order(instance, order.tolist(), by_cost.tolist(), first.tolist()) for order in orders]
    return min(plans, key=lambda units: (-round(float(units.sum())), float(instance.cost @ units)))


def _serve_in_order(instance: Instance, order: list[int], by_cost: list[int], first: list[int]) -> FloatArray:
    left, node, use = instance.capacity.tolist(), instance.node.tolist(), instance.use.tolist()
    wanted = instance.units.tolist()
    units = np.zeros(len(node))
    for need in order:
        missing = wanted[need]
        for option in by_cost[first[need] : first[need + 1]]:
            given = min(missing, left[node[option]] / use[option])
            if given > 0:
                units[option] = given
                left[node[option]] -= given * use[option]
                missing -= given
            if missing <= 0:
                break
    return units


SOLVERS: dict[str, Callable[[Instance], FloatArray]] = {
    "highs-ds": highs("highs-ds"),
    "highs-ipm": highs("highs-ipm"),
    "glop": or_tools("glop"),
    "pdlp": or_tools("pdlp"),
    "cbc": cbc,
    "greedy": greedy,
}


def main() -> None:
    solver, path = sys.argv[1:]
    with np.load(path) as stored:
        instance = Instance(**stored)
    started = time.perf_counter()
    units = np.maximum(0.0, SOLVERS[solver](instance))
    seconds = time.perf_counter() - started
    served = np.bincount(instance.need, units, len(instance.units))
    used = np.bincount(instance.node, units * instance.use, len(instance.capacity))
    found = {
        "seconds": seconds,
        "cost": float(instance.cost @ units),
        "short_units": float(np.maximum(0.0, instance.units - served).sum()),
        "overfilled_share": float(((used - instance.capacity) / instance.capacity).max()),
        "megabytes": max(resource.getrusage(who).ru_maxrss for who in PROCESSES) / 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
