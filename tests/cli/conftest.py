"""One kept demo, small and real: its processes, its service, the object that it printed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pullplan import postgres
from pullplan.cli.client import Client

PULLPLAN = (sys.executable, "-m", "pullplan")
_END_SECONDS = 60


class KeptDemo(NamedTuple):
    """What `pullplan demo --small --json --keep` printed, and a client to its service."""

    summary: dict[str, Any]
    client: Client
    counts: dict[str, int]
    """What the service listed right after the demo, before any test changed it."""
    database_url: str


@pytest.fixture(scope="session")
def kept_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptDemo]:
    """Run the demo once for every test of the command line, and end it with Ctrl-C."""
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("demo"))}
    errors = tmp_path_factory.mktemp("errors") / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [*PULLPLAN, "demo", "--small", "--json", "--keep"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, errors.read_text()
    summary = json.loads(line)
    with Client(summary["url"], summary["key"]) as client:
        collections = {name: name for name in ("regions", "products", "nodes")}
        counts = {
            name: len(list(client.items(f"/v1/{collection}")))
            for name, collection in (collections | {"signals": "demand-signals"}).items()
        }
        folders = Path(environment["TMPDIR"]).iterdir()
        (database_url,) = filter(None, map(postgres.find_running, folders))
        yield KeptDemo(summary, client, counts, database_url)
    process.send_signal(signal.SIGINT)
    assert process.wait(_END_SECONDS) == 0, errors.read_text()
    process.stdout.close()
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.fixture
def pullplan(kept_demo: KeptDemo) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command against the kept demo's service."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            **os.environ,
            "PULLPLAN_URL": kept_demo.client.url,
            "PULLPLAN_KEY": kept_demo.client.key,
            **environment,
        }
        return subprocess.run(
            [*PULLPLAN, *arguments], capture_output=True, text=True, check=False, timeout=120, env=given
        )

    return run
