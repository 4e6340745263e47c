#!/usr/bin/env bash
# Does the image build, and do its own entrypoint, health check and stop signal work?
#
# Needs root on Debian, no container engine: the base is bootstrapped from the machine's own package
# mirror, built by buildah, and run as the image's user in a network of its own. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "bench/image.sh: must be root to make a root file system" >&2; exit 2; }

work=$(mktemp -d)
export TMPDIR=$work
cleanup() {
    mount | awk -v work="$work" 'index($3, work) == 1 { print $3 }' | sort -r | xargs -r umount -l
    rm -rf "$work"
}
trap cleanup EXIT

said() { printf '%-34s %s\n' "$1" "$2"; }
timed() { # timed <what> <command…>: its output only when it fails
    local what=$1 begun=$SECONDS
    shift
    "$@" >"$work/log" 2>&1 || { echo "bench/image.sh: $what failed" >&2; tail -n 60 "$work/log" >&2; exit 1; }
    said "$what" "$((SECONDS - begun)) s"
}
store() { # a buildah whose images and containers live in this run's folder
    command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"
}

if ! command -v buildah >/dev/null || ! command -v debootstrap >/dev/null; then
    timed "apt-get update" apt-get update
    timed "buildah and debootstrap" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends buildah debootstrap
fi

# --- the base that the Dockerfile starts from, under the name that it uses
base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)
suite=${base#*:}
suite=${suite%-slim}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' | head -n 1)
[ -n "$mirror" ] || { echo "bench/image.sh: no Debian mirror is known; run apt-get update" >&2; exit 1; }
timed "base ($suite)" debootstrap --variant=minbase "$suite" "$work/base" "$mirror"
rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
# What this machine trusts, or pip could not reach its index from here.
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$work/base/usr/local/share/trusted.pem"
scratch=$(store from scratch)
timed "base added" store add "$scratch" "$work/base" /
store config --env SSL_CERT_FILE=/usr/local/share/trusted.pem --env PIP_CERT=/usr/local/share/trusted.pem "$scratch"
timed "base committed" store commit "$scratch" "$base"
store rm "$scratch" >/dev/null
rm -rf "$work/base"

# --- the image; docker's format, because the other one has no health check
timed "image" store bud --isolation chroot --pull-never --format docker --tag pullplan .
container=$(store from --pull-never pullplan)
root=$(store mount "$container")
said "size, unpacked" "$(du -sm "$root" | cut -f1) MB"
said "of it /opt/pullplan" "$(du -sm "$root/opt/pullplan" | cut -f1) MB"
store inspect --type image pullplan >"$work/image.json"

# --- its own entrypoint, alone with its processes and its loopback
cat >"$work/run_inside.py" <<'PYTHON'
"""Run the image as its configuration says, until it is healthy, has planned and has stopped."""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

work, container = Path(sys.argv[1]), sys.argv[2]
config = json.loads((work / "image.json").read_text())["Docker"]["config"]
buildah = ["buildah", "--root", str(work / "store"), "--runroot", str(work / "run"), "--storage-driver", "vfs"]
inside = [*buildah, "run", "--isolation", "chroot", container, "--"]


def say(what: str, figure: str) -> None:
    print(f"{what:<34} {figure}", flush=True)


def service() -> int:
    """Find the process of the entrypoint itself: the oldest one of the image's user."""
    found = subprocess.run(["pgrep", "-o", "-u", config["User"]], capture_output=True, text=True, check=True)
    return int(found.stdout)


with socket.socket() as lo:  # a new network's loopback is down
    fcntl.ioctl(lo, 0x8914, struct.pack("16sH", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING

log = (work / "serve.log").open("w")
begun = time.monotonic()
running = subprocess.Popen([*inside, *config["Entrypoint"], *config["Cmd"]], stdout=log, stderr=log)
check = config["Healthcheck"]["Test"][1:]
try:
    while subprocess.run([*inside, *check], capture_output=True, check=False).returncode != 0:
        if running.poll() is not None or time.monotonic() - begun > 120:
            sys.exit("the service did not become healthy:\n" + (work / "serve.log").read_text()[-4000:])
    say("healthy after", f"{time.monotonic() - begun:.1f} s")
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in os.listdir("/proc") if pid.isdigit() and pid != "1"}
    say("user", f"{config['User']} (processes run as {sorted(owners - {0})})")

    begun = time.monotonic()
    demo = subprocess.run([*inside, *config["Entrypoint"], "demo", "--json"], capture_output=True, text=True, check=False)
    if demo.returncode != 0:
        sys.exit(f"the demo failed: {demo.stderr[-4000:]}\n" + (work / "serve.log").read_text()[-4000:])
    figures = json.loads(demo.stdout)
    say("demo ended after", f"{time.monotonic() - begun:.1f} s")
    for name in ("signals", "needs_units", "assigned_units", "nearest_share"):
        say(f"demo: {name}", str(figures[name]))
    if not figures["assigned_units"] > 0:
        sys.exit("the demo assigned nothing")

    begun = time.monotonic()
    os.kill(service(), getattr(signal, config.get("StopSignal") or "SIGTERM"))
    status = running.wait(30)
    say("stopped after", f"{time.monotonic() - begun:.1f} s, exit {status}")
    if status != 0:
        sys.exit("the service did not stop cleanly:\n" + (work / "serve.log").read_text()[-4000:])
finally:
    running.kill()
PYTHON
# Ending this script ends every process below it: the number space is its own.
unshare --net --pid --fork --kill-child --mount-proc -- python3 "$work/run_inside.py" "$work" "$container"
store umount "$container" >/dev/null
said "whole" "$SECONDS s"
