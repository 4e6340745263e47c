"""How soon does one signal stand in a stored, verified plan?"""

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from bench.figure import figure, percentile

from pullplan.cli.service import running_service

N_PRODUCTS, N_REGIONS, N_NODES = 100, 100, 50
N_SIGNALS = 30
WEEKS = 4
CAPACITY_FACTOR = 1.25
ASKED = {"bucket": "week", "horizon_buckets": WEEKS}


def network(
    seed: int = 1, *, n_products: int = N_PRODUCTS, n_regions: int = N_REGIONS
) -> dict[str, list[dict[str, Any]]]:
    """Draw a make-to-order network: an order for each product × region, due within the weeks."""
    chance = np.random.default_rng(seed)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def place() -> dict[str, float]:
        return {"latitude": float(chance.uniform(44, 52)), "longitude": float(chance.uniform(0, 15))}

    products = [f"P{p:03}" for p in range(n_products)]
    regions = [f"R{r:03}" for r in range(n_regions)]
    nodes = [f"N{n:02}" for n in range(N_NODES)]
    units = 1 + chance.gamma(1, 20, (n_products, n_regions))
    hours_per_day = float(units.sum()) * 1.25 * CAPACITY_FACTOR / N_NODES / (7 * (WEEKS - 1))
    return {
        "products": [{"product_code": code} for code in products],
        "regions": [{"region_code": code, **place()} for code in regions],
        "nodes": [{"node_code": code, **place()} for code in nodes],
        "capacity": [
            {
                "node_code": code,
                "resource_code": "hours",
                "kind": "renewed",
                "capacity_per_day": hours_per_day * float(chance.uniform(0.6, 1.4)),
            }
            for code in nodes
        ],
        "capabilities": [
            {
                "node_code": node,
                "product_code": product,
                "use_per_unit": {"hours": float(chance.uniform(0.5, 2))},
            }
            for product in products
            for node in nodes
            if chance.random() < 0.35
        ],
        "policies": [{"product_code": "*", "region_code": "*", "policy": "make_to_order"}],
        "demand-signals/batch": [
            order(
                f"{p}-{r}",
                (products[p], regions[r]),
                float(units[p, r]),
                today,
                int(chance.integers(7, 7 * (WEEKS - 1))),
            )
            for p in range(n_products)
            for r in range(n_regions)
        ],
    }


def order(number: str, place: tuple[str, str], units: float, today: datetime, days: int) -> dict[str, Any]:
    return {
        "source": "bench",
        "external_id": number,
        "kind": "order",
        "product_code": place[0],
        "region_code": place[1],
        "units": units,
        "occurred_at": (today - timedelta(days=1)).isoformat(),
        "due_date": (today + timedelta(days=days)).date().isoformat(),
    }


def _load(client: httpx.Client) -> None:
    for path, rows in network().items():
        verb = "POST" if path.startswith("demand") else "PUT"
        for first in range(0, len(rows), 10_000):
            client.request(verb, f"/v1/{path}", json=rows[first : first + 10_000]).raise_for_status()


def _run(client: httpx.Client, path: str, asked: dict[str, Any]) -> str:
    answer = client.post(path, json=asked, headers={"Prefer": "wait=30"})
    answer.raise_for_status()
    run = answer.json()
    while run["state"] in ("queued", "running"):
        time.sleep(0.05)
        run = client.get(f"/v1/runs/{run['run_id']}").json()
    if run["state"] != "succeeded":
        raise RuntimeError(f"{run['kind']}: {run['problem']}")
    result: str = run["result"]
    return result


def signal_to_verified_plan() -> list[dict[str, Any]]:
    """POST an order, re-plan with its verification: from the first byte sent to the verification read; beside a plan made anew."""
    whole, seconds = [], []
    with (
        tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder,
        running_service(Path(folder)) as service,
        httpx.Client(
            base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=120
        ) as client,
    ):
        _load(client)
        begun = time.monotonic()
        plan_id = _run(client, "/v1/plans", ASKED).rpartition("/")[2]
        whole.append(time.monotonic() - begun)
        today = datetime.now(UTC)
        chance = np.random.default_rng(2)
        for n in range(N_SIGNALS + 2):
            product, region = chance.integers(0, N_PRODUCTS), chance.integers(0, N_REGIONS)
            new = order(
                f"new-{n}", (f"P{product:03}", f"R{region:03}"), 25.0, today, int(chance.integers(1, 21))
            )
            begun = time.monotonic()
            client.post("/v1/demand-signals", json=new).raise_for_status()
            plan = _run(client, "/v1/plans", {"parent_plan_id": plan_id, "verify": True})
            plan_id = plan.rpartition("/")[2]
            found = client.get(f"{plan}/verifications/{plan_id}").json()
            seconds.append(time.monotonic() - begun)
            if not found["valid"]:
                raise RuntimeError(str(found["findings"][:3]))
        needs = client.get(f"/v1/plans/{plan_id}/figures").json()["n_needs"]
    return [
        figure(
            f"one signal to a stored, verified plan of {needs:,} needs, p95",
            percentile(seconds[2:], 0.95),
            "s",
            reference=whole[0],
            must="< 1 s",
            reached=percentile(seconds[2:], 0.95) < 1,
        ),
        figure("  median", statistics.median(seconds[2:]), "s", reference=whole[0], must="-", reached=None),
    ]
