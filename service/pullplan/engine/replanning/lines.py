"""What are a plan's lines, need by need, as columns?"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights
from pullplan.engine.model import Assignment
from pullplan.engine.options import Options, StageMeasure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lines:
    """Ordered by need; arrays are (n_lines,)."""

    number: IntArray
    """assignment_id"""
    need: IntArray
    capability: IntArray
    start_bucket: IntArray
    units: FloatArray
    late_buckets: IntArray
    early_buckets: IntArray
    route_cost: FloatArray
    """Of one unit, without holding."""
    product: IntArray

    @classmethod
    def of(cls, options: Options, assignments: Sequence[Assignment]) -> Self:
        """Read the lines that serve these needs."""
        position = {need.need_id: i for i, need in enumerate(options.needs)}
        capability_at = options.capabilities.position
        products = [product.product_code for product in options.products]
        n = len(assignments)
        need = np.fromiter((position[line.need_id] for line in assignments), np.int64, n)
        product = options.need_product[need]
        made_at = zip(product.tolist(), assignments, strict=True)
        capability = np.fromiter(
            (capability_at[products[p], line.node_code] for p, line in made_at), np.int64, n
        )
        arrival = np.fromiter((line.arrival_bucket for line in assignments), np.int64, n)
        delay = arrival - options.need_bucket[need]
        early = np.maximum(0, -delay)
        cost = np.fromiter((line.cost_per_unit for line in assignments), np.float64, n)
        lines = cls(
            number=np.fromiter((line.assignment_id for line in assignments), np.int64, n),
            need=need,
            capability=capability,
            start_bucket=np.fromiter((line.start_bucket for line in assignments), np.int64, n),
            units=np.fromiter((line.units for line in assignments), np.float64, n),
            late_buckets=np.maximum(0, delay),
            early_buckets=early,
            route_cost=cost - options.holding_cost_per_bucket[product] * early,
            product=product,
        )
        return lines[np.argsort(need, kind="stable")]

    def joined(self, others: Self) -> Self:
        """Put lines of other needs among these."""
        columns = {
            field.name: np.concatenate([getattr(self, field.name), getattr(others, field.name)])
            for field in fields(self)
        }
        return type(self)(**columns)[np.argsort(columns["need"], kind="stable")]

    def __getitem__(self, some: IntArray | BoolArray) -> Self:
        """Take some lines."""
        return type(self)(**{field.name: getattr(self, field.name)[some] for field in fields(self)})

    def of_needs(self, needs: IntArray) -> IntArray:
        """Find the lines of some needs: (n,) ascending positions → positions of lines, ascending."""
        first, end = np.searchsorted(self.need, needs), np.searchsorted(self.need, needs, side="right")
        count = end - first
        return np.repeat(end - np.cumsum(count), count) + np.arange(int(count.sum()))

    def without(self, at: IntArray) -> Self:
        """Leave some lines out."""
        keep = np.ones(len(self.need), dtype=bool)
        keep[at] = False
        return self[keep]

    def priced(self, weights: StageWeights) -> FloatArray:
        """Price one unit of each: (n_lines,)."""
        of_time = (
            weights.late_bucket * self.late_buckets + weights.early_bucket[self.product] * self.early_buckets
        )
        of_start: FloatArray = weights.by_start[self.capability, self.start_bucket] + of_time
        return of_start + weights.route_cost * self.route_cost


@dataclass(frozen=True)
class Totals:
    """What lines add up to."""

    use: FloatArray
    """(n_resources, n_buckets)"""
    units: float
    route_cost: float
    late_unit_buckets: float
    early_unit_buckets: FloatArray
    """(n_products,)"""
    dearest_route: float
    most_late: int
    most_early: int
    split: IntArray
    """Needs with several lines."""

    @classmethod
    def of(cls, options: Options, lines: Lines) -> Self:
        """Add lines up."""
        return cls(
            use=options.use_by_bucket(lines.capability, lines.start_bucket, lines.units),
            units=float(lines.units.sum()),
            route_cost=float((lines.units * lines.route_cost).sum()),
            late_unit_buckets=float((lines.units * lines.late_buckets).sum()),
            early_unit_buckets=np.bincount(
                lines.product, lines.units * lines.early_buckets, len(options.products)
            ),
            dearest_route=float(lines.route_cost.max(initial=0.0)),
            most_late=int(lines.late_buckets.max(initial=0)),
            most_early=int(lines.early_buckets.max(initial=0)),
            split=np.unique(lines.need[1:][lines.need[1:] == lines.need[:-1]]),
        )

    def value(self, measure: StageMeasure) -> float:
        """Measure the lines, shortfalls aside."""
        of_time = measure.late_bucket * self.late_unit_buckets + float(
            measure.early_bucket @ self.early_unit_buckets
        )
        return measure.route_cost * self.route_cost + of_time

    def dearest(self, weights: StageWeights) -> float:
        """Price a unit that no line is dearer than."""
        of_time = weights.late_bucket * self.most_late + float(
            weights.early_bucket.max(initial=0.0) * self.most_early
        )
        of_start = float(weights.by_start.max(initial=0.0)) + of_time
        return of_start + weights.route_cost * self.dearest_route

    def is_free(self, weights: StageWeights) -> bool:
        """Tell whether no line costs anything."""
        return (
            weights.route_cost == 0
            and not weights.by_start.any()
            and (weights.late_bucket == 0 or self.most_late == 0)
            and (not weights.early_bucket.any() or self.most_early == 0)
        )
