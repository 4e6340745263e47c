"""Send a sheet of orders, have a plan made, and fetch who makes what as a sheet.

PULLPLAN_URL=http://127.0.0.1:8000 PULLPLAN_KEY=pp_… python spreadsheet.py orders.xlsx assignments.xlsx

The sheet's first row names the fields: source, external_id, kind, product_code, region_code, units, occurred_at, due_date. If any row is
wrong, each wrong one is named and nothing is stored.
"""

import os
import sys
import time
from pathlib import Path

import httpx

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PLAN = {"bucket": "week", "horizon_buckets": 4}


def checked(answer: httpx.Response) -> httpx.Response:
    """Stop at a refusal, with each row and field that it names."""
    if answer.is_success:
        return answer
    problem = answer.json()
    rows = [f"  row {error.get('line')}: {error['detail']}" for error in problem.get("errors", [])]
    sys.exit("\n".join([problem["detail"], *rows]))


def main() -> None:
    """Send, plan, fetch."""
    orders, target = map(Path, sys.argv[1:])
    key = {"Authorization": f"Bearer {os.environ['PULLPLAN_KEY']}"}
    with httpx.Client(base_url=os.environ["PULLPLAN_URL"], headers=key, timeout=120) as service:
        report = checked(
            service.post(
                "/v1/demand-signals/batch", content=orders.read_bytes(), headers={"Content-Type": XLSX}
            )
        ).json()
        print(f"{report['stored']} orders stored, {report['known']} known already")
        run = checked(service.post("/v1/plans", json=PLAN, headers={"Prefer": "wait=30"})).json()
        while run["state"] in ("queued", "running"):  # it takes longer than that
            time.sleep(1)
            run = checked(service.get(f"/v1/runs/{run['run_id']}")).json()
        if run["state"] != "succeeded":
            sys.exit(f"the plan {run['state']}: {(run['problem'] or {}).get('detail')}")
        sheet = checked(service.get(f"{run['result']}/assignments", headers={"Accept": XLSX}))
        target.write_bytes(sheet.content)
    print(f"{run['result']} is in {target}")


if __name__ == "__main__":
    main()
