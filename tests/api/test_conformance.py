"""Do plans made through the API reach the published optima, and do bounds follow from the stored prices alone?"""

import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import numpy as np
import pytest
from tests.computing import compute_next
from tests.engine.instances import facts_of_case, iowa_facts, transportation_facts

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.certificate import lower_bounds, stage_prices_of
from pullplan.engine.model import CapacityPrice, Fact, Need, PlanningFacts, PullPolicy, Stage
from pullplan.engine.netting import net
from pullplan.engine.options import build_options, stage_measures
from pullplan.storage import database, plans

pytestmark = pytest.mark.anyio

type Json = dict[str, Any]
type ResultOf = Callable[..., Awaitable[Json]]

CLASSICS = ("dantzig", "ampl_transp", "powerco")
CASES = ("early_start_or_far", "short_everywhere", "stored_material", "late_allowed", "share_limit")
N_IOWA_WEEKS = 12


@pytest.fixture(scope="session")
def cases(shared: Path) -> Json:
    found: Json = json.loads((shared / "conformance" / "allocation.json").read_text())
    return found


@pytest.fixture
def result_of(client: httpx.AsyncClient, database_url: str) -> ResultOf:
    """Ask for a run over the API, compute it here as a worker would, and read its result over the API."""

    async def computed(path: str, parameters: Json | None = None) -> Json:
        asked = await client.post(path, json=parameters)
        assert asked.status_code == 202, asked.text
        await compute_next(database_url)
        run = (await client.get(asked.headers["Location"])).json()
        assert run["state"] == "succeeded"
        result: Json = (await client.get(run["result"])).json()
        return result

    return computed


async def _put(client: httpx.AsyncClient, path: str, rows: Iterable[Fact]) -> None:
    sent = [{k: v for k, v in msgspec.to_builtins(row).items() if v is not None} for row in rows]
    answer = await client.put(path, json=sent)
    assert answer.status_code == 200, answer.text


async def _load(client: httpx.AsyncClient, facts: PlanningFacts, needs: list[Need]) -> Json:
    """Store a network and, as orders, what it needs; answer the parameters to plan it with."""
    await _put(client, "/v1/products", facts.products)
    await _put(client, "/v1/regions", facts.regions)
    await _put(client, "/v1/nodes", facts.nodes)
    await _put(client, "/v1/capacity", facts.resources)
    await _put(client, "/v1/capabilities", facts.capabilities)
    if facts.lanes:
        await _put(client, "/v1/lanes", facts.lanes)
    if facts.capacity_exceptions:
        await _put(client, "/v1/capacity-exceptions", facts.capacity_exceptions)
    await _put(client, "/v1/policies", [PullPolicy(policy="make_to_order")])
    as_of = f"{facts.horizon.as_of_date}T00:00:00+00:00"
    signals = [
        {
            "source": "case",
            "external_id": str(need.need_id),
            "kind": "order",
            "product_code": need.product_code,
            "region_code": need.region_code,
            "units": need.units,
            "occurred_at": as_of,
            "due_date": str(bucket_dates(facts.horizon)[need.bucket]),
        }
        for need in needs
    ]
    answer = await client.post("/v1/demand-signals/batch", json=signals)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == len(needs)
    horizon = {"bucket": facts.horizon.bucket, "horizon_buckets": facts.horizon.horizon_buckets}
    asked: Json = {k: v for k, v in msgspec.to_builtins(facts.parameters).items() if v is not None}
    return asked | horizon | {"as_of": as_of}


def _stage(plan: Json, measure: str) -> Json:
    (stage,) = (stage for stage in plan["stages"] if stage["measure"] == measure)
    found: Json = stage
    return found


# --- textbooks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSICS)
async def test_a_textbook_transport_problem_costs_what_its_book_says(
    client: httpx.AsyncClient, cases: Json, result_of: ResultOf, name: str
):
    case = cases["classics"][name]
    plan = await result_of("/v1/plans", await _load(client, *transportation_facts(case)))
    cost = _stage(plan, "cost:landed_cost")
    assert cost["value"] == pytest.approx(case["published_optimum"], rel=1e-6)
    assert cost["lower_bound"] == pytest.approx(case["published_optimum"], rel=1e-6)
    assert plan["figures"]["shortfall_units"] == pytest.approx(0, abs=1e-6)
    assert plan["figures"]["assigned_units"] == pytest.approx(sum(r["demand"] for r in case["regions"]))


@pytest.mark.parametrize(("node_out", "name"), [("Seattle", "seattle_out"), ("San-Diego", "san_diego_out")])
async def test_without_one_plant_the_other_serves_what_it_can(
    client: httpx.AsyncClient, cases: Json, result_of: ResultOf, node_out: str, name: str
):
    facts, needs = transportation_facts(cases["classics"]["dantzig"])
    nodes = tuple(
        msgspec.structs.replace(node, status="offline") if node.node_code == node_out else node
        for node in facts.nodes
    )
    plan = await result_of(
        "/v1/plans", await _load(client, msgspec.structs.replace(facts, nodes=nodes), needs)
    )
    assert plan["figures"]["assigned_units"] == pytest.approx(cases["n_minus_1"][name]["served"])
    assert plan["figures"]["needs_units"] == pytest.approx(cases["n_minus_1"][name]["of"])


@pytest.mark.parametrize("name", CASES)
async def test_a_published_case_comes_out_stage_by_stage(
    client: httpx.AsyncClient, shared: Path, result_of: ResultOf, name: str
):
    """Early starts, shortage, a store, lateness: what only the whole way from orders to lines can get wrong."""
    case = json.loads((shared / "conformance" / "assignment_cases.json").read_text())["cases"][name]
    plan = await result_of("/v1/plans", await _load(client, *facts_of_case(case)))
    keys = ("shortfall", "late_unit_buckets", "cost", "early_unit_buckets")
    for stage, key in zip(plan["stages"], keys, strict=True):
        share = 1e-3 if key.startswith("early") else 1e-5
        assert stage["value"] == pytest.approx(case["expected"][key], rel=share, abs=share), stage
        assert stage["lower_bound"] == pytest.approx(stage["value"], rel=1e-8, abs=1e-8), stage
    assert (await result_of(f"/v1/plans/{plan['plan_id']}/verify"))["findings"] == []


# --- Iowa's distilleries --------------------------------------------------------------------------------------


def _iowa_week(shared: Path, case: Json) -> tuple[PlanningFacts, list[Need]]:
    return iowa_facts(
        shared / "data" / "iowa_spirits",
        [date.fromisoformat(case["week"])],
        capacity_factor=case["capacity_factor"],
        node_out=case["node_out"],
    )


@pytest.mark.parametrize("index", range(N_IOWA_WEEKS))
async def test_an_iowa_week_is_as_short_and_as_far_as_the_reference_says(
    client: httpx.AsyncClient, shared: Path, cases: Json, result_of: ResultOf, index: int
):
    assert len(cases["iowa_weeks"]["cases"]) == N_IOWA_WEEKS
    case = cases["iowa_weeks"]["cases"][index]
    plan = await result_of("/v1/plans", await _load(client, *_iowa_week(shared, case)))
    figures = plan["figures"]
    assert figures["n_needs"] == case["needs"]
    assert figures["needs_units"] == case["demand_units"]
    assert figures["shortfall_units"] == pytest.approx(case["short_units"], rel=1e-6, abs=1e-6)
    assert figures["unit_km"] == pytest.approx(case["unit_km"], rel=1e-6)
    for measure, reference in (("shortfall:order:0", case["short_units"]), ("cost:nearest", case["unit_km"])):
        assert _stage(plan, measure)["value"] == pytest.approx(reference, rel=1e-6, abs=1e-6)
        assert _stage(plan, measure)["lower_bound"] == pytest.approx(reference, rel=1e-6, abs=1e-6)
    if case["capacity_factor"] < 1:  # a suite in which no capacity binds proves nothing about capacity
        busiest = (await client.get(f"/v1/plans/{plan['plan_id']}/figures")).json()["nodes"][0]
        assert busiest["use_share"] == pytest.approx(1.0)


async def test_lowering_one_stored_price_moves_its_bound_and_gap(
    client: httpx.AsyncClient, shared: Path, cases: Json, result_of: ResultOf, database_url: str
):
    (case,) = (
        case
        for case in cases["iowa_weeks"]["cases"]
        if (case["week"], case["capacity_factor"]) == ("2021-11-22", 0.4)
    )
    plan = await result_of("/v1/plans", await _load(client, *_iowa_week(shared, case)))
    connection = await database.connect(database_url)
    facts = await plans.find_facts(connection, UUID(plan["plan_id"]))
    await connection.close()
    assert facts is not None
    options = build_options(facts, net(facts))
    stages = [msgspec.convert(stage, Stage) for stage in plan["stages"]]
    listed = (await client.get(f"/v1/plans/{plan['plan_id']}/prices?limit=1000")).json()["items"]
    assert {date.fromisoformat(price["bucket_date"]) for price in listed} == {
        date.fromisoformat(case["week"])
    }
    prices = [
        CapacityPrice(bucket=0, **{name: price[name] for name in price if name != "bucket_date"})
        for price in listed
    ]

    def bounds(used: list[CapacityPrice]) -> list[float]:
        read = stage_prices_of(options, stages, used)
        measures = stage_measures(options, [stage.measure for stage in stages])
        return lower_bounds(options, measures, read, [stage.value for stage in stages])

    assert bounds(prices) == pytest.approx([stage.lower_bound for stage in stages], rel=1e-9, abs=1e-9)
    (cost_stage,) = (stage for stage in stages if stage.measure == "cost:nearest")
    dearest = max(
        (price for price in prices if price.stage == cost_stage.stage), key=lambda price: price.price
    )
    lowered = [
        msgspec.structs.replace(price, price=price.price / 2) if price is dearest else price
        for price in prices
    ]
    moved = bounds(lowered)
    assert moved[cost_stage.stage - 1] < cost_stage.lower_bound - 1
    gap = (cost_stage.value - moved[cost_stage.stage - 1]) / cost_stage.value
    assert gap > cost_stage.gap + 1e-6
    others = np.arange(len(stages)) != cost_stage.stage - 1
    assert np.array(moved)[others] == pytest.approx(np.array([s.lower_bound for s in stages])[others])
