"""Whatever is killed while signals come in: is every acknowledged one there once, and every batch whole or not at all?"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.faults.processes import api_process, calling, part, wait_until

from pullplan.cli.service import Service, running_service

N_CALLERS = 3
PATIENCE_SECONDS = 60.0


def batch(number: int, n_lines: int) -> bytes:
    """Write a batch of its own: no two have a signal in common."""
    line = (
        '{{"source":"load","external_id":"{number}/{n}","kind":"consumption","product_code":"GIN","region_code":"EAST",'
        '"units":1.0,"occurred_at":"2026-03-01T12:00:00Z"}}\n'
    )
    return "".join(line.format(number=number, n=n) for n in range(n_lines)).encode()


def send(service: Service, number: int, n_lines: int, *, insist: bool) -> bool:
    """Send a batch, again and again where asked to, until it is acknowledged; tell whether it was."""
    body, until = batch(number, n_lines), time.monotonic() + PATIENCE_SECONDS
    with calling(service) as client:
        while time.monotonic() < until:
            try:
                answer = client.post(
                    "/v1/demand-signals/batch", content=body, headers={"Content-Type": "application/x-ndjson"}
                )
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == 200:
                    assert answer.json()["stored"] + answer.json()["known"] == n_lines
                    return True
                assert answer.status_code == 503, answer.text
            if not insist:
                return False
            threading.Event().wait(0.1)
    raise AssertionError(f"batch {number} was not taken within {PATIENCE_SECONDS} s")


def kill_each_in_turn(service: Service, done: Callable[[], bool], every_seconds: float) -> int:
    """Kill what answers, a server process of the database, the worker, and the whole database; count the kills.

    Each once: `serve` starts what dies again, but not for ever.
    """
    killed = 0
    for find in (
        lambda: api_process(service),
        lambda: part(service, "bin/postgres").children()[-1],
        lambda: part(service, "pullplan work"),
        lambda: part(service, "bin/postgres"),
    ):
        threading.Event().wait(every_seconds)
        if done():
            break
        find().kill()
        killed += 1
    return killed


async def stored(url: str) -> dict[int, tuple[int, int]]:
    """Count each batch's signals, and how many different ones these are."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT split_part(external_id, '/', 1)::int AS number, count(*), count(DISTINCT external_id) AS different"
            " FROM demand_signals GROUP BY 1"
        )
    finally:
        await connection.close()
    return {row["number"]: (row["count"], row["different"]) for row in rows}


def load_while_killing(folder: Path, n_batches: int, n_lines: int, every_seconds: float) -> None:
    with running_service(folder) as service, ThreadPoolExecutor(N_CALLERS) as callers:
        with calling(service) as client:
            client.put("/v1/products", json=[{"product_code": "GIN"}]).raise_for_status()
            client.put("/v1/regions", json=[{"region_code": "EAST"}]).raise_for_status()
        # Every fifth caller loses patience: its batch is there whole or not at all.
        sent = {
            number: callers.submit(send, service, number, n_lines, insist=number % 5 > 0)
            for number in range(n_batches)
        }
        killed = kill_each_in_turn(service, lambda: all(one.done() for one in sent.values()), every_seconds)
        acknowledged = {number for number, one in sent.items() if one.result()}
        assert killed == 4, "the load was over too soon"
        assert {number for number in sent if number % 5} <= acknowledged
        found = wait_until(lambda: asyncio.run(_reached(service.database_url)), 30.0, "the database")
    for number in sent:
        counted, different = found.get(number, (0, 0))
        assert counted == different, f"batch {number} has signals twice"
        assert counted in ((n_lines,) if number in acknowledged else (0, n_lines))


async def _reached(url: str) -> dict[int, tuple[int, int]] | None:
    try:
        return await stored(url)
    except (OSError, asyncpg.PostgresError):
        return None


@pytest.mark.long
def test_a_million_signals_survive_kills_of_everything(tmp_path: Path):
    load_while_killing(tmp_path, n_batches=200, n_lines=5_000, every_seconds=3.0)
