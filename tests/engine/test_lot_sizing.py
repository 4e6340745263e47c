"""Are units given out at least cost, is no more made than needs be, and does a search that is stopped keep its plan?"""

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from bench.lotting import small_instance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from tests.engine.test_lots import network, planned

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import stage_values
from pullplan.engine.checker import check
from pullplan.engine.lots import cut_into_lots, search, whole
from pullplan.engine.lots.flow import Flow
from pullplan.engine.model import LineProgress, PlanningFacts, SearchProgress
from pullplan.engine.netting import net
from pullplan.engine.options import Options, Solution, build_options, stage_measures
from pullplan.engine.plan import make_plan

FloatArray = npt.NDArray[np.float64]


def least_cost(cost: FloatArray, units: FloatArray, most: FloatArray) -> float:
    """Solve the transport as a linear programme."""
    n_sources, n_needs = cost.shape
    by_need = np.tile(np.eye(n_needs), n_sources)
    by_source = np.repeat(np.eye(n_sources), n_needs, axis=1)
    result = linprog(cost.ravel(), A_ub=by_source, b_ub=most, A_eq=by_need, b_eq=units)
    assert result.status == 0
    assert result.fun is not None
    return float(result.fun)


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_what_has_no_room_moves_on_at_least_cost_and_back_again(seed: int, n_sources: int, n_needs: int):
    chance = np.random.default_rng(seed)
    cost = chance.integers(0, 20, (n_sources + 1, n_needs)).astype(float)
    cost[-1] = 1000.0
    units = chance.integers(1, 30, n_needs).astype(float)
    most = np.append(chance.integers(0, int(units.sum()) + 1, n_sources), np.inf)
    flow = Flow(cost, units)
    at_first = flow.amount.copy()
    free, spent = flow.value(), 0.0

    def ends(_giver: int) -> tuple[FloatArray, FloatArray]:
        return np.maximum(0.0, most - flow.made), np.zeros(n_sources + 1)

    for source in np.flatnonzero(flow.made > most).tolist():
        spent += flow.push(source, float(flow.made[source] - most[source]), ends)
    bounded = np.where(np.isfinite(most), most, units.sum())
    assert flow.value() == pytest.approx(least_cost(cost, units, bounded))
    assert spent == pytest.approx(flow.value() - free)
    assert flow.amount.sum(axis=0) == pytest.approx(units)
    flow.go_back(0)
    assert flow.amount == pytest.approx(at_first, abs=1e-9)


@st.composite
def roomy_networks(draw: st.DrawFn) -> PlanningFacts:
    """Draw two products at up to three nodes with more than enough room, one multiple each, over up to five days."""
    n_buckets = draw(st.integers(1, 5))
    nodes = ["A", "B", "C"][: draw(st.integers(1, 3))]
    products = {
        code: {"lot_multiple_units": draw(st.sampled_from([5.0, 20.0, 100.0]))} for code in ("OAT", "RYE")
    }
    orders = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["OAT", "RYE"]), st.sampled_from(["ULM", "BONN"]),
                st.integers(0, n_buckets - 1), st.integers(1, 60).map(float),
            ),
            min_size=1, max_size=8,
        )
    )  # fmt: skip
    return network(
        orders,
        {(node, product): {} for node in nodes for product in sorted({order[0] for order in orders})},
        distance_km={(n, r): float(draw(st.integers(1, 90))) for n in nodes for r in ("ULM", "BONN")},
        capacity=dict.fromkeys(nodes, 2000.0),
        n_buckets=n_buckets,
        products=products,
    )


@given(roomy_networks())
@settings(max_examples=10, deadline=None)
def test_where_there_is_room_surplus_is_less_than_one_multiple_of_a_product(facts: PlanningFacts):
    plan = planned(facts)
    assert plan.shortfalls == ()
    multiple = {product.product_code: product.lot_multiple_units or 0.0 for product in facts.products}
    orders = sorted(plan.production_orders, key=lambda order: order.product_code)
    for code, own in itertools.groupby(orders, key=lambda order: order.product_code):
        assert sum(order.surplus_units for order in own) < multiple[code]


def test_ten_a_week_of_two_regions_are_gathered_at_the_node_next_to_each():
    # 8 × 20 at a multiple of 100 are two orders; each region has a node next to it, and 40 are left over.
    facts = network(
        [("RYE", region, day, 10.0) for day in range(8) for region in ("ULM", "BONN")],
        {("A", "RYE"): {"lot_multiple_units": 100.0}, ("B", "RYE"): {"lot_multiple_units": 100.0}},
        distance_km={("A", "ULM"): 5.0, ("A", "BONN"): 90.0, ("B", "ULM"): 90.0, ("B", "BONN"): 5.0},
        capacity={"A": 500.0, "B": 500.0},
        n_buckets=8,
    )
    plan = planned(facts)
    made = [(o.node_code, o.start_bucket, o.units, o.surplus_units) for o in plan.production_orders]
    assert made == [("A", 0, 100.0, 20.0), ("B", 0, 100.0, 20.0)]


def test_of_few_needs_the_programme_of_shares_finds_orders_that_cost_less(monkeypatch: pytest.MonkeyPatch):
    facts, needs = small_instance(5)
    options = build_options(facts, needs)
    relaxation = assign(options)
    monkeypatch.setattr(search, "MOST_CHAINS", 10_000)  # whoever looks for long enough finds much the same
    hinted = cut_into_lots(options, relaxation)
    monkeypatch.setattr(search, "HINT_CELLS", 0)
    alone = cut_into_lots(options, relaxation)
    assert hinted is not None
    assert alone is not None
    assert hinted.values[0] <= alone.values[0]
    assert relaxation_cost(options, relaxation) <= hinted.values[-2] < 0.99 * alone.values[-2]


def relaxation_cost(options: Options, relaxation: Solution) -> float:
    return stage_values(options, stage_measures(options, relaxation.stage_names), relaxation)[-2]


# --- stopped ------------------------------------------------------------------------------------------------------


def after(n_asked: int) -> Callable[[], bool]:
    """Say stop from the n-th time on that the search asks."""
    asked = itertools.count()
    return lambda: next(asked) >= n_asked


def crowded() -> PlanningFacts:
    """Six products at three nodes that are nearly full, over three days."""
    chance = np.random.default_rng(7)
    products = [f"P{p}" for p in range(6)]
    regions, nodes = ["BONN", "KIEL", "ULM"], ["A", "B", "C"]
    return network(
        [(p, r, day, float(chance.integers(5, 40))) for p in products for r in regions for day in range(3)],
        {(n, p): {} for n in nodes for p in products},
        distance_km={(n, r): float(chance.integers(1, 90)) for n in nodes for r in regions},
        capacity=dict.fromkeys(nodes, 160.0),
        n_buckets=3,
        products={p: {"lot_multiple_units": 10.0, "minimum_lot_units": 30.0} for p in products},
    )


@pytest.fixture
def short_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MOST_NODES", 20)  # when it is stopped is asked here, not how far it gets


@pytest.mark.usefixtures("short_search")
def test_a_search_for_lots_that_is_stopped_keeps_the_best_so_far():
    options = build_options(facts := crowded(), net(facts))
    relaxation = assign(options)
    unstopped = cut_into_lots(options, relaxation)
    assert unstopped is not None
    assert unstopped.solution.is_complete
    for n_asked in (0, 1, 6, 8):
        stopped = cut_into_lots(options, relaxation, should_stop=after(n_asked))
        assert stopped is not None
        assert not stopped.solution.is_complete
        assert stopped.values[0] >= unstopped.values[0]
        assert stopped.production_orders


@pytest.mark.usefixtures("short_search")
def test_a_plan_whose_lots_were_stopped_at_once_is_feasible_and_says_so():
    facts = crowded()
    heard: list[str] = []
    rounds: list[int] = []

    def hear(step: str, _done_share: float, more: SearchProgress | LineProgress | None = None) -> None:
        heard.append(step)
        if isinstance(more, SearchProgress) and more.stage == "lots":
            rounds.append(more.round)

    plan = make_plan(facts, hear, should_stop=lambda: "cutting into lots" in heard)
    assert not plan.reproducible
    assert check(facts, plan).findings == ()
    assert plan.production_orders
    assert rounds == list(range(1, 7))
    assert make_plan(facts).reproducible
