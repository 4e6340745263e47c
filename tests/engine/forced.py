"""What does the engine find when some units of a need must be made at one node? The reference for forcing costs."""

from collections.abc import Sequence

import msgspec

from pullplan.engine.assignment import assign
from pullplan.engine.certificate import certify
from pullplan.engine.model import Need, PlanningFacts
from pullplan.engine.options import build_options

TWIN = "forced"
FIRST_RANK = -1
"""Before every rank that the instances draw."""


def forced_instance(
    facts: PlanningFacts, needs: Sequence[Need], need_id: int, node_code: str, units: float
) -> tuple[PlanningFacts, list[Need]]:
    """Split a need: `units` of it become a twin of the product that only this node can make, and come first."""
    (split,) = [need for need in needs if need.need_id == need_id]
    (product,) = [p for p in facts.products if p.product_code == split.product_code]
    (capability,) = [
        c for c in facts.capabilities if (c.node_code, c.product_code) == (node_code, split.product_code)
    ]
    rest = [msgspec.structs.replace(split, units=split.units - units)] if units < split.units else []
    must = msgspec.structs.replace(
        split, need_id=len(needs) + 1, product_code=TWIN, tier="order", rank=FIRST_RANK, units=units
    )
    twins = msgspec.structs.replace(
        facts,
        products=(*facts.products, msgspec.structs.replace(product, product_code=TWIN)),
        capabilities=(*facts.capabilities, msgspec.structs.replace(capability, product_code=TWIN)),
    )
    return twins, [*(need for need in needs if need.need_id != need_id), *rest, must]


def forced_values(
    facts: PlanningFacts, needs: Sequence[Need], need_id: int, node_code: str, units: float
) -> dict[str, float] | None:
    """Measure the best plan that makes `units` of a need at a node, by stage; None where no plan can."""
    options = build_options(*forced_instance(facts, needs, need_id, node_code, units))
    stages = certify(options, assign(options))
    values = {stage.measure: stage.value for stage in stages}
    missed = values.pop(f"shortfall:order:{FIRST_RANK}")
    return values if missed <= 1e-9 * units else None
