"""How did a policy fare over a stretch of history?"""

from collections.abc import Sequence

import numpy as np

from pullplan.engine.model.words import Fact
from pullplan.engine.replay.shelves import BucketResult


class ReplayFigures(Fact, frozen=True, kw_only=True):
    """What a planner compares policies by; a share or ratio is None where there is nothing to take it of."""

    n_buckets: int
    demanded_units: float
    in_time_share: float | None
    """The service level: units served in the bucket in which they were demanded ÷ units demanded."""
    late_share: float | None
    lost_share: float | None
    owed_units: float
    """At the end."""
    mean_stock_units: float
    mean_stock_value: float
    """Of the buckets' ends."""
    stock_buckets: float | None
    """Mean stock ÷ mean demand: how many buckets it would last."""
    n_orders: int
    mean_order_units: float | None
    ordered_units: float
    replanned_share: float | None
    """Nervousness: what consecutive plans start more or less of the same product, node and bucket ÷ the larger of what
    both start there. 0: what was planned stood; 1: nothing of it did."""
    bullwhip_ratio: float | None
    """Variance of what is started ÷ variance of demand, between buckets, both summed over products."""
    unit_km: float
    km_per_unit: float | None


def add_up(results: Sequence[BucketResult]) -> ReplayFigures:
    """Add up the buckets of a replay.

    Source of the bullwhip ratio: Chen, Drezner, Ryan & Simchi-Levi, Management Science 46 (2000) 436-443.
    """
    demanded = sum(r.served.demanded_units for r in results)
    ordered = sum(r.ordered_units for r in results)
    n_orders = sum(r.n_orders for r in results)
    unit_km = sum(r.unit_km for r in results)
    stock = _mean([r.served.stock_units for r in results])
    return ReplayFigures(
        n_buckets=len(results),
        demanded_units=demanded,
        in_time_share=_ratio(sum(r.served.in_time_units for r in results), demanded),
        late_share=_ratio(sum(r.served.late_units for r in results), demanded),
        lost_share=_ratio(sum(r.served.lost_units for r in results), demanded),
        owed_units=results[-1].served.owed_units if results else 0.0,
        mean_stock_units=stock,
        mean_stock_value=_mean([r.served.stock_value for r in results]),
        stock_buckets=_ratio(stock * len(results), demanded),
        n_orders=n_orders,
        mean_order_units=_ratio(ordered, n_orders),
        ordered_units=ordered,
        replanned_share=_ratio(sum(r.changed_units for r in results), sum(r.compared_units for r in results)),
        bullwhip_ratio=_ratio(
            _variance([r.ordered_by_product for r in results]),
            _variance([r.demanded_by_product for r in results]),
        ),
        unit_km=unit_km,
        km_per_unit=_ratio(unit_km, ordered),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _variance(by_bucket: Sequence[dict[str, float]]) -> float:
    """Sum the products' variances between buckets."""
    product_codes = sorted({code for units in by_bucket for code in units})
    if not product_codes:
        return 0.0
    table = np.array([[units.get(code, 0.0) for code in product_codes] for units in by_bucket])
    return float(table.var(axis=0).sum())
