"""What does a planner want to know of a plan first? Read from the API alone."""

from collections import Counter, defaultdict
from typing import Any, get_args

from pullplan.cli.client import Client, Json
from pullplan.engine.model import PassedOverCause

_SAMPLE = 5
_BUSIEST = 8
FULL_SHARE = 0.995
_FIGURES = (
    "needs_units",
    "assigned_units",
    "shortfall_units",
    "served_share",
    "nearest_share",
    "unit_km",
    "km_per_unit",
    "late_unit_buckets",
    "capacity_use_share",
    "n_needs",
    "n_assignments",
    "n_shortfalls",
    "lots",
)
_ACCURACY = ("wape_share", "naive_wape_share", "bias_share", "coverage_share", "n_origins")


def summarise(client: Client, plan_id: str) -> Json:
    """Read a plan's figures, busiest nodes, telling assignments, shortfalls, proof and forecast accuracy."""
    plan = client.get(f"/v1/plans/{plan_id}")
    uses = client.get(f"/v1/plans/{plan_id}/figures")["nodes"]
    loads = list(client.items(f"/v1/plans/{plan_id}/loads"))
    return {
        "plan_id": plan_id,
        **{name: plan[name] for name in ("as_of", "bucket", "horizon_buckets", "objective")},
        **{name: plan["figures"].get(name) for name in _FIGURES},
        "stages": [
            {name: stage[name] for name in ("measure", "value", "lower_bound", "gap")}
            for stage in plan["stages"]
        ],
        "ledger": next(client.items(f"/v1/plans/{plan_id}/ledger-totals", totalled_by="all"), None),
        "shortfall_measure": plan["parameters"]["shortfall_measure"],
        "nodes_not_online": [
            {name: node[name] for name in ("node_code", "status", "capacity_share")}
            for node in client.items("/v1/nodes")
            if node["status"] != "online"
        ],
        "busiest_nodes": busiest_nodes(uses, loads),
        "used_up": [use for use in uses if use["kind"] == "stored" and _is_full(use)],
        "assignments": telling_assignments(list(client.items(f"/v1/plans/{plan_id}/assignments"))),
        "shortfalls": group_shortfalls(list(client.items(f"/v1/plans/{plan_id}/shortfalls"))),
        "forecast": _forecast(client, plan["forecast_id"]),
        **{name: plan[name] for name in ("plan_hash", "snapshot_hash", "method", "reproducible")},
    }


def _forecast(client: Client, forecast_id: str | None) -> Json | None:
    if forecast_id is None:
        return None
    measures = client.get(f"/v1/forecasts/{forecast_id}")["measures"]
    return {"forecast_id": forecast_id, **{name: measures.get(name) for name in _ACCURACY}}


def busiest_nodes(uses: list[Json], loads: list[Json]) -> list[Json]:
    """Take the busiest resources that renew themselves, with the number of buckets in which each is full."""
    full = Counter((load["node_code"], load["resource_code"]) for load in loads if _is_full(load))
    renewed = [use for use in uses if use["kind"] == "renewed" and use["capacity"] > 0]
    return [
        use | {"full_buckets": full[use["node_code"], use["resource_code"]]} for use in renewed[:_BUSIEST]
    ]


def _is_full(use: Json) -> bool:
    return bool(use["capacity"] > 0 and use["used"] >= FULL_SHARE * use["capacity"])


def telling_assignments(assignments: list[Json]) -> list[Json]:
    """Pick a few lines that show why: the largest for each cause of passing a node over, then other nodes' largest."""
    by_size = sorted(assignments, key=lambda line: (-line["units"], line["assignment_id"]))
    chosen: list[Json] = []
    for cause in get_args(PassedOverCause):
        telling = [
            line for line in by_size if any(passed["cause"] == cause for passed in line["passed_over"])
        ]
        regions = {line["region_code"] for line in chosen}
        chosen += [line for line in telling if line["region_code"] not in regions][:1]
    for line in by_size:
        if len(chosen) >= _SAMPLE:
            break
        if line["node_code"] not in {other["node_code"] for other in chosen}:
            chosen.append(line)
    return sorted(chosen[:_SAMPLE], key=lambda line: (-len(line["passed_over"]), -line["units"]))


def group_shortfalls(shortfalls: list[Json]) -> list[Json]:
    """Gather shortfalls of one reason, tier and product; the largest first, with its largest line's words."""
    groups: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
    for line in shortfalls:
        groups[line["reason"], line["tier"], line["product_code"]].append(line)
    gathered = [
        {
            "reason": reason,
            "tier": tier,
            "product_code": product_code,
            "units": sum(line["units"] for line in lines),
            "lines": len(lines),
            "regions": sorted({line["region_code"] for line in lines}),
            "detail": max(lines, key=lambda line: float(line["units"]))["detail"],
        }
        for (reason, tier, product_code), lines in groups.items()
    ]
    return sorted(
        gathered, key=lambda group: (-float(group["units"]), group["product_code"], group["reason"])
    )


def names_of(client: Client) -> dict[str, dict[str, str]]:
    """Read what codes are called: products, regions and nodes apart."""
    names: dict[str, dict[str, str]] = {}
    for collection, field in (
        ("products", "product_code"),
        ("regions", "region_code"),
        ("nodes", "node_code"),
    ):
        items: list[dict[str, Any]] = list(client.items(f"/v1/{collection}"))
        names[collection] = {item[field]: item["name"] or item[field] for item in items}
    return names
