"""What must a plan's ledger say, worked out with paper and pencil from the API's other answers alone?"""

from collections import defaultdict, deque
from datetime import date, datetime, timedelta
from typing import Any

import httpx

type Pair = tuple[str, str]
type Cell = tuple[str, str, str, str]
"""Product, region, first day of the bucket, tier."""
type Row = dict[str, Any]
type Revisions = list[Row]
"""Of one signal, the first one first."""
type Demand = dict[str, dict[int, float]]
"""Units by tier and bucket, −1: past due."""

WEEK = timedelta(days=7)
TIERS = ("order", "lead", "forecast")


async def items(client: httpx.AsyncClient, path: str, limit: int = 400) -> list[Row]:
    """Read a list page by page."""
    found: list[Row] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = await client.get(path, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def worked_out(client: httpx.AsyncClient, plan_id: str) -> dict[Cell, tuple[float, float, float]]:
    """Tell of each cell what is demanded, and how much of it stock and open supply give.

    Of tier `buffer` nothing is told: what targets want filled up is no signal's. Weekly plans, in UTC.
    """
    plan = (await client.get(f"/v1/plans/{plan_id}")).json()
    names = ("stock-counts", "open-supply", "policies")
    signals: list[Revisions] = []
    for signal in await items(client, "/v1/demand-signals"):
        path = f"/v1/demand-signals/{signal['source']}/{signal['external_id']}/history"
        told = (await client.get(path)).json()["items"] if signal["revision"] > 1 else [signal]
        signals.append(told)
    accounts = _Accounts(plan, signals, *[await items(client, f"/v1/{name}") for name in names])
    means: dict[Pair, list[float]] = defaultdict(list)
    if plan["forecast_id"] is not None:
        for value in await items(client, f"/v1/forecasts/{plan['forecast_id']}/values"):
            means[pair_of(value)].append(value["mean_units"])
    cells: dict[Cell, tuple[float, float, float]] = {}
    for pair, demand in accounts.demand(means).items():
        there = deque([["stock", accounts.on_hand(pair)]])
        for b in range(plan["horizon_buckets"]):
            there.append(["supply", accounts.receipts(pair, b)])
            for tier in TIERS:
                units = demand[tier].get(b, 0.0) + (demand[tier].get(-1, 0.0) if b == 0 else 0.0)
                cells[*pair, str(accounts.first + b * WEEK), tier] = (units, *_take(there, units))
    return cells


def pair_of(row: Row) -> Pair:
    return row["product_code"], row["region_code"]


class _Accounts:
    """What callers have said until as_of, and what follows for one product × region."""

    def __init__(
        self, plan: Row, signals: list[Revisions], counts: list[Row], supply: list[Row], policies: list[Row]
    ) -> None:
        self._as_of = datetime.fromisoformat(plan["as_of"])
        self.first = date.fromisoformat(plan["first_bucket_date"])
        self._overdue_days = plan["parameters"]["overdue_days"]
        true = [[r for r in told if self._happened(r["occurred_at"])] for told in signals]
        self._revisions = {(told[-1]["source"], told[-1]["external_id"]): told for told in true if told}
        self._signals = [told[-1] for told in self._revisions.values()]
        self._counts, self._supply = counts, supply
        self._to_order = {pair_of(policy) for policy in policies if policy["policy"] == "make_to_order"}

    def demand(self, means: dict[Pair, list[float]]) -> dict[Pair, Demand]:
        """Add up what is open of orders, qualifying leads, and what both leave of the forecast of their own bucket."""
        demand: dict[Pair, Demand] = defaultdict(lambda: {tier: defaultdict(float) for tier in TIERS})
        for signal in self._signals:
            if signal["kind"] in ("order", "lead") and not signal["cancelled"]:
                bucket = self._bucket_of(signal["due_date"])
                demand[pair_of(signal)][signal["kind"]][bucket] += self._open_units(signal)
        for pair, of_pair in means.items():
            if self._to_order & {pair, (pair[0], "*"), ("*", pair[1]), ("*", "*")}:
                continue
            of_pair[0] *= (7 - (self._as_of.date() - self.first).days) / 7
            tiers = demand[pair]
            for b, mean in enumerate(of_pair):
                taken = tiers["order"].get(b, 0.0) + tiers["lead"].get(b, 0.0)
                tiers["forecast"][b] = max(0.0, mean - taken)
        return demand

    def on_hand(self, pair: Pair) -> float:
        """Take the last count, less what went out since by the one history that counts, and what came."""
        counted = [c for c in self._counts if pair_of(c) == pair and self._happened(c["counted_at"])]
        if not counted:
            return 0.0
        last = max(
            counted, key=lambda c: (datetime.fromisoformat(c["counted_at"]), c["source"], c["external_id"])
        )
        of_pair = [s for s in self._signals if pair_of(s) == pair]
        consumed = [s for s in of_pair if s["kind"] == "consumption"]
        if consumed:
            issues = sum(s["units"] for s in consumed if self._since(last, s["occurred_at"]))
        else:
            counted_at = datetime.fromisoformat(last["counted_at"])
            orders = [s for s in of_pair if s["kind"] == "order"]
            issues = sum(self._shipped(s, self._as_of) - self._shipped(s, counted_at) for s in orders)
        received = sum(
            s["received_units"]
            for s in self._supply
            if pair_of(s) == pair and self._since(last, s["receipt_at"])
        )
        counted_units = last["on_hand_units"] - last["reserved_units"] - last["blocked_units"]
        return float(counted_units - issues + received)

    def receipts(self, pair: Pair, bucket: int) -> float:
        """Add up open supply that counts in a bucket: what is overdue in the first, for a while."""
        units = 0.0
        for line in self._supply:
            received = line["received_units"] if self._happened(line["receipt_at"]) else 0.0
            overdue = (self._as_of.date() - date.fromisoformat(line["due_date"])).days
            if pair_of(line) == pair and not line["closed"] and overdue <= self._overdue_days:
                is_due = max(0, self._bucket_of(line["due_date"])) == bucket
                units += max(0.0, line["units"] - received) * is_due
        return units

    def _open_units(self, signal: Row) -> float:
        units: float = signal["units"]
        if signal["kind"] == "lead":
            return units * float(signal["probability"]) if signal["probability"] >= 0.5 else 0.0
        return max(0.0, units - self._shipped(signal, self._as_of))

    def _shipped(self, order: Row, instant: datetime) -> float:
        """Tell what the latest revision says that speaks of no later shipment."""
        for said in reversed(self._revisions[order["source"], order["external_id"]]):
            if said["shipped_at"] is None or datetime.fromisoformat(said["shipped_at"]) <= instant:
                return float(said["shipped_units"] or 0.0)
        return 0.0

    def _bucket_of(self, day: str) -> int:
        due = date.fromisoformat(day)
        return -1 if due < self._as_of.date() else (due - self.first) // WEEK

    def _happened(self, instant: str | None) -> bool:
        return instant is not None and datetime.fromisoformat(instant) <= self._as_of

    def _since(self, count: Row, instant: str | None) -> bool:
        counted_at = datetime.fromisoformat(count["counted_at"])
        return instant is not None and counted_at < datetime.fromisoformat(instant) <= self._as_of


def _take(there: deque[list[Any]], wanted: float) -> tuple[float, float]:
    """Take units of stock and of supply from the oldest that is there; what is below nothing is made up by what comes next."""
    given = {"stock": 0.0, "supply": 0.0}
    while len(there) > 1 and there[0][1] <= 0:
        hole = there.popleft()[1]
        there[0][1] += hole
    for layer in there:
        taken = max(0.0, min(wanted, layer[1]))
        layer[1] -= taken
        wanted -= taken
        given[layer[0]] += taken
    return given["stock"], given["supply"]
