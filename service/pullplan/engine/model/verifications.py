"""What did checking a stored plan find?"""

from typing import Literal

from pullplan.engine.model.words import Fact

FindingCode = Literal[
    "need_malformed",
    "need_not_covered",
    "line_malformed",
    "units_not_positive",
    "do_not_produce",
    "not_capable",
    "not_qualified",
    "offline",
    "not_effective",
    "no_lane",
    "outside_horizon",
    "starts_too_early",
    "arrival_wrong",
    "too_late",
    "too_old",
    "started_wrong",
    "pin_broken",
    "distance_wrong",
    "cost_wrong",
    "rank_wrong",
    "order_malformed",
    "order_wrong",
    "lot_wrong",
    "surplus_wrong",
    "over_capacity",
    "over_share",
    "load_wrong",
    "figure_wrong",
    "stages_wrong",
    "price_invalid",
    "multiplier_invalid",
    "value_wrong",
    "bound_wrong",
    "gap_wrong",
    "below_bound",
    "stability_wrong",
    "snapshot_hash_wrong",
    "plan_hash_wrong",
]


class Finding(Fact, frozen=True, kw_only=True):
    """One thing that is wrong with a plan: a sentence for planners, and where it is."""

    code: FindingCode
    detail: str
    need_id: int | None = None
    assignment_id: int | None = None
    shortfall_id: int | None = None
    stage: int | None = None
    node_code: str | None = None
    resource_code: str | None = None


class CheckedStage(Fact, frozen=True, kw_only=True):
    """A stage's value from the lines and its bound from the prices alone, both recomputed."""

    stage: int
    measure: str
    value: float
    lower_bound: float
    gap: float
    """(value − lower bound) ÷ max(|value|, the measure of one mean need)."""
    gap_absolute: float
    rounding_bound: float
    """The bound, computed in float64, is within this of the exact one."""


class Checked(Fact, frozen=True, kw_only=True):
    """How much was looked at."""

    n_needs: int = 0
    n_assignments: int = 0
    n_shortfalls: int = 0
    n_capacities: int = 0
    """Node × resource × bucket."""
    n_options: int = 0
    """Need × node × start bucket: each bound is a minimum over all of them."""
    n_prices: int = 0
    n_stages: int = 0
    n_exact: int = 0
    """Comparisons that were too close for float64 and were made in exact rationals."""


class Verification(Fact, frozen=True, kw_only=True):
    """The answer of the checker. Needs are taken as the plan states them; all else follows from the facts."""

    valid: bool
    n_findings: int
    findings: tuple[Finding, ...]
    """The first thousand."""
    checked: Checked
    stages: tuple[CheckedStage, ...]
