"""What does a request look like? One bakery's, for every operation with a body; each validates, and sent in this order each is accepted that needs no plan."""

from collections.abc import Sequence

from pullplan.api.rows import CSV, NDJSON, Row, encode_csv, encode_ndjson

_RYE = {"name": "Rye loaf", "unit": "loaf", "weight_kg": 1.2, "value_per_unit": 3.5}
_BIBERACH = {"name": "Biberach", "latitude": 48.10, "longitude": 9.79}
_ULM = {"name": "Bakery Ulm", "latitude": 48.40, "longitude": 9.99}
_OVEN = {"resource_code": "oven_hours", "kind": "renewed", "capacity_per_day": 8}
_CLOSED = {
    "resource_code": "oven_hours",
    "from_date": "2026-12-24",
    "until_date": "2026-12-27",
    "capacity_per_day": 0,
}
_BAKES = {"product_code": "RYE", "use_per_unit": {"oven_hours": 0.01}, "unit_cost": 1.1}
_LANE = {"distance_km": 41, "transit_days": 0, "freight_cost_per_unit": 0.08}
_PAIR = {"product_code": "RYE", "region_code": "BIBERACH"}
_ORDER = {
    "source": "shop",
    "external_id": "SO-1",
    "kind": "order",
    **_PAIR,
    "units": 40,
    "occurred_at": "2026-11-23T08:00:00Z",
    "due_date": "2026-11-27",
}
_SOLD = {
    "source": "till",
    "external_id": "2026-11-22",
    "kind": "consumption",
    **_PAIR,
    "units": 55,
    "occurred_at": "2026-11-22T18:00:00Z",
}
_POLICY = {**_PAIR, "policy": "base_stock", "service_level_share": 0.95}
_WEBHOOK = {"url": "https://erp.example.com/pullplan", "events": ["plan.succeeded", "plan.failed"]}

BODIES: dict[str, object] = {
    "loadProducts": [{"product_code": "RYE", **_RYE}],
    "putProduct": _RYE,
    "loadRegions": [{"region_code": "BIBERACH", **_BIBERACH}],
    "putRegion": _BIBERACH,
    "loadNodes": [{"node_code": "OVEN-ULM", **_ULM}],
    "putNode": _ULM,
    "loadCapacity": [{"node_code": "OVEN-ULM", **_OVEN}],
    "loadCapacityExceptions": [{"node_code": "OVEN-ULM", **_CLOSED}],
    "putNodeCapacity": {"resources": [_OVEN], "exceptions": [_CLOSED]},
    "loadCapabilities": [{"node_code": "OVEN-ULM", **_BAKES}],
    "putNodeCapabilities": [_BAKES],
    "reportNodeState": {"status": "degraded", "capacity_share": 0.5},
    "loadLanes": [{"node_code": "OVEN-ULM", "region_code": "BIBERACH", **_LANE}],
    "putLane": _LANE,
    "loadPolicies": [_POLICY],
    "loadUsageExclusions": [
        {**_PAIR, "from_date": "2026-08-03", "until_date": "2026-08-10", "reason": "street closed"}
    ],
    "addDemandSignal": _ORDER,
    "addDemandSignals": [_SOLD, _ORDER],
    "addStockCounts": [
        {
            "source": "erp",
            "external_id": "count-7",
            **_PAIR,
            "counted_at": "2026-11-23T05:00:00Z",
            "on_hand_units": 12,
        }
    ],
    "addNodeStockCounts": [
        {
            "source": "erp",
            "external_id": "count-8",
            "node_code": "OVEN-ULM",
            "product_code": "RYE",
            "counted_at": "2026-11-23T05:00:00Z",
            "on_hand_units": 20,
        }
    ],
    "addOpenSupply": [
        {"source": "erp", "external_id": "PO-3", **_PAIR, "units": 25, "due_date": "2026-11-25"}
    ],
    "startForecast": {"bucket": "week", "horizon_buckets": 8},
    "startPlan": {"bucket": "week", "horizon_buckets": 4, "objective": "nearest"},
    "confirmReason": {"node_code": "OVEN-ULM"},
    "previewPolicies": {"policy_overrides": [{**_POLICY, "service_level_share": 0.98}], "horizon_buckets": 4},
    "decideBufferProposals": [
        {"proposal_id": "0197f3a0-5d1c-7b3e-9f41-2c6d8a90b1e7", "decision": "accepted", "revision": 1}
    ],
    "createKey": {"name": "shop", "scopes": ["demand:write"], "requests_per_minute": 600},
    "rotateKey": {"overlap_seconds": 3600},
    "createWebhook": _WEBHOOK,
    "replaceWebhook": {**_WEBHOOK, "is_enabled": False},
    "rotateWebhookSecret": {"overlap_seconds": 86400},
}
"""By operation id."""


def as_lines(rows: Sequence[Row]) -> dict[str, str]:
    """Write rows as what else a batch may be: NDJSON, and CSV under a header of all their fields."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [
        dict(zip(names, names, strict=True)),
        *({name: _cell(row.get(name)) for name in names} for row in rows),
    ]
    return {NDJSON: encode_ndjson(rows).decode(), CSV: encode_csv(table).decode()}


def _cell(value: object) -> object:
    """Write amounts by resource as a CSV's cell has them."""
    return (
        ";".join(f"{name}={amount}" for name, amount in value.items()) if isinstance(value, dict) else value
    )
