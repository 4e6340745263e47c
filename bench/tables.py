"""How do measured figures become tables of the README?

    python -m bench.tables

lays the figures that were measured last out again. Between a table's two markers nothing is written by hand.
"""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
MEASURED = Path(__file__).resolve().parent / "measured.json"
"""By table: when and on what it was measured, and its rows."""

type Json = dict[str, Any]


def keep(table: str, rows: list[Json]) -> None:
    """Keep what was measured, and lay it out."""
    measured = read_measured()
    measured[table] = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "n_cores": os.cpu_count(),
        "python": platform.python_version(),
        "rows": rows,
    }
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
    README.write_text(with_tables(README.read_text(), measured))


def read_measured() -> Json:
    measured: Json = json.loads(MEASURED.read_text())
    return measured


def with_tables(readme: str, measured: Json) -> str:
    """Put each table between its markers; a README without them is an error."""
    for table, lay_out in TABLES.items():
        begin, end = f"<!-- bench: {table} -->\n", f"<!-- bench: end of {table} -->"
        before, _, rest = readme.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"README.md has no place for the table {table}")
        readme = (
            f"{before}{begin}{_described(measured.get(TAKEN_FROM.get(table, table)), lay_out)}{end}{after}"
        )
    return readme


def _described(measured: Json | None, lay_out: Any) -> str:
    if measured is None:
        return "Not measured yet.\n"
    when = f"Measured on {measured['measured_on']}, {measured['n_cores']} cores, Python {measured['python']}."
    return f"{when}\n\n{lay_out(measured['rows'])}\n"


def figures_table(rows: list[Json]) -> str:
    """Lay out figures as bench.figure writes them, each beside its reference."""
    verdict = {True: "reached", False: "**missed**", None: ""}
    lines = [
        f"| {row['figure']} | {_number(row['value'])} {row['unit']} | {_number(row['reference'])} |"
        f" {row['must'].replace('<=', '≤').replace('>=', '≥')} | {verdict[row['reached']]} |"
        for row in rows
    ]
    return "\n".join(
        ["| what | measured | reference | must be | |", "| --- | ---: | ---: | --- | --- |", *lines]
    )


def peers_table(rows: list[Json]) -> str:
    """Lay out what each solver made of each instance."""
    lines = []
    for row in rows:
        head = f"| {row['needs']:,} | {row['solver']} |"
        if "problem" in row:
            lines.append(f"{head} {row['problem']} | | | |")
            continue
        dearer = row["cost"] / row["optimum"] - 1
        shown = "optimal" if abs(dearer) < 1e-7 and row["short_units"] < 1e-3 else f"{dearer:+.1e}"
        lines.append(
            f"{head} {_number(row['seconds'])} | {shown} | {_number(round(row['short_units'], 3))} | {row['megabytes']:,.0f} |"
        )
    return "\n".join(
        [
            "| needs | solver | seconds | dearer than the optimum | units short | MB |",
            "| ---: | --- | ---: | ---: | ---: | ---: |",
            *lines,
        ]
    )


def coverage_table(rows: list[Json]) -> str:
    """Lay out which share of what came lay inside p10–p90, by class and by step of the horizon, wherever that was measured."""
    measured = [row["coverage"] | {"share": row["value"]} for row in rows if "coverage" in row]
    classes = list(dict.fromkeys(name for one in measured for name in one["by_class"]))
    n_steps = max((len(one["by_step"]) for one in measured), default=0)
    lines = ["| of | all |" + "".join(f" {name} |" for name in (*classes, *range(1, n_steps + 1)))]
    lines.append("| --- |" + " ---: |" * (1 + len(classes) + n_steps))
    for one in measured:
        by_class = (_covered(one["by_class"].get(name)) for name in classes)
        by_step = (f"{share:.2f}" for share in one["by_step"])
        cells = (f"{one['share']:.2f}", *by_class, *by_step)
        lines.append(
            f"| {one['of']} |"
            + "".join(f" {cell} |" for cell in cells)
            + " |" * (n_steps - len(one["by_step"]))
        )
    return "\n".join(lines)


def _covered(part: Json | None) -> str:
    """Say beside how much came nothing of, where that is more than a band should cover."""
    if part is None:
        return ""
    nothing = f" ({part['nothing_share']:.2f} nothing)" if part["nothing_share"] > 0.9 else ""
    return f"{part['share']:.2f}{nothing}"


def _number(value: float) -> str:
    """Three digits that count, and no more zeros than that takes."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.3g}"


TABLES = {"figures": figures_table, "peers": peers_table, "coverage": coverage_table}
TAKEN_FROM = {"coverage": "figures"}
"""Another view of what another table was measured for."""


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(), read_measured()))
