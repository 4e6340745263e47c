import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.faults.conftest import seed
from tests.faults.processes import (
    LEASE_SECONDS,
    PLAN,
    api_process,
    calling,
    none_alive,
    part,
    tree,
    wait_until,
)

from pullplan.cli.service import Service, running_service
from pullplan.postgres import EmbeddedServer
from pullplan.storage import schema

ENVIRONMENT = {"PULLPLAN_LEASE_SECONDS": str(LEASE_SECONDS)}
NUMERICAL = ("numpy", "scipy", "pandas", "highspy")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give one whole service to tests that leave it well."""
    with running_service(tmp_path_factory.mktemp("service"), environment=ENVIRONMENT) as started:
        asyncio.run(seed(started.database_url))
        yield started


def planned(client: httpx.Client) -> dict[str, Any]:
    """Ask for a plan and wait for it."""
    run = client.post("/v1/plans", json=PLAN, headers={"Prefer": "wait=30"}).json()
    return wait_until(
        lambda: state if (state := client.get(f"/v1/runs/{run['run_id']}").json())["finished_at"] else None,
        30.0,
        "the plan's run",
    )


def answers(client: httpx.Client, path: str = "/v1/runs") -> int | None:
    try:
        return client.get(path, timeout=5.0).status_code
    except httpx.TransportError:
        return None


@pytest.mark.long
def test_the_api_process_never_loads_the_numerical_stack(service: Service):
    with calling(service) as client:
        assert planned(client)["state"] == "succeeded"
    maps = Path(f"/proc/{api_process(service).pid}/maps").read_text()
    assert "granian" in maps
    assert [name for name in NUMERICAL if name in maps] == []


def test_keys_are_made_beside_a_running_service(service: Service):
    environment = {**os.environ, "PULLPLAN_DATA": str(service.log_file.parent)}
    command = [sys.executable, "-m", "pullplan", "keys", "create", "--name", "reader", "--scope", "read"]
    key = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout.strip()
    with calling(service) as client:
        own = {"Authorization": f"Bearer {key}"}
        assert client.get("/v1/me", headers=own).json()["name"] == "reader"
        assert client.post("/v1/plans", json=PLAN, headers=own).status_code == 403


@pytest.mark.long
@pytest.mark.parametrize("whose", ["the process that answers", "its parent", "the worker"])
def test_a_process_that_is_killed_is_started_again(service: Service, whose: str):
    killed = {
        "the process that answers": lambda: api_process(service),
        "its parent": lambda: part(service, "pullplan.cli.http_server"),
        "the worker": lambda: part(service, "pullplan work"),
    }[whose]()
    killed.kill()
    wait_until(lambda: none_alive([killed]), 5.0, "its end")
    with calling(service) as client:
        wait_until(lambda: answers(client) == 200, 10.0, "an answer")
        assert planned(client)["state"] == "succeeded"


def test_an_embedded_server_killed_under_load_is_back_within_seconds(service: Service):
    """503 with Retry-After, then 2xx within 5 s, and the next run is taken."""
    seen: list[tuple[float, int, str | None]] = []
    ended = threading.Event()

    def load() -> None:
        with calling(service) as client:
            while not ended.is_set():
                answer = client.get("/v1/runs")
                seen.append((time.monotonic(), answer.status_code, answer.headers.get("Retry-After")))

    callers = [threading.Thread(target=load) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        wait_until(lambda: len(seen) > 20, 10.0, "load")
        killed_at = time.monotonic()
        part(service, "bin/postgres").kill()
        wait_until(lambda: any(status == 503 for _, status, _ in seen), 5.0, "a 503")
        # Of several callers, one may still hear of the outage when another no longer does.
        wait_until(lambda: all(status == 200 for _, status, _ in seen[-20:]), 10.0, "nothing but 200 again")
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    assert {status for _, status, _ in seen} == {200, 503}
    assert all(retry_after for _, status, retry_after in seen if status == 503)
    back_at = next(at for at, status, _ in seen if status == 200 and at > last_503(seen))
    assert back_at - killed_at < 5.0
    with calling(service) as client:
        assert planned(client)["state"] == "succeeded"


def last_503(seen: list[tuple[float, int, str | None]]) -> float:
    return max(at for at, status, _ in seen if status == 503)


@pytest.mark.long
def test_a_killed_service_leaves_no_process_and_no_port_and_the_next_one_starts(tmp_path: Path):
    with running_service(tmp_path / "data", environment=ENVIRONMENT) as service:
        port = httpx.URL(service.url).port
        part(service, "preloaded")  # the fork server too
        everything = tree(service.process.pid)
        assert len(everything) > 10
        service.process.kill()
        wait_until(lambda: none_alive(everything), 2.0, "the end of all processes")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    with (
        running_service(tmp_path / "data", port or 0, environment=ENVIRONMENT) as service,
        calling(service) as client,
    ):
        assert client.get("/v1/runs").status_code == 200


@pytest.mark.long
def test_a_stopped_service_answers_what_it_began(tmp_path: Path):
    with running_service(tmp_path / "data", arguments=("--no-worker",)) as service:
        statuses: list[int] = []

        def ask() -> None:
            with calling(service) as client:
                statuses.append(client.post("/v1/plans", json=PLAN, headers={"Prefer": "wait=3"}).status_code)

        caller = threading.Thread(target=ask)
        caller.start()
        with calling(service) as client:
            wait_until(lambda: client.get("/v1/runs").json()["items"], 5.0, "the queued run")
        assert service.stop() == 0
        caller.join()
    assert statuses == [202]


def test_a_stopped_service_ends_the_api_then_the_worker_then_the_database(tmp_path: Path):
    with running_service(tmp_path / "data", environment=ENVIRONMENT) as service:
        watched = {
            "api": part(service, "pullplan.cli.http_server"),
            "worker": part(service, "pullplan work"),
            "database": part(service, "bin/postgres"),
        }
        ended_in_round: dict[str, int] = {}
        service.process.send_signal(signal.SIGTERM)

        rounds = count()

        def all_ended() -> bool:
            # The last to end is asked first, so that no death between two questions turns the order round.
            number = next(rounds)
            for name in ("database", "worker", "api"):
                if name not in ended_in_round and none_alive([watched[name]]):
                    ended_in_round[name] = number
            return len(ended_in_round) == len(watched)

        wait_until(all_ended, 20.0, "the end of all three")
        assert service.process.wait(10.0) == 0
    assert ended_in_round["api"] <= ended_in_round["worker"] <= ended_in_round["database"]


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "pullplan", "serve", "--port", port],
            env={**os.environ, "PULLPLAN_DATA": str(tmp_path)},
            capture_output=True,
            check=False,
            text=True,
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_service_over_the_same_data_is_refused(service: Service):
    done = subprocess.run(
        [sys.executable, "-m", "pullplan", "serve", "--port", "0"],
        env={**os.environ, "PULLPLAN_DATA": str(service.log_file.parent)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert "another pullplan owns" in done.stderr


@pytest.mark.long
def test_a_foreign_database_that_stops_is_a_503_until_it_is_back(tmp_path: Path):
    server = EmbeddedServer(tmp_path / "server")
    url = server.start()
    try:
        schema.migrate(url)
        asyncio.run(seed(url))
        environment = ENVIRONMENT | {"DATABASE_URL": url}
        with (
            running_service(tmp_path / "data", environment=environment) as service,
            calling(service) as client,
        ):
            assert client.get("/v1/runs").status_code == 200
            os.kill(server.pid or 0, signal.SIGINT)
            wait_until(lambda: not server.is_running(), 5.0, "the server's end")
            for path in ("/v1/runs", "/health/ready"):
                away = client.get(path)
                assert (away.status_code, away.headers.get("Retry-After")) == (503, "1"), path
            assert client.post("/v1/plans", json=PLAN).status_code == 503
            assert client.get("/health/live").status_code == 200
            server.start()
            wait_until(lambda: answers(client) == 200, 5.0, "an answer")
            assert planned(client)["state"] == "succeeded"
    finally:
        server.stop()


@pytest.mark.long
def test_a_database_that_keeps_dying_ends_the_service_with_an_error(tmp_path: Path):
    with running_service(tmp_path / "data") as service, calling(service) as client:
        killed: set[int] = set()

        def kill_the_database() -> bool:
            if answers(client) == 200:
                with suppress(psutil.Error):  # serve may end between two questions
                    for process in psutil.Process(service.process.pid).children():
                        if "bin/postgres" in " ".join(process.cmdline()):
                            process.kill()
                            killed.add(process.pid)
            return service.process.poll() is not None

        wait_until(kill_the_database, 60.0, "the end of serve")
        assert service.process.returncode == 1
        # More, where one died before serve had seen it ready: that is another try of the same restart.
        assert len(killed) >= 4
        assert "PostgreSQL ended 4 times within a minute" in service.log_file.read_text()


@pytest.mark.long
def test_a_foreign_database_is_never_migrated_by_serve_and_readiness_names_what_is_missing(
    empty_database_url: str, tmp_path: Path
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": empty_database_url, "PULLPLAN_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "pullplan", "serve", "--port", str(port)]
    with (
        (tmp_path / "serve.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as serving,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        try:
            wait_until(lambda: answers(client, "/health/ready"), 20.0, "an answer")
            not_ready = client.get("/health/ready")
            assert not_ready.status_code == 503
            assert schema.expected_versions()[-1] in not_ready.json()["detail"]
            subprocess.run([*command[:3], "migrate"], env=environment, check=True, capture_output=True)
            wait_until(lambda: answers(client, "/health/ready") == 200, 10.0, "readiness")
        finally:
            serving.terminate()
        assert serving.wait(30.0) == 0
