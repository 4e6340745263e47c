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
        capability_at = {(c.product_code, c.node_code): k for k, c in enumerate(options.capabilities.rows)}
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

    def use(self, options: Options) -> FloatArray:
        """Add up what they take of every capacity: (n_resources, n_buckets)."""
        return options.use_by_bucket(self.capability, self.start_bucket, self.units)

    def value(self, measure: StageMeasure) -> float:
        """Measure them, shortfalls aside."""
        of_time = (
            measure.late_bucket * self.late_buckets + measure.early_bucket[self.product] * self.early_buckets
        )
        return float((self.units * (measure.route_cost * self.route_cost + of_time)).sum())

    def priced(self, weights: StageWeights) -> FloatArray:
        """Price one unit of each: (n_lines,)."""
        of_time = (
            weights.late_bucket * self.late_buckets + weights.early_bucket[self.product] * self.early_buckets
        )
        of_start: FloatArray = weights.by_start[self.capability, self.start_bucket] + of_time
        return of_start + weights.route_cost * self.route_cost
