"""Do plans made through the API reach the published optima, and do bounds follow from the stored prices alone?"""

import csv
import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import numpy as np
import pytest

from pullplan.engine.certificate import lower_bounds, stage_prices_of
from pullplan.engine.model import CapacityPrice, Stage
from pullplan.engine.netting import net
from pullplan.engine.options import build_options, stage_measures
from pullplan.storage import database, plans, queue
from pullplan.workflows.run_plan import run_plan

pytestmark = pytest.mark.anyio

type Json = dict[str, Any]
type MakePlan = Callable[[Json], Awaitable[Json]]

MONDAY = "2026-01-05"
CLASSICS = ("dantzig", "ampl_transp", "powerco")
CLASSIC_PARAMETERS: Json = {
    "as_of": f"{MONDAY}T00:00:00+00:00",
    "bucket": "week",
    "horizon_buckets": 1,
    "objective": "landed_cost",
    "lanes": "given_only",
}
N_IOWA_WEEKS = 12


@pytest.fixture(scope="session")
def cases(shared: Path) -> Json:
    found: Json = json.loads((shared / "conformance" / "allocation.json").read_text())
    return found


@pytest.fixture
def make_plan(client: httpx.AsyncClient, database_url: str) -> MakePlan:
    """Ask for a plan over the API, compute it here as a worker would, and read it over the API."""

    async def make(parameters: Json) -> Json:
        asked = await client.post("/v1/plans", json=parameters)
        assert asked.status_code == 202, asked.text
        connection = await database.connect(database_url)
        try:
            claimed = await queue.claim(connection, lease_seconds=60)
        finally:
            await connection.close()
        assert claimed is not None
        await run_plan(
            database_url,
            claimed.run_id,
            claimed.attempt,
            claimed.parameters,
            time_zone="UTC",
            progress=lambda *_: None,
        )
        run = (await client.get(asked.headers["Location"])).json()
        assert run["state"] == "succeeded"
        plan: Json = (await client.get(run["result"])).json()
        return plan

    return make


async def _put(client: httpx.AsyncClient, path: str, rows: list[Json]) -> None:
    answer = await client.put(path, json=rows)
    assert answer.status_code == 200, answer.text


async def _post_orders(client: httpx.AsyncClient, monday: str, orders: list[tuple[str, str, float]]) -> None:
    signals = [
        {
            "source": "case",
            "external_id": f"{monday}:{region_code}:{product_code}",
            "kind": "order",
            "product_code": product_code,
            "region_code": region_code,
            "units": units,
            "occurred_at": f"{monday}T00:00:00+00:00",
            "due_date": monday,
        }
        for product_code, region_code, units in orders
    ]
    answer = await client.post("/v1/demand-signals/batch", json=signals)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == len(orders)


def _stage(plan: Json, measure: str) -> Json:
    (stage,) = (stage for stage in plan["stages"] if stage["measure"] == measure)
    found: Json = stage
    return found


# --- textbooks ------------------------------------------------------------------------------------------------


async def _load_classic(client: httpx.AsyncClient, case: Json, node_out: str | None = None) -> None:
    nodes = [node["name"].replace(" ", "-") for node in case["nodes"]]
    regions = [region["name"].replace(" ", "-") for region in case["regions"]]
    await _put(client, "/v1/products", [{"product_code": "P"}])
    await _put(client, "/v1/regions", [{"region_code": region} for region in regions])
    await _put(
        client,
        "/v1/nodes",
        [{"node_code": node, "status": "offline" if node == node_out else "online"} for node in nodes],
    )
    await _put(
        client,
        "/v1/capacity",
        [
            {
                "node_code": code,
                "resource_code": "R",
                "kind": "renewed",
                "capacity_per_day": node["capacity"] / 7,
            }
            for code, node in zip(nodes, case["nodes"], strict=True)
        ],
    )
    await _put(
        client,
        "/v1/capabilities",
        [{"node_code": node, "product_code": "P", "use_per_unit": {"R": 1.0}} for node in nodes],
    )
    await _put(
        client,
        "/v1/lanes",
        [
            {
                "node_code": node,
                "region_code": region,
                "distance_km": 1.0,
                "transit_days": 0,
                "freight_cost_per_unit": cost,
            }
            for node, costs in zip(nodes, case["unit_cost"], strict=True)
            for region, cost in zip(regions, costs, strict=True)
        ],
    )
    await _put(client, "/v1/policies", [{"policy": "make_to_order"}])
    orders = [("P", code, region["demand"]) for code, region in zip(regions, case["regions"], strict=True)]
    await _post_orders(client, MONDAY, orders)


@pytest.mark.parametrize("name", CLASSICS)
async def test_a_textbook_transport_problem_costs_what_its_book_says(
    client: httpx.AsyncClient, cases: Json, make_plan: MakePlan, name: str
):
    case = cases["classics"][name]
    await _load_classic(client, case)
    plan = await make_plan(CLASSIC_PARAMETERS)
    cost = _stage(plan, "cost:landed_cost")
    assert cost["value"] == pytest.approx(case["published_optimum"], rel=1e-6)
    assert cost["lower_bound"] == pytest.approx(case["published_optimum"], rel=1e-6)
    assert plan["figures"]["shortfall_units"] == pytest.approx(0, abs=1e-6)
    assert plan["figures"]["assigned_units"] == pytest.approx(sum(r["demand"] for r in case["regions"]))


@pytest.mark.parametrize(("node_out", "name"), [("Seattle", "seattle_out"), ("San-Diego", "san_diego_out")])
async def test_without_one_plant_the_other_serves_what_it_can(
    client: httpx.AsyncClient, cases: Json, make_plan: MakePlan, node_out: str, name: str
):
    await _load_classic(client, cases["classics"]["dantzig"], node_out)
    plan = await make_plan(CLASSIC_PARAMETERS)
    assert plan["figures"]["assigned_units"] == pytest.approx(cases["n_minus_1"][name]["served"])
    assert plan["figures"]["needs_units"] == pytest.approx(cases["n_minus_1"][name]["of"])


# --- Iowa's distilleries --------------------------------------------------------------------------------------


def _read_csv(path: Path) -> list[dict[str, str]]:
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    return list(csv.DictReader(text.splitlines()))


async def _load_iowa_week(client: httpx.AsyncClient, folder: Path, case: Json) -> None:
    place = {"lat": "latitude", "lon": "longitude"}
    regions, nodes = _read_csv(folder / "regions.csv"), _read_csv(folder / "nodes.csv")
    await _put(
        client, "/v1/products", [{"product_code": row["code"]} for row in _read_csv(folder / "products.csv")]
    )
    await _put(
        client,
        "/v1/regions",
        [{"region_code": row["code"]} | {place[k]: float(row[k]) for k in place} for row in regions],
    )
    await _put(
        client,
        "/v1/nodes",
        [
            {"node_code": row["code"], "status": "offline" if row["code"] == case["node_out"] else "online"}
            | {place[k]: float(row[k]) for k in place}
            for row in nodes
        ],
    )
    await _put(
        client,
        "/v1/capacity",
        [
            {
                "node_code": row["code"],
                "resource_code": "bottles",
                "capacity_per_day": float(row["weekly_capacity_bottles"]) / 7 * case["capacity_factor"],
                "kind": "renewed",
            }
            for row in nodes
        ],
    )
    await _put(
        client,
        "/v1/capabilities",
        [
            {"node_code": row["node"], "product_code": row["product"], "use_per_unit": {"bottles": 1.0}}
            for row in _read_csv(folder / "capabilities.csv")
        ],
    )
    await _put(client, "/v1/policies", [{"policy": "make_to_order"}])
    orders = [
        (row["product"], row["region"], float(row["quantity"]))
        for row in _read_csv(folder / "demand_weekly.csv.gz")
        if row["week"] == case["week"] and float(row["quantity"]) > 0
    ]
    await _post_orders(client, case["week"], orders)


def _iowa_parameters(case: Json) -> Json:
    return {
        "as_of": f"{case['week']}T00:00:00+00:00",
        "bucket": "week",
        "horizon_buckets": 1,
        "objective": "nearest",
        "shortfall_measure": "units",
        "same_day_km": 10_000.0,
    }


@pytest.mark.parametrize("index", range(N_IOWA_WEEKS))
async def test_an_iowa_week_is_as_short_and_as_far_as_the_reference_says(
    client: httpx.AsyncClient, shared: Path, cases: Json, make_plan: MakePlan, index: int
):
    assert len(cases["iowa_weeks"]["cases"]) == N_IOWA_WEEKS
    case = cases["iowa_weeks"]["cases"][index]
    await _load_iowa_week(client, shared / "data" / "iowa_spirits", case)
    plan = await make_plan(_iowa_parameters(case))
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
    client: httpx.AsyncClient, shared: Path, cases: Json, make_plan: MakePlan, database_url: str
):
    (case,) = (
        case
        for case in cases["iowa_weeks"]["cases"]
        if (case["week"], case["capacity_factor"]) == ("2021-11-22", 0.4)
    )
    await _load_iowa_week(client, shared / "data" / "iowa_spirits", case)
    plan = await make_plan(_iowa_parameters(case))
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
        measures = stage_measures(options)
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
