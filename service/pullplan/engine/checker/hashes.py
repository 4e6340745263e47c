"""Are facts and lines those that the plan's hashes name?"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from pullplan.engine.model import Finding, Forecast, Plan, PlanningFacts


def check_hashes(facts: PlanningFacts, plan: Plan) -> Iterator[Finding]:
    """Hash facts and lines again."""
    if _sha256(_sorted(facts)) != plan.snapshot_hash:
        yield Finding(
            code="snapshot_hash_wrong",
            detail=f"the stored facts are not those that the snapshot hash {plan.snapshot_hash[:12]}… names",
        )
    lines: tuple[Any, ...] = (plan.needs, plan.assignments, plan.shortfalls, plan.prices, plan.stages)
    if plan.production_orders:
        lines = (*lines, plan.production_orders)
    if plan.stability is not None:
        lines = (*lines, plan.stability)
    if _sha256(lines) != plan.plan_hash:
        yield Finding(
            code="plan_hash_wrong",
            detail=f"needs, lines, prices and stages are not those that the plan hash {plan.plan_hash[:12]}… names",
        )


def _sorted(facts: PlanningFacts) -> PlanningFacts:
    """Put every collection of facts into the order of its members' encodings."""
    changes: dict[str, Any] = {}
    for name in facts.__struct_fields__:
        match getattr(facts, name):
            case tuple() as members:
                changes[name] = tuple(sorted(members, key=_encode))
            case Forecast() as forecast:
                series = tuple(sorted(forecast.series, key=_encode))
                changes[name] = msgspec.structs.replace(forecast, series=series)
            case _:
                pass
    return msgspec.structs.replace(facts, **changes)


def _encode(content: Any) -> bytes:
    return msgspec.msgpack.encode(content, order="deterministic")


def _sha256(content: Any) -> str:
    return hashlib.sha256(_encode(content)).hexdigest()
