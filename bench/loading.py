"""How much slower is loading signals over HTTP than raw COPY of the same rows into the same table?"""

import asyncio
import csv
import gzip
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from bench.figure import figure

from pullplan.cli.service import Service, running_service
from pullplan.postgres import find_running

SOURCES = 25
"""Of 39,835 signals each: about a million."""
ROUNDS = 3


def iowa_folder() -> Path:
    shared = Path(os.environ.get("PULLPLAN_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    return shared / "data" / "iowa_spirits"


TARGETED = "application/x-ndjson"
"""The format that the target is for; every cell of a CSV is text that must first become a value."""


def signals() -> list[dict[str, str]]:
    with gzip.open(iowa_folder() / "signals_daily.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def fields_of(row: dict[str, str], source: str) -> dict[str, str | float]:
    signal: dict[str, str | float] = {
        "source": source,
        "external_id": f"{row['date']}:{row['region']}:{row['product']}",
        "kind": "consumption",
        "product_code": row["product"],
        "region_code": row["region"],
        "units": float(row["quantity"]),
        "occurred_at": f"{row['date']}T12:00:00+00:00",
    }
    if float(row["quantity"]) < 0:
        signal["reason"] = "return"
    return signal


def ndjson_batch(rows: list[dict[str, str]], source: str) -> bytes:
    return b"".join(json.dumps(fields_of(row, source)).encode() + b"\n" for row in rows)


def csv_batch(rows: list[dict[str, str]], source: str) -> bytes:
    text = io.StringIO()
    columns = [
        "source",
        "external_id",
        "kind",
        "product_code",
        "region_code",
        "units",
        "occurred_at",
        "reason",
    ]
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(fields_of(row, source) for row in rows)
    return text.getvalue().encode()


BATCHES: dict[str, Callable[[list[dict[str, str]], str], bytes]] = {
    "application/x-ndjson": ndjson_batch,
    "text/csv": csv_batch,
}


def load_network(client: httpx.Client, rows: list[dict[str, str]]) -> None:
    products = [{"product_code": code} for code in sorted({row["product"] for row in rows})]
    regions = [{"region_code": code} for code in sorted({row["region"] for row in rows})]
    client.put("/v1/products", json=products).raise_for_status()
    client.put("/v1/regions", json=regions).raise_for_status()


def embedded_url(data_folder: Path) -> str:
    url = find_running(data_folder)
    if url is None:
        raise RuntimeError(f"no server runs over {data_folder}")
    return url


def api_process(service: Service) -> psutil.Process:
    """Find the process of the service that holds the listening port."""
    port = httpx.URL(service.url).port
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    workers = [child for child in process.children() if "granian" in child.name()]
                    return workers[0] if workers else process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    raise RuntimeError(f"nothing listens on port {port}")


def peak_megabytes(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def copy_seconds(url: str, rows: list[dict[str, str]]) -> float:
    columns = [
        *("source", "external_id", "kind", "product_code", "region_code"),
        *("units", "occurred_at", "reason"),
    ]
    records = [
        (
            f"shop-{n}",
            f"{row['date']}:{row['region']}:{row['product']}",
            "consumption",
            row["product"],
            row["region"],
            float(row["quantity"]),
            datetime.fromisoformat(f"{row['date']}T12:00:00").replace(tzinfo=UTC),
            "return" if float(row["quantity"]) < 0 else None,
        )
        for n in range(SOURCES)
        for row in rows
    ]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE demand_signals")
        await connection.execute("CHECKPOINT")
        begun = time.monotonic()
        await connection.copy_records_to_table("demand_signals", records=records, columns=columns)
        return time.monotonic() - begun
    finally:
        await connection.close()


async def empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE demand_signals")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def http_seconds(client: httpx.Client, url: str, bodies: list[bytes], media_type: str) -> float:
    asyncio.run(empty(url))
    begun = time.monotonic()
    for body in bodies:
        answer = client.post("/v1/demand-signals/batch", content=body, headers={"Content-Type": media_type})
        answer.raise_for_status()
        assert answer.json()["refused"] == 0
    return time.monotonic() - begun


def loading_against_copy() -> list[dict[str, Any]]:
    """Load `iowa_spirits` under twenty-five sources, three times, in turn with COPY of the same rows; once as CSV."""
    if not iowa_folder().is_dir():
        print("loading: the data of iowa_spirits is not here; name its folder in PULLPLAN_SHARED")
        return []
    rows = signals()
    bodies = {
        media_type: [batch(rows, f"shop-{n}") for n in range(SOURCES)]
        for media_type, batch in BATCHES.items()
    }
    over_http: dict[str, list[float]] = {media_type: [] for media_type in BATCHES}
    by_copy: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder,
        running_service(Path(folder)) as service,
        httpx.Client(
            base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=120
        ) as client,
    ):
        load_network(client, rows)
        database_url = embedded_url(Path(folder))
        for number in range(ROUNDS):
            by_copy.append(asyncio.run(copy_seconds(database_url, rows)))
            for media_type, batches in bodies.items():
                if media_type == TARGETED or number == 0:  # what has no mark is measured once
                    over_http[media_type].append(http_seconds(client, database_url, batches, media_type))
        peak = peak_megabytes(api_process(service))
    n_signals = SOURCES * len(rows)
    copy_rate = n_signals / statistics.median(by_copy)
    figures = []
    for media_type, seconds in over_http.items():
        rate = n_signals / statistics.median(seconds)
        figures += [
            figure(
                f"{n_signals:,} signals over HTTP as {media_type}, of raw COPY",
                rate / copy_rate,
                "share",
                reference=1.0,
                must=">= 0.5" if media_type == TARGETED else "-",
                reached=rate / copy_rate >= 0.5 if media_type == TARGETED else None,
            ),
            figure("  signals over HTTP", rate, "signals/s", reference=copy_rate, must="-", reached=None),
        ]
    return [
        *figures,
        figure(
            "  API process, peak resident after loading",
            peak,
            "MB",
            reference=150,
            must="<= 150 MB",
            reached=peak <= 150,
        ),
    ]
