"""Is every demanded unit of a plan exactly one of: stock, open supply, a new assignment, a shortfall?"""

import random
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from tests.api.accounts import items, worked_out
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network

from pullplan.engine.model import PlanRequest
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio

PAIRS = [(product, region) for product in ("BREAD", "CAKE", "ROLL") for region in ("NORTH", "SOUTH", "WEST")]


async def send(client: httpx.AsyncClient, path: str, rows: list[dict[str, Any]]) -> None:
    """Send the newest word on each source and external id, in as many batches as it takes."""
    batches: list[dict[tuple[str, str], dict[str, Any]]] = []
    for row in rows:
        key = (row["source"], row["external_id"])
        batch = next((b for b in batches if key not in b), None)
        if batch is None:
            batches.append(batch := {})
        batch[key] = row
    for batch in batches:
        answer = await client.post(
            path,
            content=msgspec.json.Encoder().encode_lines(list(batch.values())),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text


def at(days: float) -> str:
    """Name an instant so many days after as_of."""
    return (AS_OF + timedelta(days=days)).isoformat()


def day(days: int) -> str:
    return str((AS_OF + timedelta(days=days)).date())


class Book:
    """Orders, leads, counts and supply of many pairs, as callers send and amend them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.signals: list[dict[str, Any]] = []
        self.counts: list[dict[str, Any]] = []
        self.supply: list[dict[str, Any]] = []
        for product_code, region_code in PAIRS:
            pair = {"product_code": product_code, "region_code": region_code, "source": "erp"}
            name = f"{product_code}-{region_code}"
            for n in range(self._chance.randrange(6)):
                self._order(pair | {"external_id": f"order-{name}-{n}"})
            for n in range(self._chance.randrange(3)):
                lead = {
                    "kind": "lead",
                    "units": self._units(),
                    "probability": self._chance.choice((0.3, 0.5, 0.9)),
                }
                more = {"occurred_at": at(-2), "due_date": day(self._chance.randrange(40))}
                self.signals.append(pair | {"external_id": f"lead-{name}-{n}"} | lead | more)
            for n in range(self._chance.randrange(3)):
                count = {"counted_at": at(self._chance.uniform(-9, 1)), "on_hand_units": self._units() - 20}
                blocked = {"reserved_units": self._chance.choice((0.0, 5.0)), "blocked_units": 1.5}
                self.counts.append(pair | {"external_id": f"count-{name}-{n}"} | count | blocked)
            for n in range(self._chance.randrange(4)):
                self._supply(pair | {"external_id": f"supply-{name}-{n}"})

    def _units(self) -> float:
        return round(self._chance.uniform(1, 90), 2)

    def _order(self, order: dict[str, Any]) -> None:
        """Place an order, then amend it, ship it in part or whole, before or after as_of, and perhaps cancel the rest."""
        order |= {"kind": "order", "units": self._units(), "priority": self._chance.randrange(2)}
        order |= {
            "occurred_at": at(-self._chance.uniform(0.1, 20)),
            "due_date": day(self._chance.randrange(-12, 40)),
        }
        self.signals.append(order)
        if self._chance.random() < 0.4:
            order = order | {"units": self._units(), "due_date": day(self._chance.randrange(-12, 40))}
            self.signals.append(order)
        if self._chance.random() < 0.5:
            shipped = round(order["units"] * self._chance.choice((0.25, 0.5, 1.0)), 2)
            order = order | {"shipped_units": shipped, "shipped_at": at(self._chance.uniform(-8, 1))}
            self.signals.append(order)
        if self._chance.random() < 0.25:
            self.signals.append(order | {"cancelled": True})

    def _supply(self, line: dict[str, Any]) -> None:
        """Expect supply, late or beyond the horizon too; receive some of it, and perhaps close the rest."""
        line |= {
            "units": self._units(),
            "due_date": day(self._chance.choice((-30, -14, -3, 0, 2, 6, 13, 20, 60))),
        }
        self.supply.append(line)
        if self._chance.random() < 0.4:
            received = round(line["units"] * self._chance.choice((0.5, 1.0, 1.2)), 2)
            line = line | {"received_units": received, "receipt_at": at(self._chance.uniform(-8, 1))}
            self.supply.append(line)
        if self._chance.random() < 0.2:
            self.supply.append(line | {"closed": True})


async def planned(connection: Connection, url: str, client: httpx.AsyncClient, book: Book) -> UUID:
    """Plan the book over a small network where not everything can be made."""
    roll: list[tuple[str, dict[str, Any]]] = [
        ("products", {"product_code": "ROLL", "weight_kg": 0.1}),
        ("capabilities", {"node_code": "MILL", "product_code": "ROLL", "use_per_unit": {"hours": 6.0}}),
        ("policies", {"product_code": "CAKE", "region_code": "*", "policy": "make_to_order"}),
    ]
    await insert(connection, [*network(), *roll, *demand(30)])
    await send(client, "/v1/demand-signals/batch", book.signals)
    await send(client, "/v1/stock-counts", book.counts)
    await send(client, "/v1/open-supply", book.supply)
    return await computed(connection, url, "plan", PlanRequest(as_of=AS_OF, horizon_buckets=4))


@pytest.mark.parametrize("seed", range(3))
async def test_the_ledger_is_what_the_apis_other_answers_come_to(
    connection: Connection, database_url: str, client: httpx.AsyncClient, seed: int
):
    plan_id = str(await planned(connection, database_url, client, Book(seed)))
    lines = await items(client, f"/v1/plans/{plan_id}/ledger")
    needs = {need["need_id"]: need for need in await items(client, f"/v1/plans/{plan_id}/needs")}
    made: dict[Any, float] = defaultdict(float)
    for a in await items(client, f"/v1/plans/{plan_id}/assignments"):
        made[a["product_code"], a["region_code"], a["need_bucket_date"], a["tier"]] += a["units"]
    short: dict[Any, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for s in await items(client, f"/v1/plans/{plan_id}/shortfalls"):
        need = needs[s["need_id"]]
        cell = need["product_code"], need["region_code"], need["bucket_date"], need["tier"]
        short[cell][s["reason"]] += s["units"]

    expected = await worked_out(client, plan_id)
    seen = set()
    for line in lines:
        cell = line["product_code"], line["region_code"], line["bucket_date"], line["tier"]
        seen.add(cell)
        assert line["assigned_units"] == pytest.approx(made[cell], abs=1e-6)
        assert {s["reason"]: s["units"] for s in line["shortfalls"]} == pytest.approx(short[cell])
        assert line["shortfall_units"] == pytest.approx(sum(short[cell].values()))
        served = sum(line[name] for name in ("from_stock_units", "from_supply_units", "from_buffer_units"))
        served += line["assigned_units"] + line["shortfall_units"]
        assert line["demanded_units"] == pytest.approx(served, abs=1e-6)
        if line["product_code"] == "CAKE":
            assert line["from_buffer_units"] == 0.0
        if line["tier"] != "buffer":
            said = (line["demanded_units"], line["from_stock_units"], line["from_supply_units"])
            assert said == pytest.approx(expected[cell], abs=1e-6), cell
    assert {cell for cell, (units, *_) in expected.items() if units > 1e-6} <= seen
    assert {cell for cell, units in made.items() if units > 0} | short.keys() <= seen
    assert (
        sum(line["from_stock_units"] for line in lines) > 0 < sum(line["from_supply_units"] for line in lines)
    )
    assert short
