"""What do regions serve, hold, owe and lose as goods come in and demand takes them?"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from typing import Literal

from pullplan.engine.demand import Pair
from pullplan.engine.model.words import Fact

type Unmet = Literal["lost", "backorder"]
"""What becomes of demand that nothing is there for: nobody waits for it, or it is served as soon as something comes."""


class Served(Fact, frozen=True, kw_only=True):
    """What one bucket's demand and receipts came to, in units over all pairs."""

    demanded_units: float = 0.0
    in_time_units: float = 0.0
    late_units: float = 0.0
    """Of this bucket's demand, owed at its end."""
    lost_units: float = 0.0
    owed_units_served: float = 0.0
    """Of earlier buckets' demand."""
    received_units: float = 0.0
    owed_units: float = 0.0
    """At the bucket's end, of this and all earlier demand."""
    stock_units: float = 0.0
    stock_value: float = 0.0
    """At the bucket's end."""


class BucketResult(Fact, frozen=True, kw_only=True):
    """What happened in one bucket of a replay."""

    first_date: date
    served: Served
    n_orders: int
    """Node × product × region for which work was started."""
    ordered_units: float
    unit_km: float
    changed_units: float
    """What the plan starts more or less than the plan before did, by product × node × bucket of both."""
    compared_units: float
    """The larger of what both start in each of these."""
    demanded_by_product: dict[str, float]
    ordered_by_product: dict[str, float]


class Shelves:
    """Stock and what is owed of every product × region. Each bucket: receipts, then what is owed, then demand."""

    def __init__(self, on_hand_units: Mapping[Pair, float]) -> None:
        self.on_hand_units: dict[Pair, float] = {p: n for p, n in on_hand_units.items() if n > 0}
        self.owed_units: dict[Pair, float] = {}

    def serve(
        self,
        received_units: Mapping[Pair, float],
        demanded_units: Mapping[Pair, float],
        value_per_unit: Mapping[str, float],
        unmet_of: Callable[[Pair], Unmet],
    ) -> Served:
        """Let a bucket pass: what comes in during a bucket serves its demand, as netting counts it too."""
        total: dict[str, float] = defaultdict(float)
        for pair in sorted({*self.on_hand_units, *self.owed_units, *received_units, *demanded_units}):
            received, demanded = received_units.get(pair, 0.0), demanded_units.get(pair, 0.0)
            there = self.on_hand_units.pop(pair, 0.0) + received
            owed = self.owed_units.pop(pair, 0.0)
            owed_served = min(owed, there)
            in_time = min(demanded, there - owed_served)
            there -= owed_served + in_time
            is_kept = unmet_of(pair) == "backorder"
            late = demanded - in_time if is_kept else 0.0
            owed += late - owed_served
            if there > 0:
                self.on_hand_units[pair] = there
            if owed > 0:
                self.owed_units[pair] = owed
            total["demanded_units"] += demanded
            total["in_time_units"] += in_time
            total["late_units"] += late
            total["lost_units"] += 0.0 if is_kept else demanded - in_time
            total["owed_units_served"] += owed_served
            total["received_units"] += received
            total["owed_units"] += owed
            total["stock_units"] += there
            total["stock_value"] += there * value_per_unit.get(pair[0], 0.0)
        return Served(**total)
