"""How much does one page of assignments cost over the query itself plus a bare HTTP answer?"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from bench.figure import figure, percentile
from bench.loading import api_process, embedded_url, peak_megabytes

from pullplan.cli.service import running_service

REPOSITORY = Path(__file__).resolve().parent.parent
REQUESTS = 300
BLOCKS = 5
PAGE = 100


def seed_network(client: httpx.Client) -> None:
    """Write a network whose plan has well over a page of assignments."""
    products = [{"product_code": f"P{p}"} for p in range(5)]
    regions = [
        {"region_code": f"R{r}", "latitude": 45 + r / 10, "longitude": 9 + (r * 7 % 30) / 10}
        for r in range(30)
    ]
    nodes = [
        {"node_code": f"N{n}", "latitude": 45 + n / 3, "longitude": 9 + (n * 5 % 10) / 3} for n in range(8)
    ]
    capacity = [{"node_code": f"N{n}", "resource_code": "hours", "capacity_per_day": 500} for n in range(8)]
    capabilities = [
        {"node_code": f"N{n}", "product_code": f"P{p}", "use_per_unit": {"hours": 1}}
        for n in range(8)
        for p in range(5)
    ]
    policies = [{"policy": "make_to_order"}]
    for path, rows in (
        ("products", products),
        ("regions", regions),
        ("nodes", nodes),
        ("capacity", capacity),
        ("capabilities", capabilities),
        ("policies", policies),
    ):
        client.put(f"/v1/{path}", json=rows).raise_for_status()
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    orders = [
        {
            "source": "bench",
            "external_id": f"{p}-{r}-{b}",
            "kind": "order",
            "product_code": f"P{p}",
            "region_code": f"R{r}",
            "units": 5 + (p * r) % 17,
            "occurred_at": monday.isoformat(),
            "due_date": (monday + timedelta(days=7 * b + 2)).date().isoformat(),
        }
        for p in range(5)
        for r in range(30)
        for b in range(8)
    ]
    client.post("/v1/demand-signals/batch", json=orders).raise_for_status()


def make_plan(client: httpx.Client) -> str:
    answer = client.post("/v1/plans", json={"as_of": "2026-01-05T00:00:00+00:00", "bucket": "week"})
    answer.raise_for_status()
    location = answer.headers["location"]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        run = client.get(location).json()
        if run["state"] == "succeeded":
            return str(run["result"])
        if run["state"] in ("failed", "cancelled"):
            raise RuntimeError(f"the plan ended {run['state']}: {run['problem']}")
        time.sleep(0.2)
    raise RuntimeError("the plan did not end within two minutes")


def get_latencies(url: str, headers: dict[str, str]) -> list[float]:
    latencies = []
    with httpx.Client(headers=headers) as client:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            client.get(url).raise_for_status()
            latencies.append(time.perf_counter() - begun)
    return latencies


async def query_latencies(url: str, plan_id: str) -> list[float]:
    connection = await asyncpg.connect(url, server_settings={"jit": "off"})
    latencies = []
    statement = (
        "SELECT * FROM plan_assignments WHERE plan_id = $1 AND assignment_id > $2"
        " ORDER BY assignment_id LIMIT $3"
    )
    try:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            rows = await connection.fetch(statement, plan_id, 0, PAGE + 1)
            latencies.append(time.perf_counter() - begun)
            assert len(rows) == PAGE + 1
    finally:
        await connection.close()
    return latencies


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} did not answer")


def page_against_query() -> list[dict[str, Any]]:
    """Read one page of assignments, in turn with the query alone and with a bare Litestar answer."""
    pages: list[float] = []
    queries: list[float] = []
    bares: list[float] = []
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder,
        running_service(Path(folder)) as service,
    ):
        headers = {"Authorization": f"Bearer {service.key}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
            seed_network(client)
            plan = make_plan(client)
        bare = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("granian")),
                "--interface",
                "asgi",
                "--port",
                str(port),
                "bench.bare:app",
            ],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/")
            page_url = f"{service.url}{plan}/assignments?limit={PAGE}"
            for _ in range(BLOCKS):
                pages += get_latencies(page_url, headers)
                queries += asyncio.run(query_latencies(embedded_url(Path(folder)), plan.rpartition("/")[2]))
                bares += get_latencies(f"http://127.0.0.1:{port}/", {})
            peak = peak_megabytes(api_process(service))
        finally:
            bare.terminate()
            bare.wait()
    page, reference = percentile(pages, 0.99), percentile(queries, 0.99) + percentile(bares, 0.99)
    return [
        figure(
            "GET of a page of assignments, p99 over query + bare answer",
            page / reference,
            "ratio",
            reference=1.0,
            must="< 3",
            reached=page / reference < 3,
        ),
        figure("  page p99", page * 1000, "ms", reference=reference * 1000, must="-", reached=None),
        figure(
            "  page median",
            percentile(pages, 0.5) * 1000,
            "ms",
            reference=(percentile(queries, 0.5) + percentile(bares, 0.5)) * 1000,
            must="-",
            reached=None,
        ),
        figure(
            "  API process, peak resident after reading",
            peak,
            "MB",
            reference=120,
            must="< 120 MB",
            reached=peak < 120,
        ),
    ]
