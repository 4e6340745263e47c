"""How is a reason said to people? One place for the sentences of the API and of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from pullplan.engine.model import LineKind, PassedOver, PassedOverCause, Remedy, ShortfallStage
from pullplan.engine.stores import is_store

CAUSES: dict[PassedOverCause, str] = {
    "not_qualified": "not qualified for it",
    "offline": "down",
    "too_late": "can't deliver in time",
    "no_lane": "no lane",
    "at_capacity": "full",
    "share_limit": "may start no more of it",
    "not_effective": "outside its dates",
    "keeps_released_work": "full, with released work that it keeps",
    "lot_rule": "its lots don't fit",
    "costs_more": "costs more",
    "pinned": "the line is pinned elsewhere",
    "search_stopped": "not looked at before the search was stopped",
}

Name = Callable[[str], str]


class Short(Protocol):
    """What a sentence about a shortfall needs of it."""

    product_code: str
    region_code: str
    units: float


class Line(Protocol):
    """What a sentence about an assignment needs of it."""

    node_code: str
    product_code: str
    region_code: str
    units: float
    need_bucket_date: date
    start_bucket_date: date
    distance_km: float
    distance_rank: int
    passed_over: list[PassedOver]
    kind: LineKind


def say_units(value: float) -> str:
    """Round an amount as far as people read it; a small one keeps two digits."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2g}"


def say_rank(rank: int) -> str:
    """Name a place in the order of distance."""
    if rank == 1:
        return "the nearest"
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending} nearest"


def say_slices(stage: ShortfallStage) -> str:
    """Name the slices that a stage counts, if not all."""
    if stage.first_slice is None:
        return ""
    if stage.first_slice == stage.last_slice:
        return f" (slice {stage.first_slice})"
    return f" (slices {stage.first_slice} to {stage.last_slice})"


@dataclass(frozen=True)
class Wording:
    """What a plan's measures are called, and its nodes."""

    objective: str
    bucket: str
    shortfall_measure: str
    weigh_distance: bool = False
    name_node: Name = str

    @property
    def cost_unit(self) -> str:
        """Name what one unit costs."""
        if self.objective == "landed_cost":
            return "of cost"
        return "kg·km" if self.weigh_distance else "km"

    def passed_over(self, passed: PassedOver) -> str:
        """Say which node a line does not use, why, what room there would save and what forcing it would cost."""
        far = "" if passed.distance_km is None else f", {passed.distance_km:,.0f} km"
        return f"{self.name_node(passed.node_code)}{far}: {CAUSES[passed.cause]}{self._figures(passed)}"

    def _figures(self, passed: PassedOver) -> str:
        worth = forced = ""
        if passed.capacity_price:
            worth = f"one more unit there would save {say_units(passed.capacity_price)} {self.cost_unit}"
        if passed.forcing_cost and passed.forcing_measure:
            least = self._forcing(passed.forcing_measure, passed.forcing_cost)
            forced = f"making the line there would {least}"
        said = "; ".join(part for part in (worth, forced) if part)
        return f" ({said})" if said else ""

    def _forcing(self, measure: str, least: float) -> str:
        """Say which stage gets worse, and by how much at least."""
        amount = f"at least {say_units(least)}"
        stage = ShortfallStage.read(measure)
        if stage is not None:
            by = (
                ""
                if self.shortfall_measure == "units"
                else f", by {self.shortfall_measure.replace('_', ' ')}"
            )
            whose = "pinned units" if stage.tier == "pinned" else f"{stage.tier}s of priority {stage.rank}"
            return f"leave {whose}{say_slices(stage)} short by {amount} more{by}"
        if measure == "lateness_unit_buckets":
            return f"make {amount} more unit-{self.bucket}s late"
        unit = {"km": " unit-km", "kg·km": " kg·km"}.get(self.cost_unit, "")
        return f"cost {amount}{unit} more"

    def remedy(self, short: Short, remedy: Remedy, bucket_dates: Sequence[date]) -> str:
        """Say what a node lacks to serve what is short, and what the plan would cost then.

        `bucket_dates`: of the remedy's extra capacity, one by one.
        """
        lacks = [
            *(["back online"] if remedy.brings_online else []),
            *([f"qualified for {short.product_code}"] if remedy.qualifies else []),
            *(
                f"with {say_units(extra.amount)} more {extra.resource_code} {self._when(day)}"
                if extra.product_code is None
                else f"allowed to start {say_units(extra.amount)} more {extra.product_code}"
                for extra, day in zip(remedy.extra_capacity, bucket_dates, strict=True)
            ),
        ]
        would = f"{self.name_node(remedy.node_code)}, {' and '.join(lacks)}, would"
        cost = next(stage for stage in remedy.stages if stage.measure.startswith("cost:"))
        unit = {"km": " unit-km", "kg·km": " kg·km"}.get(self.cost_unit, "")
        more = "more" if cost.extra >= 0 else "less"
        return (
            f"{would} serve all {say_units(short.units)} {short.product_code} that {short.region_code} is short of; "
            f"the plan would cost {say_units(abs(cost.extra))}{unit} {more}"
        )

    def _when(self, day: date) -> str:
        return f"in the week of {day}" if self.bucket == "week" else f"on {day}"

    def line(self, line: Line) -> str:
        """Say what a node makes or sends for whom, and where it stands by distance; stores are no nodes."""
        does = "sends" if line.kind == "transfer" else "makes"
        n_nodes = sum(not is_store(passed.node_code) for passed in line.passed_over)
        return (
            f"{self.name_node(line.node_code)} {does} {say_units(line.units)} {line.product_code} for {line.region_code}, "
            f"needed from {line.need_bucket_date}, started from {line.start_bucket_date}: {line.distance_km:,.0f} km, "
            f"{say_rank(line.distance_rank)} of the nodes that can; {self._count(n_nodes)}"
        )

    def _count(self, passed: int) -> str:
        nearer = "nearer or cheaper" if self.objective == "landed_cost" else "nearer"
        return f"{passed or 'no'} {nearer} node{'' if passed == 1 else 's'} passed over"
