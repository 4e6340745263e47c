"""From nothing to assignments with the client that openapi-python-client makes. Run by test_generated_clients.py."""

import os
from datetime import UTC, datetime, timedelta

from pullplan_client import AuthenticatedClient
from pullplan_client.api.demand import add_demand_signal
from pullplan_client.api.network import (
    load_capabilities,
    load_capacity,
    load_nodes,
    load_products,
    load_regions,
)
from pullplan_client.api.plans import get_plan, list_plan_assignments, start_plan
from pullplan_client.models import (
    CapabilityRow,
    CapabilityRowUsePerUnit,
    NodeRow,
    Order,
    OrderKind,
    PageAssignmentRow,
    PlanRequest,
    Problem,
    ProductRow,
    RegionRow,
    Report,
    ResourceRow,
    Run,
    RunState,
    SignalShown,
    StoredPlan,
)

client = AuthenticatedClient(os.environ["PULLPLAN_URL"], os.environ["PULLPLAN_KEY"])

use = CapabilityRowUsePerUnit.from_dict({"kiln_hours": 0.5})
for report in (
    load_products.sync(client=client, body=[ProductRow("CUP", weight_kg=0.4)]),
    load_regions.sync(client=client, body=[RegionRow("GHENT", latitude=51.05, longitude=3.72)]),
    load_nodes.sync(client=client, body=[NodeRow("KILN-BRUGGE", latitude=51.21, longitude=3.22)]),
    load_capacity.sync(client=client, body=[ResourceRow("kiln_hours", 24, "KILN-BRUGGE")]),
    load_capabilities.sync(client=client, body=[CapabilityRow("CUP", "KILN-BRUGGE", use_per_unit=use)]),
):
    assert isinstance(report, Report), report
    assert report.refused == 0

now = datetime.now(UTC)
order = Order(
    kind=OrderKind.ORDER,
    source="python",
    external_id="1",
    product_code="CUP",
    region_code="GHENT",
    units=7,
    occurred_at=now,
    due_date=(now + timedelta(days=7)).date(),
)
signal = add_demand_signal.sync(client=client, body=order)
assert isinstance(signal, SignalShown), signal
assert (signal.units, signal.revision) == (7, 1)

order.product_code = "NONE"
order.external_id = "2"
refused = add_demand_signal.sync(client=client, body=order)
assert isinstance(refused, Problem), refused
assert refused.code == "lines-refused"

run = start_plan.sync(client=client, body=PlanRequest(horizon_buckets=4), prefer="wait=30")
assert isinstance(run, Run), run
assert (run.state, run.problem) == (RunState.SUCCEEDED, None)
plan = get_plan.sync(run.run_id, client=client)
assert isinstance(plan, StoredPlan), plan
page = list_plan_assignments.sync(plan.plan_id, client=client, product_code="CUP")
assert isinstance(page, PageAssignmentRow), page
assert (page.next_cursor, {line.node_code for line in page.items}) == (None, {"KILN-BRUGGE"})
print(f"{sum(line.units for line in page.items):g} cups at KILN-BRUGGE")
