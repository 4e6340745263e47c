"""Send last night's CSV files of an ERP, have a plan made, and write its assignments as CSV.

PULLPLAN_URL=http://127.0.0.1:8000 PULLPLAN_KEY=pp_… python nightly_sync.py export/ assignments.csv

Run it again as often as you like: what is known is not stored twice, and the same files make one plan a day.
"""

import hashlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

# In this order: what a row names must be there before it. A file that the ERP doesn't write is left out.
FILES = {
    "products.csv": ("PUT", "/v1/products"),
    "regions.csv": ("PUT", "/v1/regions"),
    "nodes.csv": ("PUT", "/v1/nodes"),
    "capacity.csv": ("PUT", "/v1/capacity"),
    "capabilities.csv": ("PUT", "/v1/capabilities"),
    "stock_counts.csv": ("POST", "/v1/stock-counts"),
    "open_supply.csv": ("POST", "/v1/open-supply"),
    "orders.csv": ("POST", "/v1/demand-signals/batch"),
}
PLAN = {"bucket": "week", "horizon_buckets": 4}


def checked(answer: httpx.Response) -> httpx.Response:
    """Stop at a refusal, with each line and field that it names."""
    if answer.is_success:
        return answer
    answer.read()
    problem = answer.json()
    lines = [f"  line {error.get('line')}: {error['detail']}" for error in problem.get("errors", [])]
    sys.exit("\n".join([f"{answer.request.url.path}: {problem['detail']}", *lines]))


def send(service: httpx.Client, folder: Path) -> str:
    """Send each file as it is, streamed; answer a hash of all that was sent."""
    sent = hashlib.sha256()
    for name, (method, path) in FILES.items():
        file = folder / name
        if not file.exists():
            continue
        with file.open("rb") as rows:
            report = checked(
                service.request(method, path, content=rows, headers={"Content-Type": "text/csv"})
            ).json()
        print(f"{name}: {report['stored']} stored, {report['known']} known already")
        sent.update(file.read_bytes())
    return sent.hexdigest()


def planned(service: httpx.Client, idempotency_key: str) -> str:
    """Have a plan made, or find the one that was made under this key; answer its path."""
    run = checked(service.post("/v1/plans", json=PLAN, headers={"Idempotency-Key": idempotency_key})).json()
    while run["state"] in ("queued", "running"):
        time.sleep(0.5)
        run = checked(service.get(f"/v1/runs/{run['run_id']}")).json()
    if run["state"] != "succeeded":
        sys.exit(f"the plan {run['state']}: {(run['problem'] or {}).get('detail')}")
    result: str = run["result"]
    return result


def fetch(service: httpx.Client, plan: str, target: Path) -> None:
    """Write all assignments; whoever reads the file finds it whole or not at all."""
    part = target.with_suffix(".part")
    with (
        service.stream("GET", f"{plan}/assignments", headers={"Accept": "text/csv"}) as answer,
        part.open("wb") as file,
    ):
        file.writelines(checked(answer).iter_bytes())
    part.replace(target)


def main() -> None:
    """Send, plan, fetch."""
    folder, target = map(Path, sys.argv[1:])
    key = {"Authorization": f"Bearer {os.environ['PULLPLAN_KEY']}"}
    with httpx.Client(base_url=os.environ["PULLPLAN_URL"], headers=key, timeout=120) as service:
        sent = send(service, folder)
        plan = planned(service, f"nightly-{datetime.now(UTC):%Y-%m-%d}-{sent}")
        fetch(service, plan, target)
    print(f"{plan} is in {target}")


if __name__ == "__main__":
    main()
