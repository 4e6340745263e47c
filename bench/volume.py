"""Does intake stay as fast beside a plan, when sent again, in a large table, and a list as fast at depth?"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from bench.figure import figure, percentile
from bench.loading import embedded_url
from bench.posting import N_SIGNALS, Caller
from bench.replanning import network

from pullplan.cli.service import Service, running_service

N_NEEDS_BESIDE = (250, 400)
"""Products × regions: 100,000 needs."""
MOST_BESIDE_PLAN = 3.0
N_SENT = 200_000
BATCH_LINES = 100_000
TABLE_SIZES = (1_000_000, 3_000_000, 10_000_000)
LEAST_OF_SMALL = 0.8
PAGE_LINES = 100
DEEP_PAGE = 1_000
N_READ = 100

Figures = list[dict[str, Any]]


@contextmanager
def _service(*arguments: str) -> Iterator[tuple[Service, httpx.Client, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder,
        running_service(
            Path(folder), environment={"PULLPLAN_REQUESTS_PER_MINUTE": "10000000"}, arguments=arguments
        ) as service,
        httpx.Client(
            base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=300
        ) as client,
    ):
        yield service, client, embedded_url(Path(folder))


def _load(client: httpx.Client, tables: dict[str, list[dict[str, Any]]]) -> None:
    for path, rows in tables.items():
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        verb = "POST" if path.startswith("demand") else "PUT"
        headers = {"Content-Type": "application/x-ndjson"}
        client.request(verb, f"/v1/{path}", content=body, headers=headers).raise_for_status()


def _places(client: httpx.Client) -> None:
    """Load what single signals and batches here name."""
    products = [{"product_code": f"P{n:02}"} for n in range(50)]
    _load(client, {"products": products, "regions": [{"region_code": f"R{n:02}"} for n in range(40)]})


def _lines(source: str, first: int, n_lines: int) -> bytes:
    return b"".join(
        (
            f'{{"source":"{source}","external_id":"{n}","kind":"consumption","product_code":"P{n % 50:02}",'
            f'"region_code":"R{n // 50 % 40:02}","units":{1 + n % 7},'
            f'"occurred_at":"2026-{1 + n // 2_000 % 12:02}-{1 + n // 24_000 % 28:02}T12:00:00Z"}}\n'
        ).encode()
        for n in range(first, first + n_lines)
    )


def _seconds_to_send(client: httpx.Client, body: bytes) -> float:
    begun = time.perf_counter()
    answer = client.post(
        "/v1/demand-signals/batch", content=body, headers={"Content-Type": "application/x-ndjson"}
    )
    answer.raise_for_status()
    return time.perf_counter() - begun


def intake_beside_a_plan() -> Figures:
    """Post single signals over 16 connections while nothing else is done, then while a plan of 100,000 needs is made."""
    with _service() as (service, client, _):
        _load(client, network(n_products=N_NEEDS_BESIDE[0], n_regions=N_NEEDS_BESIDE[1]))
        _places(client)
        caller = Caller(int(service.url.rpartition(":")[2]), "/v1/demand-signals", service.key)
        asyncio.run(caller.post("warm"))
        idle = [s for number in range(3) for s in asyncio.run(caller.post(f"idle-{number}"))[1]]
        asked = {"bucket": "week", "horizon_buckets": 4}
        run = client.post("/v1/plans", json=asked).raise_for_status().json()
        beside: list[float] = []
        while run["state"] in ("queued", "running"):
            beside += asyncio.run(caller.post(f"beside-{len(beside)}"))[1]
            run = client.get(f"/v1/runs/{run['run_id']}").json()
        if run["state"] != "succeeded":
            raise RuntimeError(f"the plan ended {run['state']}: {run['problem']}")
        n_needs = client.get(run["result"]).json()["figures"]["n_needs"]
    p99, idle_p99 = percentile(beside, 0.99), percentile(idle, 0.99)
    return [
        figure(
            f"single signals beside a plan of {n_needs:,} needs: p99 against the idle one", p99 / idle_p99, "ratio",
            reference=1.0, must=f"<= {MOST_BESIDE_PLAN}", reached=p99 / idle_p99 <= MOST_BESIDE_PLAN,
        ),
        figure("  p99", p99 * 1000, "ms", reference=idle_p99 * 1000, must="-", reached=None),
        figure("  stored beside it, none refused", len(beside), "signals", reference=N_SIGNALS, must="-", reached=None),
    ]  # fmt: skip


def sent_again() -> Figures:
    """Send the same file again, and one of which half is known, each three times beside a new one of as many lines."""
    seconds: dict[str, list[float]] = {"new": [], "again": [], "half": []}
    with _service("--no-worker") as (_, client, _):
        _places(client)
        for number in range(3):
            first = _lines(f"s{number}", 0, N_SENT)
            seconds["new"].append(_seconds_to_send(client, first))
            seconds["again"].append(_seconds_to_send(client, first))
            half = _lines(f"s{number}", N_SENT // 2, N_SENT)
            seconds["half"].append(_seconds_to_send(client, half))
    new, again, half_new = (statistics.median(seconds[name]) for name in ("new", "again", "half"))
    return [
        figure(
            f"the same {N_SENT:,} signals again, against new ones", again / new, "ratio", reference=1.0,
            must="<= 1", reached=again <= new,
        ),
        figure(f"{N_SENT:,} signals, half of them known, against new ones", half_new / new, "ratio", reference=1.0, must="-", reached=None),
    ]  # fmt: skip


def deep_pages() -> Figures:
    """Read the first page of a list, and its thousandth."""
    with _service("--no-worker") as (_, client, _):
        _places(client)
        _seconds_to_send(client, _lines("deep", 0, PAGE_LINES * (DEEP_PAGE + 1)))
        asked: dict[str, Any] = {"limit": PAGE_LINES}
        for _ in range(DEEP_PAGE - 1):
            asked["cursor"] = client.get("/v1/demand-signals", params=asked).json()["next_cursor"]

        def read(params: dict[str, Any]) -> float:
            begun = time.perf_counter()
            assert len(client.get("/v1/demand-signals", params=params).json()["items"]) == PAGE_LINES
            return time.perf_counter() - begun

        pairs = [(read({"limit": PAGE_LINES}), read(asked)) for _ in range(N_READ)]
    first, deep = (statistics.median(one) for one in zip(*pairs, strict=True))
    return [
        figure(
            f"page {DEEP_PAGE:,} of the signals, against page 1", deep / first, "ratio", reference=1.0, must="<= 1.1",
            reached=deep / first <= 1.1,
        )
    ]  # fmt: skip


async def _fill(url: str, first: int, end: int) -> None:
    """Put signals into the table as fast as the server can: what they say is as different as what is posted."""
    connection = await asyncpg.connect(url, command_timeout=3600)
    try:
        await connection.execute(
            "INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at)"
            " SELECT 'old', n::text, 'consumption', 'P' || to_char(n % 50, 'FM00'), 'R' || to_char(n / 50 % 40, 'FM00'),"
            " 1 + n % 7, timestamptz '2020-01-01' + n / 2000 % 43800 * interval '1 hour'"
            " FROM generate_series($1::bigint, $2::bigint - 1) AS n",
            first,
            end,
        )
        await connection.execute("VACUUM (ANALYZE) demand_signals")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _median_of(measure: Callable[[int], float], times: int) -> float:
    return statistics.median(measure(number) for number in range(times))


def large_table() -> Figures:
    """Send batches and read pairs' signals at growing sizes of the table."""
    rates, reads = [], []
    with _service("--no-worker") as (_, client, url):
        _places(client)
        n_there = 0
        for size in TABLE_SIZES:
            asyncio.run(_fill(url, n_there, size))
            n_there = size

            def send(number: int, size: int = size) -> float:
                return _seconds_to_send(client, _lines(f"at-{size}-{number}", 0, BATCH_LINES))

            def read(number: int) -> float:
                pair = {"product_code": f"P{number % 50:02}", "region_code": f"R{number % 40:02}"}
                begun = time.perf_counter()
                client.get(
                    "/v1/demand-signals/old/" + str(1999 * (number + 1)) + "/history"
                ).raise_for_status()
                client.get("/v1/demand-signals", params=pair | {"limit": 100}).raise_for_status()
                return time.perf_counter() - begun

            rates.append(BATCH_LINES / _median_of(send, 3))
            reads.append(_median_of(read, N_READ))
    figures = []
    for size, rate, seconds in zip(TABLE_SIZES[1:], rates[1:], reads[1:], strict=True):
        figures += [
            figure(
                f"intake at {size:,} signals in the table, of that at {TABLE_SIZES[0]:,}", rate / rates[0], "share", reference=1.0,
                must=f">= {LEAST_OF_SMALL}", reached=rate / rates[0] >= LEAST_OF_SMALL,
            ),
            figure(
                f"reading a pair's signals and a history at {size:,}, against {TABLE_SIZES[0]:,}", seconds / reads[0], "ratio",
                reference=1.0, must="<= 1.2", reached=seconds / reads[0] <= 1.2,
            ),
        ]  # fmt: skip
    return figures
