"""Post a shop's orders one by one, whatever happens meanwhile, and ask for a plan.

PULLPLAN_URL=http://127.0.0.1:8000 PULLPLAN_KEY=pp_… python shop_orders.py < orders.ndjson

A line is a signal, as `addDemandSignal` of the OpenAPI document shows one. An order has its own identity (`source`, `external_id`), so that
the same one sent again is stored once; the plan's is an Idempotency-Key, made of the last order.
"""

import json
import os
import random
import sys
import time
from itertools import count
from typing import Any

import httpx

COME_BACK = {429, 503}  # also 409, while the first request with an Idempotency-Key is still being answered
LONGEST_SECONDS = 30.0
GIVEN_UP_AFTER_SECONDS = 600.0


def comes_back(answer: httpx.Response) -> bool:
    """Tell whether the same request may succeed later."""
    busy = answer.status_code == httpx.codes.CONFLICT and answer.json()["code"] == "idempotency-key-busy"
    return busy or answer.status_code in COME_BACK


def post(service: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    """Send until there is an answer: after as long as the service says, else twice as long each time, never all shops at once."""
    begun = time.monotonic()
    for attempt in count():
        wait = random.uniform(0.5, 1) * min(LONGEST_SECONDS, 0.1 * 2**attempt)
        try:
            answer = service.post(path, json=body, headers=headers)
        except httpx.TransportError as error:  # it may have been stored all the same: send it again
            reason = str(error) or type(error).__name__
        else:
            if not comes_back(answer):
                return answer
            reason = answer.json()["code"]
            wait = max(wait, float(answer.headers.get("Retry-After", 0)))
        if time.monotonic() + wait - begun > GIVEN_UP_AFTER_SECONDS:
            sys.exit(f"{path}: given up: {reason}")
        print(f"{reason}: again in {wait:.1f} s", file=sys.stderr)
        time.sleep(wait)
    raise AssertionError


def main() -> None:
    """Post every order; keep those that are refused for a person to look at."""
    key = {"Authorization": f"Bearer {os.environ['PULLPLAN_KEY']}"}
    refused, last = 0, ""
    with httpx.Client(base_url=os.environ["PULLPLAN_URL"], headers=key, timeout=10) as service:
        for line in sys.stdin:
            order = json.loads(line)
            last = order["external_id"]
            answer = post(service, "/v1/demand-signals", order)
            if answer.is_success:
                known = answer.headers.get("Idempotent-Replayed") == "true"
                print(f"{order['external_id']}: {'known already' if known else 'stored'}")
            else:
                refused += 1
                print(f"{order['external_id']}: refused: {answer.json()['detail']}", file=sys.stderr)
        plan = {"bucket": "week", "horizon_buckets": 4}
        answer = post(service, "/v1/plans", plan, **{"Idempotency-Key": f"after-{last}"})
        print(f"a plan is made by the run {answer.raise_for_status().json()['run_id']}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
