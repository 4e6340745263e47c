"""How is one figure written down?"""

from typing import Any


def figure(
    name: str, value: float, unit: str, *, reference: float, must: str, reached: bool | None
) -> dict[str, Any]:
    return {
        "figure": name,
        "value": value,
        "unit": unit,
        "reference": reference,
        "must": must,
        "reached": reached,
    }


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
