"""Is a plan the very same wherever, and by however many, it is computed, and whoever of them dies?"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pullplan.compute import cluster as cluster_module
from pullplan.compute import spread_of
from pullplan.compute.cluster import ComputeAwayError

REPOSITORY = Path(__file__).parents[2]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def found_at(*places: str, by: str = "searching") -> list[str]:
    """Search, or forecast, at each place, and answer what was found."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"tests.compute.{by}", *places],
        env=os.environ | ONE_THREAD,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Cluster:
    """A scheduler and two workers, each a process."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        address_file = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(address_file))
        self._wait_for(lambda: address_file.exists() and "tcp://" in address_file.read_text())
        self.address = address_file.read_text().split('"tcp://')[1].split('"')[0]
        self.workers = [self._work(number) for number in range(2)]
        for number in range(2):
            log = folder / f"worker-{number}.log"
            self._wait_for(lambda log=log: "Registered to" in log.read_text())

    def _work(self, number: int) -> subprocess.Popen[bytes]:
        folder = self._folder / f"worker-{number}"
        arguments = ("--no-nanny", "--nthreads", "1", "--local-directory", str(folder))
        return self._start("worker", f"tcp://{self.address}", *arguments, log=f"worker-{number}.log")

    def _start(self, role: str, *arguments: str, log: str = "scheduler.log") -> subprocess.Popen[bytes]:
        with (self._folder / log).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"],
                env=os.environ | ONE_THREAD,
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _wait_for(self, condition) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, [
                log.read_text()[-2000:] for log in self._folder.glob("*.log")
            ]
            time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path)


def test_processes_and_a_cluster_find_the_very_same_plan_whoever_of_them_is_killed(cluster: Cluster):
    alone, *by_many = found_at("local:1", "local:2", "local:5", "local:2@0")
    assert by_many == [alone] * 3
    place, victim = f"dask://{cluster.address}", cluster.workers[0]
    assert found_at(place, f"{place}@{victim.pid}") == [alone] * 2
    assert victim.wait(10) != 0
    assert cluster.workers[1].poll() is None


@pytest.mark.long
def test_processes_and_a_cluster_make_the_very_same_forecast_whoever_of_them_is_killed(cluster: Cluster):
    place, victim = f"dask://{cluster.address}", cluster.workers[0]
    places = ("local:1", "local:2", "local:2@0", place, f"{place}@{victim.pid}")
    alone, *by_many = found_at(*places, by="forecasting")
    assert by_many == [alone] * 4
    assert victim.wait(10) != 0
    assert cluster.workers[1].poll() is None


def test_a_cluster_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(ComputeAwayError, match=r"the cluster dask://127\.0\.0\.1:9 does not answer"),
        spread_of("dask://127.0.0.1:9")([1, 2]),
    ):
        pass
