"""Which signals, which count, which supply and which rule does a need follow from? In words that a planner can recompute."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from pullplan.engine.comparison import PlannedBuckets
from pullplan.engine.model import (
    Basis,
    BucketNetted,
    BufferDerivation,
    Derivation,
    OpenSupply,
    Order,
    PlanningFacts,
    PullPolicy,
    ReleasedWork,
    SignalCounted,
    StockCounted,
    StockPosition,
    SupplyCounted,
)
from pullplan.engine.released import kept_work

ROUNDING_UNITS = 1e-6
"""Below it sums of units that differ in their order alone are equal."""


@dataclass(frozen=True)
class Terms:
    """What netting took for one product × region; arrays are (n_buckets,)."""

    policy_number: int
    history_basis: Basis
    lead_days: int | None
    on_hand_units: float
    receipts_units: Sequence[float]
    """By the bucket whose demand they serve."""
    target_units: Sequence[float]


@dataclass(frozen=True)
class Served:
    """What the ledger says of one bucket: units demanded by tier, and where they come from."""

    demanded_units: Mapping[str, float]
    from_stock_units: float
    from_supply_units: float
    from_buffer_units: float


def derive_need(
    facts: PlanningFacts,
    pair: tuple[str, str],
    buckets: PlannedBuckets,
    terms: Terms,
    served: Sequence[Served],
    *,
    buffer: BufferDerivation | None,
) -> Derivation:
    """Gather all that one product × region's needs follow from.

    Shapes: served (n_buckets,)
    Source: the planning model, sections 2 and 4.
    """
    policy = facts.policies[terms.policy_number] if terms.policy_number >= 0 else PullPolicy()
    told = _Told(facts, pair, buckets, policy)
    review = buckets.days_per_bucket if policy.review_period_days is None else policy.review_period_days
    means = told.forecast_means
    supply = tuple(told.supply())
    is_protected = policy.policy == "base_stock" and len(means) > 0
    return Derivation(
        policy=policy,
        lead_days=terms.lead_days,
        protection_days=(terms.lead_days or 0) + review if is_protected else None,
        signals=tuple(told.signals()),
        stock=told.stock(terms),
        supply=supply,
        buckets=tuple(_bucket(b, told, terms, one, supply) for b, one in enumerate(served)),
        buffer=buffer,
    )


def _bucket(
    b: int, told: "_Told", terms: Terms, served: Served, supply: Sequence[SupplyCounted]
) -> BucketNetted:
    units = {tier: served.demanded_units.get(tier, 0.0) for tier in ("order", "lead", "forecast", "buffer")}
    receipts = sum(line.units for line in supply if line.bucket_date == told.date_of(b))
    means = told.forecast_means
    awaited = terms.receipts_units[b] - receipts
    given = served.from_stock_units + served.from_supply_units + served.from_buffer_units
    return BucketNetted(
        bucket_date=told.date_of(b),
        forecast_mean_units=means[b] if b < len(means) else 0.0,
        to_come_share=told.to_come_share(b),
        order_units=units["order"],
        lead_units=units["lead"],
        forecast_units=units["forecast"],
        receipts_units=receipts,
        awaited_units=awaited if abs(awaited) > ROUNDING_UNITS else 0.0,
        from_stock_units=served.from_stock_units,
        from_supply_units=served.from_supply_units,
        from_buffer_units=served.from_buffer_units,
        target_units=terms.target_units[b],
        buffer_units=units["buffer"],
        need_units=max(0.0, sum(units.values()) - given),
    )


@dataclass(frozen=True)
class _Told:
    """What the facts say of one product × region."""

    facts: PlanningFacts
    pair: tuple[str, str]
    buckets: PlannedBuckets
    policy: PullPolicy

    def date_of(self, bucket: int) -> date:
        return self.buckets.first_date + timedelta(days=bucket * self.buckets.days_per_bucket)

    def to_come_share(self, bucket: int) -> float:
        gone = (self.facts.horizon.as_of_date - self.buckets.first_date).days if bucket == 0 else 0
        return 1.0 - gone / self.buckets.days_per_bucket

    @cached_property
    def forecast_means(self) -> Sequence[float]:
        if not self.policy.counts_forecast or self.facts.forecast is None:
            return ()
        series = (s for s in self.facts.forecast.series if (s.product_code, s.region_code) == self.pair)
        return next((s.mean_units for s in series), ())

    def signals(self) -> Iterator[SignalCounted]:
        """Tell of every open order and lead what is demanded of it, by due date."""
        signals = [
            signal
            for of_kind in (self.facts.orders, self.facts.lead_signals)
            for signal in of_kind
            if (signal.product_code, signal.region_code) == self.pair
        ]
        for signal in sorted(signals, key=lambda s: (s.due_date, s.priority, s.external_id)):
            bucket, rule = self._bucket_of(signal.due_date)
            if isinstance(signal, Order):
                units, shipped, probability = signal.ordered_units, signal.shipped_units, None
                demanded = max(0.0, units - shipped)
                rule = f"ordered − shipped; {rule}"
            else:
                units, shipped, probability = signal.units, 0.0, signal.probability
                least = self.policy.lead_probability_min
                qualifies = probability >= least
                demanded = units * probability if qualifies else 0.0
                rule = (
                    f"units × probability; {rule}"
                    if qualifies
                    else f"below the policy's least probability, {least:g}"
                )
                bucket = bucket if qualifies else None
            yield SignalCounted(
                kind="order" if isinstance(signal, Order) else "lead",
                external_id=signal.external_id,
                units=units,
                shipped_units=shipped,
                probability=probability,
                priority=signal.priority,
                due_date=signal.due_date,
                bucket_date=None if bucket is None else self.date_of(bucket),
                demanded_units=demanded if bucket is not None else 0.0,
                rule=rule,
            )

    def stock(self, terms: Terms) -> StockCounted:
        """Tell the last count and what moved since."""
        of_pair = (s for s in self.facts.stock if (s.product_code, s.region_code) == self.pair)
        position = next(of_pair, StockPosition(product_code=self.pair[0], region_code=self.pair[1]))
        return StockCounted(
            counted_at=position.counted_at,
            count_units=position.count_units,
            history_basis=terms.history_basis,
            consumed_units_since=position.consumed_units_since,
            shipped_units_since=position.shipped_units_since,
            received_units_since=position.received_units_since,
            on_hand_units=terms.on_hand_units,
        )

    def supply(self) -> Iterator[SupplyCounted]:
        """Tell of all that is on its way when it counts, by due date."""
        named = {s.work_order_id for s in self.facts.open_supply} | {
            s.external_id for s in self.facts.open_supply
        }
        kept = {work.work_order_id for work in kept_work(self.facts)}
        lines: list[OpenSupply | ReleasedWork] = [
            s
            for of_kind in (self.facts.open_supply, self.facts.released_work)
            for s in of_kind
            if (s.product_code, s.region_code) == self.pair
        ]
        for line in sorted(lines, key=lambda s: (_due(s), s.work_order_id or "")):
            bucket, rule = self._receipt_bucket(_due(line))
            if isinstance(line, ReleasedWork) and not named.isdisjoint(
                {line.work_order_id, *line.export_ids}
            ):
                bucket, rule = None, "open supply stands for this work order: counted there"
            elif isinstance(line, ReleasedWork) and line.work_order_id not in kept:
                bucket, rule = None, "its node can't make it: planned anew"
            yield SupplyCounted(
                external_id=line.external_id if isinstance(line, OpenSupply) else None,
                work_order_id=line.work_order_id,
                units=line.units,
                due_date=_due(line),
                bucket_date=None if bucket is None else self.date_of(bucket),
                rule=rule,
            )

    def _bucket_of(self, day: date) -> tuple[int | None, str]:
        if day < self.facts.horizon.as_of_date:
            return 0, "past due: in the first bucket, consumes no forecast"
        bucket = (day - self.buckets.first_date).days // self.buckets.days_per_bucket
        if bucket >= self.buckets.n_buckets:
            return None, "due beyond the horizon"
        return bucket, "in the bucket of its due date"

    def _receipt_bucket(self, day: date) -> tuple[int | None, str]:
        overdue = (self.facts.horizon.as_of_date - day).days
        most = self.facts.parameters.overdue_days
        if overdue > most:
            return None, f"overdue for more than {most} days: no longer believed"
        if overdue > 0:
            return 0, f"overdue, believed for {most} days: in the first bucket"
        return self._bucket_of(day)


def _due(line: OpenSupply | ReleasedWork) -> date:
    return line.due_date if isinstance(line, OpenSupply) else line.arrival_date
