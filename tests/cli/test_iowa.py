"""Does the demo plan real demand, from a folder that knows nothing of pullplan?"""

import json
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import PULLPLAN


@pytest.mark.parametrize("as_of", ["2021-06-28", pytest.param("2022-01-03", marks=pytest.mark.long)])
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
    accuracy = summary["forecast"]
    assert accuracy["wape_share"] < accuracy["naive_wape_share"]
    assert "order_lines" in ran.stderr
