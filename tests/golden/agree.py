"""What is a scenario's plan now? `python tests/golden/agree.py FOLDER` prints it; who agrees writes it to plan.json."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from pullplan.engine.model import Plan, PlanningFacts
from pullplan.engine.plan import make_plan

DIGITS = 6


def read_facts(path: Path) -> PlanningFacts:
    file = path / "facts.json" if path.is_dir() else path
    return msgspec.json.decode(file.read_bytes(), type=PlanningFacts)


def what_is_agreed(plan: Plan) -> dict[str, Any]:
    """Take what people agree upon: lines, reasons, measures and figures; not hashes, prices, method or wording."""
    return {
        "needs": _rounded(plan.needs),
        "assignments": _rounded(plan.assignments),
        "shortfalls": [_without_wording(_rounded(shortfall)) for shortfall in plan.shortfalls],
        "stages": _rounded([{"measure": s.measure, "value": s.value} for s in plan.stages]),
        "figures": _without_lots(_rounded(plan.figures)),
    } | ({"production_orders": _rounded(plan.production_orders)} if plan.figures.lots else {})


def _without_lots(figures: dict[str, Any]) -> dict[str, Any]:
    """Leave the figures of lots out where no capability has lot rules."""
    return {name: value for name, value in figures.items() if name != "lots" or value is not None}


def _without_wording(shortfall: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shortfall.items() if name != "detail"}


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, DIGITS)
        case dict():
            return {name: _rounded(member) for name, member in value.items()}
        case list() | tuple():
            return [_rounded(member) for member in value]
        case msgspec.Struct():
            return _rounded(msgspec.to_builtins(value))
        case _:
            return value


if __name__ == "__main__":
    agreed = what_is_agreed(make_plan(read_facts(Path(sys.argv[1]))))
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(agreed), indent=2).decode() + "\n")
