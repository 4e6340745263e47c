"""What must still arrive of every product in every region and bucket?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from pullplan.engine.calendar import bucket_of, buckets_of_shelf_life, remaining_share_of_bucket_0
from pullplan.engine.demand import Pair, PolicyBook, has_policy, history_basis, on_hand_units
from pullplan.engine.model import (
    TIERS,
    BufferChange,
    BufferDerivation,
    Need,
    PlanningFacts,
    PullPolicy,
    SeriesForecast,
    StockPosition,
)
from pullplan.engine.netting.buffered import Buffers, derive, pairs_pulled_by, read_buffers
from pullplan.engine.netting.flows import (
    Coverage,
    Flow,
    Places,
    Units,
    add_up,
    consume_forecast,
    cover,
    leave_open,
    replenish,
)
from pullplan.engine.netting.ordering import Columns, Lines, number_needs
from pullplan.engine.netting.pinning import pin_needs
from pullplan.engine.netting.supply import arriving_supply, arriving_work, receipt_bucket
from pullplan.engine.netting.targets import buffer_targets, reference_lead_days, reference_nodes
from pullplan.engine.netting.waiting import bring_forward
from pullplan.engine.netting.zoning import tell_changes

ORDER, LEAD, FORECAST, BUFFER = (TIERS.index(tier) for tier in ("order", "lead", "forecast", "buffer"))


@dataclass(frozen=True)
class _Known:
    """What there is of pairs to net demand against; arrays are (n_pairs,), or (n_buckets, n_pairs) where said."""

    book: PolicyBook
    lead_days: Mapping[Pair, int]
    place: Mapping[Pair, int]
    on_hand_units: Units
    receipts_units: Units
    """By bucket: (n_buckets, n_pairs)."""
    work_units: Units | None
    """What of it is released work; None where there is none: (n_buckets, n_pairs)."""
    series: Mapping[int, SeriesForecast]
    """By place, where the policy counts forecast as demand."""
    buffer_orders_units: Mapping[int, Units]
    """By place, where the policy is a DDMRP buffer: (n_buckets,)."""

    @property
    def pairs(self) -> list[Pair]:
        """In the order of their places."""
        return list(self.place)


@dataclass(frozen=True)
class Covered:
    """Demand of pairs that there is something to net against, and what covers it."""

    lines: Columns
    """By pair, bucket, tier and rank, inside the horizon; what is past due in bucket 0."""
    left_open_units: Units
    """Of each line."""
    flow: Flow
    coverage: Coverage


@dataclass(frozen=True)
class Netted:
    """What netting finds before anything is pinned."""

    book: PolicyBook
    lead_days: Mapping[Pair, int]
    """Of reference nodes; empty where no policy asks for any."""
    pairs: list[Pair]
    """In the order of their places; those that there is something to net against come first."""
    open_lines: Lines
    covered: Covered | None
    """None where there is no such pair."""
    buffers: Buffers | None
    """None where no pair has a DDMRP buffer."""


def net(facts: PlanningFacts) -> tuple[Need, ...]:
    """Turn orders, leads, forecast and targets into needs that stock and supply do not cover.

    Need lines stand in the order product, region, bucket, tier, rank; need_id counts them from 1.

    Raises: PinInfeasibleError where a pin holds what is not needed.
    Source: the planning model, sections 2 and 4.
    """
    netted = net_lines(facts)
    return pin_needs(facts, number_needs(netted.open_lines, netted.pairs, facts))


def net_lines(facts: PlanningFacts) -> Netted:
    """Net line by line, and keep what each line was covered by."""
    book = PolicyBook(facts.policies)
    buffered = pairs_pulled_by("ddmrp_buffer", facts, book)
    series = _counted_series(facts, book)
    lead_days = reference_lead_days(facts) if facts.forecast is not None else {}
    buffers = _read_buffers(facts, buffered, book)
    if buffers is not None:
        lead_days |= buffers.lead_days_by_pair
    known = _gather(facts, book, lead_days, series, buffers)
    lines, open_lines = Lines(), Lines()
    pairs = _file_demand(facts, known, lines, open_lines)
    covered = _net_known(facts, known, lines, open_lines) if known.place else None
    return Netted(book, lead_days, pairs, open_lines, covered, buffers)


def derive_buffers(facts: PlanningFacts) -> list[BufferDerivation]:
    """Tell every DDMRP buffer, by product and region, with all that it follows from."""
    return tell_buffers(facts)[0]


def tell_buffers(facts: PlanningFacts) -> tuple[list[BufferDerivation], list[BufferChange]]:
    """Tell every DDMRP buffer as `derive_buffers` does, and those that would be sized otherwise today than was accepted."""
    book = PolicyBook(facts.policies)
    buffers = _read_buffers(facts, pairs_pulled_by("ddmrp_buffer", facts, book), book)
    return ([], []) if buffers is None else (derive(buffers, facts), tell_changes(buffers.zoned, facts))


def _read_buffers(facts: PlanningFacts, pairs: tuple[Pair, ...], book: PolicyBook) -> Buffers | None:
    return read_buffers(facts, pairs, book, reference_nodes(facts, frozenset(pairs))) if pairs else None


def _net_known(facts: PlanningFacts, known: _Known, lines: Lines, open_lines: Lines) -> Covered:
    """Net the demand of pairs that have stock, supply, a forecast or a buffer."""
    n_buckets, n_pairs = known.receipts_units.shape
    _forecast(facts, known, lines)
    columns = lines.columns()
    columns = columns.at(np.flatnonzero(columns.bucket < n_buckets))
    columns = columns._replace(bucket=np.maximum(columns.bucket, 0))
    cells = columns.place * n_buckets + columns.bucket
    order = np.lexsort((columns.rank, columns.tier, cells))  # past due stands with what is due in bucket 0
    columns, cells = columns.at(order), cells[order]
    by_cell = add_up(cells, columns.units, n_pairs * n_buckets)
    demand = _laid(by_cell, n_pairs)
    flow = Flow(
        demand,
        _targets(facts, known),
        known.receipts_units,
        known.on_hand_units,
        _shelf_buckets(facts, known.pairs),
        _maxima(facts, known),
    )
    covered = cover(flow)
    if known.work_units is not None:
        is_firm = np.isin(columns.tier, (ORDER, LEAD))
        firm = _laid(add_up(cells[is_firm], columns.units[is_firm], n_pairs * n_buckets), n_pairs)
        receipts = bring_forward(flow, covered, firm, known.work_units, facts.parameters.late_buckets)
        if receipts is not None:
            flow = replace(flow, receipts_units=receipts)
            covered = cover(flow)
    left_open = leave_open(cells, columns.units, by_cell, covered.covered_units.T.ravel())
    open_lines.extend(columns._replace(units=left_open))
    refill = covered.refill_units
    if known.buffer_orders_units:
        at = np.fromiter(known.buffer_orders_units, np.intp)
        ordered = np.stack([known.buffer_orders_units[i] for i in at.tolist()], axis=1)
        needed = (demand - covered.covered_units + refill)[:, at]
        refill[:, at] += replenish(ordered, needed)
    bucket, place = np.nonzero(refill > 0)
    tiers, ranks = np.full_like(place, BUFFER), np.zeros_like(place)
    open_lines.extend(Columns(place, bucket, tiers, ranks, refill[bucket, place]))
    return Covered(columns, left_open, flow, covered)


def _laid(of_cells: Units, n_pairs: int) -> Units:
    return np.ascontiguousarray(of_cells.reshape(n_pairs, -1).T)


def _counted_series(facts: PlanningFacts, book: PolicyBook) -> list[SeriesForecast]:
    return [
        series
        for series in (facts.forecast.series if facts.forecast else ())
        if book.policy_of(series.product_code, series.region_code).counts_forecast
    ]


def _gather(
    facts: PlanningFacts,
    book: PolicyBook,
    lead_days: Mapping[Pair, int],
    counted: Sequence[SeriesForecast],
    buffers: Buffers | None,
) -> _Known:
    """Find the pairs whose demand is not simply their need, and what there is of them."""
    consumed = frozenset(facts.consumption_pairs)
    on_hand: dict[Pair, float] = defaultdict(float)
    for position in facts.stock:
        pair = (position.product_code, position.region_code)
        units = _stock_units(position, book, has_consumption=pair in consumed)
        if units != 0:
            on_hand[pair] += units
    receipts = _by_receipt(arriving_supply(facts), facts)
    buffered = () if buffers is None else buffers.zoned.pairs
    fills_buffers = frozenset(buffered)  # their orders count on it, though no target does
    work = _by_receipt((line for line in arriving_work(facts) if line[0] not in fills_buffers), facts)
    series = {(s.product_code, s.region_code): s for s in counted}
    held = pairs_pulled_by("minimum_maximum", facts, book)
    pairs = sorted({*on_hand, *(pair for pair, _, _ in receipts), *series, *buffered, *held})
    place = {pair: i for i, pair in enumerate(pairs)}
    n_buckets = facts.horizon.horizon_buckets
    projected = () if buffers is None else buffers.projected_units.T
    return _Known(
        book,
        lead_days,
        place,
        np.array([on_hand.get(pair, 0.0) for pair in pairs], dtype=np.float64),
        _lay_out(receipts, place, n_buckets),
        _lay_out(work, place, n_buckets) if work else None,
        {place[pair]: of_pair for pair, of_pair in series.items()},
        {place[pair]: orders for pair, orders in zip(buffered, projected, strict=True)},
    )


def _by_receipt(
    supply: Iterable[tuple[Pair, date, float]], facts: PlanningFacts
) -> list[tuple[Pair, int, float]]:
    """Name the bucket in which each line counts, of those that count at all."""
    return [
        (pair, bucket, units)
        for pair, due, units in supply
        if (bucket := receipt_bucket(due, facts)) is not None
    ]


def _lay_out(receipts: Sequence[tuple[Pair, int, float]], place: Mapping[Pair, int], n_buckets: int) -> Units:
    """Add up receipts inside the horizon. Shapes: (n_buckets, n_pairs)."""
    units_of = np.zeros((n_buckets, len(place)))
    for pair, bucket, units in receipts:
        if bucket < n_buckets:
            units_of[bucket, place[pair]] += units
    return units_of


def _file_demand(facts: PlanningFacts, known: _Known, lines: Lines, open_lines: Lines) -> list[Pair]:
    """File orders and qualifying leads by their pair; where there is nothing to net against they are open as they stand.

    Pairs of which nothing is known get the places behind the others: all pairs in the order of their places.
    """
    bucket_of_day, n_buckets = _BucketBook(facts), facts.horizon.horizon_buckets
    place, n_known = dict(known.place), len(known.place)

    def file(pair: Pair, due_date: date, tier: int, rank: int, units: float) -> None:
        bucket, at = bucket_of_day[due_date], place.setdefault(pair, len(place))
        if at < n_known:
            lines.add(at, bucket, tier, rank, units)
        elif bucket < n_buckets:
            open_lines.add(at, max(0, bucket), tier, rank, units)

    for order in facts.orders:
        units = order.ordered_units - order.shipped_units
        if units > 0:
            file((order.product_code, order.region_code), order.due_date, ORDER, order.priority, units)
    for lead in facts.lead_signals:
        pair, units = (lead.product_code, lead.region_code), lead.units * lead.probability
        if units > 0 and lead.probability >= known.book.policy_of(*pair).lead_probability_min:
            file(pair, lead.due_date, LEAD, lead.priority, units)
    return list(place)


class _BucketBook(dict[date, int]):
    """The bucket of every day that was asked for; −1 for a day that is past."""

    def __init__(self, facts: PlanningFacts) -> None:
        self._horizon = facts.horizon

    def __missing__(self, day: date) -> int:
        bucket = -1 if day < self._horizon.as_of_date else bucket_of(day, self._horizon)
        self[day] = bucket
        return bucket


def _stock_units(position: StockPosition, book: PolicyBook, *, has_consumption: bool) -> float:
    policy = book.policy_of(position.product_code, position.region_code)
    return on_hand_units(position, history_basis(policy, has_consumption=has_consumption))


def _forecast(facts: PlanningFacts, known: _Known, lines: Lines) -> None:
    """File what orders and leads leave of the forecast."""
    if not known.series:
        return
    # Orders due beyond the horizon may consume forecast inside it, so that all forecast buckets take part.
    n_horizon = facts.horizon.horizon_buckets
    lengths = [max(n_horizon, len(series.mean_units)) for series in known.series.values()]
    n_buckets, at = max(lengths), np.fromiter(known.series, np.intp)
    left = np.zeros((n_buckets, at.size))
    for column, series in enumerate(known.series.values()):
        left[: len(series.mean_units), column] = series.mean_units
    left[0] *= remaining_share_of_bucket_0(facts.horizon)
    column_of, ends = np.full((2, len(known.place)), -1, dtype=np.intp)
    column_of[at], ends[at] = np.arange(at.size), lengths
    place, bucket, _, _, units = lines.columns()
    counts = (bucket >= 0) & (bucket < ends[place])
    cells = column_of[place[counts]] * n_buckets + bucket[counts]
    demanded = _laid(add_up(cells, units[counts], at.size * n_buckets), at.size)
    for window, columns in _by_window(known, at).items():
        left[:, columns] = consume_forecast(left[:, columns], demanded[:, columns], *window)
    open_buckets, open_columns = np.nonzero(left[:n_horizon] > 0)
    for place_of, b, n in zip(
        at[open_columns].tolist(),
        open_buckets.tolist(),
        left[open_buckets, open_columns].tolist(),
        strict=True,
    ):
        lines.add(place_of, b, FORECAST, 0, n)


def _by_window(known: _Known, places: Places) -> dict[tuple[int, int], Places]:
    """Gather the columns of pairs whose policies consume forecast alike."""
    windows: dict[tuple[int, int], list[int]] = defaultdict(list)
    pairs = known.pairs
    for column, place in enumerate(places.tolist()):
        policy = known.book.policy_of(*pairs[place])
        windows[policy.consume_buckets_back, policy.consume_buckets_forward].append(column)
    return {window: np.array(columns, dtype=np.intp) for window, columns in windows.items()}


def _targets(facts: PlanningFacts, known: _Known) -> Units:
    """Lay out the safety stock, or the minimum, of every pair. Shapes: (n_buckets, n_pairs)."""
    n_buckets, pairs = facts.horizon.horizon_buckets, known.pairs
    targets = np.zeros((n_buckets, len(pairs)))
    for at, series in known.series.items():
        policy, lead_days = known.book.policy_of(*pairs[at]), known.lead_days.get(pairs[at], 0)
        if policy.policy == "base_stock":
            targets[:, at] = buffer_targets(series, policy, lead_days, facts.horizon.bucket, n_buckets)
    for at, policy in _held(facts, known):
        targets[:, at] = policy.minimum_stock_units
    return targets


def _maxima(facts: PlanningFacts, known: _Known) -> Units | None:
    """Tell what pairs are filled up to whose policy is minimum–maximum, −inf for others; None where there are none. Shapes: (n_pairs,)."""
    maxima = np.full(len(known.place), -np.inf)
    held = _held(facts, known)
    for at, policy in held:
        maxima[at] = policy.maximum_stock_units
    return maxima if held else None


def _held(facts: PlanningFacts, known: _Known) -> list[tuple[int, PullPolicy]]:
    """Name the places of pairs whose policy is minimum–maximum, each with it."""
    if not has_policy("minimum_maximum", facts):
        return []
    policies = ((at, known.book.policy_of(*pair)) for pair, at in known.place.items())
    return [(at, policy) for at, policy in policies if policy.policy == "minimum_maximum"]


def _shelf_buckets(facts: PlanningFacts, pairs: Sequence[Pair]) -> Units | None:
    """Tell how many buckets each pair's product keeps, inf for ever; None where all do. Shapes: (n_pairs,)."""
    buckets = {p.product_code: buckets_of_shelf_life(p, facts.horizon.bucket) for p in facts.products}
    if all(n is None for n in buckets.values()):
        return None
    kept = (buckets.get(product_code) for product_code, _ in pairs)
    return np.array([np.inf if n is None else n for n in kept], dtype=np.float64)
