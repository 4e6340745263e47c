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
DEFAULT_POLICY: Row = {
    "policy": "base_stock",
    "consume_buckets_back": 0,
    "consume_buckets_forward": 0,
    "lead_probability_min": 0.5,
    "history_basis": "automatic",
}


async def items(client: httpx.AsyncClient, path: str, limit: int = 400, **params: str) -> list[Row]:
    """Read a list page by page."""
    found: list[Row] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = await client.get(path, params={"limit": limit, **params, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def worked_out(
    client: httpx.AsyncClient, plan: Row, accounts: "Accounts"
) -> dict[Cell, tuple[float, float | None, float | None]]:
    """Tell of each cell what is demanded, and how much of it stock and open supply give.

    Of tier `buffer` nothing is told: what targets want filled up is no signal's. None: it hangs on a target, as orders wait
    for work that no target needs. Weekly plans, in UTC.
    """
    means: dict[Pair, list[float]] = defaultdict(list)
    if plan["forecast_id"] is not None:
        for value in await items(client, f"/v1/forecasts/{plan['forecast_id']}/values"):
            means[pair_of(value)].append(value["mean_units"])
    cells: dict[Cell, tuple[float, float | None, float | None]] = {}
    for pair, demand in accounts.demand(means).items():
        due = [[_due(demand[tier], b) for tier in TIERS] for b in range(plan["horizon_buckets"])]
        receipts = accounts.receipts_waited_for(pair, due)
        receipts_known = accounts.is_without_target(pair) or not accounts.has_work(pair)
        there = deque([["stock", accounts.on_hand(pair)]])
        for b, of_bucket in enumerate(due):
            there.append(["supply", receipts[b]])
            for tier, units in zip(TIERS, of_bucket, strict=True):
                given = _take(there, units)
                cells[*pair, str(accounts.first + b * WEEK), tier] = (
                    units,
                    *(given if receipts_known else (None, None)),
                )
    return cells


async def read_accounts(client: httpx.AsyncClient, plan: Row) -> "Accounts":
    """Read all that callers have told of demand, stock and supply."""
    names = ("stock-counts", "policies")
    signals: list[Revisions] = []
    for signal in await items(client, "/v1/demand-signals"):
        path = f"/v1/demand-signals/{signal['source']}/{signal['external_id']}/history"
        told = (await client.get(path)).json()["items"] if signal["revision"] > 1 else [signal]
        signals.append(told)
    supply: list[Revisions] = []
    for line in await items(client, "/v1/open-supply"):
        path = f"/v1/open-supply/{line['source']}/{line['external_id']}/history"
        supply.append((await client.get(path)).json()["items"] if line["revision"] > 1 else [line])
    counts, policies = [await items(client, f"/v1/{name}") for name in names]
    return Accounts(plan, signals, counts, supply, policies)


def _due(units: dict[int, float], bucket: int) -> float:
    return units.get(bucket, 0.0) + (units.get(-1, 0.0) if bucket == 0 else 0.0)


def pair_of(row: Row) -> Pair:
    return row["product_code"], row["region_code"]


class Accounts:
    """What callers have said until as_of, and what follows for one product × region."""

    def __init__(
        self,
        plan: Row,
        signals: list[Revisions],
        counts: list[Row],
        supply: list[Revisions],
        policies: list[Row],
    ) -> None:
        self._as_of = datetime.fromisoformat(plan["as_of"])
        self.first = date.fromisoformat(plan["first_bucket_date"])
        self._overdue_days = plan["parameters"]["overdue_days"]
        true = [[r for r in told if self._happened(r["occurred_at"])] for told in signals]
        self._revisions = {(told[-1]["source"], told[-1]["external_id"]): told for told in true if told}
        self._signals = [told[-1] for told in self._revisions.values()]
        self._counts, self._supply = counts, [told[-1] for told in supply]
        self._told_of_supply = {(told[-1]["source"], told[-1]["external_id"]): told for told in supply}
        self._policies = {pair_of(policy): policy for policy in policies}

    def policy(self, pair: Pair) -> Row:
        """Look a pair's policy up: pair beats product beats region beats all."""
        names = (pair, (pair[0], "*"), ("*", pair[1]), ("*", "*"))
        found: list[Row] = [self._policies[name] for name in names if name in self._policies]
        return (found or [DEFAULT_POLICY])[0]

    def demand(self, means: dict[Pair, list[float]]) -> dict[Pair, Demand]:
        """Add up what is open of orders, qualifying leads, and what both leave of the forecast in their window."""
        demand: dict[Pair, Demand] = defaultdict(lambda: {tier: defaultdict(float) for tier in TIERS})
        for signal in self._signals:
            if signal["kind"] in ("order", "lead") and not signal["cancelled"]:
                bucket = self._bucket_of(signal["due_date"])
                demand[pair_of(signal)][signal["kind"]][bucket] += self._open_units(signal)
        for pair, of_pair in means.items():
            policy = self.policy(pair)
            if policy["policy"] not in ("base_stock", "minimum_maximum"):
                continue
            of_pair[0] *= (7 - (self._as_of.date() - self.first).days) / 7
            tiers = demand[pair]
            left = tiers["forecast"]
            left |= dict(enumerate(of_pair))
            for b in range(len(of_pair)):
                open_units = tiers["order"].get(b, 0.0) + tiers["lead"].get(b, 0.0)
                before = [b - n for n in range(1, policy["consume_buckets_back"] + 1)]
                after = [b + n for n in range(1, policy["consume_buckets_forward"] + 1)]
                for at in (b, *before, *after):
                    taken = min(open_units, left.get(at, 0.0))
                    if taken > 0:
                        left[at] -= taken
                        open_units -= taken
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
        basis = self.policy(pair)["history_basis"]
        if basis == "consumption" or (basis == "automatic" and consumed):
            issues = sum(s["units"] for s in consumed if self._since(last, s["occurred_at"]))
        else:
            counted_at = datetime.fromisoformat(last["counted_at"])
            orders = [s for s in of_pair if s["kind"] == "order"]
            issues = sum(self._shipped(s, self._as_of) - self._shipped(s, counted_at) for s in orders)
        received = sum(
            self._received(line, self._as_of)
            - self._received(line, datetime.fromisoformat(last["counted_at"]))
            for line in self._supply
            if pair_of(line) == pair
        )
        counted_units = last["on_hand_units"] - last["reserved_units"] - last["blocked_units"]
        return float(counted_units - issues + received)

    def receipts_waited_for(self, pair: Pair, due: list[list[float]]) -> list[float]:
        """Tell what serves each bucket: work of ours that nobody needs when it comes serves orders and leads before it.

        Shapes: due (n_buckets, n_tiers) to (n_buckets,)
        """
        receipts = [self.receipts(pair, b) for b in range(len(due))]
        if not self.is_without_target(pair) or self.policy(pair)["policy"] == "ddmrp_buffer":
            return receipts
        work = [self.receipts(pair, b, of_ours=True) for b in range(len(due))]
        hole = max(0.0, -(self.on_hand(pair) + receipts[0]))  # made up for in the first bucket
        for b in range(len(due)):
            for comes in range(b + 1, len(due)):
                there, ends, short = self.on_hand(pair) + hole, [], []
                for t, units in enumerate(map(sum, due)):
                    there += receipts[t]
                    short.append(max(0.0, units - max(0.0, there)))
                    there -= units - short[-1]
                    ends.append(there)
                given = max(0.0, min(short[b], work[comes], *ends[comes:]))
                receipts[b] += given
                receipts[comes] -= given
                work[comes] -= given
        return receipts

    def is_without_target(self, pair: Pair) -> bool:
        """Tell whether no level of stock is wanted: then orders and leads alone decide what is needed."""
        return self.policy(pair)["policy"] not in ("base_stock", "minimum_maximum")

    def has_work(self, pair: Pair) -> bool:
        """Tell whether any of its open supply is work of ours."""
        return any(pair_of(line) == pair and line["work_order_id"] is not None for line in self._supply)

    def receipts(self, pair: Pair, bucket: int, *, of_ours: bool = False) -> float:
        """Add up open supply that counts in a bucket: what is overdue in the first, for a while."""
        units = 0.0
        for line in self._supply:
            received = self._received(line, self._as_of)
            closed = line["closed"] and (line["receipt_at"] is None or self._happened(line["receipt_at"]))
            overdue = (self._as_of.date() - date.fromisoformat(line["due_date"])).days
            if of_ours and line["work_order_id"] is None:
                continue
            if pair_of(line) == pair and not closed and overdue <= self._overdue_days:
                is_due = max(0, self._bucket_of(line["due_date"])) == bucket
                units += max(0.0, line["units"] - received) * is_due
        return units

    def _open_units(self, signal: Row) -> float:
        units: float = signal["units"]
        if signal["kind"] == "lead":
            least = self.policy(pair_of(signal))["lead_probability_min"]
            return units * float(signal["probability"]) if signal["probability"] >= least else 0.0
        return max(0.0, units - self._shipped(signal, self._as_of))

    def _shipped(self, order: Row, instant: datetime) -> float:
        """Tell what the latest revision says that speaks of no later shipment."""
        for said in reversed(self._revisions[order["source"], order["external_id"]]):
            if said["shipped_at"] is None or datetime.fromisoformat(said["shipped_at"]) <= instant:
                return float(said["shipped_units"] or 0.0)
        return 0.0

    def _received(self, line: Row, instant: datetime) -> float:
        """Tell what the latest revision says that speaks of no later receipt."""
        for said in reversed(self._told_of_supply[line["source"], line["external_id"]]):
            if said["receipt_at"] is None or datetime.fromisoformat(said["receipt_at"]) <= instant:
                return float(said["received_units"])
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
