"""Does the demo plan real demand, from a folder that knows nothing of pullplan?"""

import csv
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import PULLPLAN


def holds_every_unit(summary: dict[str, Any]) -> None:
    """Say that the ledger's demand is in stock, on its way, made or short, and nothing else."""
    ledger = summary["ledger"]
    assert ledger["assigned_units"] == pytest.approx(summary["assigned_units"])
    assert ledger["shortfall_units"] == pytest.approx(summary["shortfall_units"], abs=1e-6)
    assert ledger["demanded_units"] >= ledger["assigned_units"] + ledger["shortfall_units"] - 1e-3
    assert ledger["unaccounted_units"] == pytest.approx(0.0, abs=1e-9 * ledger["demanded_units"])


@pytest.mark.long
@pytest.mark.parametrize("as_of", ["2021-06-28", "2022-01-03"])
def test_years_of_iowas_spirits_become_a_proven_plan(shared: Path, as_of: str):
    folder = shared / "data" / "iowa_spirits"
    ran = subprocess.run(
        [*PULLPLAN, "demo", "--data", str(folder), "--as-of", as_of, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert {name: summary[name] for name in ("regions", "products", "nodes", "signals")} == {
        "regions": 25,
        "products": 7,
        "nodes": 24,
        "signals": 39_835,
    }
    assert (summary["as_of"][:10], summary["horizon_buckets"]) == (as_of, 8)
    assert summary["served_share"] > 0.95
    assert 0 < summary["km_per_unit"] < 100
    assert all(abs(stage["gap"]) < 1e-6 for stage in summary["stages"])
    # The solver's rounding is no shortfall: a stage without one says 0.
    assert all(stage["value"] == 0 or stage["value"] > 1e-3 for stage in summary["stages"])
    holds_every_unit(summary)
    accuracy = summary["forecast"]
    assert accuracy["wape_share"] < accuracy["naive_wape_share"]
    assert "order_lines" in ran.stderr


def avocado_folder(data: Path, folder: Path) -> Path:
    """Give the avocado market stock and supply of its own, as its files have none: a day's sale, and half a week's next week."""

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.DictWriter(file, rows[0].keys()).writeheader()
            csv.DictWriter(file, rows[0].keys()).writerows(rows)

    for name in ("products", "regions"):
        (folder / f"{name}.csv").write_text((data / f"{name}.csv").read_text())
    with gzip.open(data / "demand_weekly_2017_2022.csv.gz", "rt") as file:
        sold = [
            {
                "date": row["week_ending"],
                "region": row["region"],
                "product": row["product"],
                "units": row["quantity"],
            }
            for row in csv.DictReader(file)
            if "2019-06" <= row["week_ending"] < "2021-06"
        ]
    nodes = list(csv.DictReader((data / "nodes_proposed.csv").read_text().splitlines()))
    places = ("code", "name", "lat", "lon")
    write(
        "nodes",
        [{c: n[c] for c in places} | {"capacity_per_week": n["weekly_capacity_units"]} for n in nodes],
    )
    products = sorted({row["product"] for row in sold})
    write("capabilities", [{"node": n["code"], "product": p} for n in nodes for p in products])
    write("demand_signals", sold)
    last = max(row["date"] for row in sold)
    of_last = [row for row in sold if row["date"] == last]
    write("stock_counts", [
        {"source": "wms", "external_id": f"c{i}", "product": row["product"], "region": row["region"],
         "counted_at": "2021-05-30T18:00:00Z", "on_hand_units": round(float(row["units"]) / 7)}
        for i, row in enumerate(of_last)
    ])  # fmt: skip
    write("open_supply", [
        {"source": "wms", "external_id": f"s{i}", "product": row["product"], "region": row["region"],
         "due_date": "2021-06-09", "units": round(float(row["units"]) / 2)}
        for i, row in enumerate(of_last)
    ])  # fmt: skip
    return folder


@pytest.mark.long
def test_the_ledger_of_the_avocado_market_holds_every_unit(shared: Path, tmp_path: Path):
    folder = avocado_folder(shared / "data" / "hass_avocado", tmp_path)
    ran = subprocess.run(
        [*PULLPLAN, "demo", "--data", str(folder), "--as-of", "2021-05-31", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["regions"] > 40
    holds_every_unit(summary)
    assert summary["ledger"]["from_stock_units"] > 0 < summary["ledger"]["from_supply_units"]
