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
# Ending this script ends every process below it: the number space is its own.
unshare --net --pid --fork --kill-child --mount-proc -- \
    python3 bench/run_image.py "$work" "$container"
store umount "$container" >/dev/null
said "whole" "$SECONDS s"
