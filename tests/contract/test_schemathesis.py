"""Does the service do what the document says, whatever it is sent, and can every operation be made to succeed?

Schemathesis goes through its examples, the bounds of every parameter and field, random requests, and chains of requests by links: over
real HTTP, with a worker and a real database in which there is something of everything. `make operations` shows how often each succeeded.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.faults.processes import calling, wait_until

from pullplan.api import openapi
from pullplan.api.examples import BODIES
from pullplan.cli.service import Service, running_service
from pullplan.packaged_files import packaged

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
SHOWN = packaged("openapi").parent / ".cache" / "operations.txt"
NOW = datetime.now(UTC)
BAKERY = ("products", "regions", "nodes", "capacity", "capabilities", "lanes", "policies")
BUFFER = {"product_code": "*", "region_code": "*", "policy": "ddmrp_buffer", "usage_past_days": 20}
BUFFERED = ("LINZ", "WELS")
RETIRED = {"product_code": "OLD", "region_code": "OLD", "node_code": "OLD"}

type Json = dict[str, Any]


class _Taken(BaseHTTPRequestHandler):
    """Takes every message that a webhook sends."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taken)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Service]:
    """Start a service whose key may send as much as it likes, and whose webhooks may call this machine."""
    given = {"DATABASE_URL": "", "PULLPLAN_REQUESTS_PER_MINUTE": "0", "PULLPLAN_PRIVATE_WEBHOOKS": "true"}
    with running_service(tmp_path / "service", environment=given) as running:
        yield running


def answered(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json()


def ran(http: httpx.Client, path: str, body: Any = None) -> str:
    """Start a run and wait for its success; answer the id that its result has as well."""
    run = answered(http.post(path, json=body, headers={"Prefer": "wait=30"}))
    assert run["state"] == "succeeded", run
    run_id: str = run["run_id"]
    return run_id


def imported(http: httpx.Client, path: str, body: Any) -> str:
    """Have a run store a batch, and wait for its success; answer its id."""
    run = answered(http.post(path, json=body, headers={"Prefer": "respond-async"}))
    followed = f"/v1/runs/{run['run_id']}"
    wait_until(lambda: answered(http.get(followed))["state"] == "succeeded", 20.0, "an import")
    return str(run["run_id"])


def used(day: int, units: float, **place: str) -> Json:
    at = NOW - timedelta(days=day)
    said = {"source": "till", "external_id": f"{'-'.join(place.values())}-{day}-{units}"}
    return {**said, "kind": "consumption", **place, "units": units, "occurred_at": at.isoformat()}


def load(http: httpx.Client) -> None:
    """Load the examples' bakery, another that is farther, more demand than both can bake, and what may be retired."""
    for collection in BAKERY:
        answered(http.put(f"/v1/{collection}", json=BODIES[f"load{collection.title()}"]))
    answered(http.put("/v1/policies", json=[BUFFER]))
    answered(http.put("/v1/products", json=[{"product_code": "OLD"}]))
    near = [{"region_code": region, "latitude": 48.3, "longitude": 14.2} for region in BUFFERED]
    answered(http.put("/v1/regions", json=[*near, {"region_code": "OLD"}]))
    nodes = [{"node_code": "OLD"}, {"node_code": "OVEN-LINZ", "latitude": 48.3, "longitude": 14.29}]
    answered(http.put("/v1/nodes", json=nodes))
    answered(http.put("/v1/lanes", json=[{"node_code": "OLD", "region_code": "OLD", "distance_km": 1}]))
    oven: Any = BODIES["loadCapacity"]
    bakes: Any = BODIES["loadCapabilities"]
    answered(http.put("/v1/capacity", json=[{**oven[0], "node_code": "OVEN-LINZ"}]))
    answered(http.put("/v1/capabilities", json=[{**bakes[0], "node_code": "OVEN-LINZ"}]))
    answered(http.post("/v1/open-supply", json=BODIES["addOpenSupply"]))
    due = {"occurred_at": NOW.isoformat(), "due_date": str(NOW.date() + timedelta(days=3))}
    example: Any = BODIES["addDemandSignal"]
    more_than_there_is = {**example, **due, "external_id": "SO-0", "units": 100_000}
    places = [{"product_code": "RYE", "region_code": region} for region in ("BIBERACH", *BUFFERED)]
    signals = [used(day, 50, **place) for day in range(1, 90) for place in places]
    answered(http.post("/v1/demand-signals/batch", json=[example, more_than_there_is, *signals]))


def identities(http: httpx.Client, receiver: str) -> Json:
    """Make something of everything through the API; answer what identifies it, by parameter."""
    forecast = ran(http, "/v1/forecasts", {})
    first = ran(http, "/v1/plans", {"horizon_buckets": 4, "forecast_id": forecast})
    answered(
        http.post(
            "/v1/demand-signals/batch",
            json=[used(2, 900, product_code="RYE", region_code=region) for region in BUFFERED],
        )
    )
    plan = ran(http, "/v1/plans", {"horizon_buckets": 4, "forecast_id": forecast})
    full = {"region_code": "BIBERACH", "node_code": "OVEN-LINZ"}
    line = answered(http.get(f"/v1/plans/{plan}/assignments", params=full))["items"][0]["assignment_id"]
    short = answered(http.get(f"/v1/plans/{plan}/shortfalls"))["items"][0]["shortfall_id"]
    webhook = answered(http.post("/v1/webhooks", json={"url": receiver, "events": ["plan.succeeded"]}))[
        "webhook_id"
    ]
    delivery = answered(http.post(f"/v1/webhooks/{webhook}/ping"))["delivery_id"]
    deliveries = f"/v1/webhooks/{webhook}/deliveries"
    wait_until(
        lambda: answered(http.get(deliveries, params={"delivery_state": "delivered"}))["items"],
        20.0,
        "a delivery",
    )
    return {
        "source": "shop",
        "external_id": "SO-1",
        "product_code": "RYE",
        "region_code": "BIBERACH",
        "node_code": "OVEN-ULM",
        "forecast_id": forecast,
        "plan_id": plan,
        "other_plan_id": first,
        "run_id": plan,
        "assignment_id": line,
        "shortfall_id": short,
        "need_id": 1,
        "webhook_id": webhook,
        "delivery_id": delivery,
        "verification_id": ran(http, f"/v1/plans/{plan}/verify"),
        "confirmation_id": ran(http, f"/v1/plans/{plan}/assignments/{line}/confirm", BODIES["confirmReason"]),
        "remedy_id": ran(http, f"/v1/plans/{plan}/shortfalls/{short}/remedy"),
        "import_id": imported(http, "/v1/open-supply", BODIES["addOpenSupply"]),
        "preview_id": ran(http, "/v1/policies/previews", BODIES["previewPolicies"]),
    }


def own_identities(http: httpx.Client, receiver: str) -> dict[str, Json]:
    """Make what single operations need for themselves, as they end or decide it; by operation id."""
    keys = [
        answered(http.post("/v1/keys", json={"name": name, "scopes": ["read"]}))["key_id"]
        for name in ("old", "worn")
    ]
    webhook = answered(http.post("/v1/webhooks", json={"url": receiver, "events": ["plan.failed"]}))
    waiting = answered(http.get("/v1/buffer-proposals", params={"status": "open"}))["items"]
    assert len(waiting) == 2
    accepted, discarded = (proposal["proposal_id"] for proposal in waiting)
    for proposal, decision in ((accepted, "accept"), (discarded, "discard")):
        # At once: the next plan supersedes what is open. Decided again, nothing changes.
        answered(http.post(f"/v1/buffer-proposals/{proposal}/{decision}", headers={"If-Match": "*"}))
    retired = dict.fromkeys(("retireProduct", "retireRegion", "retireNode", "forbidLane"), RETIRED)
    return {
        **{operation: in_path(identity) for operation, identity in retired.items()},
        "retireWebhook": in_path({"webhook_id": webhook["webhook_id"]}),
        "retireKey": in_path({"key_id": keys[0]}),
        "rotateKey": in_path({"key_id": keys[1]}),
        **dict.fromkeys(("getBuffer", "listBufferHistory"), in_path({"region_code": BUFFERED[0]})),
        "getOpenSupplyHistory": in_path({"source": "erp", "external_id": "PO-3"}),
        "getBufferProposal": in_path({"proposal_id": accepted}),
        "acceptBufferProposal": in_path({"proposal_id": accepted}),
        "discardBufferProposal": in_path({"proposal_id": discarded}),
    }


def in_path(known: Json) -> Json:
    return {f"path.{name}": value for name, value in known.items()}


def inline(values: Json) -> str:
    """Write a table of TOML in one line."""
    return (
        "{" + ", ".join(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in values.items()) + "}"
    )


def configuration(service: Service, known: Json, own: dict[str, Json]) -> str:
    """Complete schemathesis' configuration with what this service holds."""
    there = "".join(
        f"[[operations]]\ninclude-operation-id = {json.dumps(operation)}\nparameters = {inline(parameters)}\n"
        for operation, parameters in own.items()
    )
    names = "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in in_path(known).items())
    rules = (HERE / "schemathesis.toml").read_text()
    if os.environ.get("PULLPLAN_TEST_DRAWS") == "random":  # minutes longer
        rules = rules.replace('mode = "positive"', 'mode = "all"')
    head = f"base-url = {json.dumps(service.url)}\n"
    key = f"[headers]\nAuthorization = {json.dumps(f'Bearer {service.key}')}\n"
    return f"{head}{rules}\n{there}\n[parameters]\n{names}\n{key}"


def table(counted: dict[str, dict[str, int]]) -> list[tuple[int, int, str]]:
    """List every operation of the document: how often it succeeded, how often it was asked, its name."""
    operations = [
        f"{method.upper()} {path}" for path, item in openapi.document()["paths"].items() for method in item
    ]
    return [
        (
            sum(n for status, n in counted.get(operation, {}).items() if status.startswith("2")),
            sum(counted.get(operation, {}).values()),
            operation,
        )
        for operation in operations
    ]


def test_schemathesis_finds_nothing_and_every_operation_succeeds(
    open_service: Service, receiver: str, tmp_path: Path
):
    with calling(open_service) as http:
        load(http)
        known = identities(http, receiver)
        own = own_identities(http, receiver)
    (tmp_path / "schemathesis.toml").write_text(configuration(open_service, known, own))
    counted = tmp_path / "counted.json"
    found = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "--config-file", "schemathesis.toml"),
            *("run", packaged("openapi") / "openapi.yaml"),
        ],
        cwd=tmp_path,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "two_hundreds",
            "PYTHONPATH": str(HERE),
            "COUNTED_IN": str(counted),
            "URL": open_service.url,
            "KEY": open_service.key,
            "DISCARDED": own["discardBufferProposal"]["path.proposal_id"],
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = table(json.loads(counted.read_text()))
    SHOWN.parent.mkdir(exist_ok=True)
    SHOWN.write_text("".join(f"{good:6} of {asked:6}  {operation}\n" for good, asked, operation in lines))
    print(found.stdout[-4000:], SHOWN.read_text())  # noqa: T201 - `make operations` shows it
    assert found.returncode == 0, found.stdout[-20000:]
    assert [operation for good, _, operation in lines if good == 0] == []
