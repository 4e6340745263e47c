"""Can a planner recompute a need with a pencil, from what the API says of it?"""

from collections import defaultdict
from typing import Any

import httpx
import pytest
from tests.api.accounts import items
from tests.api.test_buffers import BUFFER, counted, used
from tests.api.test_ledger import Book, planned
from tests.computing import computed
from tests.seeding import AS_OF, insert, network

from pullplan.engine.model import PlanRequest
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


def recomputed_units(shown: dict[str, Any]) -> dict[str, float]:
    """Net bucket by bucket, as the answer's own rules say; by first day, what is left to be made."""
    demanded: dict[tuple[str, str], float] = defaultdict(float)
    for signal in shown["signals"]:
        units = signal["units"] - signal["shipped_units"]
        if signal["kind"] == "lead":
            units = signal["units"] * signal["probability"]
        if signal["bucket_date"] is not None:
            assert signal["demanded_units"] == pytest.approx(units)
            demanded[signal["bucket_date"], signal["kind"]] += units
    receipts: dict[str, float] = defaultdict(float)
    for line in shown["supply"]:
        if line["bucket_date"] is not None:
            receipts[line["bucket_date"]] += line["units"]
    stock = shown["stock"]
    issues = stock[f"{'consumed' if stock['history_basis'] == 'consumption' else 'shipped'}_units_since"]
    there = stock["count_units"] - issues + stock["received_units_since"]
    assert stock["on_hand_units"] == pytest.approx(there)
    held = there  # of which nothing is still to be made
    needed: dict[str, float] = {}
    for bucket in shown["buckets"]:
        day = bucket["bucket_date"]
        assert bucket["order_units"] == pytest.approx(demanded[day, "order"])
        assert bucket["lead_units"] == pytest.approx(demanded[day, "lead"])
        assert bucket["receipts_units"] == pytest.approx(receipts[day])
        past_due = sum(
            s["demanded_units"]
            for s in shown["signals"]
            if s["bucket_date"] == day and "past due" in s["rule"]
        )
        taken = bucket["order_units"] + bucket["lead_units"] - past_due
        forecast = max(0.0, bucket["forecast_mean_units"] * bucket["to_come_share"] - taken)
        assert bucket["forecast_units"] == pytest.approx(forecast, abs=1e-6)
        comes = receipts[day] + bucket["awaited_units"]
        there, held = there + comes, held + comes
        gross = bucket["order_units"] + bucket["lead_units"] + forecast
        given = sum(bucket[f"from_{source}_units"] for source in ("stock", "supply", "buffer"))
        spare = there - bucket["target_units"]
        assert given == pytest.approx(min(gross, max(0.0, held, spare)), abs=1e-6)
        there, held = there - given, held - min(gross, max(0.0, held))
        refill = max(0.0, bucket["target_units"] - there)
        if shown["buffer"] is None:
            assert bucket["buffer_units"] == pytest.approx(refill, abs=1e-6)
        there += refill
        needed[day] = gross - given + bucket["buffer_units"]
        assert bucket["need_units"] == pytest.approx(needed[day], abs=1e-6)
    return needed


async def test_every_need_can_be_recomputed_by_hand(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    plan_id = await planned(connection, database_url, client, Book(1))
    path = f"/v1/plans/{plan_id}/needs"
    of_pair: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for need in await items(client, path):
        of_pair[need["product_code"], need["region_code"]].append(need)
    assert len(of_pair) >= 5
    for needs in of_pair.values():
        shown = (await client.get(f"{path}/{needs[-1]['need_id']}")).json()
        assert shown["need"] == needs[-1]
        expected: dict[str, float] = defaultdict(float)
        for need in needs:
            expected[need["bucket_date"]] += need["units"]
        found = {day: units for day, units in recomputed_units(shown).items() if units > 1e-5}
        assert found == pytest.approx(dict(expected), abs=1e-5)
        is_to_order = shown["need"]["product_code"] == "CAKE"
        assert shown["policy"]["policy"] == ("make_to_order" if is_to_order else "base_stock")
        has_forecast = any(bucket["forecast_mean_units"] > 0 for bucket in shown["buckets"])
        assert shown["protection_days"] is not None or not has_forecast


async def test_the_need_of_a_buffer_comes_with_the_buffers_own_derivation(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", BUFFER), *used(), counted(10.0)])
    request = PlanRequest(as_of=AS_OF, horizon_buckets=4)
    plan_id = await computed(connection, database_url, "plan", request)
    shown = (await client.get(f"/v1/plans/{plan_id}/needs/1")).json()
    listed = (await client.get(f"/v1/plans/{plan_id}/buffers")).json()["items"]
    assert [shown["buffer"]] == listed
    assert shown["lead_days"] == shown["buffer"]["lead_days"]
    assert sum(recomputed_units(shown).values()) == pytest.approx(
        sum(shown["buffer"]["projected_order_units"])
    )


async def test_a_need_that_no_plan_has_is_unknown(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, network())
    plan_id = await computed(connection, database_url, "plan", PlanRequest(as_of=AS_OF, horizon_buckets=2))
    for need_id in (1, 99):
        answer = await client.get(f"/v1/plans/{plan_id}/needs/{need_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "resource-unknown")
