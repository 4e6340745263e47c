"""How long until a stranger sees a plan, and until a service with data answers?"""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figure import figure

from pullplan.cli.service import running_service

REPOSITORY = Path(__file__).resolve().parent.parent


def clone_to_demo() -> list[dict[str, Any]]:
    """Clone this repository's committed state, `make demo` in it, with packages cached."""
    with tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder:
        begun = time.monotonic()
        subprocess.run(["git", "clone", "-q", str(REPOSITORY), f"{folder}/clone"], check=True)
        cloned = time.monotonic()
        subprocess.run(["make", "demo"], cwd=f"{folder}/clone", check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - begun
    return [
        figure(
            "fresh clone to finished demo",
            seconds,
            "s",
            reference=cloned - begun,
            must="< 120 s",
            reached=seconds < 120,
        )
    ]


def serve_ready() -> list[dict[str, Any]]:
    """Start `serve` three times on a warm data folder; the reference is its first start, on an empty one."""
    with tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder:
        seconds = []
        for _ in range(4):
            begun = time.monotonic()
            with running_service(Path(folder) / "data"):
                seconds.append(time.monotonic() - begun)
    warm = sorted(seconds[1:])[1]
    return [
        figure(
            "serve ready on a warm data folder",
            warm,
            "s",
            reference=seconds[0],
            must="< 5 s",
            reached=warm < 5,
        )
    ]
