"""How do published solvers, and a planner's rule of thumb, fare on the reference instances?

    python -m bench.peers --uv UV [--products N ...] [--seconds N] [--table]

Each runs in a process of its own, on one thread, for so many seconds at most, in an environment under .cache that has
nothing to do with the project's. Times are from arrays of options to units; ours, from arrays of facts to a proof.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench.assigning import MEDIUM, SMALL, measure, to_market
from bench.instances import Instance, reference_instance
from bench.tables import keep, peers_table

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = REPOSITORY / ".cache" / "peers"
CAPACITY_FACTOR = 1.25
SECONDS = 120
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PEERS = {
    "greedy": ("greedy, best of three orders", "scipy==1.18.1"),
    "highs-ds": ("HiGHS simplex (scipy)", "scipy==1.18.1"),
    "highs-ipm": ("HiGHS interior point (scipy)", "scipy==1.18.1"),
    "glop": ("OR-Tools GLOP", "ortools==9.15.6755"),
    "pdlp": ("OR-Tools PDLP", "ortools==9.15.6755"),
    "cbc": ("PuLP with CBC", "pulp[cbc]==4.2.0"),
    "frepple": ("frePPLe", "frepple"),
}
"""What it is called, and what installs it. A minimum cost flow can't say that products take different hours."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv that makes the peers' environment")
    parser.add_argument("--products", type=int, nargs="*", default=[SMALL, MEDIUM], help="of 300 needs each")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="what each peer has at most")
    parser.add_argument("--table", action="store_true", help="lay the figures out in README.md")
    arguments = parser.parse_args()
    refused = _install(arguments.uv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for n_products in arguments.products:
            instance = reference_instance(n_products, capacity_factor=CAPACITY_FACTOR)
            path = Path(folder) / f"{n_products}.npz"
            _write_options(instance, path)
            ours = measure(n_products, CAPACITY_FACTOR, "priced")
            rows.append(
                {"needs": instance.n_needs, "solver": "pullplan", "optimum": ours["cost"], "short_units": 0.0}
                | ours
            )
            for peer, (name, _) in PEERS.items():
                print(f"{instance.n_needs:,} needs: {name} …", file=sys.stderr, flush=True)
                row = {"problem": refused[peer]} if peer in refused else _solve(peer, path, arguments.seconds)
                rows.append({"needs": instance.n_needs, "solver": name, **row, "optimum": ours["cost"]})
    print(peers_table(rows))
    if arguments.table:
        keep("peers", rows)
    return 0


def _install(uv: str) -> dict[str, str]:
    """Install each peer by itself; answer why one could not be."""
    subprocess.run([uv, "venv", "-q", "--allow-existing", str(ENVIRONMENT)], check=True)
    refused = {}
    said: dict[str, str] = {}
    for peer, (_, requirement) in PEERS.items():
        if requirement not in said:
            command = [uv, "pip", "install", "-q", "--python", str(ENVIRONMENT), requirement]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said[requirement] = "" if done.returncode == 0 else "could not be installed"
            if done.returncode != 0:
                print(done.stderr, file=sys.stderr)
        if said[requirement]:
            refused[peer] = said[requirement]
    return refused


def _write_options(instance: Instance, path: Path) -> None:
    """Lay every option of every need out, ordered by need, as peer_solvers.Instance reads it."""
    columns = []
    n_regions = instance.units.shape[1]
    for p, block in enumerate(to_market(instance).blocks):
        node, region = (axis.ravel() for axis in np.indices(block.cost.shape))
        use = np.diag(block.use)
        columns.append((p * n_regions + region, block.rows[node], block.cost.ravel(), use[node]))
    need, node, cost, use = (np.concatenate(of) for of in zip(*columns, strict=True))
    order = np.argsort(need, kind="stable")
    np.savez(
        path,
        units=instance.units.ravel(),
        capacity=instance.capacity,
        need=need[order],
        node=node[order],
        cost=cost[order],
        use=use[order],
    )


def _solve(peer: str, instance: Path, seconds: int) -> dict[str, Any]:
    python = ENVIRONMENT / "bin" / "python"
    process = subprocess.Popen(
        [str(python), str(REPOSITORY / "bench" / "peer_solvers.py"), peer, str(instance)],
        env=os.environ | ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that CBC, its child, ends with it
    )
    try:
        said, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"problem": f"nothing within {seconds} s"}
    if process.returncode != 0:
        return {"problem": (errors.strip().splitlines() or ["no answer"])[-1][:200]}
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
