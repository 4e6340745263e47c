"""What does a plan say, line by line, and how is it proven?"""

import re
from typing import Self

from pullplan.engine.model.words import TIERS, Fact, PassedOverCause, ResourceKind, ShortfallReason, Tier


class Need(Fact, frozen=True, kw_only=True):
    """Units that must arrive in a region in a bucket. need_id counts from 1 in the order of the facts."""

    need_id: int
    product_code: str
    region_code: str
    bucket: int
    tier: Tier
    rank: int = 0
    """Smaller is served first within its tier."""
    units: float
    latest_bucket: int
    """The last bucket in which it may still arrive."""
    pinned_node_code: str | None = None
    """Of tier `pinned`: the one node that may serve it, and the one bucket in which work may start, if any is named."""
    pinned_start_bucket: int | None = None


class PassedOver(Fact, frozen=True, kw_only=True):
    """A nearer (under landed cost: or cheaper) capable node that a line does not use, and why."""

    node_code: str
    cause: PassedOverCause
    distance_km: float | None = None
    capacity_price: float | None = None
    """For at_capacity, keeps_released_work and share_limit: what room for one more unit there would save in the cost
    stage, earlier stages being kept."""
    forcing_measure: str | None = None
    """The first stage, up to the cost, that is proven to get worse when the line is forced there; the cost stage
    where none is. None (as both costs) where the node can't be forced: it has no way to serve the need."""
    forcing_cost_per_unit: float | None = None
    """In that stage's measure, ≥ 0: the least reduced cost, at the stage's stored prices and multipliers, of the ways
    that the stages before leave open. Exact for the next unit where prices are unique."""
    forcing_cost: float | None = None
    """Units × forcing_cost_per_unit, a proven lower bound: a plan that makes the line's units there, and meets the lower
    bounds of the stages before, has in this stage at least its lower bound plus this."""


class Forced(Fact, frozen=True, kw_only=True):
    """Units of a need that must be made at one node."""

    need_id: int
    node_code: str
    units: float


class ConfirmedStage(Fact, frozen=True, kw_only=True):
    """What a stage measures in the plan, and in the best plan with units forced."""

    measure: str
    planned_value: float
    forced_value: float
    extra: float
    """forced_value − planned_value; an early stage that is worse may leave a later one better."""
    is_worse: bool
    """By more than rounding."""


class Assignment(Fact, frozen=True, kw_only=True):
    assignment_id: int
    need_id: int
    node_code: str
    start_bucket: int
    arrival_bucket: int
    units: float
    """Good units, as they arrive."""
    started_units: float
    """What must be started for them: units ÷ the node's yield."""
    distance_km: float
    cost_per_unit: float
    """In the objective's measure: km, kg·km or money."""
    distance_rank: int
    """1: none of the nodes that are capable, qualified, online and have a lane is nearer. Stores don't count."""
    passed_over: tuple[PassedOver, ...] = ()


class Shortfall(Fact, frozen=True, kw_only=True):
    shortfall_id: int
    need_id: int
    units: float
    reason: ShortfallReason
    detail: str


class ExtraCapacity(Fact, frozen=True, kw_only=True):
    """More of a node's resource, or of the share of a product that it may start; that is told in bucket 0."""

    resource_code: str | None = None
    product_code: str | None = None
    bucket: int
    amount: float
    """In the resource's unit; of a share, units started."""


class Remedy(Fact, frozen=True, kw_only=True):
    """What would serve all that a need is short of, by one node, and what every stage would measure then."""

    node_code: str
    brings_online: bool
    """The node is offline, and would have to be brought back."""
    qualifies: bool
    """The node would have to be qualified for the product."""
    extra_capacity: tuple[ExtraCapacity, ...]
    stages: tuple[ConfirmedStage, ...]
    """Solved anew with all of that: none is worse than planned unless one before it is better."""


class ProductionOrder(Fact, frozen=True, kw_only=True):
    """What one node starts of a product in a bucket, cut into whole lots. Counted from 1 by product, node and bucket.

    units = n_lots × lot_units + n_smaller_lots × smaller_lot_units.
    """

    production_order_id: int
    product_code: str
    node_code: str
    start_bucket: int
    units: float
    n_lots: int
    lot_units: float
    n_smaller_lots: int = 0
    smaller_lot_units: float = 0.0
    surplus_units: float = 0.0
    """Above all that the horizon needs of it."""
    surplus_region_code: str | None = None
    """Where the surplus goes: the region that will need it soonest."""


class CapacityPrice(Fact, frozen=True, kw_only=True):
    """One stage's price of one more unit of a capacity (≥ 0); prices that are zero are not listed.

    It is of a resource, or of a share limit: one more unit of the product that the node may start over the horizon,
    told once, in bucket 0.
    """

    stage: int
    node_code: str
    resource_code: str | None = None
    product_code: str | None = None
    bucket: int
    price: float


class ShortfallStage(Fact, frozen=True, kw_only=True):
    """Which needs, and which of their slices, a shortfall stage counts."""

    tier: Tier
    rank: int
    first_slice: int | None = None
    """None: every slice."""
    last_slice: int | None = None

    @property
    def measure(self) -> str:
        """Name the stage."""
        name = f"shortfall:{self.tier}:{self.rank}"
        if self.first_slice is None or self.last_slice is None:
            return name
        if self.first_slice == self.last_slice:
            return f"{name}:slice_{self.first_slice}"
        return f"{name}:slices_{self.first_slice}_to_{self.last_slice}"

    @classmethod
    def read(cls, measure: str) -> Self | None:
        """Read a stage's name; None where it is not that of a shortfall stage."""
        found = _SHORTFALL_MEASURE.fullmatch(measure)
        tier = next((tier for tier in TIERS if found and tier == found["tier"]), None)
        if found is None or tier is None:
            return None
        slices = [int(number) for number in (found["slice"], found["first"], found["last"]) if number]
        first, last = (slices[0], slices[-1]) if slices else (None, None)
        return cls(tier=tier, rank=int(found["rank"]), first_slice=first, last_slice=last)


_SHORTFALL_MEASURE = re.compile(
    r"shortfall:(?P<tier>[a-z]+):(?P<rank>-?\d{1,18})"
    r"(?::(?:slice_(?P<slice>\d{1,3})|slices_(?P<first>\d{1,3})_to_(?P<last>\d{1,3})))?"
)


class Stage(Fact, frozen=True, kw_only=True):
    """One stage of the lexicographic objective with its proof.

    measure: `shortfall:<tier>:<rank>` (of all slices, where one proof does for all of them),
    `shortfall:<tier>:<rank>:slice_<n>` or `…:slices_<n>_to_<m>` (joined, as needs that anybody could serve are short of
    nothing, or of everything, in them), `lateness_unit_buckets`, `cost:nearest` or `cost:landed_cost`,
    `earliness_unit_buckets`.
    """

    stage: int
    measure: str
    value: float
    lower_bound: float
    gap: float
    """(value − lower bound) ÷ max(|value|, the measure of one mean need)."""
    gap_absolute: float
    multipliers: tuple[float, ...] = ()
    """One per earlier stage: what relaxing that stage's achieved value by one would save here."""
    relaxation_value: float | None = None
    """What the stage would measure if lots could be of any size: gap and bound are the relaxation's. None where no
    capability has lot rules: then it is the value."""
    price_of_lots: float | None = None
    """(value − relaxation value) ÷ max(|relaxation value|, the measure of one mean need)."""

    @property
    def before_lots(self) -> float:
        """Say what it measures if lots may be of any size."""
        return self.value if self.relaxation_value is None else self.relaxation_value


class ResourceLoad(Fact, frozen=True, kw_only=True):
    node_code: str
    resource_code: str
    bucket: int
    kind: ResourceKind = "renewed"
    capacity: float
    """Of a `stored` resource: what is there in this bucket."""
    used: float


class LotFigures(Fact, frozen=True, kw_only=True):
    """What lots do to a plan."""

    n_production_orders: int
    n_lots: int
    surplus_units: float
    surplus_share: float | None
    """Of the units made."""
    price_of_lots: float | None
    """What the cost stage measures more than if lots could be of any size, as a share of that."""


class Figures(Fact, frozen=True, kw_only=True):
    """What a planner reads first; units are summed over products."""

    needs_units: float = 0.0
    assigned_units: float = 0.0
    shortfall_units: float = 0.0
    served_share: float | None = None
    nearest_share: float | None = None
    """Units whose node, or store, is no farther than the nearest capable, qualified, online node ÷ units assigned."""
    unit_km: float = 0.0
    km_per_unit: float | None = None
    late_unit_buckets: float = 0.0
    early_unit_buckets: float = 0.0
    capacity_use_share: float | None = None
    """Of renewed capacity over the horizon, mean over node × resource weighted by capacity."""
    n_needs: int = 0
    n_assignments: int = 0
    n_shortfalls: int = 0
    lots: LotFigures | None = None
    """None where no capability has lot rules."""


class Stability(Fact, frozen=True, kw_only=True):
    """What a re-plan holds of its parent, and what that costs.

    The parent's lines that can still stand are *held*, but for those in `released_assignment_ids`. A held unit that no
    longer stands at its node and start bucket has *moved*, also where it is short now. Every stage's bound is that of
    all plans that move no more held units than this one.
    """

    parent_plan_hash: str
    churn_budget_units: float | None = None
    """The most held units that might move; None: any number."""
    least_saving_per_unit: float = 0.0
    """What a moved unit has to save in the cost stage at least, unless it helps a stage before."""
    held_units: float
    moved_units: float
    relaxation_moved_units: float | None = None
    """Where orders are cut into lots: what the relaxation moves. Bounds are of all plans that move no more than either."""
    released_assignment_ids: tuple[int, ...] = ()
    """Of the parent: lines that could stand one by one, but not together, as capacity fell, or as an order of whole lots."""
    churn_prices: tuple[float, ...]
    """One per stage: what moving one unit more would save there; 0 where the plan is the best without any hold."""
    free_stages: tuple[Stage, ...] = ()
    """The stages of the best plan that holds nothing; empty where this is one."""
    free_prices: tuple[CapacityPrice, ...] = ()
    """The prices that prove them."""


class Plan(Fact, frozen=True, kw_only=True):
    method: str
    reproducible: bool
    snapshot_hash: str
    plan_hash: str
    needs: tuple[Need, ...]
    assignments: tuple[Assignment, ...]
    shortfalls: tuple[Shortfall, ...]
    stages: tuple[Stage, ...]
    prices: tuple[CapacityPrice, ...]
    loads: tuple[ResourceLoad, ...]
    figures: Figures
    tie_break: str
    """What the last stage adds to break ties, as the certificate declares it."""
    stability: Stability | None = None
    """Of a re-plan."""
    production_orders: tuple[ProductionOrder, ...] = ()
    """Where any capability has lot rules."""

    def units_of(self, need_id: int, node_code: str) -> float:
        """Add up what a node makes for a need."""
        lines = (line for line in self.assignments if line.need_id == need_id)
        return sum(line.units for line in lines if line.node_code == node_code)
