"""Does the built image do what its own configuration says: become healthy, migrate, plan a demo, stop when told to?

`bench/image.sh` calls it as root, in a process and network namespace of its own, with its folder and the container.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_SECONDS_TO_HEALTHY = 120
MOST_SECONDS_TO_STOP = 30


def say(what: str, figure: str) -> None:
    print(f"{what:<34} {figure}", flush=True)


def raise_loopback() -> None:
    """A new network's loopback is down."""
    with socket.socket() as any_socket:
        up_and_running = struct.pack("16sH", b"lo", 0x1 | 0x40)
        fcntl.ioctl(any_socket, 0x8914, up_and_running)  # SIOCSIFFLAGS


def process_of(entrypoint: str, user: str) -> int:
    """The oldest process of that name: what carries it into the container belongs to the same user."""
    found = subprocess.run(
        ["pgrep", "-o", "-x", "-u", user, entrypoint], capture_output=True, text=True, check=True
    )
    return int(found.stdout)


def owners_of_children(pid: int) -> list[int]:
    """Whose children the service has: the API, the worker, PostgreSQL."""
    listed = subprocess.run(
        ["ps", "-o", "uid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return sorted({int(uid) for uid in listed.stdout.split()})


def tried(command: list[str], service_log: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[-3:])} failed: {done.stderr[-4000:]}\n{service_log.read_text()[-4000:]}")
    return done.stdout


def timed(what: str, work: Callable[[], str]) -> str:
    begun = time.monotonic()
    answer = work()
    say(what, f"{time.monotonic() - begun:.1f} s")
    return answer


def run_until_stopped(config: dict[str, Any], inside: list[str], service_log: Path) -> None:
    with service_log.open("w") as log:
        running = subprocess.Popen([*inside, *config["Entrypoint"], *config["Cmd"]], stdout=log, stderr=log)
    begun = time.monotonic()
    health_check = [*inside, *config["Healthcheck"]["Test"][1:]]
    while subprocess.run(health_check, capture_output=True, check=False).returncode != 0:
        if running.poll() is not None or time.monotonic() - begun > MOST_SECONDS_TO_HEALTHY:
            sys.exit("the service did not become healthy:\n" + service_log.read_text()[-4000:])
    say("healthy after", f"{time.monotonic() - begun:.1f} s")
    say(
        "its processes run as",
        ", ".join(map(str, owners_of_children(process_of(config["Entrypoint"][0], config["User"])))),
    )

    timed("migrate beside serve", lambda: tried([*inside, *config["Entrypoint"], "migrate"], service_log))
    demo = timed("demo", lambda: tried([*inside, *config["Entrypoint"], "demo", "--json"], service_log))
    figures = json.loads(demo)
    for name in ("signals", "needs_units", "assigned_units", "nearest_share"):
        say(f"demo: {name}", str(figures[name]))
    if not figures["assigned_units"] > 0:
        sys.exit("the demo assigned nothing")

    begun = time.monotonic()
    os.kill(process_of(config["Entrypoint"][0], config["User"]), getattr(signal, config["StopSignal"]))
    status = running.wait(MOST_SECONDS_TO_STOP)
    say("stopped after", f"{time.monotonic() - begun:.1f} s, exit {status}")
    if status != 0:
        sys.exit("the service did not stop cleanly:\n" + service_log.read_text()[-4000:])


def main(work: Path, container: str) -> None:
    config = json.loads((work / "image.json").read_text())["Docker"]["config"]
    store = ["--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "vfs"]
    raise_loopback()
    run_until_stopped(
        config,
        ["buildah", *store, "run", "--isolation", "chroot", container, "--"],
        work / "serve.log",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
