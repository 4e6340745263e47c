"""Does the demo say what the service says, and does it follow from its demand?"""

import json
import math
import subprocess
from datetime import date
from typing import Any

import pytest
from tests.cli.conftest import PULLPLAN, KeptDemo

type Json = dict[str, Any]


def _lists(demo: KeptDemo, *names: str) -> list[list[Json]]:
    plan = f"/v1/plans/{demo.summary['plan_id']}"
    return [list(demo.client.items(f"{plan}/{name}")) for name in names]


def _total(rows: list[Json], field: str = "units") -> float:
    return math.fsum(row[field] for row in rows)


def test_every_count_of_the_demo_is_a_count_of_the_api(kept_demo: KeptDemo):
    assert kept_demo.counts == {
        name: kept_demo.summary[name] for name in ("regions", "products", "nodes", "signals")
    }


def test_every_figure_of_the_demo_follows_from_the_plans_lines(kept_demo: KeptDemo):
    summary = kept_demo.summary
    needs, assignments, shortfalls = _lists(kept_demo, "needs", "assignments", "shortfalls")
    nearest = [line for line in assignments if line["distance_rank"] == 1]
    unit_km = math.fsum(line["units"] * line["distance_km"] for line in assignments)
    assert summary["needs_units"] == pytest.approx(_total(needs))
    assert summary["assigned_units"] == pytest.approx(_total(assignments))
    assert summary["shortfall_units"] == pytest.approx(_total(shortfalls))
    assert summary["needs_units"] == pytest.approx(summary["assigned_units"] + summary["shortfall_units"])
    assert summary["served_share"] == pytest.approx(_total(assignments) / _total(needs))
    assert summary["nearest_share"] == pytest.approx(_total(nearest) / _total(assignments))
    assert summary["unit_km"] == pytest.approx(unit_km)
    assert summary["km_per_unit"] == pytest.approx(unit_km / _total(assignments))
    assert [summary[f"n_{name}"] for name in ("needs", "assignments", "shortfalls")] == [
        len(needs),
        len(assignments),
        len(shortfalls),
    ]
    assert summary["late_unit_buckets"] == pytest.approx(
        math.fsum(line["units"] * max(0, _weeks_late(line)) for line in assignments)
    )
    assert sum(group["units"] for group in summary["shortfalls"]) == pytest.approx(_total(shortfalls))


def _weeks_late(line: Json) -> int:
    arrival, need = (date.fromisoformat(line[f"{which}_bucket_date"]) for which in ("arrival", "need"))
    return (arrival - need).days // 7


def test_capacity_use_follows_from_the_loads(kept_demo: KeptDemo):
    (loads,) = _lists(kept_demo, "loads")
    renewed = [load for load in loads if load["kind"] == "renewed"]
    assert kept_demo.summary["capacity_use_share"] == pytest.approx(
        _total(renewed, "used") / _total(renewed, "capacity")
    )
    for node in kept_demo.summary["busiest_nodes"]:
        own = [
            load
            for load in loads
            if (load["node_code"], load["resource_code"]) == (node["node_code"], node["resource_code"])
        ]
        assert node["used"] == pytest.approx(_total(own, "used"))
        assert node["use_share"] == pytest.approx(node["used"] / node["capacity"])


def test_the_stages_are_the_plans_own_and_proven(kept_demo: KeptDemo):
    plan = kept_demo.client.get(f"/v1/plans/{kept_demo.summary['plan_id']}")
    assert kept_demo.summary["stages"] == [
        {name: stage[name] for name in ("measure", "value", "lower_bound", "gap")} for stage in plan["stages"]
    ]
    assert all(abs(stage["gap"]) < 1e-6 for stage in plan["stages"])
    (distance,) = (stage for stage in plan["stages"] if stage["measure"] == "cost:nearest")
    assert distance["value"] == pytest.approx(kept_demo.summary["unit_km"])


def test_the_forecasts_accuracy_is_the_stored_one(kept_demo: KeptDemo):
    told = kept_demo.summary["forecast"]
    measures = kept_demo.client.get(f"/v1/forecasts/{told['forecast_id']}")["measures"]
    assert told["wape_share"] == measures["wape_share"]
    assert told["naive_wape_share"] == measures["naive_wape_share"]
    assert 0 < told["wape_share"] < 1


def test_the_plan_shows_what_a_demo_is_for(kept_demo: KeptDemo):
    """Not everything is served, not everything from next door, and every shown line says why."""
    summary = kept_demo.summary
    assert 0.9 < summary["served_share"] < 1
    assert 0.5 < summary["nearest_share"] < 1
    causes = {passed["cause"] for line in summary["assignments"] for passed in line["passed_over"]}
    assert {"at_capacity", "offline"} <= causes
    assert {group["reason"] for group in summary["shortfalls"]} >= {"at_capacity", "too_late"}
    assert set(summary["seconds_by_step"]) == {
        "make_data",
        "start",
        "load_network",
        "load_signals",
        "forecast",
        "plan",
        "read_back",
    }


def test_what_a_reason_states_a_run_confirms(kept_demo: KeptDemo):
    """Of the largest lines at a farther node: the first stage that gets worse in truth, by no less than was stated."""
    client, plan = kept_demo.client, f"/v1/plans/{kept_demo.summary['plan_id']}"
    (lines,) = _lists(kept_demo, "assignments")
    costly = [line for line in lines if any(passed["forcing_cost"] for passed in line["passed_over"])]
    assert costly
    for line in sorted(costly, key=lambda line: -line["units"])[:3]:
        path = f"{plan}/assignments/{line['assignment_id']}"
        told = next(
            passed for passed in client.get(f"{path}/reason")["passed_over"] if passed["forcing_cost"]
        )
        run = client.run(f"{path}/confirm", {"node_code": told["node_code"]}, lambda _run: None)
        found = client.get(run["result"])
        assert (found["stated_measure"], found["stated_cost"]) == (
            told["forcing_measure"],
            told["forcing_cost"],
        )
        assert [stage["planned_value"] for stage in found["stages"]] == [
            stage["value"] for stage in client.get(plan)["stages"]
        ]
        if found["confirmed_measure"] == told["forcing_measure"]:
            assert found["confirmed_cost"] >= told["forcing_cost"] * (1 - 1e-6)
        else:
            measures = [stage["measure"] for stage in found["stages"]]
            earlier = measures[: measures.index(told["forcing_measure"])]
            assert found["missed_units"] > 0 or found["confirmed_measure"] in earlier


@pytest.mark.long
def test_another_seed_gives_other_figures(kept_demo: KeptDemo):
    ran = subprocess.run(
        [*PULLPLAN, "demo", "--small", "--json", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    other = json.loads(ran.stdout)
    for figure in ("signals", "needs_units", "unit_km", "plan_hash", "snapshot_hash"):
        assert other[figure] != kept_demo.summary[figure]
    assert other["regions"] == kept_demo.summary["regions"]


def test_doubling_every_order_raises_what_is_needed(kept_demo: KeptDemo):
    client, summary = kept_demo.client, kept_demo.summary
    doubled = [
        {name: value for name, value in order.items() if name in _ORDER_FIELDS and value is not None}
        | {"units": 2 * order["units"]}
        for order in client.items("/v1/demand-signals", kind="order")
    ]
    assert len(doubled) > 10
    asked = {"as_of": summary["as_of"], "bucket": "week", "horizon_buckets": summary["horizon_buckets"]}
    asked["forecast_id"] = summary["forecast"]["forecast_id"]

    def needs_units() -> float:
        run = client.run("/v1/plans", asked, lambda _run: None)
        needed: float = client.get(run["result"])["figures"]["needs_units"]
        return needed

    before = needs_units()
    client.request("POST", "/v1/demand-signals/batch", json=doubled)
    assert needs_units() > before + 10


_ORDER_FIELDS = (
    "source",
    "external_id",
    "kind",
    "product_code",
    "region_code",
    "units",
    "occurred_at",
    "due_date",
    "shipped_units",
    "shipped_at",
    "cancelled",
    "priority",
)
