"""Who holds connections, uploads and downloads without end: does anybody else notice?"""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from tests.faults.processes import api_process, calling

from pullplan.cli.service import Service, running_service

N_CONNECTIONS = 10_000
BYTES_A_CONNECTION = 25_000
BYTES_OF_AN_IDLE_API = 150_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a service without a worker, which may have as many files open as its callers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = N_CONNECTIONS + 500
    if hard < needed:
        pytest.skip(f"a process may have {hard} files open here; {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    with running_service(tmp_path_factory.mktemp("connections"), arguments=("--no-worker",)) as started:
        yield started


def seconds_of(client: httpx.Client, method: str, path: str, **given) -> float:
    began = time.monotonic()
    client.request(method, path, **given).raise_for_status()
    return time.monotonic() - began


def resident_bytes(service: Service) -> int:
    return int(api_process(service).memory_info().rss)


def place(service: Service) -> tuple[str, int]:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return host, int(port)


def test_ten_thousand_idle_and_half_sent_connections_delay_nobody(service: Service):
    with ExitStack() as held, calling(service) as client:
        slowest = seconds_of(client, "GET", "/v1/me")
        for number in range(N_CONNECTIONS):
            connection = held.enter_context(socket.create_connection(place(service)))
            if number % 2:
                connection.sendall(b"POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Le")
            if number % 500 == 0:
                slowest = max(slowest, seconds_of(client, "GET", "/v1/me"))
        slowest = max(slowest, *(seconds_of(client, "GET", "/v1/me") for _ in range(20)))
        held_open = len(api_process(service).net_connections())
        assert held_open > 0.9 * N_CONNECTIONS
        assert slowest < 1.0
        assert resident_bytes(service) < BYTES_OF_AN_IDLE_API + BYTES_A_CONNECTION * N_CONNECTIONS


def test_uploads_that_stall_delay_no_signal(service: Service):
    """More of them than there are connections to the database: none is taken before a body is there."""
    signal = {
        "source": "shop", "kind": "consumption", "product_code": "GIN", "region_code": "EAST", "units": 1.0,
        "occurred_at": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    head = (
        "POST /v1/demand-signals/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        f"Authorization: Bearer {service.key}\r\nContent-Length: 1000000\r\n\r\n" + '{"source": "stalled"'
    )
    with ExitStack() as held, calling(service) as client:
        client.put("/v1/products", json=[{"product_code": "GIN"}]).raise_for_status()
        client.put("/v1/regions", json=[{"region_code": "EAST"}]).raise_for_status()
        for _ in range(24):
            held.enter_context(socket.create_connection(place(service))).sendall(head.encode())
        slowest = max(
            seconds_of(client, "POST", "/v1/demand-signals", json=signal | {"external_id": f"s-{number}"})
            for number in range(20)
        )
        assert slowest < 1.0
        items = client.get("/v1/demand-signals").json()["items"]
        assert {item["source"] for item in items} == {"shop"}


def test_a_reader_that_stalls_takes_no_memory_and_delays_nobody(service: Service):
    """It asks for a long list again and again without reading what comes."""
    rows = [{"product_code": f"P{number:05}", "name": "x" * 180} for number in range(10_000)]
    with ExitStack() as held, calling(service) as client:
        client.put("/v1/products", json=rows).raise_for_status()
        seconds_of(client, "GET", "/v1/products?limit=1000")
        before = resident_bytes(service)
        ask = (
            f"GET /v1/products?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n\r\n"
        ).encode()
        for _ in range(16):
            connection = held.enter_context(socket.create_connection(place(service)))
            threading.Thread(target=connection.sendall, args=(ask * 50,), daemon=True).start()
        slowest = max(seconds_of(client, "GET", "/v1/me") for _ in range(50))
        assert slowest < 2.0
        assert resident_bytes(service) - before < 60_000_000
