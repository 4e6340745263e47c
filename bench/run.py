"""How fast is pullplan, and against what?

Every figure of the README, each beside its reference in the same run: ratios count, times depend on the machine.

    python -m bench.run [--only NAME ...] [--json FILE] [--table]
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import (
    assigning,
    competition,
    confirming,
    forecast_speed,
    forecasting,
    loading,
    lotting,
    netting,
    outage,
    posting,
    reading,
    refreshing,
    replanning,
    rolling,
    seasonal,
    sharding,
    sharing,
    starting,
    storing,
    volume,
    warm,
)
from bench.tables import coverage_table, keep, read_measured

FIGURES = {
    "clone_to_demo": starting.clone_to_demo,
    "serve_ready": starting.serve_ready,
    "loading": loading.loading_against_copy,
    "posting": posting.single_signals,
    "reading": reading.page_against_query,
    "sent_again": volume.sent_again,
    "beside_a_plan": volume.intake_beside_a_plan,
    "deep_pages": volume.deep_pages,
    "large_table": volume.large_table,
    "storing": storing.storing,
    "netting": netting.netting_a_million,
    "assignment": assigning.assignment,
    "sharding": sharding.sharding,
    "assignment_whole": assigning.assignment_whole,
    "sharing": sharing.sharing,
    "seasonal": seasonal.seasonal_assignment,
    "seasonal_whole": seasonal.seasonal_assignment_whole,
    "confirming": confirming.confirming,
    "replanning": replanning.signal_to_verified_plan,
    "warm": warm.one_signal,
    "outage": outage.node_offline,
    "forecasts": forecasting.forecasts_sampled,
    "forecasts_whole": forecasting.forecasts_whole,
    "competition": competition.m3_sampled,
    "competition_whole": competition.m3_whole,
    "forecast_speed": forecast_speed.speed_sampled,
    "forecast_speed_whole": forecast_speed.speed_whole,
    "refresh": refreshing.refreshing,
    "rolling": rolling.rolled_against_full,
    "lots": lotting.lots_large,
    "lots_against_mip": lotting.lots_against_mip,
    "many_lots_against_mip": lotting.many_lots_against_mip,
}
ON_REQUEST = {
    "forecasts",
    "forecasts_whole",
    "competition_whole",
    "forecast_speed_whole",
    "refresh",
    "rolling",
    "large_table",
    "many_lots_against_mip",
}
"""Take many minutes, or hours: only where named by --only, so that all the rest ends within twenty minutes."""
WIDTH = 98
"""Of a figure's name."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        nargs="*",
        choices=sorted(FIGURES),
        default=[name for name in FIGURES if name not in ON_REQUEST],
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--table", action="store_true", help="lay the figures out in README.md")
    arguments = parser.parse_args()
    figures: list[dict[str, Any]] = []
    for name, measure in FIGURES.items():
        if name not in arguments.only:
            continue
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        measured = [{"of": name, **one} for one in measure()]
        for one in measured:
            print(_line(one), flush=True)
        figures += measured
        # After each: what was measured is kept, whatever becomes of the rest.
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
        if arguments.table:
            keep("figures", in_order(figures, read_measured().get("figures", {"rows": []})["rows"]))
    if any("coverage" in figure for figure in figures):
        print(coverage_table(figures))
    return 1 if any(figure["reached"] is False for figure in figures) else 0


def in_order(figures: list[dict[str, Any]], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put what is measured anew in the place of what was kept of it; the rest stays, unless nothing measures it now."""
    anew = {one["of"] for one in figures}
    rows = figures + [one for one in kept if one["of"] not in anew and one["of"] in FIGURES]
    return sorted(rows, key=lambda one: list(FIGURES).index(one["of"]))


def _line(one: dict[str, Any]) -> str:
    verdict = "" if one["reached"] is None else ("reached" if one["reached"] else "MISSED")
    return (
        f"{one['figure']:<{WIDTH}}  {one['value']:>12,.3f} {one['unit']:<12}"
        f" reference {one['reference']:>12,.3f}  must be {one['must']:<16} {verdict}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
