"""How is one figure written down?"""

from pathlib import Path
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


def peak_megabytes() -> float:
    """Tell the most that this process has held since it began; getrusage counts the process that started it as well."""
    return _megabytes("VmHWM:")


def held_megabytes() -> float:
    """Tell what this process holds now."""
    return _megabytes("VmRSS:")


def _megabytes(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith(name))
    return int(kilobytes) / 1024
