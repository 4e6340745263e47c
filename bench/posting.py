"""How many single signals a second does the API take, beside a bare handler with one INSERT?"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from bench.figure import figure, percentile
from bench.loading import embedded_url
from bench.reading import REPOSITORY, free_port, wait_for

from pullplan.cli.service import running_service

N_CONNECTIONS = 16
N_SIGNALS = 2_000
"""In each round, of all connections together."""
ROUNDS = 3
LEAST_RATE = 0.7
MOST_LATENCY = 2.0


class Caller:
    """Posts signals over kept connections, as lean as a client can be: it shares the machine with what it measures."""

    def __init__(self, port: int, path: str, key: str) -> None:
        self._port = port
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    async def post(self, source: str) -> tuple[float, list[float]]:
        """Post the signals of one round: seconds in all, and of each."""
        began = time.perf_counter()
        shares = await asyncio.gather(*(self._post_some(source, n) for n in range(N_CONNECTIONS)))
        return time.perf_counter() - began, [seconds for share in shares for seconds in share]

    async def _post_some(self, source: str, first: int) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        seconds = []
        try:
            for number in range(first, N_SIGNALS, N_CONNECTIONS):
                body = _signal(source, number)
                began = time.perf_counter()
                writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
                answer = await reader.readexactly(length)
                seconds.append(time.perf_counter() - began)
                if not head.startswith(b"HTTP/1.1 201"):
                    raise RuntimeError(f"{head!r} {answer[:500]!r}")
        finally:
            writer.close()
        return seconds


def _signal(source: str, number: int) -> bytes:
    return json.dumps(
        {
            "source": source,
            "external_id": f"sale-{number}",
            "kind": "consumption",
            "product_code": f"P{number % 50:02}",
            "region_code": f"R{number % 40:02}",
            "units": 1.0 + number % 7,
            "occurred_at": "2026-01-05T12:00:00+00:00",
        }
    ).encode()


@contextmanager
def _bare(url: str) -> Iterator[int]:
    port = free_port()
    served = subprocess.Popen(
        [sys.executable, "-m", "pullplan.cli.http_server", "127.0.0.1", str(port), "bench.bare:create"],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        yield port
    finally:
        served.terminate()
        served.wait()


def single_signals() -> list[dict[str, Any]]:
    """Post new signals over 16 connections, in turn to the API (authentication, natural key, audit) and to the bare handler."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    latencies: dict[str, list[float]] = {"ours": [], "bare": []}
    with (
        tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder,
        running_service(
            Path(folder),
            environment={"PULLPLAN_REQUESTS_PER_MINUTE": "10000000"},
            arguments=("--no-worker",),
        ) as service,
        _bare(embedded_url(Path(folder))) as bare_port,
    ):
        headers = {"Authorization": f"Bearer {service.key}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
            products = [{"product_code": f"P{n:02}"} for n in range(50)]
            regions = [{"region_code": f"R{n:02}"} for n in range(40)]
            client.put("/v1/products", json=products).raise_for_status()
            client.put("/v1/regions", json=regions).raise_for_status()
        callers = {
            "ours": Caller(int(service.url.rpartition(":")[2]), "/v1/demand-signals", service.key),
            "bare": Caller(bare_port, "/signals", "none"),
        }
        for round_number in range(ROUNDS + 1):
            for name, caller in callers.items():
                seconds, each = asyncio.run(caller.post(f"{name}-{round_number}"))
                if round_number > 0:
                    rates[name].append(N_SIGNALS / seconds)
                    latencies[name] += each
    ours, bare = (sorted(rates[name])[ROUNDS // 2] for name in ("ours", "bare"))
    p99, bare_p99 = (percentile(latencies[name], 0.99) for name in ("ours", "bare"))
    return [
        figure(
            f"single signals over {N_CONNECTIONS} connections: rate beside a bare handler's",
            ours / bare, "ratio", reference=1.0, must=f">= {LEAST_RATE}", reached=ours / bare >= LEAST_RATE,
        ),
        figure("  signals a second", ours, "1/s", reference=bare, must="-", reached=None),
        figure(
            "  p99 beside the bare handler's", p99 / bare_p99, "ratio", reference=1.0, must=f"<= {MOST_LATENCY}",
            reached=p99 / bare_p99 <= MOST_LATENCY,
        ),
        figure("  p99", p99 * 1000, "ms", reference=bare_p99 * 1000, must="-", reached=None),
    ]  # fmt: skip
