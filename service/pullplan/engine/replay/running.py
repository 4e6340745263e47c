"""How is a stretch of history planned and lived through again, knowing at each bucket only what was known then?"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import msgspec

from pullplan.engine.calendar import DAYS_PER_BUCKET, arrival_bucket, bucket_dates
from pullplan.engine.demand import Pair, PolicyBook, history_basis, on_hand_units
from pullplan.engine.lanes import resolve_lanes
from pullplan.engine.model import (
    Forecast,
    Order,
    Plan,
    PlanningFacts,
    PullPolicy,
    ReleasedWork,
    SeriesForecast,
    StockPosition,
)
from pullplan.engine.model.words import Fact
from pullplan.engine.netting import arriving_supply, receipt_bucket, wants_forecast
from pullplan.engine.plan import make_plan
from pullplan.engine.replay.shelves import BucketResult, Served, Shelves, Unmet

type _Place = tuple[str, str, date]
"""Product, node and start bucket."""


class ReplayPolicy(Fact, frozen=True, kw_only=True):
    """How every product × region pulls in a replay."""

    name: str
    policy: PullPolicy | None = None
    """None: each as its stored policy says."""
    unmet: Unmet | None = None
    """None: backorders where the pair is made to order, lost sales elsewhere."""


class Replay:
    """History under one policy: `plan` a bucket, then `live` through it."""

    def __init__(self, policy: ReplayPolicy, start: PlanningFacts) -> None:
        """Begin with the stock and the open supply of `start`, what was known on the first day."""
        self.name = policy.name
        self.results: list[BucketResult] = []
        self._policy = policy
        book = PolicyBook(self.under_policy(start).policies)
        consumed = frozenset(start.consumption_pairs)
        on_hand: dict[Pair, float] = defaultdict(float)
        for position in start.stock:
            pair = (position.product_code, position.region_code)
            basis = history_basis(book.policy_of(*pair), has_consumption=pair in consumed)
            on_hand[pair] += on_hand_units(position, basis)
        self.shelves = Shelves(on_hand)
        self._open_supply, self._released_work = start.open_supply, start.released_work
        self._planned: dict[_Place, float] = {}
        self._planned_until: date | None = None

    def under_policy(self, facts: PlanningFacts) -> PlanningFacts:
        """Let the replay's policy rule over facts; stored ones are those in force on the facts' day."""
        one = self._policy.policy
        return facts if one is None else msgspec.structs.replace(facts, policies=(one,))

    def plan(self, known: PlanningFacts, forecast: Forecast | None) -> "PlannedBucket":
        """Plan from what was known of demand on the first day of a bucket, and from the replay's own stock and supply.

        Orders that were due before are left out: what was not served of them is lost, or owed as the replay says.
        """
        today = known.horizon.as_of_date
        owed = (
            Order(
                external_id=f"owed/{product_code}/{region_code}",
                product_code=product_code,
                region_code=region_code,
                ordered_units=units,
                due_date=today - date.resolution,
            )
            for (product_code, region_code), units in self.shelves.owed_units.items()
        )
        facts = msgspec.structs.replace(
            self.under_policy(known),
            orders=(*(o for o in known.orders if o.due_date >= today), *owed),
            stock=tuple(
                StockPosition(product_code=product_code, region_code=region_code, count_units=units)
                for (product_code, region_code), units in self.shelves.on_hand_units.items()
            ),
            open_supply=self._open_supply,
            released_work=self._released_work,
        )
        if wants_forecast(facts):
            facts = msgspec.structs.replace(facts, forecast=forecast)
        return PlannedBucket(facts, make_plan(facts))

    def live(self, planned: "PlannedBucket", demanded_units: Mapping[Pair, float]) -> BucketResult:
        """Start what the plan starts in its first bucket, take what arrives, and serve what is demanded."""
        facts = planned.facts
        sent = _sent(planned)
        work = _released(sent, facts)
        facts = msgspec.structs.replace(facts, released_work=(*facts.released_work, *work))
        received: dict[Pair, float] = defaultdict(float)
        for pair, due, units in arriving_supply(facts):
            if receipt_bucket(due, facts) == 0:
                received[pair] += units
        self._open_supply = tuple(s for s in facts.open_supply if _is_to_come(s.due_date, facts))
        self._released_work = tuple(w for w in facts.released_work if _is_to_come(w.arrival_date, facts))
        values = {product.product_code: product.value_per_unit for product in facts.products}
        book = PolicyBook(facts.policies)

        def unmet_of(pair: Pair) -> Unmet:
            made_to_order = book.policy_of(*pair).policy == "make_to_order"
            return self._policy.unmet or ("backorder" if made_to_order else "lost")

        served = self.shelves.serve(received, demanded_units, values, unmet_of)
        result = self._result(planned, served, sent, demanded_units)
        self.results.append(result)
        return result

    def _result(
        self,
        planned: "PlannedBucket",
        served: Served,
        sent: list["_Sent"],
        demanded_units: Mapping[Pair, float],
    ) -> BucketResult:
        changed_units, compared_units = self._compare_with_plan_before(planned)
        ordered: dict[str, float] = defaultdict(float)
        demanded: dict[str, float] = defaultdict(float)
        for line in sent:
            ordered[line.product_code] += line.units
        for (product_code, _), units in sorted(demanded_units.items()):
            demanded[product_code] += units
        return BucketResult(
            first_date=bucket_dates(planned.facts.horizon)[0],
            served=served,
            n_orders=len({(line.product_code, line.region_code, line.node_code) for line in sent}),
            ordered_units=sum(line.units for line in sent),
            unit_km=sum(line.units * line.distance_km for line in sent),
            changed_units=changed_units,
            compared_units=compared_units,
            demanded_by_product=dict(demanded),
            ordered_by_product=dict(ordered),
        )

    def _compare_with_plan_before(self, planned: "PlannedBucket") -> tuple[float, float]:
        """Add up what is started more or less, and the larger of both, over the buckets that both plan.

        Source: Sridharan, Berry & Udayabhanu, Decision Sciences 19 (1988) 147-168, instability of a rolling schedule.
        """
        dates = bucket_dates(planned.facts.horizon)
        before, until = self._planned, self._planned_until
        product_of = {need.need_id: need.product_code for need in planned.plan.needs}
        now: dict[_Place, float] = defaultdict(float)
        for line in planned.plan.assignments:
            now[product_of[line.need_id], line.node_code, dates[line.start_bucket]] += line.units
        self._planned, self._planned_until = dict(now), dates[-1]
        if until is None:
            return 0.0, 0.0
        both = sorted({place for place in (*before, *now) if dates[0] <= place[2] < until})
        pairs = [(before.get(place, 0.0), now.get(place, 0.0)) for place in both]
        return sum(abs(n - b) for b, n in pairs), sum(map(max, pairs))


class PlannedBucket(NamedTuple):
    """A bucket's plan, and the facts that it was made from."""

    facts: PlanningFacts
    plan: Plan


class _Sent(NamedTuple):
    """Units that are started in the plan's first bucket."""

    product_code: str
    region_code: str
    node_code: str
    arrival_bucket: int
    units: float
    distance_km: float


def _sent(planned: PlannedBucket) -> list[_Sent]:
    """List what is started in the first bucket: lines of the plan, and what whole lots make beyond them."""
    facts, plan = planned
    need_of = {need.need_id: need for need in plan.needs}
    sent = [
        _Sent(
            need_of[line.need_id].product_code,
            need_of[line.need_id].region_code,
            line.node_code,
            line.arrival_bucket,
            line.units,
            line.distance_km,
        )
        for line in plan.assignments
        if line.start_bucket == 0
    ]
    surplus = [o for o in plan.production_orders if o.start_bucket == 0 and o.surplus_region_code]
    if surplus:
        lanes = resolve_lanes(facts.nodes, facts.regions, facts.lanes, facts.parameters)
        make_days = {(c.node_code, c.product_code): c.make_lead_time_days for c in facts.capabilities}
        for order in surplus:
            region_code = order.surplus_region_code or ""
            at = lanes.node_codes.index(order.node_code), lanes.region_codes.index(region_code)
            arrival = arrival_bucket(
                0,
                make_days[order.node_code, order.product_code],
                int(lanes.transit_days[at]),
                facts.horizon.bucket,
            )
            sent.append(
                _Sent(
                    *(order.product_code, region_code, order.node_code, arrival, order.surplus_units),
                    float(lanes.distance_km[at]),
                )
            )
    return sent


def _released(sent: list[_Sent], facts: PlanningFacts) -> list[ReleasedWork]:
    first, following = bucket_dates(facts.horizon, 1)
    days = following - first
    return [
        ReleasedWork(
            work_order_id=f"{first}/{n}",
            product_code=line.product_code,
            region_code=line.region_code,
            node_code=line.node_code,
            units=line.units,
            start_date=first,
            arrival_date=first + line.arrival_bucket * days,
        )
        for n, line in enumerate(sent)
    ]


def _is_to_come(due: date, facts: PlanningFacts) -> bool:
    bucket = receipt_bucket(due, facts)
    return bucket is not None and bucket > 0


def later_steps(forecast: Forecast, today: date) -> Forecast:
    """Take what an earlier forecast said of the bucket of a day and of those after it."""
    n_gone = (today - forecast.first_bucket_date).days // DAYS_PER_BUCKET[forecast.bucket]

    def later(series: SeriesForecast) -> SeriesForecast:
        return msgspec.structs.replace(
            series,
            mean_units=series.mean_units[n_gone:],
            p10_units=series.p10_units[n_gone:],
            p50_units=series.p50_units[n_gone:],
            p90_units=series.p90_units[n_gone:],
            adjustment_units=series.adjustment_units[n_gone:],
            error_paths_units=tuple(path[n_gone:] for path in series.error_paths_units),
        )

    return msgspec.structs.replace(
        forecast,
        first_bucket_date=forecast.first_bucket_date
        + n_gone * DAYS_PER_BUCKET[forecast.bucket] * date.resolution,
        n_steps=forecast.n_steps - n_gone,
        series=tuple(map(later, forecast.series)),
    )
