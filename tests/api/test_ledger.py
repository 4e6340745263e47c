"""Is every demanded unit of a plan exactly one of: stock, open supply, a new assignment, a shortfall?"""

import asyncio
import random
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.accounts import items, read_accounts, worked_out
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


TO_ORDER = {"product_code": "CAKE", "region_code": "*", "policy": "make_to_order"}


class Book:
    """Orders, leads, consumption, counts and supply of many pairs, as callers send and amend them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.policies = [TO_ORDER]
        self.signals: list[dict[str, Any]] = []
        self.counts: list[dict[str, Any]] = []
        self.supply: list[dict[str, Any]] = []
        self.node_counts: list[dict[str, Any]] = []
        self.pool_km: float | None = None
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
                units = self._units() - 15.0
                sold = {"kind": "consumption", "units": units, "occurred_at": at(-self._chance.uniform(0, 8))}
                returned = {"reason": "return"} if units < 0 else {}
                self.signals.append(pair | {"external_id": f"sold-{name}-{n}"} | sold | returned)
            for n in range(self._chance.randrange(3)):
                count = {"counted_at": at(self._chance.uniform(-9, 1)), "on_hand_units": self._units() - 20}
                blocked = {"reserved_units": self._chance.choice((0.0, 5.0)), "blocked_units": 1.5}
                self.counts.append(pair | {"external_id": f"count-{name}-{n}"} | count | blocked)
            for n in range(self._chance.randrange(4)):
                self._supply(pair | {"external_id": f"supply-{name}-{n}"})

    def draw_more(self) -> None:
        """Let products, regions and pairs pull in any of the ways there are, count what lies at nodes, and let neighbours share."""
        for number in range(self._chance.randrange(9)):
            count = {
                "source": "wms",
                "external_id": str(number),
                "counted_at": at(self._chance.uniform(-9, 1)),
            }
            count |= {"node_code": self._chance.choice(("MILL", "YARD", "DEPOT"))}
            count |= {"product_code": self._chance.choice(("BREAD", "CAKE", "ROLL"))}
            self.node_counts.append(count | {"on_hand_units": self._units() - 9, "blocked_units": 1.5})
        self.pool_km = self._chance.choice((None, 2000.0, 2000.0))
        there, short = self._chance.sample(("NORTH", "SOUTH", "WEST"), 2)
        plenty = "ROLL", there
        wanted = {"product_code": "ROLL", "region_code": short, "source": "erp", "external_id": "many"}
        told = {"kind": "order", "units": 400.0, "occurred_at": at(-1), "due_date": day(9), "priority": 0}
        self.signals.append(wanted | told)  # more than MILL can make
        for product_code, region_code in PAIRS:
            if (
                product_code,
                region_code,
            ) == plenty or self._chance.random() < 0.1:  # more than anybody asks for
                pair = {"product_code": product_code, "region_code": region_code, "source": "inventory"}
                more = {"external_id": f"{product_code}-{region_code}", "counted_at": at(-0.5)}
                self.counts.append(pair | more | {"on_hand_units": 500.0})
        names = ((p, r) for p in ("BREAD", "CAKE", "ROLL", "*") for r in ("NORTH", "SOUTH", "WEST", "*"))
        self.policies = [self._policy(*name) for name in names if self._chance.random() < 0.5]

    def _policy(self, product_code: str, region_code: str) -> dict[str, Any]:
        kind = self._chance.choice(
            ("make_to_order", "base_stock", "minimum_maximum", "do_not_produce", "ddmrp_buffer")
        )
        policy: dict[str, Any] = {"product_code": product_code, "region_code": region_code, "policy": kind}
        if kind == "minimum_maximum":
            least = self._chance.choice((0.0, 8.0, 30.0))
            policy |= {
                "minimum_stock_units": least,
                "maximum_stock_units": least + self._chance.choice((0, 25)),
            }
        return policy | {
            "consume_buckets_back": self._chance.randrange(3),
            "consume_buckets_forward": self._chance.randrange(3),
            "lead_probability_min": self._chance.choice((0.0, 0.5, 0.8)),
            "history_basis": self._chance.choice(("automatic", "consumption", "order")),
        }

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
        shipped_at = -8.0
        while self._chance.random() < 0.5 and order.get("shipped_units", 0.0) < order["units"]:
            left = order["units"] - order.get("shipped_units", 0.0)
            shipped = round(order["units"] - left * self._chance.choice((0.75, 0.5, 0.0)), 2)
            shipped_at = self._chance.uniform(shipped_at, 1.0)
            order = order | {"shipped_units": shipped, "shipped_at": at(shipped_at)}
            self.signals.append(order)
        if self._chance.random() < 0.25:
            self.signals.append(order := order | {"cancelled": True})
        if self._chance.random() < 0.2:
            units = order["units"] + 7.0
            self.signals.append(order | {"cancelled": False, "units": units, "occurred_at": at(0.5)})

    def _supply(self, line: dict[str, Any]) -> None:
        """Expect supply, late or beyond the horizon too; receive some of it, and perhaps close the rest."""
        line |= {
            "units": self._units(),
            "due_date": day(self._chance.choice((-30, -14, -3, 0, 2, 6, 13, 20, 60))),
        }
        if self._chance.random() < 0.4:
            line |= {"work_order_id": f"work of {line['external_id']}"}
        self.supply.append(line)
        came, receipt_at = 0.0, -8.0
        while self._chance.random() < 0.5 and came < line["units"]:
            came = round(came + line["units"] * self._chance.choice((0.3, 0.6, 1.0)), 2)
            receipt_at = self._chance.uniform(receipt_at, 1)
            line = line | {"received_units": came, "receipt_at": at(receipt_at)}
            self.supply.append(line)
        if self._chance.random() < 0.2:
            self.supply.append(line | {"closed": True})


ROLL: list[tuple[str, dict[str, Any]]] = [
    ("products", {"product_code": "ROLL", "weight_kg": 0.1}),
    ("capabilities", {"node_code": "MILL", "product_code": "ROLL", "use_per_unit": {"hours": 6.0}}),
]


async def planned(connection: Connection, url: str, client: httpx.AsyncClient, book: Book) -> UUID:
    """Plan the book over a small network where not everything can be made."""
    await insert(connection, [*network(), *ROLL])
    return await planned_there(connection, url, client, book)


async def planned_there(connection: Connection, url: str, client: httpx.AsyncClient, book: Book) -> UUID:
    """Plan the book over the network that is there."""
    await insert(connection, demand(30))
    answer = await client.put("/v1/policies", json=book.policies)
    assert answer.status_code == 200, answer.text
    await send(client, "/v1/demand-signals/batch", book.signals)
    await send(client, "/v1/stock-counts", book.counts)
    await send(client, "/v1/open-supply", book.supply)
    await send(client, "/v1/node-stock-counts", book.node_counts)
    return await computed(
        connection,
        url,
        "plan",
        PlanRequest(as_of=AS_OF, horizon_buckets=4, verify=True, pool_regions_within_km=book.pool_km),
    )


async def test_an_order_of_two_sources_is_two_orders_and_one_placed_past_its_day_is_demanded_at_once(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(
        connection,
        [*network(), ("policies", {"product_code": "*", "region_code": "*", "policy": "make_to_order"})],
    )
    order = {
        "external_id": "o",
        "kind": "order",
        "product_code": "BREAD",
        "region_code": "NORTH",
        "units": 4.0,
    }
    order |= {"due_date": day(-3), "occurred_at": at(-1)}
    corrected = order | {"source": "erp", "units": 5.0, "occurred_at": at(-2)}
    await send(
        client, "/v1/demand-signals/batch", [order | {"source": "erp"}, order | {"source": "shop"}, corrected]
    )
    plan_id = await computed(connection, database_url, "plan", PlanRequest(as_of=AS_OF, horizon_buckets=2))
    [line] = await items(client, f"/v1/plans/{plan_id}/ledger")
    assert (line["bucket_date"], line["demanded_units"], line["assigned_units"]) == ("2024-06-03", 9.0, 9.0)


async def test_a_count_stands_against_what_was_expected_and_nothing_before_it_is_corrected(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), ("policies", TO_ORDER | {"product_code": "*"})])
    pair = {"product_code": "BREAD", "region_code": "NORTH", "source": "erp"}
    sold = {"kind": "consumption", "units": 30.0, "occurred_at": at(-3)}
    ordered = {"kind": "order", "units": 100.0, "due_date": day(2), "occurred_at": at(-4)}
    await send(
        client,
        "/v1/demand-signals/batch",
        [
            pair | {"external_id": "sold"} | sold,
            pair | {"external_id": "sold since"} | sold | {"units": 2.0, "occurred_at": at(-0.5)},
            pair | {"external_id": "o"} | ordered,
        ],
    )
    # 50 counted, 30 sold and 20 received: 40 are expected, and 7 are found.
    came = {"units": 20.0, "received_units": 20.0, "receipt_at": at(-2), "due_date": day(-2)}
    await send(client, "/v1/open-supply", [pair | {"external_id": "s"} | came])
    for name, days_ago, units in (("found", 1, 7.0), ("before", 5, 50.0)):
        count = {"external_id": name, "counted_at": at(-days_ago), "on_hand_units": units}
        await send(client, "/v1/stock-counts", [pair | count])
    for days, on_hand in ((-1.5, 40.0), (0.0, 5.0)):
        request = PlanRequest(as_of=AS_OF + timedelta(days=days), horizon_buckets=2)
        plan_id = await computed(connection, database_url, "plan", request)
        [line] = await items(client, f"/v1/plans/{plan_id}/ledger")
        assert (line["from_stock_units"], line["assigned_units"]) == (on_hand, 100.0 - on_hand)


async def test_a_revision_that_occurred_before_those_it_follows_takes_their_place_from_then_on(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(
        connection,
        [*network(), ("policies", {"product_code": "*", "region_code": "*", "policy": "make_to_order"})],
    )
    order = {
        "external_id": "o",
        "source": "erp",
        "kind": "order",
        "product_code": "BREAD",
        "region_code": "NORTH",
    }
    told = [(1.0, -9), (2.0, -3), (4.0, -6), (8.0, 1)]
    rows = [order | {"units": units, "due_date": day(2), "occurred_at": at(days)} for units, days in told]
    await send(client, "/v1/demand-signals/batch", rows)
    for days, units in ((-8, 1.0), (-5, 4.0), (0, 4.0), (2, 8.0)):
        request = PlanRequest(as_of=AS_OF + timedelta(days=days), horizon_buckets=2)
        plan_id = await computed(connection, database_url, "plan", request)
        lines = await items(client, f"/v1/plans/{plan_id}/ledger")
        assert [line["demanded_units"] for line in lines] == [units], days


async def test_the_ledger_is_what_the_apis_other_answers_come_to(
    connection: Connection, database_url: str, client: httpx.AsyncClient
):
    await insert(connection, [*network(), *ROLL])
    loop = asyncio.get_running_loop()
    sources = dict.fromkeys(
        (
            *("from_stock_units", "from_supply_units", "from_buffer_units", "from_node_stock_units"),
            "from_region_stock_units",
            "assigned_units",
            "shortfall_units",
        ),
        0.0,
    )

    async def try_book(seed: int) -> None:
        await connection.execute(
            "TRUNCATE demand_signals, stock_counts, open_supply, open_supply_revisions, policies, node_stock_counts"
        )
        book = Book(seed)
        book.draw_more()
        plan_id = str(await planned_there(connection, database_url, client, book))
        for name, units in (await hold(client, plan_id)).items():
            sources[name] += units

    @settings(
        max_examples=8,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.integers(0, 2**32))
    def try_books(seed: int) -> None:
        asyncio.run_coroutine_threadsafe(try_book(seed), loop).result()

    await asyncio.to_thread(try_books)
    assert min(sources.values()) > 0, sources


async def there_by_count(client: httpx.AsyncClient) -> dict[Any, float]:
    """Tell what the last count before as_of found at nodes that may be sent."""
    found: dict[Any, float] = defaultdict(float)
    counts = await items(client, "/v1/node-stock-counts")
    for count in sorted(counts, key=lambda count: count["counted_at"]):
        if datetime.fromisoformat(count["counted_at"]) <= AS_OF:
            units = count["on_hand_units"] - count["reserved_units"] - count["blocked_units"]
            found[count["node_code"], count["product_code"]] = max(0.0, units)
    return found


async def lines_told_apart(client: httpx.AsyncClient, plan_id: str) -> list[dict[Any, float]]:
    """Add up by cell what a plan makes, sends from nodes, and sends from other regions, last where that leaves."""
    made, sent, received, left = found = [defaultdict[Any, float](float) for _ in range(4)]
    stored = await there_by_count(client)
    for a in await items(client, f"/v1/plans/{plan_id}/assignments"):
        cell = a["product_code"], a["region_code"], a["need_bucket_date"], a["tier"]
        place = a["node_code"].rpartition(")")[2]
        assert (a["kind"] == "transfer") == (place != a["node_code"])
        if a["node_code"].startswith("(region)"):
            received[cell] += a["units"]
            left[a["product_code"], place, a["start_bucket_date"], a["tier"]] += a["units"]
        elif a["kind"] == "transfer":
            sent[cell] += a["units"]
            stored[place, a["product_code"]] -= a["units"]
        else:
            made[cell] += a["units"]
    assert all(units > -1e-6 for units in stored.values())
    return list(map(dict, found))


async def hold(client: httpx.AsyncClient, plan_id: str) -> dict[str, float]:
    """Hold every line of a plan's ledger against the API's other answers; tell what each source gives in all."""
    lines = await items(client, f"/v1/plans/{plan_id}/ledger")
    needs = {need["need_id"]: need for need in await items(client, f"/v1/plans/{plan_id}/needs")}
    made, sent, received, left = await lines_told_apart(client, plan_id)
    short: dict[Any, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for s in await items(client, f"/v1/plans/{plan_id}/shortfalls"):
        need = needs[s["need_id"]]
        cell = need["product_code"], need["region_code"], need["bucket_date"], need["tier"]
        short[cell][s["reason"]] += s["units"]

    plan = (await client.get(f"/v1/plans/{plan_id}")).json()
    accounts = await read_accounts(client, plan)
    expected = await worked_out(client, plan, accounts)
    given_out: dict[Any, float] = defaultdict(float)
    seen = set()
    sums: dict[str, float] = defaultdict(float)
    for line in lines:
        cell = line["product_code"], line["region_code"], line["bucket_date"], line["tier"]
        seen.add(cell)
        assert line["assigned_units"] == pytest.approx(made.get(cell, 0.0), abs=1e-6)
        assert line["from_node_stock_units"] == pytest.approx(sent.get(cell, 0.0), abs=1e-6)
        assert line["from_region_stock_units"] == pytest.approx(received.get(cell, 0.0), abs=1e-6)
        assert line["sent_to_regions_units"] == pytest.approx(left.get(cell, 0.0), abs=1e-6)
        given_out[cell[:2]] += line["from_stock_units"] + line["sent_to_regions_units"]
        assert {s["reason"]: s["units"] for s in line["shortfalls"]} == pytest.approx(short[cell])
        assert line["shortfall_units"] == pytest.approx(sum(short[cell].values()))
        sources = {
            name: line[name]
            for name in (
                *("from_stock_units", "from_supply_units", "from_buffer_units", "from_node_stock_units"),
                "from_region_stock_units",
                *("assigned_units", "shortfall_units"),
            )
        }
        assert line["demanded_units"] == pytest.approx(sum(sources.values()), abs=1e-6)
        for name, units in sources.items():
            sums[name] += units
        if line["tier"] != "buffer":
            said = (line["demanded_units"], line["from_stock_units"], line["from_supply_units"])
            for units, paper in zip(said, expected.get(cell, (0.0, 0.0, 0.0)), strict=True):
                assert paper is None or units == pytest.approx(paper, abs=1e-6), cell
        else:
            assert line["from_stock_units"] + line["from_supply_units"] + line["from_buffer_units"] == 0.0
    assert {cell for cell, (units, *_) in expected.items() if units > 1e-6} <= seen
    assert {
        cell for cell, units in (made | sent | received | left).items() if units > 0
    } | short.keys() <= seen
    for pair, units in given_out.items():
        assert units <= max(0.0, accounts.on_hand(pair)) + 1e-6
    needing = {(need["product_code"], need["region_code"]) for need in needs.values()}
    assert needing.isdisjoint(cell[:2] for cell in left)
    totals = (await client.get(f"/v1/plans/{plan_id}/ledger-totals?totalled_by=all")).json()["items"]
    for total in totals:
        assert {name: total[name] for name in sums} == pytest.approx(sums, abs=1e-4)
        assert total["sent_to_regions_units"] == pytest.approx(total["from_region_stock_units"], abs=1e-4)
        assert total["unaccounted_units"] == pytest.approx(0.0, abs=1e-4)
    return sums
